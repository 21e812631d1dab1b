package room_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestStoredLogThatIsAnotherClosesTheRoom brings a room up to date with a log that is not its own.
func TestStoredLogThatIsAnotherClosesTheRoom(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string]func(*persistence.Board){
		"epoch": func(b *persistence.Board) { b.Epoch = persistence.Epoch(uuid.New()) },
		"head":  func(b *persistence.Board) { b.Head-- },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, room.Config{})
			r := w.acquire(w.hub)
			m, _ := w.join(r, nil)
			w.write(r, 1)
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			wakes := m.wakes
			w.store.alter = alter
			if err := r.Refresh(t.Context()); !errors.Is(err, persistence.ErrStaleLog) {
				t.Fatalf("refresh: %v", err)
			}
			if _, err := m.Next(t.Context()); !errors.Is(err, room.ErrInvalid) || m.wakes == wakes {
				t.Errorf("the member got %v after %d wakes", err, m.wakes-wakes)
			}
			if _, _, err := r.Join(room.Joining{}); !errors.Is(err, room.ErrInvalid) {
				t.Errorf("join: %v", err)
			}
			if _, err := r.Look(); !errors.Is(err, room.ErrInvalid) {
				t.Errorf("look: %v", err)
			}
			r.Deleted() // the first cause stays
			if _, err := m.Next(t.Context()); !errors.Is(err, room.ErrInvalid) {
				t.Errorf("after a second cause: %v", err)
			}
			if w.hub.Find(w.id) != nil {
				t.Error("the hub still has the room")
			}
			w.store.alter = nil
			if again := w.acquire(w.hub); again == r || again.Position().Seq != 1 {
				t.Errorf("the next room is at %v", again.Position())
			} else if r.Deleted(); w.hub.Find(w.id) != again {
				t.Error("the end of the old room took the new one with it")
			}
		})
	}
}

// TestRoomThatCannotFollowItsLogIsClosed has frames come from another server that do not follow, in every way. The room
// would otherwise show for ever what it had, and refuse every join.
func TestRoomThatCannotFollowItsLogIsClosed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*watchedStore){
		"a hole":       func(s *watchedStore) { s.Store = gappy{s.Store} },
		"an early end": func(s *watchedStore) { s.alter = func(b *persistence.Board) { b.Head++ } },
		"trimmed":      func(s *watchedStore) { s.Store = trimmed{s.Store} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, room.Config{})
			r := w.acquire(w.hub)
			m, _ := w.join(r, nil)
			elsewhere := w.acquire(w.newHub(room.Config{}))
			w.write(elsewhere, 1)
			w.write(elsewhere, 1)
			spoil(w.store)
			if err := r.Refresh(t.Context()); !errors.Is(err, persistence.ErrStaleLog) {
				t.Errorf("refresh: %v", err)
			}
			if _, err := m.Next(t.Context()); !errors.Is(err, room.ErrInvalid) || m.wakes == 0 {
				t.Errorf("the member got %v after %d wakes", err, m.wakes)
			}
			_, err := w.hub.Acquire(t.Context(), w.id)
			if _, ok := errors.AsType[*room.LoadError](err); !ok {
				t.Errorf("the next who asks: %v", err)
			}
		})
	}
}

// trimmed is a store whose logs begin after frame 99.
type trimmed struct{ persistence.Store }

func (trimmed) Read(_ context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	return nil, &persistence.TrimmedError{Board: p.Board, First: 100}
}

// pass moves the false clock of a synctest bubble, and lets everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble
	synctest.Wait()
}

