package room_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// retaining looks every minute for what is no longer to be kept.
func retaining(keep room.Retention) room.Config {
	return room.Config{PollInterval: time.Minute, RetainInterval: time.Minute, Retain: keep}
}

func (w *world) board() persistence.Board {
	w.t.Helper()
	boards, err := w.store.Store.Boards(context.Background(), w.id)
	if err != nil || len(boards) != 1 {
		w.t.Fatalf("%d boards (%v)", len(boards), err)
	}
	return boards[0]
}

// wantFirst checks where the log begins, and that nothing lies before it, but the ids of all that did.
func (w *world) wantFirst(want persistence.Seq) {
	w.t.Helper()
	if first := w.board().First; first != want {
		w.t.Fatalf("the log begins at seq %d, want %d", first, want)
	}
	if n, err := w.store.RemoveTrimmed(context.Background(), w.id, 1); err != nil || n != 0 {
		w.t.Errorf("a frame before seq %d was still there (%v)", want, err)
	}
}

// wantState loads the board in another hub, and compares.
func (w *world) wantState(want []byte) {
	w.t.Helper()
	look, err := w.acquire(w.newHub(room.Config{})).Look()
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Equal(look.Snapshot.Snapshot(), want) {
		w.t.Error("the state is another")
	}
}

func (w *world) retainLog(value string) {
	w.t.Helper()
	if _, err := w.store.ChangeBoard(context.Background(), w.id, persistence.BoardChange{RetainLog: &value}, time.Unix(2, 0)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) another() {
	w.t.Helper()
	w.id = persistence.BoardID(uuid.New())
	err := w.store.CreateBoard(context.Background(), persistence.Board{ID: w.id, Epoch: w.epoch, Name: "b", First: 1})
	if err != nil {
		w.t.Fatal(err)
	}
}

// beginLog trims the board's log by hand.
func (w *world) beginLog(first persistence.Seq) {
	w.t.Helper()
	w.trim(first)()
}

// trim returns what does that later.
func (w *world) trim(first persistence.Seq) func() {
	w.t.Helper()
	s, err := snapshot.Encode(w.fold(first), snapshot.Origin{Board: w.id, Epoch: w.epoch, Frame: w.frameAt(first)}, time.Unix(1, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := w.store.BeginLog(context.Background(), s); err != nil {
			w.t.Error(err)
		}
	})
}

func TestParseRetention(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]room.Retention{
		"forever": {}, "1": {Frames: 1}, "100000": {Frames: 100000}, "30d": {Age: 30 * 24 * time.Hour}, "12h": {Age: 12 * time.Hour},
		"1000000h": {Age: 1_000_000 * time.Hour},
	} {
		if got, err := room.ParseRetention(text); err != nil || got != want {
			t.Errorf("%s is %+v (%v)", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "0d", "1w", "d", "1.5h", "30 d", "ever", "1000001h", "99999999999999999999", "9223372036854775808", "1dh"} {
		if got, err := room.ParseRetention(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// TestLogsAreTrimmedByFrames has a board that is in use and one that is not: an eighth more than wanted stays, and with one
// more the log is cut to what is wanted.
func TestLogsAreTrimmedByFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, retaining(room.Retention{Frames: 16}))
		used := w.id
		rooms := map[persistence.BoardID]*room.Room{used: w.acquire(w.hub)}
		w.another()
		unused := w.id
		rooms[unused] = w.acquire(w.newHub(room.Config{}))
		m, _ := w.join(rooms[used], nil)
		w.run(w.hub)
		states := map[persistence.BoardID][]byte{}
		draw := func(n int) {
			for w.id = range rooms {
				w.draw(rooms[w.id], n)
				look, _ := rooms[w.id].Look()
				states[w.id] = look.Snapshot.Snapshot()
			}
		}
		want := func(first persistence.Seq) {
			t.Helper()
			for w.id = range rooms {
				w.wantFirst(first)
				w.wantState(states[w.id])
			}
		}
		draw(18)
		pass(3 * time.Minute)
		want(1)
		draw(1)
		pass(3 * time.Minute)
		want(4)
		draw(2)
		pass(3 * time.Minute)
		want(4)
		draw(600) // removed in steps
		pass(3 * time.Minute)
		want(606)

		// Whoever comes from before has a snapshot; from there on the log goes on.
		w.id = used
		for seq, reason := range map[persistence.Seq]bool{604: true, 605: false} {
			_, joined := w.join(rooms[used], &persistence.Position{Epoch: w.epoch, Seq: seq})
			if trimmed := joined.Reason != 0; trimmed != reason {
				t.Errorf("resumed after %d: %+v", seq, joined)
			}
		}
		m.catchUp()
		w.draw(rooms[used], 1)
		if seqs := m.catchUp(); len(seqs) != 1 {
			t.Errorf("the member has %v", seqs)
		}
		if _, _, err := w.hub.StateAtHead(t.Context(), w.id); err != nil {
			t.Errorf("the state at the head: %v", err)
		}
		for at, want := range map[persistence.Seq]bool{605: false, 606: true, 0: false} {
			_, _, err := w.hub.StateAt(t.Context(), w.id, at)
			trimmed, ok := errors.AsType[*persistence.TrimmedError](err)
			if (err == nil) != want || !want && (!ok || trimmed.First != 606) {
				t.Errorf("the state at %d: %v", at, err)
			}
		}
		if messages := w.log.take(); len(messages) > 0 {
			t.Errorf("warnings: %q", messages)
		}
	})
}

// TestLogsAreTrimmedByAge writes a frame an hour.
func TestLogsAreTrimmedByAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, retaining(room.Retention{Age: 16 * time.Hour}))
		r := w.acquire(w.hub)
		w.run(w.hub)
		begin := time.Now()
		for n := range 50 {
			w.at = time.Now().UTC()
			w.draw(r, 1)
			pass(time.Hour)
			oldest := w.board().First // was written so many hours after begin
			age := time.Since(begin.Add(time.Duration(oldest-1) * time.Hour))
			if age > 18*time.Hour+2*time.Minute || n > 30 && age < 15*time.Hour {
				t.Fatalf("after %d hours the oldest frame is %v old", n+1, age)
			}
		}
		look, _ := r.Look()
		pass(24 * time.Hour) // all are too old: the newest stays
		w.wantFirst(50)
		w.wantState(look.Snapshot.Snapshot())
	})
}

