package room_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// soon stores snapshots after few frames.
func soon() room.Config {
	return room.Config{
		PollInterval: time.Second, IdleTimeout: time.Hour, SnapshotFrames: 10, SnapshotIdleFrames: 5, SnapshotInterval: 30 * time.Second,
	}
}

// wantSnapshots are the seqs of those that are stored, newest first.
func (w *world) wantSnapshots(want ...persistence.Seq) {
	w.t.Helper()
	got := []persistence.Seq{}
	for upTo := persistence.Seq(1 << 40); upTo > 0; {
		s, err := w.store.Store.ReadSnapshot(context.Background(), w.id, upTo)
		if err != nil {
			w.t.Fatal(err)
		}
		if s == nil {
			break
		}
		got = append(got, s.Seq)
		upTo = s.Seq - 1
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("snapshots at %v, want %v", got, want)
	}
}

// fold is the state that the whole log folds to, up to a seq.
func (w *world) fold(to persistence.Seq) *board.Board {
	w.t.Helper()
	records, err := w.store.Store.Read(context.Background(), persistence.ReadParams{Board: w.id, Limit: 1 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	state := board.New()
	for _, r := range records[:to] {
		f := &collaboardv1.Frame{}
		if err := proto.Unmarshal(r.Body, f); err != nil {
			w.t.Fatal(err)
		}
		state.Apply(f)
	}
	return state
}

// load loads the board into another hub, checks what it is, and returns after which seq the log was read.
func (w *world) load() persistence.Seq {
	w.t.Helper()
	w.store.set(func() { w.store.first = 1 << 40 })
	look, err := w.acquire(w.newHub(room.Config{})).Look()
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Equal(look.Snapshot.Snapshot(), w.fold(look.Position.Seq).Snapshot()) {
		w.t.Error("the state is not the fold of the log")
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.first
}

// TestSnapshotsAreStoredForBytes: large frames are as long to fold as many.
func TestSnapshotsAreStoredForBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := soon()
		cfg.SnapshotFrames, cfg.SnapshotIdleFrames, cfg.SnapshotBytes, cfg.IdleTimeout = 1000, 1000, 64<<10, time.Second
		w := newWorld(t, cfg)
		w.run(w.hub)
		r := w.acquire(w.hub)
		for range 3 {
			w.write(r, 20<<10)
		}
		pass(time.Minute)
		w.wantSnapshots()
		w.write(r, 20<<10)
		pass(time.Minute)
		w.wantSnapshots(4)
		for range 3 {
			w.write(r, 20<<10)
		}
		pass(time.Minute)
		w.wantSnapshots(4)
		r.Release()
		pass(time.Minute) // it is unloaded
		r = w.acquire(w.hub)
		w.write(r, 20<<10) // those behind the snapshot count, too
		pass(time.Minute)
		w.wantSnapshots(8, 4)
		r.Release()
	})
}

// put stores a snapshot of the board at a seq, as a server does, with the id of a frame.
func (w *world) put(at persistence.Seq, frame persistence.FrameID) {
	w.t.Helper()
	s, err := snapshot.Encode(w.fold(at), snapshot.Origin{Board: w.id, Epoch: w.epoch, Frame: frame}, time.Unix(1, 0))
	if err == nil {
		err = w.store.Store.PutSnapshot(context.Background(), s)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestSnapshotsAreStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		w.run(w.hub)
		r := w.acquire(w.hub)
		w.draw(r, 9)
		pass(time.Minute)
		w.wantSnapshots()
		w.draw(r, 1)
		pass(2 * time.Second)
		w.wantSnapshots(10)
		w.draw(r, 10) // too soon for another
		pass(20 * time.Second)
		w.wantSnapshots(10)
		pass(20 * time.Second)
		w.wantSnapshots(20, 10)
		w.draw(r, 5)
		pass(time.Minute)
		w.wantSnapshots(20, 10)
		r.Release() // nobody uses it any more
		pass(2 * time.Second)
		w.wantSnapshots(25, 20, 10)
		if after := w.load(); after != 24 {
			t.Errorf("a load has read the log after %d", after)
		}
		pass(time.Hour)
		if w.wantSnapshots(25, 20, 10); w.store.puts != 3 {
			t.Errorf("%d snapshots were written", w.store.puts)
		}
		if messages := w.log.take(); len(messages) > 0 {
			t.Errorf("warnings: %q", messages)
		}
	})
}

