package board_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Every log that came of Decide is taken, and makes the same board.
func TestImport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, log := anyPast(t)
		b := board.New()
		for _, event := range log {
			if err := b.Import(overWire(t, event)); err != nil {
				t.Fatalf("%v: %v", event, err)
			}
		}
		mustEqual(t, "what was imported", want, b)
	})
}

// What Decide cannot have made is refused, and changes nothing.
func TestImportRefuses(t *testing.T) {
	source := board.New()
	var log []*collaboardv1.Frame
	for _, payload := range []proto.Message{
		create(1), createWith(2, func(o *collaboardv1.Object) { o.Props = props("a", 1.0) }), move(1, 7),
		&collaboardv1.ObjectDelete{Id: id(2)}, &collaboardv1.ChatMessage{Text: "hello"},
		&collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(create(3)), op(move(3, 8))}},
	} {
		log = append(log, mustSubmit(t, source, payload))
	}
	const created, updated, deleted, said, batch = 1, 2, 3, 4, 5 // of log
	for name, c := range map[string]struct {
		of     int
		change func(*collaboardv1.Frame)
		want   string
	}{
		"a gap":           {created, func(f *collaboardv1.Frame) { f.Seq++ }, "seq: must be 2"},
		"again":           {created, func(f *collaboardv1.Frame) { f.Seq-- }, "seq: must be 2"},
		"no time":         {created, func(f *collaboardv1.Frame) { f.Time = nil }, "time: "},
		"a strange time":  {created, func(f *collaboardv1.Frame) { f.Time = &timestamppb.Timestamp{Nanos: -1} }, "time: "},
		"another time":    {created, func(f *collaboardv1.Frame) { f.Time = timestamppb.New(time.Unix(1, 0)) }, "event: is not as a server makes them"},
		"no sender":       {said, func(f *collaboardv1.Frame) { f.From = "" }, "from: "},
		"a long sender":   {said, func(f *collaboardv1.Frame) { f.From = strings.Repeat("x", 513) }, "from: "},
		"another sender":  {created, func(f *collaboardv1.Frame) { f.From = "somebody" }, "event: is not as a server makes them"},
		"a long name":     {said, func(f *collaboardv1.Frame) { f.GetChatMessage().SenderName = strings.Repeat("x", 513) }, "sender_name: "},
		"a request":       {created, func(f *collaboardv1.Frame) { f.Status = collaboardv1.Status_STATUS_REQUEST }, "status: "},
		"no id":           {created, func(f *collaboardv1.Frame) { f.Id = "" }, "id: "},
		"capitals":        {created, func(f *collaboardv1.Frame) { f.Id = strings.ToUpper(id(0xabc)) }, "event: is not as a server makes them"},
		"after_id":        {created, func(f *collaboardv1.Frame) { f.AfterId = id(1) }, "event: is not as a server makes them"},
		"no payload":      {created, func(f *collaboardv1.Frame) { f.Payload = nil }, "payload: must be durable"},
		"a cursor":        {created, func(f *collaboardv1.Frame) { f.Payload = &collaboardv1.Frame_CursorMove{} }, "payload: must be durable"},
		"an object twice": {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().GetObject().Id = id(1) }, "is, or was, on the board"},
		"a taken place":   {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.ZIndex = object(t, source, 1).GetZIndex() }, "z_index: "},
		"no place":        {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.ZIndex = "" }, "z_index: "},
		"version 2":       {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.Version = 2 }, "event: is not as a server makes them"},
		"a tombstone":     {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.Deleted = true }, "event: is not as a server makes them"},
		"another creator": {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.CreatedBy = "eve" }, "event: is not as a server makes them"},
		"another seq":     {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.UpdatedSeq = 1 }, "event: is not as a server makes them"},
		"a null":          {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.Props["b"] = structpb.NewNullValue() }, "event: is not as a server makes them"},
		"deep":            {created, func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.Props["a"] = nested(17) }, "nests deeper than 16"},
		"large": {created, func(f *collaboardv1.Frame) {
			f.GetObjectCreate().Object.Props = props("a", strings.Repeat("x", 240<<10))
		}, "at most 245760"},
		"of no object":      {updated, func(f *collaboardv1.Frame) { f.GetObjectUpdate().Id = id(9) }, "was never on the board"},
		"a version skipped": {updated, func(f *collaboardv1.Frame) { f.GetObjectUpdate().Version++ }, "event: is not as a server makes them"},
		"a condition":       {updated, func(f *collaboardv1.Frame) { f.GetObjectUpdate().IfVersion = new(uint64(1)) }, "event: is not as a server makes them"},
		"a deletion":        {deleted, func(f *collaboardv1.Frame) { f.GetObjectDelete().Version = 7 }, "event: is not as a server makes them"},
		"in a batch":        {batch, func(f *collaboardv1.Frame) { f.GetObjectBatch().Ops[1].GetUpdate().Version = 7 }, "event: is not as a server makes them"},
		"the same in it":    {batch, func(f *collaboardv1.Frame) { f.GetObjectBatch().Ops[1] = f.GetObjectBatch().GetOps()[0] }, "is, or was, on the board"},
		"to the future":     {batch, func(f *collaboardv1.Frame) { f.GetObjectBatch().RestoredSeq = 6 }, "must restore"},
		"of the future":     {batch, func(f *collaboardv1.Frame) { f.GetObjectBatch().RevertedSeq = 6 }, "must restore"},
		"an unknown field": {said, func(f *collaboardv1.Frame) {
			f.GetChatMessage().ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		}, "event: is not as a server makes them"},
	} {
		b := fold(log[:c.of])
		before := fold(log[:c.of])
		event := overWire(t, log[c.of])
		c.change(event)
		err := b.Import(event)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		mustEqual(t, name, before, b)
	}
}

