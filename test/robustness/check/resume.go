package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// The modes of a join, and the reasons of one that was not resumed, as the history has them.
const (
	modeResumed  = "RESUMED"
	modeSnapshot = "SNAPSHOT"

	reasonEpochChanged  = "EPOCH_CHANGED"
	reasonPositionAhead = "POSITION_AHEAD"
	reasonLogTrimmed    = "LOG_TRIMMED"
)

// resumable: a member gets the frames after its position, all of them, in order, and a position that is good is resumed.
//
//   - A member is delivered nothing before its join was answered, and nothing after it parted; in between, the seqs
//     that follow the position of the answer, one after the other, in the epoch of the answer where the client knew it.
//     How far it came is not judged: a connection may be lost at any time.
//   - RESUMED is the very position that was asked for. A join that asked for none, and was resumed, asked for the
//     beginning, 0.
//   - SNAPSHOT in answer to a position has a reason, and it is true. EPOCH_CHANGED is not where the position's epoch is
//     that of the log in the end: an epoch does not come back. POSITION_AHEAD is not where, before the join began, the
//     server had told anybody (an ack, a delivery, an answer to a join) of that seq or a later one in that epoch.
//     LOG_TRIMMED is not where the log in the end still has the frame that follows the position.
//
// Exempt are joins that asked for no position, which get a snapshot for no reason, and joins that were not answered.
func resumable(r *record, f *findings) {
	known := toldSeqs(r)
	for _, m := range r.members {
		if m.join == nil {
			continue // Record says so
		}
		follows(m, f)
		if m.joined == nil {
			continue
		}
		switch m.joined.Mode {
		case modeResumed:
			f.judged("resumed joins", 1)
			if m.joined.Seq != m.join.Seq || m.join.Epoch != "" && m.joined.Epoch != m.join.Epoch {
				f.fail("resumed elsewhere than was asked for", m.joined, m.join)
			}
		case modeSnapshot:
			if positioned(m.join) {
				f.judged("reasons", 1)
				explained(r, m, known, f)
			}
		}
	}
}

// follows judges what one member was delivered.
func follows(m *membership, f *findings) {
	var next uint64
	var joined, parted *history.Event
	for _, e := range m.told {
		switch e.Kind {
		case history.KindJoined:
			if joined == nil {
				joined, next = e, e.Seq+1
			}
		case history.KindParted:
			parted = e
		case history.KindDelivered:
			f.judged("deliveries", 1)
			switch {
			case joined == nil:
				f.fail("delivered before the join was answered", e, m.join)
				continue
			case parted != nil:
				f.fail("delivered after the membership ended", e, parted)
			case e.Seq != next:
				f.fail(fmt.Sprintf("delivered where seq %d follows", next), e, joined)
			case e.Epoch != "" && e.Epoch != joined.Epoch && joined.Epoch != "":
				f.fail("delivered in another epoch than was joined", e, joined)
			}
			next = e.Seq + 1
		default:
		}
	}
}

// explained judges why a join that asked for a position was given a snapshot.
func explained(r *record, m *membership, known map[logKey][]told, f *findings) {
	b := r.byID[m.join.Board]
	switch m.joined.Reason {
	case reasonEpochChanged:
		if m.join.Epoch == b.epoch() {
			f.fail("the epoch has not changed", m.joined, m.join, b.head)
		}
	case reasonPositionAhead:
		if by := knownBefore(known[logKey{b.id, m.join.Epoch}], m.join); by != nil && m.join.Epoch == b.epoch() {
			f.fail("the position is not ahead: somebody had been told of it", m.joined, m.join, by)
		}
	case reasonLogTrimmed:
		if row := b.at[m.join.Seq+1]; row != nil && !row.Trimmed {
			f.fail("the log was not trimmed: it has what follows", m.joined, m.join, row.Event)
		}
	default:
		f.fail("a snapshot, and no reason why not from the position", m.joined, m.join)
	}
}

type logKey struct{ board, epoch string }

// told is the newest seq of a log that anybody knew at a time.
type told struct {
	at time.Duration
	by *history.Event // of the greatest seq so far
}

// toldSeqs is, for each log, what was known of it: by ascending time, with ascending seqs.
func toldSeqs(r *record) map[logKey][]told {
	all := make(map[logKey][]told)
	add := func(e *history.Event, epoch string) {
		if epoch != "" {
			key := logKey{e.Board, epoch}
			all[key] = append(all[key], told{e.At, e})
		}
	}
	for _, e := range r.kinds[history.KindAck] {
		add(e, e.Epoch)
	}
	for _, m := range r.members {
		if m.joined == nil {
			continue
		}
		// What it showed was asked for by the client itself if it was resumed, and may be anything in an outage.
		if m.joined.Mode == modeSnapshot || m.joined.Writable {
			add(m.joined, m.joined.Epoch)
		}
		for _, e := range m.told {
			if e.Kind == history.KindDelivered {
				add(e, m.joined.Epoch)
			}
		}
	}
	for _, list := range all {
		slices.SortStableFunc(list, func(a, b told) int { return cmp.Compare(a.at, b.at) })
		for i := 1; i < len(list); i++ {
			if list[i].by.Seq < list[i-1].by.Seq {
				list[i].by = list[i-1].by
			}
		}
	}
	return all
}

// knownBefore is who was told of the join's position before the join began, or nil.
func knownBefore(list []told, join *history.Event) *history.Event {
	n, _ := slices.BinarySearchFunc(list, join.At, func(t told, at time.Duration) int { return cmp.Compare(t.at, at) })
	if n == 0 || list[n-1].by.Seq < join.Seq {
		return nil
	}
	return list[n-1].by
}
