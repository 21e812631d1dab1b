package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// converged: every copy of a board is the fold of its log. A client's replica, and a snapshot of the server's, are
// byte for byte what the frames of the final log up to that seq make of an empty board; and the database counts as
// many objects as all of them leave undeleted. A snapshot is of the log's epoch, and of the seq that was asked for.
//
// A copy that stands where the log has no frame is no fold of it, and fails. Nothing is exempt.
func converged(r *record, f *findings) {
	copies := make(map[string][]*history.Event)
	for _, kind := range []history.Kind{history.KindReplica, history.KindSnapshot} {
		for _, e := range r.kinds[kind] {
			copies[e.Board] = append(copies[e.Board], e)
		}
	}
	for _, b := range r.boards {
		list := copies[b.id]
		slices.SortStableFunc(list, func(a, b *history.Event) int { return cmp.Compare(a.Seq, b.Seq) })
		foldOf(b, list, f)
	}
}

// foldOf folds the log of a board once, and looks at the copies, which ascend by seq, on the way.
func foldOf(b *boardLog, copies []*history.Event, f *findings) {
	fold, rest := board.New(), b.rows
	advance := func(to uint64) {
		for len(rest) > 0 && rest[0].Seq <= to {
			if rest[0].frame != nil {
				fold.Apply(rest[0].frame)
			}
			rest = rest[1:]
		}
	}
	var at uint64
	digest := history.Digest(fold.Snapshot())
	for _, e := range copies {
		what := "replicas"
		if e.Kind == history.KindSnapshot {
			what = "snapshots"
		}
		f.judged(what, 1)
		if e.Seq != at {
			advance(e.Seq)
			at, digest = e.Seq, history.Digest(fold.Snapshot())
		}
		switch {
		case fold.Seq() != e.Seq:
			f.fail(fmt.Sprintf("a copy of the board at a seq that its log does not have; the fold stands at %d", fold.Seq()), e, b.head)
		case digest != e.Digest:
			f.fail("a copy of the board is not the fold of its log, which is "+digest, e)
		case e.Kind == history.KindSnapshot && e.Epoch != b.epoch():
			f.fail("a snapshot in an epoch that is not the log's", e, b.head)
		case e.Want != 0 && e.Want != e.Seq:
			f.fail(fmt.Sprintf("a snapshot of another seq than %d, which was asked for", e.Want), e)
		}
	}
	if b.head == nil {
		return // Record says so
	}
	f.judged("heads", 1)
	advance(b.last())
	if n := uint64(fold.Len()); n != b.head.Objects {
		f.fail(fmt.Sprintf("the database counts %d objects, the fold of the log has %d", b.head.Objects, n), b.head)
	}
}
