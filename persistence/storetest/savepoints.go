package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

func (f *fixture) putSavepoint(tb testing.TB, board persistence.BoardID, seq persistence.Seq, name, by string) persistence.Savepoint {
	tb.Helper()
	p, err := f.store.PutSavepoint(f.ctx, persistence.Savepoint{Board: board, Seq: seq, Name: name, By: by})
	noError(tb, err)
	return p
}

// savepointsAre fails unless the board has these, as another server sees it.
func (f *fixture) savepointsAre(tb testing.TB, board persistence.BoardID, want ...persistence.Savepoint) {
	tb.Helper()
	got, err := f.open(tb).Savepoints(f.ctx, board)
	noError(tb, err)
	equal(tb, got, want)
}

func (create suite) testSavepoints(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, other := f.createBoard(t), f.createBoard(t)
	log := f.add(t, f.store, board, 10)
	f.add(t, f.store, other, 10)
	f.savepointsAre(t, board)
	at := func(seq persistence.Seq, name, by string) persistence.Savepoint {
		return persistence.Savepoint{Board: board, Seq: seq, Name: name, By: by, Time: log[seq-1].Time}
	}
	equal(t, f.putSavepoint(t, board, 3, "three", "ada"), at(3, "three", "ada"))
	equal(t, f.putSavepoint(t, board, 7, "", ""), at(7, "", ""))
	others := f.putSavepoint(t, other, 3, "three", "bob")
	f.savepointsAre(t, board, at(7, "", ""), at(3, "three", "ada"))
	// It is named, and named anew; one without a name takes none away.
	f.putSavepoint(t, board, 7, "seven", "bob")
	equal(t, f.putSavepoint(t, board, 7, "", ""), at(7, "seven", "bob"))
	f.putSavepoint(t, board, 3, "drei", "eve")
	f.savepointsAre(t, board, at(7, "seven", "bob"), at(3, "drei", "eve"))

	for _, want := range []bool{true, false} {
		found, err := f.store.DeleteSavepoint(f.ctx, board, 3)
		noError(t, err)
		equal(t, found, want)
	}
	f.savepointsAre(t, board, at(7, "seven", "bob"))
	f.savepointsAre(t, other, others)

	for _, seq := range []persistence.Seq{0, 11, 1<<64 - 1} {
		_, err := f.store.PutSavepoint(f.ctx, persistence.Savepoint{Board: board, Seq: seq, Name: "none"})
		if !errors.Is(err, persistence.ErrNoFrame) {
			t.Errorf("seq %d: %v", seq, err)
		}
	}
	var notFound *persistence.BoardNotFoundError
	noError(t, f.store.DeleteBoard(f.ctx, other, now()))
	for _, gone := range []persistence.BoardID{other, persistence.BoardID(uuid.New())} {
		if _, err := f.store.PutSavepoint(f.ctx, persistence.Savepoint{Board: gone, Seq: 3, Name: "gone"}); !errors.As(err, &notFound) {
			t.Error(err)
		}
		f.savepointsAre(t, gone)
	}
}

// testSavepointsAreBounded: those with a name are refused, of those without the oldest go.
func (create suite) testSavepointsAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, persistence.MaxSavepoints+persistence.KeptSavepoints+2)
	for i := range persistence.MaxSavepoints {
		f.putSavepoint(t, board, persistence.Seq(i+1), fmt.Sprint(i), "ada")
	}
	const next = persistence.MaxSavepoints + 1
	if _, err := f.store.PutSavepoint(f.ctx, persistence.Savepoint{Board: board, Seq: next, Name: "more"}); !errors.Is(err, persistence.ErrSavepointLimit) {
		t.Error(err)
	}
	f.putSavepoint(t, board, 1, "renamed", "ada")
	for i := range persistence.KeptSavepoints + 2 {
		f.putSavepoint(t, board, next+persistence.Seq(i), "", "")
	}
	all, err := f.store.Savepoints(f.ctx, board)
	noError(t, err)
	unnamed := slices.DeleteFunc(all, func(p persistence.Savepoint) bool { return p.Name != "" })
	if n := len(unnamed); n != persistence.KeptSavepoints || unnamed[n-1].Seq != next+2 {
		t.Errorf("%d without a name, the oldest at %d", n, unnamed[n-1].Seq)
	}
}

// testSavepointsGoWithTheLog that they are of, when its begin is taken away.
func (create suite) testSavepointsGoWithTheLog(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, 10)
	f.putSavepoint(t, board, 3, "three", "ada")
	eight := f.putSavepoint(t, board, 8, "eight", "ada")
	f.beginLog(t, f.store, board, 8)
	f.savepointsAre(t, board, eight)
	if _, err := f.store.PutSavepoint(f.ctx, persistence.Savepoint{Board: board, Seq: 7, Name: "seven"}); !errors.Is(err, persistence.ErrNoFrame) {
		t.Error(err)
	}
}
