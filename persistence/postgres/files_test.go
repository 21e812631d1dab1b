package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

func put(ctx context.Context, s persistence.Store, board persistence.BoardID, content string) (persistence.File, error) {
	return s.PutFile(ctx, persistence.PutFileParams{
		Board: board, Content: []byte(content), CreatedAt: time.Now(), Limit: persistence.FileLimit{Files: 100, Bytes: 1 << 20},
	})
}

// holdFiles locks the totals of a board's files until release is called.
func holdFiles(t *testing.T, url string, board persistence.BoardID) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`BEGIN`, `SELECT 1 FROM file_totals WHERE board_id = '` + board.String() + `' FOR UPDATE`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.Background()) })
	t.Cleanup(release)
	return release
}

// TestFilesAndFramesDoNotWaitForEachOther: a board takes files while its head is locked, and frames while somebody stores a
// file.
func TestFilesAndFramesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, impatient := setup(t, url, postgres.Config{}), setup(t, url, postgres.Config{LockTimeout: 50 * time.Millisecond})
	b := createBoard(t, s)
	err := add(t.Context(), s, func() {
		if _, err := put(t.Context(), impatient, b, "one"); err != nil {
			t.Error(err)
		}
	}, b)
	if err != nil {
		t.Fatal(err)
	}
	holdFiles(t, url, b)
	_, err = put(t.Context(), impatient, b, "two")
	wantContended(t, err)
	if err := add(t.Context(), impatient, nil, b); err != nil {
		t.Error(err)
	}
}

// TestSnapshotsAndFramesDoNotWaitForEachOther: a board takes a snapshot while its head is locked.
func TestSnapshotsAndFramesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, impatient := setup(t, url, postgres.Config{}), setup(t, url, postgres.Config{LockTimeout: 50 * time.Millisecond})
	b := createBoard(t, s)
	if err := add(t.Context(), s, nil, b); err != nil {
		t.Fatal(err)
	}
	boards, err := s.Boards(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	err = add(t.Context(), s, func() {
		err := impatient.PutSnapshot(t.Context(), persistence.Snapshot{
			Board: b, Position: persistence.Position{Epoch: boards[0].Epoch, Seq: 1}, CreatedAt: time.Now(), Body: []byte("x"),
		})
		if err != nil {
			t.Error(err)
		}
	}, b)
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesLeaveConnections: files that wait for others of their board leave connections for who reads and who writes.
func TestFilesLeaveConnections(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := setup(t, url, postgres.Config{MaxConns: 4, LockTimeout: patience, StatementTimeout: patience})
	b := createBoard(t, s)
	if _, err := put(t.Context(), s, b, "first"); err != nil {
		t.Fatal(err)
	}
	release := holdFiles(t, url, b)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if _, err := put(context.Background(), s, b, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, url, `SELECT EXISTS (SELECT 1 `+others+`wait_event_type = 'Lock')`)
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	for range 3 {
		if err := add(ctx, s, nil, b); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Boards(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	release()
	wg.Wait()
}

// TestKnownFileIsAsDurableAsANewOne: see TestKnownFrameIsAsDurableAsANewOne.
func TestKnownFileIsAsDurableAsANewOne(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t, nil)
	url := cluster.URL("postgres")
	s := setup(t, url, postgres.Config{})
	b := createBoard(t, s)
	standby := func(name string) {
		t.Helper()
		pgtest.Exec(t, url, `ALTER SYSTEM SET synchronous_standby_names = '`+name+`'`)
		pgtest.Exec(t, url, `SELECT pg_reload_conf()`)
	}
	attempt := func(content string) (persistence.File, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return put(ctx, s, b, content)
	}
	standby("nobody")
	// The server takes a moment to learn that there should be a standby, and to give up a wait. One attempt after it has
	// failed, the file is visible.
	var content string
	var file persistence.File
	for i := 0; file.Size == 0; i++ {
		next := fmt.Sprint(i)
		if _, err := attempt(next); err == nil {
			continue
		}
		p := persistence.PutFileParams{Content: []byte(content)}
		if file, _, _ = s.ReadFile(t.Context(), persistence.ReadFileParams{Board: b, File: p.File().ID, Limit: 1}); file.Size == 0 {
			content = next
		}
	}
	_, err := attempt(content)
	wantUnavailable(t, err)
	standby("")
	again, err := attempt(content)
	for errors.As(err, new(*persistence.UnavailableError)) && t.Context().Err() == nil {
		again, err = attempt(content)
	}
	if again != file || err != nil {
		t.Errorf("again it is %v (%v), want %v", again, err, file)
	}
}