// TestSnapshotIsStoredAfterALongLoad: who had to fold a long log spares that to the next.
func TestSnapshotIsStoredAfterALongLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, room.Config{})
		w.draw(w.acquire(w.hub), 23)
		h := w.newHub(soon())
		w.run(h)
		w.acquire(h)
		pass(2 * time.Second)
		w.wantSnapshots(23)
		again := w.newHub(soon())
		w.run(again)
		r := w.acquire(again)
		w.draw(r, 9) // what it was loaded from counts
		pass(time.Minute)
		w.wantSnapshots(23)
	})
}

// TestSnapshotsTakeAShare: a board whose snapshots take long has fewer.
func TestSnapshotsTakeAShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		w.store.failPut = func(context.Context, persistence.BoardID) error {
			time.Sleep(2 * time.Second) //nolint:forbidigo // in a bubble
			return nil
		}
		w.run(w.hub)
		r := w.acquire(w.hub)
		w.draw(r, 10)
		pass(5 * time.Second)
		w.wantSnapshots(10)
		w.draw(r, 10)
		pass(58 * time.Second) // longer than SnapshotInterval
		w.wantSnapshots(10)
		pass(10 * time.Second)
		w.wantSnapshots(20, 10)
	})
}

// TestSnapshotsAreStoredAtTheEnd: whoever loads the board next, after a restart, need not fold what came since the last one.
func TestSnapshotsAreStoredAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		frames  int
		failing error // while the hub runs
		away    bool  // the store, when it ends
		stuck   bool  // likewise
		want    []persistence.Seq
	}{
		"too soon for another":    {frames: 5, want: []persistence.Seq{15, 10}},
		"not far from the newest": {frames: 4, want: []persistence.Seq{10}},
		"failed":                  {frames: 10, failing: errors.New("defect"), want: []persistence.Seq{20, 10}},
		"too large":               {frames: 10, failing: snapshot.ErrTooLarge, want: []persistence.Seq{10}},
		"store away":              {frames: 5, away: true, want: []persistence.Seq{10}},
		"store stuck":             {frames: 5, stuck: true, want: []persistence.Seq{10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, soon())
				stop := w.run(w.hub)
				r := w.acquire(w.hub)
				w.draw(r, 10)
				pass(2 * time.Second)
				w.draw(r, tc.frames)
				if tc.failing != nil {
					w.store.set(func() { w.store.failPut = func(context.Context, persistence.BoardID) error { return tc.failing } })
					pass(40 * time.Second)
					w.store.set(func() { w.store.failPut = nil })
				}
				if tc.away {
					w.hub.SetHealthy(false)
				}
				if tc.stuck {
					w.store.set(func() {
						w.store.failPut = func(ctx context.Context, _ persistence.BoardID) error { <-ctx.Done(); return ctx.Err() }
					})
				}
				r.Release()
				began := time.Now()
				stop()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the hub ended after %s", took)
				}
				w.wantSnapshots(tc.want...)
			})
		})
	}
}

// TestLoadBeginsAtTheNewestSnapshot counts the reads of a log of several pages.
func TestLoadBeginsAtTheNewestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	log := newLogger(t, w)
	for range 3000 {
		log.add(custom(1))
	}
	log.snapshot()
	for range 5 {
		log.add(custom(1))
	}
	log.flush()
	if n := w.store.readsOf(func() { w.load() }); n != 2 { // the frame at the snapshot's seq, and those behind it
		t.Errorf("%d reads", n)
	}
	for at, want := range map[persistence.Seq]persistence.Seq{3005: 2999, 3000: 2999, 2999: 0, 1: 0} {
		w.store.set(func() { w.store.first = 1 << 40 })
		state, _, err := w.hub.StateAt(t.Context(), w.id, at)
		if err != nil || !bytes.Equal(state.Snapshot(), w.fold(at).Snapshot()) {
			t.Errorf("at %d: %v", at, err)
		}
		if w.store.first != want {
			t.Errorf("at %d: the log was read after %d, want %d", at, w.store.first, want)
		}
	}
}

