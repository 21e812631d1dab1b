package board_test

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// prepared returns a board that has one of each: objects in a stack, a group, props, a tombstone, places next to each
// other.
func prepared(t tb) *board.Board {
	b := board.New()
	mustSubmit(t, b,
		create(1),
		createWith(2, func(o *collaboardv1.Object) { o.GroupId, o.Props = id(8), props("k", "v", "list", []any{1, nil}) }),
		createWith(3, func(o *collaboardv1.Object) { o.ZIndex = "a0" }),
		createWith(4, func(o *collaboardv1.Object) { o.ZIndex = "a0" + strings.Repeat("z", board.MaxZIndexBytes-2) }),
		&collaboardv1.ObjectDelete{Id: id(1)},
		move(2, 5),
	)
	return b
}

// FuzzDecide asks a board for anything, and has another apply anything: neither may panic, or hold afterwards what a
// board never holds; and what was accepted makes an equal replica elsewhere.
func FuzzDecide(f *testing.F) {
	requests := []proto.Message{
		create(9),
		createWith(9, func(o *collaboardv1.Object) {
			o.ZIndex, o.GroupId, o.Props = "a0", id(8), props("a", nested(16), "b", nil)
		}),
		createWith(9, func(o *collaboardv1.Object) { o.X, o.Props = math.NaN(), props("a", math.Inf(1)) }),
		move(2, 1),
		updateWith(2, func(u *collaboardv1.ObjectUpdate) {
			u.Kind, u.Y, u.Width, u.Height, u.Rotation = proto.String("line"), new(float64), new(float64), new(float64), new(float64)
			u.ZIndex, u.GroupId, u.Deleted, u.IfVersion = proto.String("a0"), new(string), new(bool), proto.Uint64(2)
			u.Props = props("k", nil, "list", 1, "new", []any{"x", map[string]any{"y": 1}})
		}),
		updateWith(4, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = proto.String("a0V") }),
		updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Deleted = new(bool) }),
		updateWith(2, func(u *collaboardv1.ObjectUpdate) { u.Props = props("k", &structpb.Value{}) }),
		&collaboardv1.ObjectDelete{Id: id(2), IfVersion: proto.Uint64(2)},
		&collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(create(9)), op(move(9, 1)), op(&collaboardv1.ObjectDelete{Id: id(9)})}},
		&collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{{}}},
		&collaboardv1.ChatMessage{Text: "hello"},
		&collaboardv1.Custom{Type: "vote", Data: []byte{1}},
		&collaboardv1.CursorMove{X: 1},
		nil,
	}
	seed := func(frame *collaboardv1.Frame) {
		bytes, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes)
	}
	b := prepared(f)
	for _, request := range requests {
		seed(frame(request))
		seed(event(b, request)) // hostile, as nobody decided it
		if accepted, err := b.Decide(frame(request), next(b)); err == nil {
			seed(accepted)
		}
	}

	f.Fuzz(func(t *testing.T, bytes []byte) {
		req, before := new(collaboardv1.Frame), new(collaboardv1.Frame) // no clone: it would lose a -0
		if proto.Unmarshal(bytes, req) != nil || proto.Unmarshal(bytes, before) != nil {
			return
		}
		b := prepared(t)
		snapshot := string(b.Snapshot())

		accepted, err := b.Decide(req, next(b))
		if d := diff(before, req); d != "" {
			t.Fatalf("Decide changed the request:\n%s", d)
		}
		if string(b.Snapshot()) != snapshot {
			t.Fatal("Decide changed the board")
		}
		replica := b.Clone()
		if err != nil {
			if e := refusal(t, err); e.Code == collaboardv1.ErrorCode_ERROR_CODE_UNSPECIFIED ||
				e.Code == collaboardv1.ErrorCode_INTERNAL || e.Message == "" {
				t.Fatalf("not a refusal: %v", e)
			}
		} else {
			checkFinite(t, accepted)
			b.Apply(accepted)
			checkInvariants(t, b)
			replica.Apply(overWire(t, accepted))
			mustEqual(t, "replica", b, replica)
			if again, err := replica.Decide(accepted, next(b)); err == nil && again.GetObjectCreate() != nil {
				t.Fatal("the same object was created twice")
			}
		}

		raw := prepared(t)
		raw.Apply(req)
		if d := diff(before, req); d != "" {
			t.Fatalf("Apply changed the frame:\n%s", d)
		}
		checkInvariants(t, raw)
		if want := max(prepared(t).Seq(), req.GetSeq()); raw.Seq() != want {
			t.Fatalf("Apply moved Seq to %d, want %d", raw.Seq(), want)
		}
		loaded := board.New()
		for chunk := range raw.Chunks(boardID) {
			loaded.Load(chunk)
		}
		mustEqual(t, "loaded board", raw, loaded)
	})
}

func FuzzLoad(f *testing.F) {
	for _, b := range []*board.Board{board.New(), boardOf(f, 2), prepared(f)} {
		for chunk := range b.Chunks(boardID) {
			bytes, err := proto.Marshal(chunk)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(bytes)
			f.Add(append(bytes, bytes...)) // the same objects twice
		}
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		chunk := new(collaboardv1.BoardSnapshot)
		if proto.Unmarshal(bytes, chunk) != nil {
			return
		}
		b := board.New()
		b.Load(chunk)
		checkInvariants(t, b)
		for chunk := range b.Chunks("") {
			if n := proto.Size(chunk); n > 256<<10 {
				t.Fatalf("a chunk of %d bytes", n)
			}
		}
	})
}
