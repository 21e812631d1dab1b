package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

// newSnapshot is one of the board as it is now, at seq, with a body of its own.
func (f *fixture) newSnapshot(tb testing.TB, board persistence.BoardID, seq persistence.Seq) persistence.Snapshot {
	tb.Helper()
	return persistence.Snapshot{
		Board: board, Position: persistence.Position{Epoch: f.board(tb, board).Epoch, Seq: seq}, CreatedAt: now(),
		Body: records(seq, 1, 5000)[0].Body,
	}
}

// snapshots are those that a board has, newest first.
func (f *fixture) snapshots(tb testing.TB, s persistence.Store, board persistence.BoardID) (all []persistence.Snapshot) {
	tb.Helper()
	for upTo := persistence.Seq(1 << 40); upTo > 0; {
		snap, err := s.ReadSnapshot(f.ctx, board, upTo)
		noError(tb, err)
		if snap == nil {
			return all
		}
		all = append(all, *snap)
		upTo = snap.Seq - 1
	}
	return all
}

func (create suite) testSnapshotsAreKept(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, other := f.createBoard(t), f.createBoard(t)
	f.add(t, f.store, board, 20)
	f.add(t, f.store, other, 20)
	put := func(s persistence.Snapshot) persistence.Snapshot {
		noError(t, f.store.PutSnapshot(f.ctx, s))
		return s
	}
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot(nil))
	three, nine, others := put(f.newSnapshot(t, board, 3)), put(f.newSnapshot(t, board, 9)), put(f.newSnapshot(t, other, 5))
	elsewhere := f.open(t)
	equal(t, f.snapshots(t, elsewhere, board), []persistence.Snapshot{nine, three})
	for upTo, want := range map[persistence.Seq]*persistence.Snapshot{2: nil, 3: &three, 8: &three, 9: &nine, 1<<64 - 1: &nine} {
		got, err := elsewhere.ReadSnapshot(f.ctx, board, upTo)
		noError(t, err)
		equal(t, got, want)
	}
	// The same once more is the same; another in its place is another.
	put(nine)
	nine = put(f.newSnapshot(t, board, 9))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{nine, three})
	// The oldest goes, whichever comes last.
	twenty := put(f.newSnapshot(t, board, 20))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{twenty, nine})
	put(f.newSnapshot(t, board, 8))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{twenty, nine})
	equal(t, f.snapshots(t, f.store, other), []persistence.Snapshot{others})
	// A body of some megabytes is like any other.
	large := f.newSnapshot(t, other, 6)
	large.Body = bytes.Repeat(large.Body, 1000)
	put(large)
	equal(t, f.snapshots(t, f.store, other), []persistence.Snapshot{large, others})
}

// testKeyframes: a snapshot that is far enough from the others that stay does so, too.
func (create suite) testKeyframes(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, f.createBoard(t), 50)
	f.add(t, f.store, board, 50)
	put := func(seq, spacing persistence.Seq, want ...persistence.Seq) {
		t.Helper()
		s := f.newSnapshot(t, board, seq)
		s.Spacing = spacing
		noError(t, f.store.PutSnapshot(f.ctx, s))
		var seqs []persistence.Seq
		for _, s := range f.snapshots(t, f.store, board) {
			seqs = append(seqs, s.Seq)
		}
		equal(t, seqs, want)
	}
	put(4, 5, 4) // too near the log's beginning
	put(5, 5, 5, 4)
	put(9, 5, 9, 5)
	put(10, 5, 10, 9, 5)
	put(14, 5, 14, 10, 5)
	put(15, 6, 15, 14, 10, 5)
	put(20, 0, 20, 15, 10, 5)
	put(21, 5, 21, 20, 10, 5)
	put(31, 10, 31, 21, 10, 5)
	put(40, 10, 40, 31, 21, 10, 5)
	put(41, 1<<64-1, 41, 40, 31, 21, 10, 5)
	put(42, 5, 42, 41, 31, 21, 10, 5)
	// Between two there is room for another when it is far from both.
	put(24, 5, 42, 41, 31, 21, 10, 5)
	put(28, 5, 42, 41, 31, 21, 10, 5)
	put(26, 5, 42, 41, 31, 26, 21, 10, 5)
	// One in a keyframe's place is one.
	put(10, 0, 42, 41, 31, 26, 21, 10, 5)
	put(10, 30, 42, 41, 31, 26, 21, 10, 5)
	// They do not outlive their log.
	f.db.Execute(t, `UPDATE boards SET head_seq = 30`)
	put(29, 1, 29, 26, 21, 10, 5)
	f.db.Execute(t, `UPDATE boards SET epoch = id`)
	put(27, 2, 27)
	put(28, 1, 28, 27)
	put(29, 0, 29, 28, 27)
	put(30, 0, 30, 29, 28, 27)
}