// What a board has is on a copy of it, in its places, also those that only a server gives.
func TestCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source, _ := anyPast(t)
		if rapid.Bool().Draw(t, "top") {
			mustSubmit(t, source, createWith(20, func(o *collaboardv1.Object) { o.ZIndex = "y" + strings.Repeat("z", 26) }), create(21), create(22))
		}
		copied := importCopies(t, source, board.Stamp{Seq: 1, Time: time.Unix(1e9, 0), From: "ada"})
		if d := cmp.Diff(seen(source), seen(copied), protocmp.Transform()); d != "" {
			t.Fatalf("the copy is another:\n%s", d)
		}
		for o := range copied.Objects() {
			if o.GetVersion() != 1 || o.GetCreatedBy() != "ada" || o.GetUpdatedBy() != "ada" || o.GetCreatedAt().AsTime() != time.Unix(1e9, 0).UTC() {
				t.Fatalf("made otherwise: %v", o)
			}
		}
	})
}

// Their frames are no more than it takes, and none is too large, whatever the name of who copies.
func TestCopiesFitIntoFrames(t *testing.T) {
	source := board.New()
	for n := range 2500 {
		mustSubmit(t, source, create(n))
	}
	for n := range 12 {
		mustSubmit(t, source, createWith(3000+n, func(o *collaboardv1.Object) { o.Props = props("text", strings.Repeat("x", 200<<10)) }))
	}
	copied := importCopies(t, source, board.Stamp{Seq: 1, Time: time.Unix(1e9, 0), From: strings.Repeat("x", 512)})
	if copied.Len() != source.Len() || copied.Seq() != 7 {
		t.Errorf("%d objects in %d frames, want %d in 7", copied.Len(), copied.Seq(), source.Len())
	}
	if n := len(board.New().Copies(board.Stamp{Seq: 1})); n != 0 {
		t.Errorf("nothing makes %d batches", n)
	}
}

func importCopies(t tb, source *board.Board, s board.Stamp) *board.Board {
	t.Helper()
	b := board.New()
	for i, batch := range source.Copies(s) {
		event := overWire(t, &collaboardv1.Frame{
			Id: id(i), BoardId: id(1), Seq: s.Seq + uint64(i), Time: timestamppb.New(s.Time), From: s.From,
			Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch},
		})
		if err := b.Import(event); err != nil {
			t.Fatalf("seq %d: %v", event.GetSeq(), err)
		}
	}
	checkInvariants(t, b)
	return b
}
