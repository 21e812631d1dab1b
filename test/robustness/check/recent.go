package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

const (
	// window is how many writes of a board are given to porcupine at once: what it remembers grows with the square.
	window = 8192
	// patience is how long porcupine may think about one window.
	patience = 30 * time.Second
)

// recent: a board is linearizable: a join without a position that begins after an ack shows the acked frame, on
// whatever server. A board is taken for a register that holds its newest seq, and which two operations use:
//
//   - Each frame of the log is a write that adds 1 and makes its seq of it. It is called when the frame was submitted,
//     and returns at its first ack at that seq, or never.
//   - Each join that asked for no position, and was answered with a snapshot of a writable board, is a read of as far
//     as the answer showed the board: Head, or Seq where that says no more. It is called when it was asked for, and
//     returns when it was answered.
//   - Each snapshot by GetSnapshot, where none of an older seq was asked for, is a read of its Seq.
//
// There must be an order of all of them that is true to real time. That says more than its name: no join goes back
// behind another that had been answered before, none shows a frame that had not been submitted, and no frame has a
// smaller seq than one that had been acked before it was submitted.
//
// Exempt are joins of a board that is not writable, and where there are several servers joins while the database may be
// away: a server that cannot ask it shows what it knows, and another may know more. Left out are boards whose log has gaps, and joins that show more than the log has: Gapless and FromTheLog speak
// of them.
//
// A server must not say so for nothing: a snapshot that a join was given before anything was broken is of a writable board.
//
// Two judges look at it. The first makes use of the order of writes being known, so it is exact, takes linear time and can
// name the two operations that contradict each other. What it finds right, porcupine has to find right as well, in
// windows of the log: it knows nothing of what the first believes. A window for which it has no answer in time is a
// violation, not a pass.
func recent(r *record, f *findings) {
	if faults := r.kinds[history.KindFault]; len(faults) > 0 {
		for _, e := range r.kinds[history.KindJoined] {
			if e.Mode == modeSnapshot && !e.Writable && e.At < faults[0].At {
				f.fail("not writable, and nothing was broken yet", e, faults[0])
			}
		}
	}
	reads := readsOf(r)
	for _, b := range r.boards {
		if !b.whole() {
			continue
		}
		writes := writesOf(r, b)
		f.judged("writes", len(writes))
		f.judged("reads", len(reads[b.id]))
		if consistent(writes, reads[b.id], f) {
			secondOpinion(b, writes, reads[b.id], patience, f)
		}
	}
}

// never is when an operation returns that was not answered.
const never = time.Duration(math.MaxInt64)

// operation is a write or a read of a board's newest seq.
type operation struct {
	write     bool
	seq       uint64
	call, ret time.Duration
	events    []*history.Event // what is known of it, the answer first if there was one
}

// writesOf are the frames of a log without gaps, by seq.
func writesOf(r *record, b *boardLog) []operation {
	writes := make([]operation, 0, len(b.rows))
	for _, row := range b.rows {
		op := operation{write: true, seq: row.Seq, ret: never}
		submit := r.submits[keyOf(row.Event)]
		if submit != nil { // else FromTheLog says so
			op.call = submit.At
		}
		var ack *history.Event
		for _, e := range r.acks[keyOf(row.Event)] {
			if e.Seq == row.Seq && (ack == nil || e.At < ack.At) { // Durable and Once speak of other seqs
				ack = e
			}
		}
		if ack != nil {
			op.ret = max(ack.At, op.call) // AfterSubmit says it where it was before
		}
		op.events = []*history.Event{ack, submit, row.Event}
		writes = append(writes, op)
	}
	return writes
}

func readsOf(r *record) map[string][]operation {
	reads := make(map[string][]operation)
	away := outages(r)
	for _, m := range r.members {
		if m.join == nil || m.joined == nil || positioned(m.join) || m.joined.Mode != modeSnapshot || !m.joined.Writable {
			continue
		}
		b, shown := r.byID[m.join.Board], max(m.joined.Seq, m.joined.Head)
		during := func(o outage) bool { return m.join.At <= o.to && m.joined.At >= o.from }
		if shown > b.last() || slices.ContainsFunc(away, during) {
			continue
		}
		reads[b.id] = append(reads[b.id], operation{
			seq: shown, call: m.join.At, ret: max(m.joined.At, m.join.At), events: []*history.Event{m.joined, m.join},
		})
	}
	for _, e := range r.kinds[history.KindSnapshot] {
		if b := r.byID[e.Board]; e.Asked != 0 && e.Want == 0 && e.Seq <= b.last() { // Converged speaks of those beyond
			reads[b.id] = append(reads[b.id], operation{seq: e.Seq, call: e.Asked, ret: max(e.At, e.Asked), events: []*history.Event{e}})
		}
	}
	return reads
}

type outage struct{ from, to time.Duration }

// outages are the times in which the database may have been away; one that has no end lasts.
func outages(r *record) []outage {
	var all []outage
	for i, e := range r.kinds[history.KindAway] {
		o := outage{e.At, never}
		if backs := r.kinds[history.KindBack]; i < len(backs) {
			o.to = backs[i].At
		}
		all = append(all, o)
	}
	return all
}

