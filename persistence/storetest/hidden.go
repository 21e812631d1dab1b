package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

func (f *fixture) createHidden(tb testing.TB) persistence.Board {
	tb.Helper()
	b := newBoard()
	noError(tb, f.store.CreateHidden(f.ctx, b))
	return b
}

// fill appends n records to a hidden board and returns them.
func (f *fixture) fill(tb testing.TB, board persistence.BoardID, n int) (recs []persistence.Record) {
	tb.Helper()
	noError(tb, f.store.Append(f.ctx, []persistence.Claim{hiddenClaim(board)}, func(l []persistence.Locked) ([]persistence.Extension, error) {
		if !l[0].Exists {
			tb.Fatal("the hidden board is not found")
		}
		recs = records(l[0].Head, n, 20)
		return extend(board, recs), nil
	}))
	return recs
}

func hiddenClaim(board persistence.BoardID, ids ...persistence.FrameID) persistence.Claim {
	return persistence.Claim{Board: board, Applied: 1 << 40, IDs: ids, Hidden: true}
}

// testHiddenIsFilled: nobody sees a hidden board, whoever fills it does, and then it is shown as a whole.
func (create suite) testHiddenIsFilled(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	visible := f.createBoard(t)
	want := f.createHidden(t)
	recs := f.fill(t, want.ID, 5)
	recs = append(recs, f.fill(t, want.ID, 20)...)
	p := newFile(want.ID, 5000)
	failsWith[*persistence.BoardNotFoundError](t, second(f.store.PutFile(f.ctx, p)))
	p.Hidden = true
	file, err := f.store.PutFile(f.ctx, p)
	noError(t, err)
	again, err := f.store.PutFile(f.ctx, p)
	noError(t, err)
	equal(t, again, file)

	boards, err := f.store.Boards(f.ctx, want.ID)
	noError(t, err)
	equal(t, boards, []persistence.Board(nil))
	boards, err = f.store.ListBoards(f.ctx, persistence.BoardID{}, 10)
	noError(t, err)
	equal(t, boards, []persistence.Board{f.board(t, visible)})
	failsWith[*persistence.BoardNotFoundError](t, second(f.store.Read(f.ctx, persistence.ReadParams{Board: want.ID, Limit: 1})))
	failsWith[*persistence.BoardNotFoundError](t, third(f.store.ReadFile(f.ctx, persistence.ReadFileParams{Board: want.ID, File: file.ID, Limit: 1})))
	equal(t, f.look(t, f.store, claims(want.ID)...), []persistence.Locked{{Board: want.ID}})

	stranger := newFrameID()
	found := f.look(t, f.store, hiddenClaim(want.ID, recs[3].ID, stranger, recs[24].ID))
	equal(t, found, []persistence.Locked{{
		Board: want.ID, Exists: true, Epoch: want.Epoch, Head: 25,
		Known: map[persistence.FrameID]persistence.Seq{recs[3].ID: 4, recs[24].ID: 25},
	}})
	permanent(t, f.store.Append(f.ctx, []persistence.Claim{hiddenClaim(want.ID), {Board: visible}}, nil))

	// What is shown is not hidden.
	want.Head, want.Objects, want.UpdatedAt = 25, 20, recs[24].Time
	got, err := f.store.UndeleteBoard(f.ctx, want.ID)
	noError(t, err)
	equal(t, got, want)
	f.checkLog(t, want.ID, recs)
	equal(t, f.content(t, f.store, want.ID, file, 4096), p.Content)
	for _, id := range []persistence.BoardID{want.ID, visible, newBoardID()} {
		equal(t, f.look(t, f.store, hiddenClaim(id)), []persistence.Locked{{Board: id}})
		p.Board = id
		failsWith[*persistence.BoardNotFoundError](t, second(f.store.PutFile(f.ctx, p)))
	}
	f.checkLog(t, want.ID, append(recs, f.add(t, f.store, want.ID, 3)...))
}

