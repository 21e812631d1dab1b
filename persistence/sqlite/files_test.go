package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

func put(ctx context.Context, s persistence.Store, board persistence.BoardID, content string) error {
	_, err := s.PutFile(ctx, persistence.PutFileParams{
		Board: board, Content: []byte(content), CreatedAt: time.Now(), Limit: persistence.FileLimit{Files: 100, Bytes: 1 << 20},
	})
	return err
}

// snapshotOf is one at the first seq.
func snapshotOf(board persistence.BoardID, epoch persistence.Epoch) persistence.Snapshot {
	return persistence.Snapshot{
		Board: board, Position: persistence.Position{Epoch: epoch, Seq: 1}, CreatedAt: time.Now(), Body: make([]byte, 1000),
	}
}

// TestKnownFileIsAsDurableAsANewOne: see TestKnownFrameIsAsDurableAsANewOne.
func TestKnownFileIsAsDurableAsANewOne(t *testing.T) {
	t.Parallel()
	s, path, board := setup(t, sqlite.Config{})
	var logs []string
	for range 3 {
		if err := put(t.Context(), s, board, "x"); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, string(log))
	}
	if logs[0] == logs[1] || logs[1] == logs[2] {
		t.Error("a file that was found was told to be durable without a commit")
	}
}

// TestFramesWaitForOneFileAtMost: whoever commits frames comes after the file, or the snapshot, that waits already, and
// before the others.
func TestFramesWaitForOneFileAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, board := setup(t, sqlite.Config{})
		var stored, before atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		run := func(fn func() error) {
			wg.Go(func() {
				if err := fn(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // it holds the writer, or waits
		}
		appendOne := func(inside func()) func() error {
			return func() error {
				_, err := add(context.Background(), s, board, 1, inside)
				return err
			}
		}
		boards, err := s.Boards(t.Context(), board)
		if err != nil {
			t.Fatal(err)
		}
		epoch := boards[0].Epoch
		run(appendOne(func() {}))
		run(appendOne(func() { <-release }))
		for i := range 6 {
			run(func() error {
				defer stored.Add(1)
				if i%2 == 0 {
					return s.PutSnapshot(context.Background(), snapshotOf(board, epoch))
				}
				return put(context.Background(), s, board, fmt.Sprint(i))
			})
		}
		run(appendOne(func() { before.Store(stored.Load()) }))
		close(release)
		wg.Wait()
		if n := before.Load(); n > 1 || stored.Load() != 6 {
			t.Errorf("%d files of %d came before the frame", n, stored.Load())
		}
	})
}