// TestBadSnapshotsAreIgnored spoils the newest one, or all: the one before it is taken, or the log alone.
func TestBadSnapshotsAreIgnored(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *persistence.Snapshot) error{
		"flipped bit": func(s *persistence.Snapshot) error { s.Body[len(s.Body)-5] ^= 16; return nil },
		"truncated":   func(s *persistence.Snapshot) error { s.Body = s.Body[:len(s.Body)-1]; return nil },
		"too large":   func(s *persistence.Snapshot) error { s.Body = nil; return nil },
		"format":      func(s *persistence.Snapshot) error { s.Body[0] = 2; return nil },
		"other epoch": func(s *persistence.Snapshot) error {
			state, frame, err := snapshot.Decode(s)
			if err == nil {
				*s, err = snapshot.Encode(state, snapshot.Origin{Board: s.Board, Epoch: persistence.Epoch(uuid.New()), Frame: frame}, time.Unix(1, 0))
			}
			return err
		},
		"other board": func(s *persistence.Snapshot) error { s.Board = persistence.BoardID(uuid.New()); return nil },
		"other log": func(s *persistence.Snapshot) error {
			of := snapshot.Origin{Board: s.Board, Epoch: s.Epoch, Frame: persistence.FrameID(uuid.New())}
			state := board.New()
			state.Load(&collaboardv1.BoardSnapshot{Position: &collaboardv1.Position{Seq: uint64(s.Seq)}})
			another, err := snapshot.Encode(state, of, time.Unix(1, 0))
			*s = another
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, room.Config{})
			r := w.acquire(w.hub)
			ids := map[persistence.Seq]persistence.FrameID{}
			for range 25 {
				w.draw(r, 1)
				records, err := w.store.Store.Read(t.Context(), persistence.ReadParams{Board: w.id, Backward: true, Limit: 1})
				if err != nil {
					t.Fatal(err)
				}
				ids[records[0].Seq] = records[0].ID
			}
			w.put(10, ids[10])
			w.put(20, ids[20])
			for spoiled, want := range map[persistence.Seq]persistence.Seq{21: 19, 20: 9, 10: 0} { // from this one on
				w.store.set(func() {
					w.store.alterSnapshot = func(s *persistence.Snapshot) error {
						if s.Seq < spoiled {
							return nil
						}
						return spoil(s)
					}
				})
				if after := w.load(); after != want {
					t.Errorf("spoiled from %d: the log was read after %d, want %d", spoiled, after, want)
				}
				warned := w.log.take()
				if len(warned) != map[persistence.Seq]int{21: 0, 20: 1, 10: 2}[spoiled] {
					t.Errorf("spoiled from %d: warnings %q", spoiled, warned)
				}
			}
		})
	}
}

// TestSnapshotAheadOfTheHead is of frames that the board's row does not know of: of another server's, or of none.
func TestSnapshotAheadOfTheHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	log := newLogger(t, w)
	for range 2 {
		for range 10 {
			log.add(custom(1))
		}
		log.snapshot()
	}
	w.wantSnapshots(20, 10)
	w.store.alter = func(b *persistence.Board) { b.Head = 15 }
	if after := w.load(); after != 9 {
		t.Errorf("the log was read after %d", after)
	}
}

// TestSnapshotsThatCannotBeRead: a store that is away is not asked for the whole log instead, and another failure is not
// the log's.
func TestSnapshotsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	log := newLogger(t, w)
	for range 10 {
		log.add(custom(1))
	}
	log.snapshot()
	away := &persistence.UnavailableError{Err: errors.New("away")}
	w.store.set(func() { w.store.alterSnapshot = func(*persistence.Snapshot) error { return away } })
	n := w.store.readsOf(func() {
		_, err := w.hub.Acquire(t.Context(), w.id)
		if _, ok := errors.AsType[*room.LoadError](err); !ok || !errors.Is(err, away) {
			t.Errorf("the store is away: %v", err)
		}
	})
	if n != 0 {
		t.Errorf("the store is away: %d reads of the log", n)
	}
	w.store.set(func() { w.store.alterSnapshot = func(*persistence.Snapshot) error { return errors.New("bad page") } })
	if after := w.load(); after != 0 {
		t.Errorf("the log was read after %d", after)
	}
	if warned := w.log.take(); len(warned) != 1 {
		t.Errorf("warnings %q", warned)
	}
	w.store.set(func() { w.store.alterSnapshot = nil })
	if after := w.load(); after != 9 {
		t.Errorf("in the end the log was read after %d", after)
	}
}

