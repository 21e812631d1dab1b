package storetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
)

// manyFiles is a limit that is not reached.
var manyFiles = persistence.FileLimit{Files: 1000, Bytes: 1 << 30}

// newFile has a content of its own, of the given size.
func newFile(board persistence.BoardID, size int) persistence.PutFileParams {
	content := make([]byte, size)
	_, _ = rand.Read(content) // never fails
	return persistence.PutFileParams{
		Board: board, Content: content, MediaType: "image/png", CreatedAt: now(), CreatedBy: "ada", Limit: manyFiles,
	}
}

// put stores a file, however often it takes where others hold its lock.
func (f *fixture) put(s persistence.Store, p persistence.PutFileParams) (persistence.File, error) {
	for {
		file, err := s.PutFile(f.ctx, p)
		if _, contended := errors.AsType[*persistence.ContendedError](err); !contended {
			return file, err
		}
	}
}

// content reads a file in pieces.
func (f *fixture) content(tb testing.TB, s persistence.Store, board persistence.BoardID, want persistence.File, pieceBytes int) (all []byte) {
	tb.Helper()
	for {
		got, piece, err := s.ReadFile(f.ctx, persistence.ReadFileParams{Board: board, File: want.ID, Offset: len(all), Limit: pieceBytes})
		noError(tb, err)
		equal(tb, got, want)
		if len(piece) > pieceBytes {
			tb.Fatalf("a piece of %d bytes, want %d at most", len(piece), pieceBytes)
		}
		if len(piece) == 0 {
			return all
		}
		all = append(all, piece...)
	}
}

func (create suite) testFilesAreKept(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	s := f.db.Open(t)
	board := f.createBoard(t)
	pieces := map[int]int{1: 1, 2: 1, 2500: 1000, 100 << 10: 64 << 10, 4 << 20: 1 << 20}
	files, params := map[int]persistence.File{}, map[int]persistence.PutFileParams{}
	for size := range pieces {
		p := newFile(board, size)
		p.CreatedAt = p.CreatedAt.Add(999).In(time.FixedZone("somewhere", -7200))
		got, err := s.PutFile(f.ctx, p)
		noError(t, err)
		equal(t, got, persistence.File{
			ID: sha256.Sum256(p.Content), Size: size, MediaType: p.MediaType, CreatedBy: p.CreatedBy,
			CreatedAt: p.CreatedAt.Truncate(time.Microsecond).UTC(),
		})
		files[size], params[size] = got, p
	}
	noError(t, s.Close())
	for size, piece := range pieces {
		equal(t, f.content(t, f.store, board, files[size], piece), params[size].Content)
	}
	permanent(t, second(f.store.PutFile(f.ctx, persistence.PutFileParams{Board: board, Limit: manyFiles})))
	for _, p := range []persistence.ReadFileParams{
		{Board: board, File: files[1].ID}, {Board: board, File: files[1].ID, Offset: -1, Limit: 1},
	} {
		permanent(t, third(f.store.ReadFile(f.ctx, p)))
	}
}

// testFilesAreKeptOnce: the same content is the same file, whoever uploads it, as long as it is on one board.
func (create suite) testFilesAreKeptOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, other := f.createBoard(t), f.createBoard(t)
	p := newFile(board, 5000)
	p.Limit = persistence.FileLimit{Files: 1, Bytes: 5000}
	want, err := f.store.PutFile(f.ctx, p)
	noError(t, err)
	again := p
	again.MediaType, again.CreatedBy, again.CreatedAt = "image/jfif", "bob", p.CreatedAt.Add(time.Hour)
	got, err := f.store.PutFile(f.ctx, again)
	noError(t, err)
	equal(t, got, want)
	failsWith[*persistence.FileNotFoundError](t, third(f.store.ReadFile(f.ctx, persistence.ReadFileParams{Board: other, File: want.ID, Limit: 1})))
	again.Board = other
	got, err = f.store.PutFile(f.ctx, again)
	noError(t, err)
	equal(t, got, again.File())
}