// consistent is the first judge.
//
// Be t(i) when write i took effect: t(1) <= t(2) <= …, each within its write. A read of v within [call, ret] is right if
// some moment of it is at or after t(v) and at or before t(v+1), so exactly if t(v) <= ret and call <= t(v+1); what other
// reads there are does not matter to it. So all that is known are bounds: t(i) is not before the call of write i, nor
// before that of any read of i-1; and not after the return of write i, nor of any read of i. Such t exist exactly if no
// lower bound of t(i) is after an upper bound of t(j), for any i <= j.
func consistent(writes, reads []operation, f *findings) bool {
	// By seq: who bounds t(seq), or nil.
	lower, upper := make([]*operation, len(writes)+2), make([]*operation, len(writes)+2)
	bound := func(op *operation, below, above uint64) {
		if lower[below] == nil || op.call > lower[below].call {
			lower[below] = op
		}
		if upper[above] == nil || op.ret < upper[above].ret {
			upper[above] = op
		}
	}
	for i := range writes {
		bound(&writes[i], writes[i].seq, writes[i].seq)
	}
	for i := range reads {
		bound(&reads[i], reads[i].seq+1, reads[i].seq)
	}
	var late, reported *operation
	for seq := 1; seq <= len(writes); seq++ {
		if late == nil || lower[seq].call > late.call {
			late = lower[seq]
		}
		if early := upper[seq]; early.ret < late.call && late != reported {
			reported = late
			f.fail(contradict(late, early), slices.Concat(late.events, early.events)...)
		}
	}
	return reported == nil
}

// contradict says what is wrong with late, which was called after early had returned and yet is ahead of it.
func contradict(late, early *operation) string {
	switch {
	case late.write && early.write:
		return fmt.Sprintf("submitted after seq %d was acked, and has seq %d", early.seq, late.seq)
	case late.write:
		return fmt.Sprintf("has seq %d, and was submitted after a join was answered with seq %d", late.seq, early.seq)
	case early.write:
		return fmt.Sprintf("asked after seq %d was acked, and was shown only %d", early.seq, late.seq)
	}
	return fmt.Sprintf("asked after another had been answered with seq %d, and was shown only %d", early.seq, late.seq)
}

// secondOpinion is the second judge: porcupine.
func secondOpinion(b *boardLog, writes, reads []operation, patience time.Duration, f *findings) {
	reads = slices.Clone(reads)
	slices.SortFunc(reads, func(a, b operation) int { return cmp.Compare(a.seq, b.seq) })
	for from := 0; from < len(writes); from += window {
		to := min(from+window, len(writes))
		begin, _ := slices.BinarySearchFunc(reads, uint64(from), bySeq)
		end, _ := slices.BinarySearchFunc(reads, uint64(to)+1, bySeq)
		f.judged("windows", 1)
		switch linearizable(uint64(from), early(writes[from:to], reads[begin:end]), patience) {
		case porcupine.Ok:
		case porcupine.Illegal:
			f.fail(fmt.Sprintf("porcupine finds no order of seqs %d to %d", from, to), b.head)
		default:
			f.fail(fmt.Sprintf("undecided: porcupine had no answer for seqs %d to %d in %s", from, to, patience), b.head)
		}
	}
}

func bySeq(op operation, seq uint64) int { return cmp.Compare(op.seq, seq) }

// early returns the operations in half nanoseconds, with writes that are not called before they can take effect: after
// the calls of the writes with smaller seqs, and of the reads that did not see them. The values force that order, so it
// takes no possible one away; and porcupine, which tries what was called first, does not run ahead with the writes and
// find out much later that there was something to read in between. Reads are in the order of their seqs.
func early(writes, reads []operation) []operation {
	ops := make([]operation, 0, len(writes)+len(reads))
	var earliest time.Duration
	takeReads := func(before uint64) {
		for ; len(reads) > 0 && reads[0].seq < before; reads = reads[1:] {
			op := reads[0]
			op.call, op.ret = 2*op.call, 2*op.ret+1
			earliest = max(earliest, op.call+1)
			ops = append(ops, op)
		}
	}
	for _, op := range writes {
		takeReads(op.seq)
		earliest = max(earliest, 2*op.call)
		op.call = earliest
		if op.ret != never {
			op.ret = 2*op.ret + 1
		}
		ops = append(ops, op)
	}
	takeReads(math.MaxUint64)
	return ops
}

// linearizable asks porcupine whether the operations have an order on a register that begins at a seq.
func linearizable(from uint64, ops []operation, patience time.Duration) porcupine.CheckResult {
	model := porcupine.Model{
		Init: func() any { return from },
		Step: func(state, input, _ any) (bool, any) {
			newest, op := state.(uint64), input.(*operation)
			if op.write {
				return op.seq == newest+1, op.seq
			}
			return op.seq == newest, newest
		},
	}
	list := make([]porcupine.Operation, len(ops))
	for i := range ops {
		if ops[i].call > ops[i].ret {
			return porcupine.Illegal
		}
		list[i] = porcupine.Operation{Input: &ops[i], Call: int64(ops[i].call), Return: int64(ops[i].ret)}
	}
	return porcupine.CheckOperationsTimeout(model, list, patience)
}