// testSnapshotsOfAnotherLog: nothing is stored for a position that the board's log does not have, and what was stored for
// one that it no longer has makes room.
func (create suite) testSnapshotsOfAnotherLog(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, 20)
	ten := f.newSnapshot(t, board, 10)
	noError(t, f.store.PutSnapshot(f.ctx, ten))
	ahead, another := f.newSnapshot(t, board, 21), f.newSnapshot(t, board, 20)
	another.Epoch = persistence.Epoch(uuid.New())
	for _, s := range []persistence.Snapshot{ahead, another} {
		if err := f.store.PutSnapshot(f.ctx, s); !errors.Is(err, persistence.ErrStaleLog) {
			t.Errorf("at %v: %v", s.Position, err)
		}
	}
	permanent(t, f.store.PutSnapshot(f.ctx, f.newSnapshot(t, board, 0)))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{ten})
	for _, body := range [][]byte{nil, make([]byte, persistence.MaxSnapshotBytes+1)} {
		s := f.newSnapshot(t, board, 20)
		s.Body = body
		permanent(t, f.store.PutSnapshot(f.ctx, s))
	}

	// A log that was restored, with another epoch: what is of the old one is there until there is a new one.
	fifteen := f.newSnapshot(t, board, 15)
	noError(t, f.store.PutSnapshot(f.ctx, fifteen))
	f.db.Execute(t, `UPDATE boards SET epoch = id`)
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{fifteen, ten})
	four := f.newSnapshot(t, board, 4)
	noError(t, f.store.PutSnapshot(f.ctx, four))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{four})
	// A head that went back.
	noError(t, f.store.PutSnapshot(f.ctx, f.newSnapshot(t, board, 12)))
	f.db.Execute(t, `UPDATE boards SET head_seq = 6`)
	five := f.newSnapshot(t, board, 5)
	noError(t, f.store.PutSnapshot(f.ctx, five))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{five, four})
}

func (create suite) testSnapshotsTooLarge(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, 2)
	s := f.newSnapshot(t, board, 2)
	s.Body = make([]byte, persistence.MaxSnapshotBytes)
	noError(t, f.store.PutSnapshot(f.ctx, s))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{s})
	f.db.DoubleSnapshots(t)
	s.Body = nil
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{s})
}

func (create suite) testSnapshotsOfNoBoard(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, 2)
	s, late := f.newSnapshot(t, board, 1), f.newSnapshot(t, board, 2)
	noError(t, f.store.PutSnapshot(f.ctx, s))
	noError(t, f.store.DeleteBoard(f.ctx, board, now()))
	equal(t, errorAs[*persistence.BoardNotFoundError](t, f.store.PutSnapshot(f.ctx, late)).Board, board)
	equal(t, errorAs[*persistence.BoardNotFoundError](t, second(f.store.ReadSnapshot(f.ctx, board, 2))).Board, board)
	noError(t, second(f.store.UndeleteBoard(f.ctx, board)))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{s})
	s.Board = newBoardID()
	failsWith[*persistence.BoardNotFoundError](t, f.store.PutSnapshot(f.ctx, s))
	failsWith[*persistence.BoardNotFoundError](t, second(f.store.ReadSnapshot(f.ctx, s.Board, 2)))
}

// testSnapshotsAtOnce has two stores write the same ones, and frames besides: what is stored is whole, and the newest.
func (create suite) testSnapshotsAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	stores := []persistence.Store{f.store, f.open(t)}
	board := f.createBoard(t)
	const frames, writers = 30, 4
	f.add(t, f.store, board, frames)
	want := make([]persistence.Snapshot, frames+1)
	for seq := 1; seq <= frames; seq++ {
		want[seq] = f.newSnapshot(t, board, persistence.Seq(seq))
	}
	// again tries until nobody else is in the way.
	again := func(do func() error) {
		for {
			err := do()
			if _, contended := errors.AsType[*persistence.ContendedError](err); !contended {
				if err != nil {
					t.Error(err)
				}
				return
			}
		}
	}
	var wg sync.WaitGroup
	for i := range writers {
		s := stores[i%2]
		wg.Go(func() {
			for seq := 1; seq <= frames; seq++ {
				again(func() error { return s.PutSnapshot(f.ctx, want[seq]) })
				again(func() error {
					return s.Append(f.ctx, claims(board), func(l []persistence.Locked) ([]persistence.Extension, error) {
						return extend(board, records(l[0].Head, 1, 20)), nil
					})
				})
			}
		})
	}
	wg.Wait()
	noError(t, f.store.PutSnapshot(f.ctx, want[frames])) // what one of two at once had not seen yet
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{want[frames], want[frames-1]})
	if head := f.board(t, board).Head; head != frames*(writers+1) {
		t.Errorf("the head is %d", head)
	}
}

func (create suite) testSnapshotsCancelled(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, 1)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	s := f.newSnapshot(t, board, 1)
	failsWith[*persistence.UnavailableError](t, f.store.PutSnapshot(ctx, s))
	failsWith[*persistence.UnavailableError](t, second(f.store.ReadSnapshot(ctx, board, 1)))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot(nil))
}

func (create suite) testInspectorSeesSnapshots(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	board := f.createBoard(t)
	f.add(t, f.store, board, 9)
	want := []persistence.Snapshot{f.newSnapshot(t, board, 4), f.newSnapshot(t, board, 9)}
	for _, s := range want {
		s.CreatedAt = s.CreatedAt.In(time.FixedZone("somewhere", -7200))
		noError(t, f.store.PutSnapshot(f.ctx, s))
	}
	noError(t, f.store.DeleteBoard(f.ctx, board, now())) // its snapshots are there all the same
	var got []persistence.Snapshot
	for after := persistence.Seq(0); ; {
		s, err := in.NextSnapshot(f.ctx, board, after)
		noError(t, err)
		if s == nil {
			break
		}
		got = append(got, *s)
		after = s.Seq
	}
	equal(t, got, want)
	f.db.Execute(t, `DELETE FROM frames`)
	f.db.Execute(t, `DELETE FROM boards`)
	orphans, err := in.Orphans(f.ctx, 10)
	noError(t, err)
	equal(t, orphans, []persistence.BoardID{board})
}
