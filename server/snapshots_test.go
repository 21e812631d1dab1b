package server_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
	stored "github.com/collaboard-io/collaboard/server/snapshot" // a function of this package's tests has its name
)

// snapshotStore is a real store that tells what is stored of snapshots, and where logs were read.
type snapshotStore struct {
	persistence.Store

	put chan persistence.Seq // of each that was stored

	mu    sync.Mutex
	after map[persistence.Seq]bool // which log was read after
}

func newSnapshotStore(inner persistence.Store) *snapshotStore {
	return &snapshotStore{Store: inner, put: make(chan persistence.Seq, 1000), after: map[persistence.Seq]bool{}}
}

func (s *snapshotStore) PutSnapshot(ctx context.Context, snap persistence.Snapshot) error {
	err := s.Store.PutSnapshot(ctx, snap)
	if err == nil {
		select {
		case s.put <- snap.Seq:
		default: // nobody waits for it
		}
	}
	return err
}

func (s *snapshotStore) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	if !p.Backward {
		s.mu.Lock()
		s.after[p.After] = true
		s.mu.Unlock()
	}
	return s.Store.Read(ctx, p)
}

// waitForSnapshot waits until one at seq is stored.
func (s *snapshotStore) waitForSnapshot(t *testing.T, seq persistence.Seq) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case at := <-s.put:
			if at == seq {
				return
			}
		case <-deadline:
			t.Fatalf("no snapshot at %d", seq)
		}
	}
}

// TestRestartLoadsFromTheSnapshot restarts a server whose board has a snapshot, as it was stored or not: it is read only
// what follows it, or all, and the board is right in each case.
func TestRestartLoadsFromTheSnapshot(t *testing.T) {
	t.Parallel()
	const objects, more = 30, 3
	for name, test := range map[string]struct {
		harm string
		from persistence.Seq // after which the log is read
	}{
		"sound":             {"", objects - 1},
		"truncated":         {"UPDATE snapshots SET body = substr(body, 1, 100) WHERE board_id = $1", 0},
		"begins too late":   {"UPDATE snapshots SET body = substr(body, 2) WHERE board_id = $1", 0},
		"another epoch":     {"UPDATE snapshots SET epoch = board_id WHERE board_id = $1", 0},
		"ahead of the head": {"UPDATE snapshots SET seq = 1000 WHERE board_id = $1", 0},
		"another seq":       {"UPDATE snapshots SET seq = 7 WHERE board_id = $1", 0},
		"gone":              {"DELETE FROM snapshots WHERE board_id = $1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothDatabases(t, func(t *testing.T, open database, do tamper) {
				store := newSnapshotStore(open(t))
				before := serve(t, store, server.Config{Room: room.Config{
					SnapshotFrames: objects, SnapshotInterval: time.Hour, PollInterval: time.Millisecond,
				}})
				board := before.createBoard(t)
				c := before.connect(t)
				c.join(board, nil)
				for range objects {
					c.mustAck(create(board, newID()))
				}
				store.waitForSnapshot(t, objects)
				for range more {
					c.mustAck(create(board, newID()))
				}
				if err := before.stop(); err != nil {
					t.Fatal(err)
				}
				if test.harm != "" {
					do(t, board, test.harm)
				}

				store = newSnapshotStore(open(t))
				srv := serve(t, store, server.Config{})
				c = srv.connect(t)
				if seq := c.mustAck(create(board, newID())); seq != objects+more+1 {
					t.Errorf("acked at %d", seq)
				}
				store.mu.Lock()
				if !store.after[test.from] || store.after[0] != (test.from == 0) {
					t.Errorf("the log was read after %v, want %d", store.after, test.from)
				}
				store.mu.Unlock()
				if !bytes.Equal(replica(t, srv, board).Snapshot(), fold(srv.readLog(t, board)).Snapshot()) {
					t.Error("the server's state is not the fold of the log")
				}
			})
		})
	}
}

// TestSnapshotsBesideWriters has two servers store the boards' states all the time, and load from them, while many write
// to the same boards: it is as if there were none.
func TestSnapshotsBesideWriters(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const boards, workers, rounds = 3, 6, 40
		cfg := server.Config{Room: room.Config{
			IdleTimeout: 1, PollInterval: time.Millisecond, SnapshotFrames: 1, SnapshotIdleFrames: 1, SnapshotInterval: 1,
		}}
		stores := []*snapshotStore{newSnapshotStore(open(t)), newSnapshotStore(open(t))}
		servers := []*running{serve(t, stores[0], cfg), serve(t, stores[1], cfg)}
		ids := make([]string, boards)
		for i := range ids {
			ids[i] = servers[0].createBoard(t)
		}
		var writers sync.WaitGroup
		for i := range workers {
			c := servers[i%2].connect(t)
			writers.Go(func() {
				for range rounds {
					id, object := ids[rand.N(boards)], newID()
					c.mustAck(create(id, object))
					if rand.N(2) == 0 {
						c.mustAck(deleteOf(id, object))
					}
				}
			})
		}
		writers.Wait()
		for _, id := range ids {
			log := servers[0].readLog(t, id)
			wantGapless(t, log)
			want := fold(log).Snapshot()
			for _, srv := range servers {
				if !bytes.Equal(replica(t, srv, id).Snapshot(), want) {
					t.Error("the server's state is not the fold of the log")
				}
			}
			for upTo := persistence.Seq(len(log)); upTo > 0; {
				snap, err := stores[0].ReadSnapshot(t.Context(), mustBoardID(t, id), upTo)
				if err != nil {
					t.Fatal(err)
				}
				if snap == nil {
					break
				}
				loaded, _, err := stored.Decode(snap)
				if err != nil || !bytes.Equal(loaded.Snapshot(), fold(log[:snap.Seq]).Snapshot()) {
					t.Errorf("the snapshot at %d is not the fold of the log (%v)", snap.Seq, err)
				}
				upTo = snap.Seq - 1
			}
		}
		reads := 0
		for _, s := range stores {
			s.mu.Lock()
			for after := range s.after {
				if after > 0 {
					reads++
				}
			}
			s.mu.Unlock()
		}
		if reads < boards {
			t.Errorf("%d places where logs were read: the snapshots were hardly used", reads)
		}
	})
}
