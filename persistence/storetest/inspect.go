package storetest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
)

// inspect opens an Inspector, which is closed when the test ends.
func (f *fixture) inspect(tb testing.TB) persistence.Inspector {
	tb.Helper()
	in := f.db.Inspect(tb)
	tb.Cleanup(func() { noError(tb, in.Close()) })
	return in
}

func (create suite) testInspectorSeesBoards(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	var want []persistence.StoredBoard
	for i, id := range f.createBoards(t, 7) {
		f.add(t, f.store, id, i+1)
		want = append(want, persistence.StoredBoard{Board: f.board(t, id), Deleted: i == 3})
	}
	noError(t, f.store.DeleteBoard(f.ctx, want[3].ID, now()))
	slices.SortFunc(want, func(a, b persistence.StoredBoard) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, limit := range []int{1, 3, 7, 100} {
		var all []persistence.StoredBoard
		for after := (persistence.BoardID{}); ; {
			page, err := in.Boards(f.ctx, after, limit)
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
	for _, w := range want {
		got, err := in.Board(f.ctx, w.ID)
		noError(t, err)
		equal(t, got, w)
	}
	_, err := in.Board(f.ctx, newBoardID())
	failsWith[*persistence.BoardNotFoundError](t, err)
	problems, err := in.CheckEngine(f.ctx)
	noError(t, err)
	equal(t, problems, []string(nil))
}

func (create suite) testInspectorSeesFrames(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	id := f.createBoard(t)
	f.add(t, f.store, id, 20)
	want, err := f.store.Read(f.ctx, persistence.ReadParams{Board: id, Limit: 100})
	noError(t, err)
	noError(t, f.store.DeleteBoard(f.ctx, id, now())) // its log is there all the same
	for _, r := range []struct{ from, through, limit, bytes, frames int }{
		{0, 20, 100, 1 << 20, 20},
		{0, 1 << 40, 100, 1 << 20, 20},
		{5, 15, 100, 1 << 20, 10},
		{5, 15, 4, 1 << 20, 4},
		{5, 15, 4, 1, 1},
		{5, 15, 100, len(want[5].Body) + 1, 2},
		{15, 15, 100, 1 << 20, 0},
	} {
		got, err := in.Frames(f.ctx, persistence.FrameRange{
			Board: id, After: persistence.Seq(r.from), Through: persistence.Seq(r.through), Limit: r.limit, MaxBytes: r.bytes,
		})
		noError(t, err)
		if len(got) != r.frames {
			t.Errorf("%+v: %d frames", r, len(got))
		}
		for i := range got {
			equal(t, got[i], want[r.from+i])
		}
	}
}

func (create suite) testInspectorSeesFiles(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	id, gone := f.createBoard(t), f.createBoard(t)
	var want []*persistence.StoredFile
	var total persistence.FileTotals
	for size := range 9 {
		p := newFile(id, 1000*size+1)
		file, err := f.store.PutFile(f.ctx, p)
		noError(t, err)
		want = append(want, &persistence.StoredFile{File: file, Content: p.Content})
		total.Files, total.Bytes = total.Files+1, total.Bytes+int64(file.Size)
	}
	slices.SortFunc(want, func(a, b *persistence.StoredFile) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	noError(t, second(f.store.PutFile(f.ctx, newFile(gone, 1))))
	noError(t, f.store.DeleteBoard(f.ctx, id, now())) // its files are there all the same
	var got []*persistence.StoredFile
	for after := (persistence.FileID{}); ; {
		file, err := in.NextFile(f.ctx, id, after)
		noError(t, err)
		if file == nil {
			break
		}
		got = append(got, file)
		after = file.ID
	}
	equal(t, got, want)
	b, err := in.Board(f.ctx, id)
	noError(t, err)
	equal(t, []persistence.FileTotals{b.Totals, b.Counted}, []persistence.FileTotals{total, total})

	f.db.Execute(t, `DELETE FROM files WHERE octet_length(content) = 1001`)
	f.db.Execute(t, `UPDATE file_totals SET bytes = bytes + 5`)
	f.db.Execute(t, `DELETE FROM boards WHERE deleted_at IS NULL`)
	b, err = in.Board(f.ctx, id)
	noError(t, err)
	equal(t, b.Counted, persistence.FileTotals{Files: total.Files - 1, Bytes: total.Bytes - 1001})
	equal(t, b.Totals, persistence.FileTotals{Files: total.Files, Bytes: total.Bytes + 5})
	orphans, err := in.Orphans(f.ctx, 10)
	noError(t, err)
	equal(t, orphans, []persistence.BoardID{gone})
}

func (create suite) testInspectorSeesStrays(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	id, gone := f.createBoard(t), f.createBoard(t)
	f.add(t, f.store, id, 9)
	f.add(t, f.store, gone, 1)
	f.db.Execute(t, `UPDATE boards SET first_seq = 3, head_seq = 5 WHERE head_seq = 9`)
	b, err := in.Board(f.ctx, id)
	noError(t, err)
	if b.Before != 2 || b.Beyond != 4 {
		t.Errorf("%d frames before the log and %d beyond it, want 2 and 4", b.Before, b.Beyond)
	}
	orphans, err := in.Orphans(f.ctx, 10)
	noError(t, err)
	equal(t, orphans, []persistence.BoardID(nil))
	f.db.Execute(t, `DELETE FROM boards WHERE head_seq = 1`)
	orphans, err = in.Orphans(f.ctx, 10)
	noError(t, err)
	equal(t, orphans, []persistence.BoardID{gone})
}

// A board's row and what lies beyond its head are of one moment, however many frames are added meanwhile.
func (create suite) testInspectorSeesOneMoment(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	in := f.inspect(t)
	id := f.createBoard(t)
	done := make(chan error, 1)
	go func() {
		var err error
		for range 100 {
			if err != nil {
				break
			}
			err = f.store.Append(f.ctx, claims(id), func(l []persistence.Locked) ([]persistence.Extension, error) {
				return extend(id, records(l[0].Head, 1, 20)), nil
			})
		}
		done <- err
	}()
	for running := true; running; {
		select {
		case err := <-done:
			noError(t, err)
			running = false
		default:
		}
		b, err := in.Board(f.ctx, id)
		if err != nil || b.Beyond != 0 {
			t.Errorf("%d frames beyond the head (%v)", b.Beyond, err)
		}
	}
}