// TestBoardsSayWhatTheyKeep: a board's own word counts before the server's.
func TestBoardsSayWhatTheyKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, retaining(room.Retention{Frames: 8}))
		writer := w.newHub(room.Config{})
		boards := map[persistence.BoardID]persistence.Seq{}
		for value, first := range map[string]persistence.Seq{"": 23, "forever": 1, "1": 30, "20": 11, "1000": 1, "what": 1} {
			w.another()
			w.draw(w.acquire(writer), 30)
			w.retainLog(value)
			boards[w.id] = first
		}
		w.run(w.hub)
		pass(2 * time.Minute)
		for id, first := range boards {
			w.id = id
			w.wantFirst(first)
		}
		if messages := w.log.take(); len(messages) == 0 {
			t.Error("nobody is told of a word that makes no sense")
		}
	})
}

// TestServersTrimAtOnce: what one has done the others find done.
func TestServersTrimAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	w.draw(r, 300)
	look, _ := r.Look()
	ctx, cancel := context.WithCancel(t.Context())
	var hubs sync.WaitGroup
	for range 3 {
		cfg := retaining(room.Retention{Frames: 5})
		cfg.RetainInterval = time.Millisecond
		h := w.newHub(cfg)
		hubs.Go(func() { _ = h.Run(ctx) })
	}
	for w.board().First != 296 {
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	cancel()
	hubs.Wait()
	for n := 1; n > 0; {
		n, _ = w.store.RemoveTrimmed(t.Context(), w.id, 100)
	}
	w.wantFirst(296)
	w.wantState(look.Snapshot.Snapshot())
}