// TestSnapshotsThatFailDisturbNobody fails all, for a while: they are tried again, not too often, and members go on.
func TestSnapshotsThatFailDisturbNobody(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err          error
		least, most  int // tries in ten minutes
		fromThenOnOK bool
	}{
		"away":      {&persistence.UnavailableError{Err: errors.New("away")}, 5, 11, true},
		"defect":    {errors.New("defect"), 5, 11, true},
		"stale":     {fmt.Errorf("put: %w", persistence.ErrStaleLog), 5, 11, true},
		"too large": {fmt.Errorf("put: %w", snapshot.ErrTooLarge), 1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, soon())
				w.store.failPut = func(context.Context, persistence.BoardID) error { return tc.err }
				w.run(w.hub)
				r := w.acquire(w.hub)
				m, _ := w.join(r, nil)
				w.draw(r, 12)
				pass(10 * time.Minute)
				if n := w.store.puts; n < tc.least || n > tc.most {
					t.Errorf("%d tries", n)
				}
				if warned := w.log.take(); len(warned) != w.store.puts {
					t.Errorf("%d tries, %d warnings", w.store.puts, len(warned))
				}
				w.draw(r, 1)
				if seqs := slices.Concat(m.catchUp()...); len(seqs) != 13 {
					t.Errorf("the member has %v", seqs)
				}
				w.store.set(func() { w.store.failPut = nil })
				pass(2 * time.Minute)
				if tc.fromThenOnOK {
					w.wantSnapshots(13)
				} else {
					w.wantSnapshots()
				}
			})
		})
	}
}

// TestSnapshotsOfOthersGoOn: of many boards one cannot be stored.
func TestSnapshotsOfOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		poison := w.id
		w.store.failPut = func(_ context.Context, id persistence.BoardID) error {
			if id == poison {
				return errors.New("poison")
			}
			return nil
		}
		ids := []persistence.BoardID{poison}
		for range 9 {
			id := persistence.BoardID(uuid.New())
			if err := w.store.CreateBoard(t.Context(), persistence.Board{ID: id, Epoch: w.epoch, Name: "b", First: 1}); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		for _, id := range ids {
			w.id = id
			w.draw(w.acquire(w.hub), 10)
		}
		w.run(w.hub)
		pass(time.Minute)
		for _, id := range ids {
			if w.id = id; id == poison {
				w.wantSnapshots()
			} else {
				w.wantSnapshots(10)
			}
		}
	})
}

// TestNoSnapshotsInAnOutage: while durable frames are refused the store is left alone.
func TestNoSnapshotsInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		w.draw(w.acquire(w.hub), 12)
		w.hub.SetHealthy(false)
		w.run(w.hub)
		pass(time.Hour)
		if w.wantSnapshots(); w.store.puts != 0 {
			t.Errorf("%d tries", w.store.puts)
		}
		w.hub.SetHealthy(true)
		pass(2 * time.Second)
		w.wantSnapshots(12)
	})
}

func TestSnapshotOfADeletedBoardClosesTheRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		w.draw(w.acquire(w.hub), 12) // it has no members, so nobody asks whether it is still there
		if err := w.store.DeleteBoard(t.Context(), w.id, time.Unix(3, 0).UTC()); err != nil {
			t.Fatal(err)
		}
		w.run(w.hub)
		pass(time.Hour)
		if w.hub.Find(w.id) != nil || w.store.puts != 1 || len(w.log.take()) > 0 {
			t.Errorf("%d tries; the room is %v", w.store.puts, w.hub.Find(w.id))
		}
	})
}