// run runs the hub until it is stopped, or the test ends. It is for synctest bubbles.
func (w *world) run(h *room.Hub) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func TestHubForgetsARoomThatNobodyUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, room.Config{IdleTimeout: time.Minute})
		w.run(w.hub)
		r := w.acquire(w.hub)
		pass(time.Hour)
		if w.hub.Find(w.id) != r {
			t.Fatal("a room in use was forgotten")
		}
		r.Release()
		pass(59 * time.Second)
		if w.hub.Find(w.id) != r {
			t.Fatal("a room was forgotten before its time")
		}
		w.acquire(w.hub).Release() // it is idle from now on
		pass(59 * time.Second)
		if w.hub.Find(w.id) != r {
			t.Fatal("a room was forgotten before its time, used twice")
		}
		pass(2 * time.Second)
		if w.hub.Find(w.id) != nil {
			t.Fatal("a room that nobody uses was not forgotten")
		}
	})
}

// TestAcquireThatFailsHoldsNothing fails to load a board, and gives up waiting for one that loads.
func TestAcquireThatFailsHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, room.Config{})
		w.run(w.hub)
		unknown := persistence.BoardID(uuid.New())
		_, err := w.hub.Acquire(t.Context(), unknown)
		if _, ok := errors.AsType[*persistence.BoardNotFoundError](err); !ok || w.hub.Find(unknown) != nil {
			t.Fatalf("unknown board: %v", err)
		}
		if err := w.store.CreateBoard(t.Context(), persistence.Board{ID: unknown, Epoch: w.epoch, Name: "b", First: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.hub.Acquire(t.Context(), unknown); err != nil {
			t.Fatalf("once it is there: %v", err)
		}

		hold := make(chan struct{})
		w.store.alter = func(*persistence.Board) { <-hold }
		loaded := make(chan *room.Room)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { loaded <- w.acquire(w.hub) }()
		synctest.Wait()
		waited := make(chan error)
		go func() {
			_, err := w.hub.Acquire(ctx, w.id)
			waited <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waited; !errors.Is(err, context.Canceled) {
			t.Fatalf("who gave up got %v", err)
		}
		close(hold)
		(<-loaded).Release()
		pass(2 * time.Minute)
		if w.hub.Find(w.id) != nil {
			t.Fatal("who gave up still holds the room")
		}
	})
}

// TestLoadOutlivesWhoAskedForIt cancels who began a load, before the log is read: others may wait for it.
func TestLoadOutlivesWhoAskedForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	w.write(w.acquire(w.newHub(room.Config{})), 1)
	ctx, cancel := context.WithCancel(t.Context())
	w.store.alter = func(*persistence.Board) { cancel() }
	if _, err := w.hub.Acquire(ctx, w.id); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if r := w.hub.Find(w.id); r == nil || r.Position().Seq != 1 {
		t.Fatal("the load ended with its first caller")
	}
}

// TestPollFollowsOtherServers has frames, a new name and the deletion come from elsewhere, to a room with a member and
// to one without.
func TestPollFollowsOtherServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, room.Config{PollInterval: time.Second})
		w.run(w.hub)
		r := w.acquire(w.hub)
		elsewhere := w.acquire(w.newHub(room.Config{}))
		w.write(elsewhere, 1)
		pass(2 * time.Second)
		if got := r.Position().Seq; got != 0 {
			t.Fatalf("a room without members followed to %d", got)
		}
		m, _ := w.join(r, nil)
		pass(2 * time.Second)
		wantChunks(t, m.catchUp(), []persistence.Seq{1})
		name := "renamed"
		if _, err := w.store.ChangeBoard(t.Context(), w.id, persistence.BoardChange{Name: &name}, time.Unix(2, 0).UTC()); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		if heard := m.heard(); len(heard) != 1 || heard[0].GetBoardChanged().GetBoard().GetName() != "renamed" {
			t.Fatalf("heard %v", heard)
		}
		pass(3 * time.Second)
		if heard := m.heard(); len(heard) != 0 {
			t.Fatalf("heard again: %v", heard)
		}
		if err := w.store.DeleteBoard(t.Context(), w.id, time.Unix(3, 0).UTC()); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if _, err := m.Next(t.Context()); !errors.Is(err, room.ErrDeleted) {
			t.Fatalf("deleted elsewhere: %v", err)
		}
	})
}

func TestRefreshFindsThatTheBoardIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	if err := w.store.DeleteBoard(t.Context(), w.id, time.Unix(2, 0).UTC()); err != nil {
		t.Fatal(err)
	}
	err := r.Refresh(t.Context())
	if _, ok := errors.AsType[*persistence.BoardNotFoundError](err); !ok {
		t.Errorf("refresh: %v", err)
	}
	if _, err := m.Next(t.Context()); !errors.Is(err, room.ErrDeleted) {
		t.Errorf("the member got %v", err)
	}
}

// TestPollTroubleOfOneBoardIsItsOwn polls two boards, of which one has another epoch now.
func TestPollTroubleOfOneBoardIsItsOwn(t *testing.T) {
	t.Parallel()
	for round := range 2 { // the trouble comes first in one of them, in the store's order
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, room.Config{PollInterval: time.Second})
			w.run(w.hub)
			sound := w.id
			troubled := persistence.BoardID(uuid.New())
			copy(troubled[:1], []byte{byte(255 * round)})
			if err := w.store.CreateBoard(t.Context(), persistence.Board{ID: troubled, Epoch: w.epoch, Name: "b", First: 1}); err != nil {
				t.Fatal(err)
			}
			for _, id := range []persistence.BoardID{troubled, sound} {
				w.id = id
				w.join(w.acquire(w.hub), nil)
			}
			elsewhere := w.acquire(w.newHub(room.Config{}))
			w.write(elsewhere, 1)
			w.store.mu.Lock()
			w.store.alter = func(b *persistence.Board) {
				if b.ID == troubled {
					b.Epoch = persistence.Epoch(uuid.New())
				}
			}
			w.store.mu.Unlock()
			pass(1500 * time.Millisecond)
			if got := w.hub.Find(sound).Position().Seq; got != 1 || w.hub.Find(troubled) != nil {
				t.Fatalf("the sound board is at %d, the other %v", got, w.hub.Find(troubled))
			}
		})
	}
}

func TestStateAtFoldsUpToASeq(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	for range 3 {
		w.write(r, 1)
	}
	for at := range persistence.Seq(4) {
		state, epoch, err := w.hub.StateAt(t.Context(), w.id, at)
		if err != nil || state.Seq() != uint64(at) || epoch != w.epoch {
			t.Errorf("at %d: seq %d, epoch %v, %v", at, state.Seq(), epoch, err)
		}
	}
	if state, epoch, err := w.hub.StateAtHead(t.Context(), w.id); err != nil || state.Seq() != 3 || epoch != w.epoch {
		t.Errorf("at the head: seq %d, epoch %v, %v", state.Seq(), epoch, err)
	}
	_, _, err := w.hub.StateAt(t.Context(), w.id, 4)
	if ahead, ok := errors.AsType[*room.AheadError](err); !ok || ahead.Head != 3 {
		t.Errorf("ahead: %v", err)
	}
	w.store.alter = func(b *persistence.Board) { b.Head++ }
	if _, _, err := w.hub.StateAt(t.Context(), w.id, 4); err == nil {
		t.Error("a log that ends before its head was folded")
	}
}

func TestHealthIsToldToMembersAndToLaterJoiners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, joined := w.join(r, nil)
	if !joined.Writable {
		t.Error("not writable at first")
	}
	for _, healthy := range []bool{false, true} {
		w.hub.SetHealthy(!healthy) // only the newest is heard
		w.hub.SetHealthy(healthy)
		if heard := m.heard(); len(heard) != 1 || heard[0].GetBoardStatus().GetWritable() != healthy {
			t.Errorf("healthy %v: heard %v", healthy, heard)
		}
		late, joined := w.join(r, nil)
		late.Leave()
		if look, err := r.Look(); err != nil || joined.Writable != healthy || look.Writable != healthy {
			t.Errorf("healthy %v: join %v, look %v", healthy, joined.Writable, look.Writable)
		}
		m.heard()
	}
}
