package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

// beginLog makes a log begin at a seq, and returns its base.
func (f *fixture) beginLog(tb testing.TB, s persistence.Store, board persistence.BoardID, first persistence.Seq) persistence.Snapshot {
	tb.Helper()
	base := f.newSnapshot(tb, board, first)
	noError(tb, s.BeginLog(f.ctx, base))
	base.Base = true
	return base
}

func (f *fixture) removeTrimmed(tb testing.TB, s persistence.Store, board persistence.BoardID, limit int) int {
	tb.Helper()
	n, err := s.RemoveTrimmed(f.ctx, board, limit)
	noError(tb, err)
	return n
}

// testTrimmedStaysKnown: an id is known for ever, and where it was, from the moment at which its frame can no longer be
// read.
func (create suite) testTrimmedStaysKnown(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, other := f.createBoard(t), f.createBoard(t)
	log := f.add(t, f.store, board, 20)
	others := f.add(t, f.store, other, 20)
	want := map[persistence.FrameID]persistence.Seq{}
	for i := range log {
		want[log[i].ID] = log[i].Seq
	}
	elsewhere := f.open(t)
	known := func() {
		t.Helper()
		l := f.look(t, elsewhere,
			persistence.Claim{Board: other, Applied: 1 << 40, IDs: append(idsOf(others[:1]), idsOf(log)...)},
			persistence.Claim{Board: board, Applied: 1 << 40, IDs: append(idsOf(log), newFrameID(), others[0].ID)})
		equal(t, l[0].Known, map[persistence.FrameID]persistence.Seq{others[0].ID: 1})
		equal(t, l[1].Known, want)
		for _, i := range []int{0, 6, 19} { // alone it is asked for in another way
			one := f.look(t, f.store, persistence.Claim{Board: board, Applied: 1 << 40, IDs: []persistence.FrameID{log[i].ID}})
			equal(t, one[0].Known, map[persistence.FrameID]persistence.Seq{log[i].ID: log[i].Seq})
		}
	}
	f.beginLog(t, f.store, board, 8)
	known()
	for _, removed := range []int{3, 3, 1, 0, 0} {
		equal(t, f.removeTrimmed(t, f.store, board, 3), removed)
		known()
	}
	b, err := f.inspect(t).Board(f.ctx, board)
	noError(t, err)
	if b.Before != 0 || b.Trimmed != 7 || b.Strays != 0 {
		t.Errorf("%d frames before the log, %d ids, %d strays", b.Before, b.Trimmed, b.Strays)
	}
	f.add(t, f.store, board, 5) // it goes on as before
	if b := f.board(t, board); b.First != 8 || b.Head != 25 || f.board(t, other).First != 1 {
		t.Errorf("the log is %d to %d", b.First, b.Head)
	}
	equal(t, f.log(t, f.store, other), others)
}

// testTrimmedHasABase: whatever becomes of snapshots, ReadSnapshot has the state with which the log begins.
func (create suite) testTrimmedHasABase(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	board := f.createBoard(t)
	f.add(t, f.store, board, 30)
	stored := func() *persistence.Snapshot {
		t.Helper()
		base, err := in.Base(f.ctx, board)
		noError(t, err)
		return base
	}
	if base := stored(); base != nil {
		t.Errorf("a new board has the base %v", base)
	}
	five := f.newSnapshot(t, board, 5)
	noError(t, f.store.PutSnapshot(f.ctx, five))
	eight := f.beginLog(t, f.store, board, 8)
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{eight, five})
	var snaps []persistence.Snapshot
	for seq := persistence.Seq(10); seq <= 30; seq += 10 {
		snaps = append([]persistence.Snapshot{f.newSnapshot(t, board, seq)}, snaps...)
		noError(t, f.store.PutSnapshot(f.ctx, snaps[0]))
	}
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{snaps[0], snaps[1], eight})
	equal(t, stored(), &eight)
	for upTo, want := range map[persistence.Seq]*persistence.Snapshot{7: nil, 8: &eight, 19: &eight, 20: &snaps[1]} {
		got, err := f.store.ReadSnapshot(f.ctx, board, upTo)
		noError(t, err)
		equal(t, got, want)
	}
	// It moves forwards, and in no other direction; at the seq of a snapshot it comes first.
	twenty := f.beginLog(t, f.store, board, 20)
	for _, s := range []persistence.Seq{8, 19, 20} {
		noError(t, f.store.BeginLog(f.ctx, f.newSnapshot(t, board, s)))
	}
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{snaps[0], twenty})
	equal(t, stored(), &twenty)
	if first := f.board(t, board).First; first != 20 {
		t.Errorf("the log begins at %d", first)
	}
	// All snapshots are lost, and the epoch is another: the base is there.
	f.db.Execute(t, `DELETE FROM snapshots`)
	f.db.Execute(t, `UPDATE boards SET epoch = id`)
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{twenty})
	thirty := f.beginLog(t, f.store, board, 30) // at the head
	equal(t, stored(), &thirty)
}

// testTrimAtOnce has two stores trim, and others append and send frames again: the log stays gapless, and ids known.
func (create suite) testTrimAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	stores := []persistence.Store{f.store, f.open(t)}
	board := f.createBoard(t)
	log := f.add(t, f.store, board, 300)
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
	bases := map[persistence.Seq]persistence.Snapshot{}
	for first := persistence.Seq(10); first <= 290; first += 10 {
		bases[first] = f.newSnapshot(t, board, first)
	}
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for first := persistence.Seq(10); first <= 290; first += 10 {
				again(func() error { return s.BeginLog(f.ctx, bases[first]) })
				again(func() error { _, err := s.RemoveTrimmed(f.ctx, board, 7); return err })
			}
		})
		wg.Go(func() {
			for i := range 100 {
				claim := persistence.Claim{Board: board, Applied: 1 << 40, IDs: idsOf(log[i : i+200])}
				again(func() error {
					return s.Append(f.ctx, []persistence.Claim{claim}, func(l []persistence.Locked) ([]persistence.Extension, error) {
						if len(l[0].Known) != 200 {
							t.Errorf("%d of 200 ids are known", len(l[0].Known))
						}
						return extend(board, records(l[0].Head, 1, 20)), nil
					})
				})
			}
		})
	}
	wg.Wait()
	f.removeTrimmed(t, f.store, board, 1000)
	b, err := f.inspect(t).Board(f.ctx, board)
	noError(t, err)
	if b.First != 290 || b.Head != 500 || b.Before != 0 || b.Trimmed != 289 || b.Strays != 0 {
		t.Errorf("%+v", b)
	}
	recs, err := f.store.Read(f.ctx, persistence.ReadParams{Board: board, After: 289, Limit: 1000})
	noError(t, err)
	equal(t, recs[:11], log[289:])
	for i := range recs {
		if recs[i].Seq != persistence.Seq(290+i) {
			t.Fatalf("seq %d where %d should be", recs[i].Seq, 290+i)
		}
	}
}

func (create suite) testTrimNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, gone := f.createBoard(t), f.createBoard(t)
	log := f.add(t, f.store, board, 9)
	equal(t, f.removeTrimmed(t, f.store, board, 5), 0)
	noError(t, f.store.BeginLog(f.ctx, f.newSnapshot(t, board, 1))) // where it begins already
	ahead, another, empty := f.newSnapshot(t, board, 10), f.newSnapshot(t, board, 9), f.newSnapshot(t, board, 9)
	another.Epoch = persistence.Epoch(uuid.New())
	empty.Body = nil
	for _, s := range []persistence.Snapshot{ahead, another} {
		if err := f.store.BeginLog(f.ctx, s); !errors.Is(err, persistence.ErrStaleLog) {
			t.Errorf("at %v: %v", s.Position, err)
		}
	}
	permanent(t, f.store.BeginLog(f.ctx, empty))
	permanent(t, second(f.store.RemoveTrimmed(f.ctx, board, 0)))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot(nil))
	f.checkLog(t, board, log)

	s := f.newSnapshot(t, gone, 1)
	f.add(t, f.store, gone, 1)
	noError(t, f.store.DeleteBoard(f.ctx, gone, now()))
	for _, id := range []persistence.BoardID{gone, newBoardID()} {
		s.Board = id
		equal(t, errorAs[*persistence.BoardNotFoundError](t, f.store.BeginLog(f.ctx, s)).Board, id)
		equal(t, errorAs[*persistence.BoardNotFoundError](t, second(f.store.RemoveTrimmed(f.ctx, id, 1))).Board, id)
	}
}

func (create suite) testTrimCancelled(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	log := f.add(t, f.store, board, 9)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	failsWith[*persistence.UnavailableError](t, f.store.BeginLog(ctx, f.newSnapshot(t, board, 5)))
	failsWith[*persistence.UnavailableError](t, second(f.store.RemoveTrimmed(ctx, board, 1)))
	failsWith[*persistence.UnavailableError](t, second(f.store.PurgeBoard(ctx, board, now(), 1)))
	failsWith[*persistence.UnavailableError](t, second(f.store.PurgeableBoards(ctx, now(), persistence.BoardID{}, 1)))
	f.checkLog(t, board, log)
}

