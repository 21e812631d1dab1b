package verify

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// checkFrame compares a row with the frame that is its body, and that with what a server stores. Without anything wrong
// the frame can be folded.
func checkFrame(id persistence.BoardID, rec persistence.Record) (f *collaboardv1.Frame, wrong []string) {
	f = &collaboardv1.Frame{}
	body, _ := board.SplitChain(rec.Body)
	// What this program does not know is discarded, and so shows when it is encoded again.
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, f); err != nil {
		return nil, []string{fmt.Sprintf("its body of %d bytes is not a frame", len(rec.Body))}
	}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	check(f.GetSeq() == uint64(rec.Seq), "its body says that it is at seq %d", f.GetSeq())
	check(f.GetId() == rec.ID.String(), "its body has id %q, its row %s", f.GetId(), rec.ID)
	check(f.GetBoardId() == id.String(), "its body is of board %q", f.GetBoardId())
	check(f.GetTime().IsValid() && f.GetTime().AsTime().Equal(rec.Time), "its body is of %s, its row of %s",
		f.GetTime().AsTime().Format(time.RFC3339Nano), rec.Time.Format(time.RFC3339Nano))
	check(f.GetFrom() == rec.Sender, "its body is from %q, its row from %q", f.GetFrom(), rec.Sender)
	check(f.GetStatus() == collaboardv1.Status_STATUS_EVENT, "its body is not an event but has status %s", f.GetStatus())
	kind := persistence.KindOf(f)
	check(kind == rec.Kind, "its body carries %s, its row says %s", kindName(kind), kindName(rec.Kind))
	check(isDurable(f), "its body carries %s, which no log holds", kindName(kind))
	check(onlyStored(f), "its body has fields that no stored frame has")
	check(encodes(f, body), "its body is not how a server writes what it says, or has fields that this program does not know")
	check(len(rec.Body) <= board.MaxFrameBytes, "its body has %d bytes; at most %d are allowed", len(rec.Body), board.MaxFrameBytes)
	return f, wrong
}

// encodes reports whether body is f as it is encoded, up to the order of the bytes: that of a map's entries is not settled,
// and that of fields is the library's.
func encodes(f *collaboardv1.Frame, body []byte) bool {
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
	if err != nil || len(again) != len(body) {
		return false
	}
	if bytes.Equal(again, body) {
		return true
	}
	var counts [256]int
	for i := range body {
		counts[body[i]]++
		counts[again[i]]--
	}
	return counts == [256]int{}
}

func kindName(k persistence.Kind) string {
	if k == 0 {
		return "nothing"
	}
	field := (&collaboardv1.Frame{}).ProtoReflect().Descriptor().Fields().ByNumber(protoreflect.FieldNumber(k))
	if field == nil || field.ContainingOneof() == nil {
		return fmt.Sprintf("unknown kind %d", k)
	}
	return string(field.Name())
}

func isDurable(f *collaboardv1.Frame) bool {
	switch f.GetPayload().(type) {
	case *collaboardv1.Frame_ObjectCreate, *collaboardv1.Frame_ObjectUpdate, *collaboardv1.Frame_ObjectDelete,
		*collaboardv1.Frame_ObjectBatch, *collaboardv1.Frame_ChatMessage, *collaboardv1.Frame_Custom:
		return true
	}
	return false
}

// onlyStored reports whether f has no fields but those that a stored frame has.
func onlyStored(f *collaboardv1.Frame) bool {
	only := true
	f.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		switch field.Name() {
		case "id", "board_id", "seq", "time", "from", "status":
		default:
			only = only && field.ContainingOneof() != nil
		}
		return only
	})
	return only
}

// fold applies the frame, and returns what is wrong when it did not do what it says. board.Apply takes in whatever it is
// given; what a frame did shows in the objects that it names, since each remembers who changed it last.
func fold(state *board.Board, f *collaboardv1.Frame) (wrong string) {
	state.Apply(f)
	is := func(seq uint64, at *timestamppb.Timestamp, by string) bool {
		return seq == f.GetSeq() && proto.Equal(at, f.GetTime()) && by == f.GetFrom()
	}
	changed := func(id string) {
		o, ok := state.Object(id)
		if wrong == "" && (!ok || !is(o.GetUpdatedSeq(), o.GetUpdatedAt(), o.GetUpdatedBy())) {
			wrong = fmt.Sprintf("it makes no sense for object %q as the frames before it left the board", id)
		}
	}
	created := func(create *collaboardv1.ObjectCreate) {
		id := create.GetObject().GetId()
		changed(id)
		if o, ok := state.Object(id); wrong == "" && ok && !is(o.GetCreatedSeq(), o.GetCreatedAt(), o.GetCreatedBy()) {
			wrong = fmt.Sprintf("object %q, which it creates, is said to be created at seq %d by %q", id, o.GetCreatedSeq(), o.GetCreatedBy())
		}
	}
	switch p := f.GetPayload().(type) {
	case *collaboardv1.Frame_ObjectCreate:
		created(p.ObjectCreate)
	case *collaboardv1.Frame_ObjectUpdate:
		changed(p.ObjectUpdate.GetId())
	case *collaboardv1.Frame_ObjectDelete:
		changed(p.ObjectDelete.GetId())
	case *collaboardv1.Frame_ObjectBatch:
		if len(p.ObjectBatch.GetOps()) == 0 {
			return "it is a batch of nothing"
		}
		for _, op := range p.ObjectBatch.GetOps() {
			switch op := op.GetOp().(type) {
			case *collaboardv1.ObjectOp_Create:
				created(op.Create)
			case *collaboardv1.ObjectOp_Update:
				changed(op.Update.GetId())
			case *collaboardv1.ObjectOp_Delete:
				changed(op.Delete.GetId())
			default:
				return "one of its batch's ops says nothing"
			}
		}
	}
	return wrong
}
