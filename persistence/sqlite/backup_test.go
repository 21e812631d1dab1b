package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

// framesOf opens a copy as a store does, and returns how many frames there are, and the head of their board.
func framesOf(t *testing.T, path string, board persistence.BoardID) (frames int, head persistence.Seq) {
	t.Helper()
	in, err := sqlite.Inspect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b, err := in.Board(t.Context(), board)
	if err != nil {
		t.Fatal(err)
	}
	recs, err := in.Frames(t.Context(), persistence.FrameRange{Board: board, Through: 1 << 40, Limit: 1 << 30, MaxBytes: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := in.CheckEngine(t.Context())
	if err != nil || len(problems) > 0 {
		t.Errorf("the copy is damaged: %q (%v)", problems, err)
	}
	return len(recs), b.Head
}

// A copy is of one moment: it ends, and is whole, and has all that was committed before, while somebody writes all the time.
func TestCopyBesideAWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "boards.db")
	s := open(t, path, sqlite.Config{})
	board, err := createBoard(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, path, `CREATE TABLE ballast AS SELECT zeroblob(?)`, 40<<20) // ten steps
	const before = 5000
	for range before / 1000 {
		if _, err := add(t.Context(), s, board, 1000, nil); err != nil {
			t.Fatal(err)
		}
	}
	stop, begun := make(chan struct{}), make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := add(t.Context(), s, board, 10, nil); err != nil {
				t.Error(err)
				return
			}
			if n == 0 {
				close(begun)
			}
		}
	})
	<-begun
	to := filepath.Join(dir, "copy.db")
	err = sqlite.Copy(t.Context(), path, to)
	close(stop)
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	frames, copied := framesOf(t, to, board)
	if copied < before || frames != int(copied) {
		t.Errorf("the copy has %d frames, and its head is %d", frames, copied)
	}
	if after := head(t, s, board); after <= copied {
		t.Errorf("the head was %d in the end, and is %d in the copy: nobody wrote meanwhile", after, copied)
	}
	if text, err := os.ReadFile(to); err != nil || text[18] != 1 {
		t.Errorf("the copy is in WAL mode: it cannot be read where nothing can be written (%v)", err)
	}
}

// What a crash left in the log is a part of the database.
func TestCopyTakesTheLogOfACrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	s := open(t, path, sqlite.Config{})
	board, err := createBoard(t.Context(), s)
	if err == nil {
		_, err = add(t.Context(), s, board, 7, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "boards.db")
	for _, suffix := range []string{"", "-wal"} { // as they are without a last close
		text, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(crashed+suffix, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := sqlite.Copy(t.Context(), crashed, to); err != nil {
		t.Fatal(err)
	}
	if frames, head := framesOf(t, to, board); frames != 7 || head != 7 {
		t.Errorf("the copy has %d frames, and its head is %d", frames, head)
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "boards.db")
	open(t, path, sqlite.Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqlite.Copy(t.Context(), path, path); !errors.Is(err, os.ErrExist) {
		t.Errorf("onto a file that is there: %v", err)
	}
	if err := sqlite.Copy(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "copy.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	if err := sqlite.Copy(ended, path, filepath.Join(dir, "cancelled.db")); !errors.As(err, new(*persistence.UnavailableError)) {
		t.Errorf("cancelled: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text.db"), make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Copy(t.Context(), filepath.Join(dir, "text.db"), filepath.Join(dir, "copy.db")); !errors.As(err, new(*persistence.CorruptError)) {
		t.Errorf("of no database: %v", err)
	}
}