// testPurge removes one of two boards, in steps, and leaves nothing of it, and all of the other.
func (create suite) testPurge(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	board, other := f.createBoard(t), f.createBoard(t)
	logs := map[persistence.BoardID][]persistence.Record{}
	for _, id := range []persistence.BoardID{board, other} {
		logs[id] = f.add(t, f.store, id, 20)
		for size := range 3 {
			noError(t, second(f.store.PutFile(f.ctx, newFile(id, size+1))))
		}
		noError(t, f.store.PutSnapshot(f.ctx, f.newSnapshot(t, id, 19)))
		noError(t, f.store.PutSnapshot(f.ctx, f.newSnapshot(t, id, 20)))
		f.beginLog(t, f.store, id, 10)
		f.removeTrimmed(t, f.store, id, 100)
		f.putSavepoint(t, id, 11, "eleven", "ada")
		f.putSavepoint(t, id, 12, "", "")
	}
	before, err := in.Board(f.ctx, other)
	noError(t, err)
	at := now()
	noError(t, f.store.DeleteBoard(f.ctx, board, at))
	later := at.Add(time.Microsecond)
	deleted := func(t0 time.Time, after persistence.BoardID) []persistence.BoardID {
		t.Helper()
		ids, err := f.store.PurgeableBoards(f.ctx, t0, after, 10)
		noError(t, err)
		return ids
	}
	equal(t, deleted(at, persistence.BoardID{}), []persistence.BoardID(nil))
	equal(t, deleted(later, persistence.BoardID{}), []persistence.BoardID{board})
	equal(t, deleted(later, board), []persistence.BoardID(nil))
	steps := 0
	for done := false; !done; steps++ {
		done, err = f.store.PurgeBoard(f.ctx, board, later, 5)
		noError(t, err)
		failsWith[*persistence.BoardNotFoundError](t, second(f.store.UndeleteBoard(f.ctx, board)))
		if b, err := in.Board(f.ctx, board); err == nil && !b.Purging {
			t.Error("nobody can see that it is being purged")
		}
	}
	// 11 frames, 9 ids, 3 files, 2 snapshots, the savepoints, the base, the totals, and the board
	if steps != 3+2+3+2+1+1+1+1 {
		t.Errorf("%d steps", steps)
	}
	_, err = in.Board(f.ctx, board)
	failsWith[*persistence.BoardNotFoundError](t, err)
	orphans, err := in.Orphans(f.ctx, 10)
	noError(t, err)
	equal(t, orphans, []persistence.BoardID(nil))
	equal(t, deleted(later, persistence.BoardID{}), []persistence.BoardID(nil))
	done, err := f.store.PurgeBoard(f.ctx, board, later, 5) // once more
	noError(t, err)
	equal(t, done, true)
	after, err := in.Board(f.ctx, other)
	noError(t, err)
	equal(t, after, before)
	recs, err := f.store.Read(f.ctx, persistence.ReadParams{Board: other, After: 9, Limit: 100})
	noError(t, err)
	equal(t, recs, logs[other][9:])
}

// testPurgeRefused: what is not deleted, or not for long enough, stays.
func (create suite) testPurgeRefused(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	log := f.add(t, f.store, board, 9)
	at := now()
	purge := func() {
		t.Helper()
		done, err := f.store.PurgeBoard(f.ctx, board, at, 5)
		noError(t, err)
		equal(t, done, true)
	}
	purge()
	f.checkLog(t, board, log)
	noError(t, f.store.DeleteBoard(f.ctx, board, at))
	purge()
	permanent(t, second(f.store.PurgeBoard(f.ctx, board, at, 0)))
	noError(t, second(f.store.UndeleteBoard(f.ctx, board)))
	f.checkLog(t, board, log)
}

func (create suite) testUsage(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, empty := f.createBoard(t), f.createBoard(t)
	var want persistence.Usage
	check := func() {
		t.Helper()
		for id, want := range map[persistence.BoardID]persistence.Usage{board: want, empty: {}} {
			got, err := f.store.Usage(f.ctx, id)
			noError(t, err)
			equal(t, got, want)
		}
	}
	check()
	log := f.add(t, f.store, board, 20)
	for _, rec := range log {
		want.Log += uint64(len(rec.Body))
	}
	file := newFile(board, 300)
	noError(t, second(f.store.PutFile(f.ctx, file)))
	want.Files = uint64(len(file.Content))
	snap := f.newSnapshot(t, board, 20)
	noError(t, f.store.PutSnapshot(f.ctx, snap))
	want.Snapshots = uint64(len(snap.Body))
	check()
	want.Snapshots += uint64(len(f.beginLog(t, f.store, board, 10).Body))
	check()
	f.removeTrimmed(t, f.store, board, 100)
	for _, rec := range log[:9] {
		want.Log -= uint64(len(rec.Body))
	}
	check()
	noError(t, f.store.DeleteBoard(f.ctx, board, now()))
	for _, id := range []persistence.BoardID{board, newBoardID()} {
		equal(t, errorAs[*persistence.BoardNotFoundError](t, second(f.store.Usage(f.ctx, id))).Board, id)
	}
}
