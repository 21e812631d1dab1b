package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

// childEnv makes the test binary a second process, which appends to a board of the file that it names.
const childEnv = "COLLABOARD_TEST_SQLITE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		fmt.Fprintln(os.Stderr, child(path, os.Stdout))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, path string, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func createBoard(ctx context.Context, s persistence.Store) (persistence.BoardID, error) {
	b := persistence.Board{
		ID: persistence.BoardID(uuid.Must(uuid.NewV7())), Epoch: persistence.Epoch(uuid.New()),
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	return b.ID, s.CreateBoard(ctx, b)
}

// add appends n frames to the board; inside runs in the transaction.
func add(ctx context.Context, s persistence.Store, board persistence.BoardID, n int, inside func()) (head persistence.Seq, err error) {
	err = s.Append(ctx, []persistence.Claim{{Board: board, Applied: 1 << 40}}, func(l []persistence.Locked) ([]persistence.Extension, error) {
		if inside != nil {
			inside()
		}
		head = l[0].Head
		var recs []persistence.Record
		for range n {
			head++
			recs = append(recs, persistence.Record{
				Seq: head, ID: persistence.FrameID(uuid.New()), Time: time.Now(), Body: make([]byte, 200),
			})
		}
		return []persistence.Extension{{Board: board, Records: recs}}, nil
	})
	return head, err
}

func head(t *testing.T, s persistence.Store, board persistence.BoardID) persistence.Seq {
	t.Helper()
	boards, err := s.Boards(t.Context(), board)
	if err != nil || len(boards) != 1 {
		t.Fatal(boards, err)
	}
	return boards[0].Head
}

func setup(t *testing.T, cfg sqlite.Config) (s *sqlite.Store, path string, board persistence.BoardID) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "boards.db")
	s = open(t, path, cfg)
	board, err := createBoard(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return s, path, board
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*persistence.UnavailableError](err); !ok {
		t.Fatalf("error is %T (%v), want *UnavailableError", err, err)
	}
}

func TestDurable(t *testing.T) {
	t.Parallel()
	s, _, _ := setup(t, sqlite.Config{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		if got, err := s.WriterString(t.Context(), "PRAGMA "+pragma); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
		}
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", ":memory:"} {
		if _, err := sqlite.Open(t.Context(), path, sqlite.Config{}); err == nil {
			t.Errorf("%q was opened, and is not durable", path)
		}
	}
	_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "no", "such", "directory.db"), sqlite.Config{})
	wantUnavailable(t, err)

	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path, sqlite.Config{})
	var unavailable *persistence.UnavailableError
	if err == nil || errors.As(err, &unavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v, want a permanent one that names the file", err)
	}
}

func TestPathOfAnyCharacters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a b?c=d&e#f%20g;h'i\"é.db")
	s := open(t, path, sqlite.Config{})
	if _, err := createBoard(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filepath.Base(path)) {
			t.Errorf("made %q", e.Name())
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, _, b := setup(t, sqlite.Config{})
	if err := s.WithWriter("PRAGMA max_page_count = 20"); err != nil { // of this connection
		t.Fatal(err)
	}
	_, err := add(t.Context(), s, b, 1000, nil)
	wantUnavailable(t, err)
	if got := head(t, s, b); got != 0 {
		t.Errorf("head is %d after a failed transaction", got)
	}
	if _, err := add(t.Context(), s, b, 1000, nil); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if got := head(t, s, b); got != 1000 {
		t.Errorf("head is %d, want 1000", got)
	}
}

