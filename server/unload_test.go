package server_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestUnloadingLosesNothing forgets every room the moment that nobody uses it, while writers who are no members write,
// members come, write and go, others look, and followers come back again and again with their positions.
func TestUnloadingLosesNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const boards, workers, rounds = 8, 6, 30
		store := newFaultyStore(open(t))
		var loads atomic.Int32
		store.watchReads(func(p persistence.ReadParams) {
			if p.After == 0 && !p.Backward {
				loads.Add(1)
			}
		})
		srv := serve(t, store, server.Config{Room: room.Config{IdleTimeout: 1, PollInterval: time.Millisecond}})
		ids := make([]string, boards)
		epochs := map[string]string{}
		for i := range ids {
			ids[i] = srv.createBoard(t)
			b, err := srv.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: ids[i]})
			if err != nil {
				t.Fatal(err)
			}
			epochs[ids[i]] = b.GetEpoch()
		}

		var mu sync.Mutex
		acked := map[string]map[uint64]string{} // by board: which frame is at which seq
		for _, id := range ids {
			acked[id] = map[uint64]string{}
		}
		write := func(c *client, id string) {
			frame := create(id, newID())
			seq := c.mustAck(frame)
			mu.Lock()
			defer mu.Unlock()
			if other := acked[id][seq]; other != "" {
				t.Errorf("seq %d was acked for %s and for %s", seq, other, frame.GetId())
			}
			acked[id][seq] = frame.GetId()
		}

		done := make(chan struct{})
		var followers, writers sync.WaitGroup
		followed := map[string]*client{}
		for i, id := range ids {
			f := srv.connect(t)
			if followed[id] = f; i%4 != 0 {
				continue // a board that is followed is hardly ever idle
			}
			followers.Go(func() {
				for ended := false; !ended; {
					select {
					case <-done:
						ended = true
					default:
					}
					f.join(id, &collaboardv1.Position{Epoch: epochs[id], Seq: uint64(len(f.heardOf(id)))})
					f.ask(partFrame(id))
				}
			})
		}
		for range workers {
			c := srv.connect(t)
			writers.Go(func() {
				for range rounds {
					id := ids[rand.N(boards)]
					switch rand.N(3) {
					case 0:
						write(c, id)
					case 1:
						c.join(id, nil)
						write(c, id)
						c.ask(partFrame(id))
					default:
						look := joinFrame(id)
						look.GetBoardJoin().SnapshotOnly = true
						if joined := c.ask(look).GetBoardJoined(); joined == nil {
							t.Error("a look was refused")
						}
						write(c, id)
					}
				}
			})
		}
		writers.Wait()
		close(done)
		followers.Wait()

		for _, id := range ids {
			log := srv.readLog(t, id)
			wantGapless(t, log)
			for _, f := range log {
				if acked[id][f.GetSeq()] != f.GetId() {
					t.Errorf("seq %d is frame %s, acked was %q", f.GetSeq(), f.GetId(), acked[id][f.GetSeq()])
				}
			}
			if len(log) != len(acked[id]) {
				t.Errorf("%d frames in the log, %d were acked", len(log), len(acked[id]))
			}
			f := followed[id]
			f.join(id, &collaboardv1.Position{Epoch: epochs[id], Seq: uint64(len(f.heardOf(id)))})
			sameFrames(t, f.heard(id, len(log)), log)
			if !bytes.Equal(replica(t, srv, id).Snapshot(), fold(log).Snapshot()) {
				t.Error("the server's state is not the fold of the log")
			}
		}
		t.Logf("%d loads of %d boards", loads.Load(), boards)
		if loads.Load() < 3*boards {
			t.Errorf("%d loads: the rooms were hardly unloaded", loads.Load())
		}
	})
}

// replica is the board as the server has it.
func replica(t *testing.T, srv *running, id string) *board.Board {
	t.Helper()
	c := srv.connect(t)
	look := joinFrame(id)
	look.GetBoardJoin().SnapshotOnly = true
	c.ask(look)
	state := board.New()
	for _, f := range c.received() {
		if chunk := f.GetBoardSnapshot(); chunk != nil {
			state.Load(chunk)
		}
	}
	return state
}

// fold is the board that a log makes.
func fold(log []*collaboardv1.Frame) *board.Board {
	state := board.New()
	for _, f := range log {
		state.Apply(f)
	}
	return state
}
