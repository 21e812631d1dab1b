package check

import (
	"fmt"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// wentBack: who goes back gets what was.
//
//   - A submit with the note Restore, if its frame is in the log, made the board, at that frame's seq, what it was at the
//     seq that it wanted: the same objects in the same order with the same content. Nothing came in between its frames,
//     else FromTheLog finds frames that nobody submitted.
//   - A submit with the note Revert, if its frame is in the log, set what the frame that it wanted had set and nobody since
//     to what it was before that, and nothing else.
//   - A fork has what the board had at the seq that was wanted, and so has an import of the frames up to it, to the byte.
//
// Exempt are those whose frame is not in the log: they found nothing to do, or were refused.
func wentBack(r *record, f *findings) {
	for _, b := range r.boards {
		if !b.whole() {
			continue // Gapless says so
		}
		wanted := map[uint64]*board.Board{0: board.New()} // the board at the seqs that matter
		var restores []*row
		for _, row := range b.rows {
			submit := r.submits[keyOf(row.Event)]
			if submit == nil || submit.Frame != row.Frame || submit.Note != history.Restore && submit.Note != history.Revert {
				continue
			}
			if submit.Want >= row.Seq || submit.Note == history.Revert && submit.Want == 0 {
				f.fail("it goes back to what came later", row.Event, submit)
				continue
			}
			restores = append(restores, row)
			for _, seq := range []uint64{submit.Want, max(submit.Want, 1) - 1, row.Seq, row.Seq - 1} {
				wanted[seq] = nil
			}
		}
		var forks []*history.Event
		for _, fork := range r.kinds[history.KindFork] {
			switch {
			case fork.Board != b.id:
			case fork.Want > b.last():
				f.fail("a fork of what is not in the log", fork)
			default:
				forks = append(forks, fork)
				wanted[fork.Want] = nil
			}
		}
		state := board.New()
		for _, row := range b.rows {
			if row.frame != nil {
				state.Apply(row.frame)
			}
			if _, ok := wanted[row.Seq]; ok {
				wanted[row.Seq] = state.Clone()
			}
		}
		wanted[0] = board.New()
		for _, fork := range forks {
			what, digest := "fork", history.Seen(wanted[fork.Want])
			if fork.Note == history.Import {
				what, digest = "import", history.Digest(wanted[fork.Want].Snapshot())
			}
			f.judged(what+"s", 1)
			if digest != fork.Digest {
				f.fail(fmt.Sprintf("the %s is not the board at seq %d", what, fork.Want), fork)
			}
		}
		for _, row := range restores {
			submit := r.submits[keyOf(row.Event)]
			if submit.Note == history.Restore {
				f.judged("restores", 1)
				if history.Seen(wanted[submit.Want]) != history.Seen(wanted[row.Seq]) {
					f.fail(fmt.Sprintf("the board is not what it was at seq %d", submit.Want), row.Event, submit)
				}
				continue
			}
			f.judged("reverts", 1)
			by, since := board.Touched{}, board.Touched{}
			by.Add(b.rows[submit.Want-1].frame)
			for _, later := range b.rows[submit.Want : row.Seq-1] {
				since.Add(later.frame)
			}
			want := wanted[row.Seq-1].Clone()
			ops, _ := want.Reversal(wanted[submit.Want-1], by, since)
			for _, op := range board.Batches(ops) {
				frame := &collaboardv1.Frame{Id: row.Frame, BoardId: row.Board, Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: op}}
				event, err := want.Decide(frame, board.Stamp{Seq: row.Seq, Time: row.frame.GetTime().AsTime(), From: row.From})
				if err != nil {
					f.fail("what was to be reverted is refused: "+err.Error(), row.Event, submit)
					continue
				}
				want.Apply(event)
			}
			if history.Seen(want) != history.Seen(wanted[row.Seq]) {
				f.fail(fmt.Sprintf("it is not what takes back seq %d, but for what was set since", submit.Want), row.Event, submit)
			}
		}
	}
}

// chained: each frame of the log has the chain that its predecessors and its own bytes make. Exempt are logs whose first
// frame has none: that of a server which writes none is not judged at all.
func chained(r *record, f *findings) {
	for _, b := range r.boards {
		var chain board.Chain
		if len(b.rows) == 0 {
			continue
		}
		if _, first := board.SplitChain(b.rows[0].Body); first == chain {
			continue
		}
		for _, row := range b.rows {
			f.judged("chains", 1)
			body, has := board.SplitChain(row.Body)
			if chain = chain.Next(body); has != chain {
				f.fail("the chain is broken", row.Event)
			}
			chain = has
		}
	}
}