// testHiddenIsPurged: it goes as a deleted board does, and is not filled any more from when that has begun.
func (create suite) testHiddenIsPurged(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	from := f.createBoard(t)
	_, err := f.store.PutFile(f.ctx, newFile(from, 10))
	noError(t, err)
	b := f.createHidden(t)
	f.fill(t, b.ID, 20)
	p := newFile(b.ID, 10)
	p.Hidden = true
	_, err = f.store.PutFile(f.ctx, p)
	noError(t, err)

	purgeable := func(before time.Time) []persistence.BoardID {
		t.Helper()
		ids, err := f.store.PurgeableBoards(f.ctx, before, persistence.BoardID{}, 10)
		noError(t, err)
		return ids
	}
	equal(t, purgeable(b.CreatedAt), []persistence.BoardID(nil))
	before := b.CreatedAt.Add(time.Microsecond)
	equal(t, purgeable(before), []persistence.BoardID{b.ID})
	for done := false; !done; {
		done, err = f.store.PurgeBoard(f.ctx, b.ID, before, 5)
		noError(t, err)
		equal(t, f.look(t, f.store, hiddenClaim(b.ID)), []persistence.Locked{{Board: b.ID}})
		failsWith[*persistence.BoardNotFoundError](t, second(f.store.PutFile(f.ctx, p)))
		failsWith[*persistence.BoardNotFoundError](t, second(f.store.CopyFiles(f.ctx, from, b.ID, persistence.FileID{})))
	}
	failsWith[*persistence.BoardNotFoundError](t, second(f.store.UndeleteBoard(f.ctx, b.ID)))
	inspector := f.db.Inspect(t)
	orphans, err := inspector.Orphans(f.ctx, 10)
	noError(t, err)
	equal(t, orphans, []persistence.BoardID(nil))
	noError(t, inspector.Close())
}

// testFilesAreCopied: all of them, each once, however many and large they are, and those of no other board.
func (create suite) testFilesAreCopied(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	from, other := f.createBoard(t), f.createBoard(t)
	want := map[persistence.FileID]persistence.PutFileParams{}
	put := func(n, size int) {
		t.Helper()
		for range n {
			p := newFile(from, size)
			file, err := f.put(f.store, p)
			noError(t, err)
			want[file.ID] = p
		}
	}
	put(270, 30) // more than one step looks at
	put(3, persistence.CopyBytes/2)
	put(1, persistence.CopyBytes)
	_, err := f.store.PutFile(f.ctx, newFile(other, 10))
	noError(t, err)

	to := f.createHidden(t).ID
	var all []persistence.FileID
	for after := (persistence.FileID{}); ; {
		last, err := f.store.CopyFiles(f.ctx, from, to, after)
		noError(t, err)
		if last == after {
			break
		}
		all = append(all, last)
		after = last
	}
	if len(all) < 3 || !slices.IsSortedFunc(all, func(a, b persistence.FileID) int { return slices.Compare(a[:], b[:]) }) {
		t.Errorf("copied up to %v", all)
	}
	for _, missing := range []struct{ from, to, named persistence.BoardID }{
		{from, other, other}, {to, to, to}, {persistence.BoardID(uuid.Nil), to, persistence.BoardID(uuid.Nil)},
	} {
		err := second(f.store.CopyFiles(f.ctx, missing.from, missing.to, persistence.FileID{}))
		equal(t, errorAs[*persistence.BoardNotFoundError](t, err).Board, missing.named)
	}
	_, err = f.store.UndeleteBoard(f.ctx, to)
	noError(t, err)
	for id, p := range want {
		equal(t, f.content(t, f.store, to, persistence.File{
			ID: id, Size: len(p.Content), MediaType: p.MediaType, CreatedAt: p.CreatedAt, CreatedBy: p.CreatedBy,
		}, persistence.CopyBytes), p.Content)
	}
	inspector := f.db.Inspect(t)
	b, err := inspector.Board(f.ctx, to)
	noError(t, err)
	equal(t, b.Totals, persistence.FileTotals{Files: 274, Bytes: 270*30 + 5*persistence.CopyBytes/2})
	equal(t, b.Counted, b.Totals)
	noError(t, inspector.Close())
}
