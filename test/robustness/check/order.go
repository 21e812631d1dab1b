package check

import (
	"fmt"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// gapless: a board's log is 1, 2, 3 … n, and its head says n. What was trimmed is its beginning.
func gapless(r *record, f *findings) {
	for _, b := range r.boards {
		next := uint64(1)
		var kept *history.Event
		for _, row := range b.rows {
			f.judged("frames", 1)
			if row.Seq != next {
				f.fail(fmt.Sprintf("the log has seq %d where %d follows", row.Seq, next), row.Event)
			}
			if row.Trimmed && kept != nil {
				f.fail("trimmed, and a frame before it was not", row.Event, kept)
			}
			if row.Trimmed {
				f.judged("trimmed frames", 1)
			} else {
				kept = row.Event
			}
			next = row.Seq + 1
		}
		if b.head == nil {
			continue // Record says so
		}
		f.judged("heads", 1)
		if b.head.Seq != b.last() {
			f.fail(fmt.Sprintf("the head says %d, the log ends at %d", b.head.Seq, b.last()), b.head)
		}
	}
}

// ordered: there is one order, the log's.
//
//   - A frame that a member was delivered, and that is in the log, was delivered at the seq, in the epoch and with the
//     content that the log has. So no two members of any clients saw two orders, or two frames.
//   - The chained frames of a client that are in a board's log are there in the order in which it submitted them.
//
// Frames that are not in the log are left out: of delivered ones FromTheLog speaks, and chained ones may be refused. An
// epoch is compared where the client knew it. In which order one member is delivered its frames is Resumable's.
func ordered(r *record, f *findings) {
	for _, e := range r.kinds[history.KindDelivered] {
		row := r.byID[e.Board].byFrame[e.Frame]
		if row == nil {
			continue
		}
		f.judged("deliveries", 1)
		switch {
		case row.Seq != e.Seq:
			f.fail("delivered at another seq than the log's", e, row.Event)
		case e.Epoch != "" && e.Epoch != row.Epoch:
			f.fail("delivered in another epoch than the log's", e, row.Event)
		case row.digest != e.Digest:
			f.fail("delivered with other content than the log's, which is "+row.digest, e, row.Event)
		}
	}
	type chain struct{ client, board string }
	latest := make(map[chain]*row)
	for _, e := range r.kinds[history.KindSubmit] {
		row := r.byID[e.Board].byFrame[e.Frame]
		if !e.Chained || row == nil {
			continue
		}
		f.judged("chained frames", 1)
		c := chain{e.Client, e.Board}
		if before := latest[c]; before != nil && row.Seq < before.Seq {
			f.fail("in the log ahead of a frame that its client submitted before", row.Event, before.Event, e)
			continue
		}
		latest[c] = row
	}
}

// fromTheLog: nothing comes from nowhere.
//
//   - Every frame that was delivered is in the final log: nobody saw what a crash took back.
//   - No join was answered with more than the final log has: neither its position nor what it showed is beyond the end,
//     or of another epoch.
//   - Every frame of the log was submitted to that board by a client of the history, and is from that client: all
//     frames of a client are from one sender, and where the senders are clients of the history, from the client itself.
//
// Exempt are joins that resumed on a board that is not writable: a server that cannot ask the store takes the client's
// word for its position.
func fromTheLog(r *record, f *findings) {
	for _, e := range r.kinds[history.KindDelivered] {
		f.judged("deliveries", 1)
		if r.byID[e.Board].byFrame[e.Frame] == nil {
			f.fail("delivered, and not in the log", e)
		}
	}
	for _, e := range r.kinds[history.KindJoined] {
		if e.Mode == modeResumed && !e.Writable {
			continue
		}
		f.judged("joins", 1)
		switch b := r.byID[e.Board]; {
		case max(e.Seq, e.Head) > b.last():
			f.fail("joined ahead of the log's end", e, b.head)
		case e.Epoch != b.epoch() && (e.Epoch != "" || e.Seq != 0):
			f.fail("joined in an epoch that is not the log's", e, b.head)
		}
	}
	senders(r, f)
}

func senders(r *record, f *findings) {
	clients := make(map[string]bool)
	for i := range r.events {
		if c := r.events[i].Client; c != "" {
			clients[c] = true
		}
	}
	named := false // whether clients go by the name of their user
	for _, e := range r.kinds[history.KindLog] {
		named = named || clients[e.From]
	}
	frames := make(map[string]*history.Event) // a frame of each client
	for _, e := range r.kinds[history.KindLog] {
		f.judged("frames", 1)
		submit := r.submits[keyOf(e)]
		if submit == nil {
			f.fail("in the log, and nobody submitted it", e)
			continue
		}
		f.judged("senders", 1)
		before := frames[submit.Client]
		if before == nil {
			before = e
			frames[submit.Client] = e
		}
		switch {
		case named && e.From != submit.Client:
			f.fail("the log says that it is from somebody else than who submitted it", e, submit)
		case before.From != e.From:
			f.fail("the frames of a client are from two senders", e, before, submit)
		}
	}
}

// afterSubmit: a frame is submitted, then visible, then acked. No more can be seen from outside of "durable, then visible,
// then acked": when the commit returned, no client knows.
//
//   - No frame was acked or delivered before it was submitted.
//   - A member is delivered its own frame before the ack, or had it with the answer to its join.
//
// Frames that nobody submitted are left out: FromTheLog speaks of them. So are acks of which the history does not say
// among which member's deliveries they came, and those to a member that was resumed and has been delivered nothing yet:
// while the server cannot read what such a member missed, it does not keep it waiting. (Later it has it in memory, unless
// its tail is short.)
func afterSubmit(r *record, f *findings) {
	for _, told := range []struct {
		kind history.Kind
		what string
	}{{history.KindAck, "acks"}, {history.KindDelivered, "deliveries"}} {
		for _, e := range r.kinds[told.kind] {
			submit := r.submits[keyOf(e)]
			if submit == nil {
				continue
			}
			f.judged(told.what, 1)
			if e.At < submit.At {
				f.fail("known before it was submitted", e, submit)
			}
		}
	}
	for _, m := range r.members {
		ownFirst(m, f)
	}
}

func ownFirst(m *membership, f *findings) {
	var has *history.Event // what says how far it has heard; nil where that is not known
	for _, e := range m.told {
		switch {
		case e.Kind == history.KindDelivered, e.Kind == history.KindJoined && e.Mode == modeSnapshot:
			if has == nil || e.Seq > has.Seq {
				has = e
			}
		case e.Kind == history.KindAck && has != nil:
			f.judged("own frames", 1)
			if e.Seq > has.Seq {
				f.fail("acked to a member before it was delivered", e, has)
			}
		default:
		}
	}
}
