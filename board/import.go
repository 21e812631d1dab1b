package board

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Import is [Board.Apply] for a frame that nobody vouches for: it must be of the next seq, and what Decide, on this board,
// could have returned for some request, with whatever place in the stack the server chose then. Its chain is not looked at.
// Of anything else it says with an [*Error] what is wrong, and changes nothing.
func (b *Board) Import(event *collaboardv1.Frame) error {
	if err := b.checkEvent(event); err != nil {
		return err.finish()
	}
	b.Apply(event)
	return nil
}

func (b *Board) checkEvent(event *collaboardv1.Frame) *Error {
	s := Stamp{
		Seq: event.GetSeq(), Time: event.GetTime().AsTime(), From: event.GetFrom(), Name: event.GetChatMessage().GetSenderName(),
	}
	m := mark{seq: s.Seq, time: copyTime(event.GetTime()), from: s.From, exact: true}
	var c checker
	c.check(s.Seq == b.seq+1, "seq", fmt.Sprintf("must be %d", b.seq+1))
	c.check(m.time.IsValid(), "time", "must be of the years 1 to 9999")
	c.check(event.GetStatus() == collaboardv1.Status_STATUS_EVENT, "status", "must be STATUS_EVENT")
	c.check(m.from != "" && len(m.from) <= MaxSenderBytes, "from", "must be 1 to 512 bytes of UTF-8")
	c.check(len(s.Name) <= MaxSenderBytes, "chat_message.sender_name", "must be at most 512 bytes of UTF-8")
	c.check(max(event.GetObjectBatch().GetRestoredSeq(), event.GetObjectBatch().GetRevertedSeq()) < s.Seq,
		"object_batch", "must restore, or revert, what was before it")
	if err := c.err(); err != nil {
		return err
	}
	want, err := b.decide(event, s, m)
	if err != nil {
		return err
	}
	want.Chain = event.GetChain()
	if !proto.Equal(want, event) {
		return refuse(collaboardv1.ErrorCode_INVALID_FRAME, "event", "is not as a server makes them")
	}
	return nil
}

// Copies are batches of creates, as they are in frames of a log, that make the objects of b that are not deleted on an empty
// board: with their content and their places, and made as s says, but that the second batch is of the seq that follows, and so
// on. They fit into frames.
func (b *Board) Copies(s Stamp) []*collaboardv1.ObjectBatch {
	var ops []*collaboardv1.ObjectOp
	at := timestamppb.New(s.Time)
	for o := range b.Stack() {
		fresh := content(o)
		fresh.Props, fresh.Version = o.GetProps(), 1
		fresh.CreatedAt, fresh.CreatedBy, fresh.UpdatedAt, fresh.UpdatedBy = at, s.From, at, s.From
		create := &collaboardv1.ObjectCreate{Object: fresh}
		ops = append(ops, &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: create}})
	}
	batches := Batches(ops)
	for i, batch := range batches {
		for _, op := range batch.GetOps() {
			o := op.GetCreate().GetObject()
			o.CreatedSeq, o.UpdatedSeq = s.Seq+uint64(i), s.Seq+uint64(i)
		}
	}
	return batches
}
