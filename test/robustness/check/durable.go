package check

import (
	"fmt"
	"slices"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// durable: what was acked is in the log, as it was sent.
//
//   - For every ack the log has, at the ack's seq and in the ack's epoch, the ack's frame. A duplicate's ack promises no
//     less than the first one.
//   - What the body of a frame in the log says of itself is what the log's columns say: id, board_id, seq, from, and
//     that it is an EVENT.
//   - Where the server has to leave the payload as it was sent (the submit has Content), the log has that payload. This
//     holds of all frames in the log, acked or not.
//
// What was trimmed is held to the same: the database keeps it aside. Nothing is exempt: nothing deletes a board for good
// or restores a backup in these runs.
func durable(r *record, f *findings) {
	for _, ack := range r.kinds[history.KindAck] {
		f.judged("acks", 1)
		switch row := r.byID[ack.Board].at[ack.Seq]; {
		case row == nil:
			f.fail("acked, and the log has nothing at its seq", ack)
		case row.Frame != ack.Frame:
			f.fail("acked, and the log has another frame at its seq", ack, row.Event)
		case row.Epoch != ack.Epoch:
			f.fail("acked in an epoch that is not the log's", ack, row.Event)
		}
	}
	for _, b := range r.boards {
		for _, row := range b.rows {
			f.judged("bodies", 1)
			if row.frame == nil {
				f.fail("the body of the frame is not a frame", row.Event)
				continue
			}
			if wrong := contradiction(row); wrong != "" {
				f.fail("the body contradicts the log: "+wrong, row.Event)
			}
			submit := r.submits[keyOf(row.Event)]
			if submit == nil || submit.Content == "" {
				continue
			}
			f.judged("contents", 1)
			if history.Content(row.frame) != submit.Content {
				f.fail("the log has another payload than was submitted", row.Event, submit)
			}
		}
	}
}

// contradiction is where the body and the columns differ, or empty.
func contradiction(row *row) string {
	body := row.frame
	switch {
	case body.GetId() != row.Frame:
		return "id " + body.GetId()
	case body.GetBoardId() != row.Board:
		return "board_id " + body.GetBoardId()
	case body.GetSeq() != row.Seq:
		return fmt.Sprintf("seq %d", body.GetSeq())
	case body.GetFrom() != row.From:
		return "from " + body.GetFrom()
	case body.GetStatus() != collaboardv1.Status_STATUS_EVENT:
		return "status " + body.GetStatus().String()
	}
	return ""
}

// notOfTheFrame are refusals for good that are not about the frame but about who asks, or about the whole board: a frame
// that is sent again may meet one although it is in the log.
var notOfTheFrame = []string{
	collaboardv1.ErrorCode_UNAUTHENTICATED.String(),
	collaboardv1.ErrorCode_PERMISSION_DENIED.String(),
	collaboardv1.ErrorCode_BOARD_NOT_FOUND.String(),
	collaboardv1.ErrorCode_NOT_JOINED.String(),
}

// refused: a frame that was refused for good is not in the log. A refusal that is not retryable is the server's last
// word on the frame, and a client goes on without it.
//
// Exempt are retryable refusals, which leave open whether the frame is in the log, and those that are not about the
// frame.
func refused(r *record, f *findings) {
	for _, e := range r.kinds[history.KindRefused] {
		if e.Retryable || slices.Contains(notOfTheFrame, e.Code) {
			continue
		}
		f.judged("final refusals", 1)
		if row := r.byID[e.Board].byFrame[e.Frame]; row != nil {
			f.fail("refused for good, and in the log", e, row.Event)
		}
	}
}

// once: a frame has one place, however often it was sent: no id is in a board's log twice, and no two acks of a frame
// name two positions. An ack says whether it is of a duplicate: no two acks of a frame say that it is none, and none says
// that it is one where the frame was sent once.
//
// Exempt from the last are chained frames: their client resends by itself, and the history does not know how often.
//
// That the one in the log is the one that was acked and delivered, body and all, is Durable's and Ordered's to say. The
// same id on two boards is two frames.
func once(r *record, f *findings) {
	for _, b := range r.boards {
		for _, row := range b.rows {
			f.judged("ids", 1)
			if before := b.byFrame[row.Frame]; before != row {
				f.fail("the id is in the log twice", row.Event, before.Event)
			}
		}
	}
	resent := make(map[frameKey]bool)
	for _, e := range r.kinds[history.KindResend] {
		resent[keyOf(e)] = true
	}
	first := make(map[frameKey]*history.Event) // the ack that says that it is none of a duplicate
	for _, ack := range r.kinds[history.KindAck] {
		f.judged("acks", 1)
		if before := r.acks[keyOf(ack)][0]; before.Seq != ack.Seq || before.Epoch != ack.Epoch {
			f.fail("acked at two positions", ack, before)
		}
		if !ack.Duplicate && first[keyOf(ack)] != nil {
			f.fail("acked twice as no duplicate", ack, first[keyOf(ack)])
		}
		if !ack.Duplicate {
			first[keyOf(ack)] = ack
		}
		if submit := r.submits[keyOf(ack)]; ack.Duplicate && submit != nil && !submit.Chained && !resent[keyOf(ack)] {
			f.fail("acked as a duplicate, and was sent once", ack, submit)
		}
	}
}