// testFilesAtOnce: of many who upload the same content to one board, through two stores, each gets the one file.
func (create suite) testFilesAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	stores := []persistence.Store{f.store, f.open(t)}
	board := f.createBoard(t)
	p := newFile(board, 300<<10)
	p.Limit.Files = 1
	var mu sync.Mutex
	seen := map[persistence.File]int{}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			p := p
			p.CreatedAt = p.CreatedAt.Add(time.Duration(i) * time.Second)
			got, err := f.put(stores[i%2], p)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got]++
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("one file is %v", seen)
	}
}

// testFilesAreLimited: a board never has more files or bytes than it may, however many come at once.
func (create suite) testFilesAreLimited(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	stores := []persistence.Store{f.store, f.open(t)}
	for _, limit := range []persistence.FileLimit{{Files: 5, Bytes: 1 << 30}, {Files: 1000, Bytes: 5 * 1000}, {Files: 1000, Bytes: 6*1000 - 1}} {
		board := f.createBoard(t)
		results := make(chan error, 20)
		for i := range cap(results) {
			p := newFile(board, 1000)
			p.Limit = limit
			go func() { results <- second(f.put(stores[i%2], p)) }()
		}
		stored := 0
		for range cap(results) {
			err := receive(t, results)
			if err == nil {
				stored++
				continue
			}
			equal(t, errorAs[*persistence.FileLimitError](t, err), &persistence.FileLimitError{Board: board, Limit: limit})
		}
		if stored != 5 {
			t.Errorf("%+v: %d files are stored, want 5", limit, stored)
		}
	}
	// Another board has a limit of its own; and one that is raised is raised.
	p := newFile(f.createBoard(t), 1000)
	p.Limit = persistence.FileLimit{Files: 1, Bytes: 1000}
	noError(t, second(f.store.PutFile(f.ctx, p)))
	more := newFile(p.Board, 1)
	more.Limit = p.Limit
	failsWith[*persistence.FileLimitError](t, second(f.store.PutFile(f.ctx, more)))
	more.Limit = persistence.FileLimit{Files: 2, Bytes: 1001}
	noError(t, second(f.store.PutFile(f.ctx, more)))
}

func (create suite) testFilesOfNoBoard(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	p := newFile(board, 1000)
	want, err := f.store.PutFile(f.ctx, p)
	noError(t, err)
	read := persistence.ReadFileParams{Board: board, File: want.ID, Limit: 1}

	noError(t, f.store.DeleteBoard(f.ctx, board, now()))
	for _, p := range []persistence.PutFileParams{p, newFile(board, 1000)} {
		equal(t, errorAs[*persistence.BoardNotFoundError](t, second(f.store.PutFile(f.ctx, p))).Board, board)
	}
	equal(t, errorAs[*persistence.BoardNotFoundError](t, third(f.store.ReadFile(f.ctx, read))).Board, board)
	_, err = f.store.UndeleteBoard(f.ctx, board)
	noError(t, err)
	equal(t, f.content(t, f.store, board, want, 4096), p.Content)

	missing := persistence.ReadFileParams{Board: board, File: persistence.FileID{1}, Limit: 1}
	equal(t, errorAs[*persistence.FileNotFoundError](t, third(f.store.ReadFile(f.ctx, missing))),
		&persistence.FileNotFoundError{Board: board, File: missing.File})
	unknown := newBoardID()
	read.Board = unknown
	failsWith[*persistence.BoardNotFoundError](t, third(f.store.ReadFile(f.ctx, read)))
	failsWith[*persistence.BoardNotFoundError](t, second(f.store.PutFile(f.ctx, newFile(unknown, 1))))
}

// testFilesCancelled: a call that has ended stores nothing, and takes no room.
func (create suite) testFilesCancelled(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	p := newFile(board, 1000)
	failsWith[*persistence.UnavailableError](t, second(f.store.PutFile(ctx, p)))
	read := persistence.ReadFileParams{Board: board, File: p.File().ID, Limit: 1}
	failsWith[*persistence.UnavailableError](t, third(f.store.ReadFile(ctx, read)))
	failsWith[*persistence.FileNotFoundError](t, third(f.store.ReadFile(f.ctx, read)))
	p.Limit = persistence.FileLimit{Files: 1, Bytes: 1000}
	noError(t, second(f.store.PutFile(f.ctx, p)))
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }
