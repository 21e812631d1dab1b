package server_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// TestRulesOfTheContractAreEnforced breaks each rule that the contract declares for a durable frame. The server checks
// those by hand, so the declared ones are asked, too, whether the frame is one that breaks a rule.
func TestRulesOfTheContractAreEnforced(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	for name, frame := range framesThatBreakARule(board) {
		if protovalidate.Validate(frame) == nil {
			t.Errorf("%s: breaks no rule of the contract", name)
		}
		answer := c.ask(frame)
		if e := answer.GetError(); e.GetCode() != collaboardv1.ErrorCode_INVALID_FRAME || len(e.GetFieldViolations()) == 0 {
			t.Errorf("%s: %v", name, answer)
		}
	}
	if log := srv.readLog(t, board); len(log) != 0 {
		t.Fatalf("stored: %v", log)
	}
}

func framesThatBreakARule(board string) map[string]*collaboardv1.Frame {
	frames := map[string]*collaboardv1.Frame{
		"parent_id": {ParentId: "x", Payload: chat(board, "x").GetPayload()},
		"chat":      {Payload: chat(board, strings.Repeat("x", 16<<10+1)).GetPayload()},
		"no chat":   {Payload: chat(board, "").GetPayload()},
		"custom":    {Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: strings.Repeat("x", 129)}}},
		"no custom": {Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{}}},
		"no object": {Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{}}},
		"no ops":    batch(),
		"ops":       batch(slices.Repeat([]*collaboardv1.ObjectOp{deleteOp(newID())}, 1001)...),
		"empty op":  batch(&collaboardv1.ObjectOp{}),
		"op":        batch(deleteOp("x")),
	}
	for name, change := range map[string]func(*collaboardv1.Object){
		"id":       func(o *collaboardv1.Object) { o.Id = "x" },
		"kind":     func(o *collaboardv1.Object) { o.Kind = strings.Repeat("x", 65) },
		"no kind":  func(o *collaboardv1.Object) { o.Kind = "" },
		"x":        func(o *collaboardv1.Object) { o.X = math.NaN() },
		"y":        func(o *collaboardv1.Object) { o.Y = math.Inf(1) },
		"width":    func(o *collaboardv1.Object) { o.Width = math.Inf(-1) },
		"height":   func(o *collaboardv1.Object) { o.Height = math.NaN() },
		"rotation": func(o *collaboardv1.Object) { o.Rotation = math.NaN() },
		"z_index":  func(o *collaboardv1.Object) { o.ZIndex = "a" + strings.Repeat("1", 256) },
		"group_id": func(o *collaboardv1.Object) { o.GroupId = "x" },
		"props":    func(o *collaboardv1.Object) { o.Props = manyProps(257) },
		"key":      func(o *collaboardv1.Object) { o.Props[strings.Repeat("x", 129)] = structpb.NewBoolValue(true) },
		"no key":   func(o *collaboardv1.Object) { o.Props[""] = structpb.NewBoolValue(true) },
	} {
		o := &collaboardv1.Object{Id: newID(), Kind: "rectangle", Props: manyProps(1)}
		change(o)
		frames["create: "+name] = &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{
			ObjectCreate: &collaboardv1.ObjectCreate{Object: o},
		}}
		frames["update: "+name] = &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectUpdate{
			ObjectUpdate: &collaboardv1.ObjectUpdate{
				Id: o.GetId(), Kind: &o.Kind, X: &o.X, Y: &o.Y, Width: &o.Width, Height: &o.Height, Rotation: &o.Rotation,
				ZIndex: &o.ZIndex, GroupId: &o.GroupId, Props: o.GetProps(),
			},
		}}
	}
	for _, f := range frames {
		f.Id, f.BoardId = newID(), board
	}
	return frames
}

func batch(ops ...*collaboardv1.ObjectOp) *collaboardv1.Frame {
	return &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: &collaboardv1.ObjectBatch{Ops: ops}}}
}

func deleteOp(id string) *collaboardv1.ObjectOp {
	return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Delete{Delete: &collaboardv1.ObjectDelete{Id: id}}}
}

func manyProps(n int) map[string]*structpb.Value {
	props := map[string]*structpb.Value{}
	for i := range n {
		props[strings.Repeat("k", i%100+1)+string(rune('a'+i/100))] = structpb.NewNumberValue(1)
	}
	return props
}
