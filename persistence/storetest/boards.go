package storetest

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

func (create suite) testBoardsAreCreated(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	want := newBoard()
	want.Name = "Zoë's \x01 board 👩‍🚀"
	given := want
	given.Head, given.First, given.Objects = 7, 8, 9
	given.CreatedAt = want.CreatedAt.Add(999).In(time.FixedZone("somewhere", -7200))
	noError(t, f.store.CreateBoard(f.ctx, given))
	got := f.board(t, want.ID)
	equal(t, got, want)
	if got.CreatedAt.Location() != time.UTC || got.UpdatedAt.Location() != time.UTC {
		t.Error("times are not UTC")
	}

	again := newBoard()
	again.ID = want.ID
	permanent(t, f.store.CreateBoard(f.ctx, again))
	noError(t, f.store.DeleteBoard(f.ctx, want.ID, now()))
	permanent(t, f.store.CreateBoard(f.ctx, again)) // it is still there
}

func (create suite) testBoardsAreListed(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	var want []persistence.Board
	for range 25 {
		b := newBoard()
		if len(want)%3 == 0 {
			b.ID = persistence.BoardID(uuid.New()) // not made in order
		}
		noError(t, f.store.CreateBoard(f.ctx, b))
		want = append(want, b)
	}
	noError(t, f.store.DeleteBoard(f.ctx, want[11].ID, now()))
	deleted := want[11].ID
	want = slices.Delete(want, 11, 12)

	var ids []persistence.BoardID
	for _, b := range want {
		ids = append(ids, b.ID)
	}
	got, err := f.store.Boards(f.ctx, append(ids, deleted, newBoardID(), persistence.BoardID{}, ids[0])...)
	noError(t, err)
	byID := func(a, b persistence.Board) int { return cmp.Compare(b.ID.String(), a.ID.String()) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	equal(t, got, want)
	got, err = f.store.Boards(f.ctx)
	noError(t, err)
	equal(t, got, []persistence.Board(nil))

	for _, limit := range []int{1, 7, 24, 25, 1000} {
		var all []persistence.Board
		for after := (persistence.BoardID{}); ; {
			page, err := f.store.ListBoards(f.ctx, after, limit)
			noError(t, err)
			if len(page) > limit {
				t.Fatalf("a page of %d has %d boards", limit, len(page))
			}
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			after = page[len(page)-1].ID
		}
		equal(t, all, want)
	}
	_, err = f.store.ListBoards(f.ctx, persistence.BoardID{}, 0)
	permanent(t, err)
}

func (create suite) testBoardsAreChanged(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	id := f.createBoard(t)
	f.add(t, f.store, id, 3)
	want := f.board(t, id)
	want.Name, want.UpdatedAt = "renamed", now().Add(time.Hour)
	got, err := f.store.ChangeBoard(f.ctx, id, persistence.BoardChange{Name: &want.Name}, want.UpdatedAt)
	noError(t, err)
	equal(t, got, want)
	equal(t, f.board(t, id), want)
	want.RetainLog, want.UpdatedAt = "30d", now().Add(2*time.Hour)
	got, err = f.store.ChangeBoard(f.ctx, id, persistence.BoardChange{RetainLog: &want.RetainLog}, want.UpdatedAt)
	noError(t, err)
	equal(t, got, want)
	equal(t, f.board(t, id), want)

	unknown := newBoardID()
	_, err = f.store.ChangeBoard(f.ctx, unknown, persistence.BoardChange{Name: &want.Name}, now())
	equal(t, errorAs[*persistence.BoardNotFoundError](t, err).Board, unknown)
}

func (create suite) testBoardsAreDeleted(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	id := f.createBoard(t)
	recs := f.add(t, f.store, id, 3)
	want := f.board(t, id)
	got, err := f.store.UndeleteBoard(f.ctx, id) // of a board that is not deleted
	noError(t, err)
	equal(t, got, want)

	noError(t, f.store.DeleteBoard(f.ctx, id, now()))
	equal(t, errorAs[*persistence.BoardNotFoundError](t, f.store.DeleteBoard(f.ctx, id, now())).Board, id)
	_, err = f.store.ChangeBoard(f.ctx, id, persistence.BoardChange{}, now())
	failsWith[*persistence.BoardNotFoundError](t, err)
	boards, err := f.store.Boards(f.ctx, id)
	noError(t, err)
	equal(t, boards, []persistence.Board(nil))

	got, err = f.store.UndeleteBoard(f.ctx, id)
	noError(t, err)
	equal(t, got, want)
	f.checkLog(t, id, recs)
	f.checkLog(t, id, append(recs, f.add(t, f.store, id, 1)...))

	unknown := newBoardID()
	failsWith[*persistence.BoardNotFoundError](t, f.store.DeleteBoard(f.ctx, unknown, now()))
	_, err = f.store.UndeleteBoard(f.ctx, unknown)
	failsWith[*persistence.BoardNotFoundError](t, err)
}

func (create suite) testPing(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	for range 40 {
		noError(t, f.store.Ping(f.ctx))
	}
	b := f.createBoard(t)
	f.checkLog(t, b, f.add(t, f.store, b, 1)) // it left nothing behind
}

func (create suite) testReopen(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	s := f.db.Open(t)
	b := newBoard()
	noError(t, s.CreateBoard(f.ctx, b))
	recs := f.add(t, s, b.ID, 100)
	noError(t, s.Close())
	f.checkLog(t, b.ID, recs)
	s = f.open(t)
	equal(t, f.log(t, s, b.ID), recs)
}

// testCloseWaits: a transaction that is under way when Close is called is committed.
func (create suite) testCloseWaits(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	s := f.db.Open(t)
	release, done := f.hold(t, s, b)
	var released atomic.Bool
	closed := make(chan error, 1)
	go func() {
		err := s.Close()
		if !released.Load() {
			err = errors.New("close did not wait")
		}
		closed <- err
	}()
	recs := records(0, 1, 20)
	time.AfterFunc(2*time.Millisecond, func() {
		released.Store(true)
		release <- extend(b, recs)
	})
	noError(t, receive(t, done))
	noError(t, receive(t, closed))
	f.checkLog(t, b, recs)
}