// TestATrimmedLogIsNeverAnEmptyBoard: with its base damaged, and no snapshot, the board cannot be loaded. A base belongs to
// the log in whatever epoch.
func TestATrimmedLogIsNeverAnEmptyBoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, retaining(room.Retention{Frames: 5}))
		r := w.acquire(w.hub)
		w.draw(r, 30)
		look, _ := r.Look()
		w.run(w.hub)
		pass(2 * time.Minute)
		w.wantFirst(26)
		for name, spoil := range map[string]func(s *persistence.Snapshot){
			"flipped bit": func(s *persistence.Snapshot) { s.Body[len(s.Body)-5] ^= 16 },
			"of another":  func(s *persistence.Snapshot) { s.Board = persistence.BoardID(uuid.New()) },
			"too large":   func(s *persistence.Snapshot) { s.Body = nil },
			"not a base":  func(s *persistence.Snapshot) { s.Base, s.Epoch = false, persistence.Epoch{} },
		} {
			w.store.set(func() {
				w.store.alterSnapshot = func(s *persistence.Snapshot) error { spoil(s); return nil }
			})
			_, err := w.newHub(room.Config{}).Acquire(t.Context(), w.id)
			if _, ok := errors.AsType[*room.LoadError](err); !ok {
				t.Errorf("%s: %v", name, err)
			}
			if _, _, err := w.newHub(room.Config{}).StateAtHead(t.Context(), w.id); err == nil {
				t.Errorf("%s: there is a state", name)
			}
		}
		w.store.set(func() { w.store.alterSnapshot = nil })
		w.wantState(look.Snapshot.Snapshot())
		w.store.set(func() { w.store.alter = func(b *persistence.Board) { b.Epoch = persistence.Epoch(uuid.New()) } })
		w.wantState(look.Snapshot.Snapshot())
	})
}

// TestLogIsTrimmedUnderALoad: the load goes on with what it then finds.
func TestLogIsTrimmedUnderALoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, retaining(room.Retention{Frames: 5}))
		r := w.acquire(w.hub)
		w.draw(r, 30)
		look, _ := r.Look()
		w.run(w.hub)
		pass(2 * time.Minute)
		w.wantFirst(26)
		looked := false
		w.store.set(func() { // as it was before, and without the base that then came
			w.store.alter = func(b *persistence.Board) { b.First = 1 }
			w.store.alterSnapshot = func(s *persistence.Snapshot) error {
				if !looked {
					s.Body, looked = nil, true
				}
				return nil
			}
		})
		w.wantState(look.Snapshot.Snapshot())
	})
}

// TestNothingIsTrimmedInAnOutage: while durable frames are refused the store is left alone.
func TestNothingIsTrimmedInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, retaining(room.Retention{Frames: 5}))
		w.draw(w.acquire(w.hub), 30)
		w.hub.SetHealthy(false)
		w.run(w.hub)
		pass(time.Hour)
		w.wantFirst(1)
		w.hub.SetHealthy(true)
		pass(2 * time.Minute)
		w.wantFirst(26)
	})
}

// TestDeletedBoardsArePurged 30 days after they were deleted, and not before.
func TestDeletedBoardsArePurged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		w := newWorld(t, room.Config{PollInterval: time.Hour, RetainInterval: time.Hour, IdleTimeout: time.Minute})
		back := w.id
		w.draw(w.acquire(w.newHub(room.Config{})), 3)
		w.another()
		gone := w.id
		w.draw(w.acquire(w.newHub(room.Config{})), 600)
		for _, id := range []persistence.BoardID{back, gone} {
			if err := w.store.DeleteBoard(t.Context(), id, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		w.run(w.hub)
		pass(30*day - time.Minute)
		undelete := func(id persistence.BoardID) error {
			_, err := w.store.UndeleteBoard(t.Context(), id)
			return err
		}
		if err := undelete(back); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Hour)
		var notFound *persistence.BoardNotFoundError
		if err := undelete(gone); !errors.As(err, &notFound) {
			t.Errorf("the board is there after 30 days: %v", err)
		}
		if done, err := w.store.PurgeBoard(t.Context(), gone, time.Now(), 1); err != nil || !done {
			t.Errorf("something was left (%v)", err)
		}
		w.id = back
		w.wantFirst(1)
		if b := w.board(); b.Head != 3 {
			t.Errorf("the board that came back is %+v", b)
		}
		if messages := w.log.take(); len(messages) > 0 {
			t.Errorf("warnings: %q", messages)
		}
	})
}