// TestLostTransaction: whatever state the connection is left in, the next call finds one that works.
func TestLostTransaction(t *testing.T) {
	t.Parallel()
	s, _, b := setup(t, sqlite.Config{BusyTimeout: 100 * time.Millisecond})
	if err := s.WithWriter("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := add(t.Context(), s, b, 1, nil); err == nil {
		t.Fatal("appended in somebody else's transaction")
	}
	if _, err := add(t.Context(), s, b, 1, nil); err != nil {
		t.Fatal(err)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	s, path, b := setup(t, sqlite.Config{})
	impatient := open(t, path, sqlite.Config{BusyTimeout: 20 * time.Millisecond})
	_, err := add(t.Context(), s, b, 1, func() {
		for range 3 {
			_, err := add(t.Context(), impatient, b, 1, nil)
			if _, ok := errors.AsType[*persistence.ContendedError](err); !ok {
				t.Errorf("error is %T (%v), want *ContendedError", err, err)
			}
			err = impatient.Ping(t.Context())
			wantUnavailable(t, err)
		}
		if got := head(t, impatient, b); got != 0 { // reads go on
			t.Errorf("head is %d", got)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := add(t.Context(), impatient, b, 1, nil); err != nil || got != 2 {
		t.Fatal(got, err)
	}
}

func TestOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := createBoard(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	boards, err := open(t, path, sqlite.Config{}).ListBoards(t.Context(), persistence.BoardID{}, 100)
	if err != nil || len(boards) != 8 {
		t.Errorf("%d boards (%v), want 8", len(boards), err)
	}
}

// TestTwoProcesses has another process append to the same file, and kills it. What it was told is committed is there,
// and this process did not stop for it.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	s, path, ours := setup(t, sqlite.Config{})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := persistence.Seq(0)
	var board persistence.BoardID
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var id string
		if _, err := fmt.Sscan(lines.Text(), &id, &acked); err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		if board, err = persistence.ParseBoardID(id); err != nil {
			t.Fatal(err)
		}
		if _, err := add(t.Context(), s, ours, 1, nil); err != nil {
			t.Fatal(err)
		}
		if acked > 300 {
			_ = cmd.Process.Kill()
			for lines.Scan() { // what it had said before
				_, _ = fmt.Sscan(lines.Text(), &id, &acked)
			}
			break
		}
	}
	_ = cmd.Wait()
	if acked == 0 {
		t.Fatal("the child did nothing")
	}
	if got := head(t, s, board); got < acked {
		t.Errorf("head is %d, and %d was acknowledged", got, acked)
	}
	for _, b := range []persistence.BoardID{board, ours} {
		recs, err := s.Read(t.Context(), persistence.ReadParams{Board: b, Limit: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range recs {
			if r.Seq != persistence.Seq(i+1) {
				t.Fatalf("frame %d of %s has seq %d", i+1, b, r.Seq)
			}
		}
		if got := head(t, s, b); int(got) != len(recs) {
			t.Errorf("head of %s is %d, and its log has %d frames", b, got, len(recs))
		}
	}
}

// child says of every commit that it was told of, until it is killed or fails.
func child(path string, out io.Writer) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Config{})
	if err != nil {
		return err
	}
	defer s.Close()
	board, err := createBoard(ctx, s)
	for err == nil {
		var head persistence.Seq
		if head, err = add(ctx, s, board, 3, nil); err == nil {
			_, err = fmt.Fprintln(out, board, uint64(head))
		}
	}
	return err
}

// TestKnownFrameIsAsDurableAsANewOne: a process that was killed between a write and its fsync has left a frame that the
// next one reads. Before that is told to be durable there is a commit, which writes to the log of the file.
func TestKnownFrameIsAsDurableAsANewOne(t *testing.T) {
	t.Parallel()
	s, path, board := setup(t, sqlite.Config{})
	id := persistence.FrameID(uuid.New())
	look := func() (known bool) {
		t.Helper()
		err := s.Append(t.Context(), []persistence.Claim{{Board: board, Applied: 1 << 40, IDs: []persistence.FrameID{id}}},
			func(l []persistence.Locked) ([]persistence.Extension, error) {
				_, known = l[0].Known[id]
				return nil, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		return known
	}
	wal := func() string {
		t.Helper()
		content, err := os.ReadFile(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	before := wal()
	if known := look(); known || wal() != before {
		t.Errorf("known: %t; something was written for nothing: %t", known, wal() != before)
	}
	err := s.Append(t.Context(), []persistence.Claim{{Board: board}}, func([]persistence.Locked) ([]persistence.Extension, error) {
		return []persistence.Extension{{Board: board, Records: []persistence.Record{{Seq: 1, ID: id, Time: time.Now()}}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before = wal()
	if known := look(); !known || wal() == before {
		t.Errorf("known: %t; something was written: %t", known, wal() != before)
	}
}

// TestLogIsCopiedBack writes a third more than the log may have before it begins anew.
func TestLogIsCopiedBack(t *testing.T) {
	t.Parallel()
	const limit, page = 16000, 4096 + 24 // with a page's header
	s, path, board := setup(t, sqlite.Config{})
	record := persistence.Record{Time: time.Now(), Body: make([]byte, 1<<20)}
	for range limit * page / len(record.Body) * 4 / 3 {
		record.Seq, record.ID = record.Seq+1, persistence.FrameID(uuid.New())
		ext := []persistence.Extension{{Board: board, Records: []persistence.Record{record}}}
		err := s.Append(t.Context(), []persistence.Claim{{Board: board, Applied: record.Seq - 1}},
			func([]persistence.Locked) ([]persistence.Extension, error) { return ext, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if size := info.Size(); size < limit*page || size > limit*page+2<<20 {
		t.Errorf("the log's file has %d bytes", size)
	}
}
