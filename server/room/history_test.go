package room_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// wantStateAt checks the state at a seq, and returns after which seq the log was read for it.
func (w *world) wantStateAt(at persistence.Seq) persistence.Seq {
	w.t.Helper()
	w.store.set(func() { w.store.first = 1 << 40 })
	state, epoch, err := w.hub.StateAt(w.t.Context(), w.id, at)
	if err != nil || epoch != w.epoch || !bytes.Equal(state.Snapshot(), w.fold(at).Snapshot()) {
		w.t.Errorf("at %d: epoch %s, %v", at, epoch, err)
	}
	return w.store.first
}

// TestKeyframesStay: what the hub stores bounds the way to any state, however long ago.
func TestKeyframesStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		w.run(w.hub)
		r := w.acquire(w.hub)
		for range 6 {
			w.draw(r, 1)
			for range 9 {
				w.write(r, 1)
			}
			pass(time.Minute)
		}
		w.wantSnapshots(60, 50, 40, 30, 20, 10)
		for at := persistence.Seq(1); at <= 60; at++ {
			if after := w.wantStateAt(at); at-after > 10 {
				t.Errorf("at %d the log was read after %d", at, after)
			}
		}
	})
}

// TestKeyframesOfALargeBoardAreFarApart has a board whose state takes much more room than a few frames.
func TestKeyframesOfALargeBoardAreFarApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, soon())
		w.run(w.hub)
		r := w.acquire(w.hub)
		for range 30 {
			w.draw(r, 20)
			pass(time.Minute)
		}
		bytes, keyframes := 0, 0
		for upTo := persistence.Seq(579); ; keyframes++ { // the newest two stay in any case
			s, err := w.store.Store.ReadSnapshot(t.Context(), w.id, upTo)
			if err != nil {
				t.Fatal(err)
			}
			if s == nil {
				break
			}
			bytes += len(s.Body)
			upTo = s.Seq - 1
		}
		if keyframes < 3 || bytes > 64*580 {
			t.Errorf("%d keyframes of %d bytes together", keyframes, bytes)
		}
	})
}

// TestLongFoldLeavesKeyframes: a log that has none has them after it was folded for somebody.
func TestLongFoldLeavesKeyframes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, soon())
	log := newLogger(t, w)
	for range 100 {
		log.add(custom(1))
	}
	log.flush()
	if after := w.wantStateAt(57); after != 0 {
		t.Errorf("the log was read after %d", after)
	}
	w.wantSnapshots(40, 30, 20, 10) // 50 is as near to 57 as the next may be to it
	if after := w.wantStateAt(57); after != 39 {
		t.Errorf("the second time the log was read after %d", after)
	}
	if after := w.wantStateAt(29); after != 19 || w.store.puts != 4 {
		t.Errorf("%d keyframes were written, the log was read after %d", w.store.puts, after)
	}
	// One that cannot be stored is not tried again, and what was asked for is there all the same.
	w.store.set(func() {
		w.store.failPut = func(context.Context, persistence.BoardID) error { return errors.New("defect") }
	})
	w.wantStateAt(100)
	if warned := w.log.take(); len(warned) != 1 || w.store.puts != 5 {
		t.Errorf("%d tries, warnings %q", w.store.puts, warned)
	}
}

// TestTimesDoNotGoBack has a clock that does, and servers whose clocks differ.
func TestTimesDoNotGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	decide := func(r *room.Room, clock int64, frames int, missed ...persistence.Record) {
		a := r.Begin()
		if err := a.Apply(missed); err != nil {
			t.Fatal(err)
		}
		var records []persistence.Record
		for range frames {
			req := custom(1)
			id := persistence.FrameID(uuid.New())
			req.Id, req.BoardId = id.String(), w.id.String()
			var err error
			records, err = a.Decide(&persistence.Submission{Board: w.id, ID: id, Sender: "ada", Frame: req}, at(clock), records)
			if err != nil {
				t.Fatal(err)
			}
		}
		err := w.store.Append(t.Context(), []persistence.Claim{{Board: w.id, Applied: 1 << 40}},
			func([]persistence.Locked) ([]persistence.Extension, error) {
				return []persistence.Extension{{Board: w.id, Records: records}}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		a.Publish()
	}
	r := w.acquire(w.hub)
	decide(r, 100, 1)
	decide(r, 90, 2) // after what was published
	decide(r, 110, 1)
	decide(w.acquire(w.newHub(room.Config{})), 50, 1) // after what was loaded by folding the log
	w.put(5, w.frameAt(5))
	decide(w.acquire(w.newHub(room.Config{})), 60, 1) // after a snapshot with nothing behind it
	elsewhere := w.acquire(w.newHub(room.Config{}))
	decide(elsewhere, 200, 1)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	decide(r, 150, 1) // after another server's
	read := func(after persistence.Seq) []persistence.Record {
		records, err := w.store.Store.Read(t.Context(), persistence.ReadParams{Board: w.id, After: after, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
	decide(elsewhere, 140, 1, read(7)...) // after what a commit finds that it has missed
	decide(r, 300, 1, read(8)...)
	decide(elsewhere, 250, 1, read(9)...)
	records := read(0)
	for i, want := range []int64{100, 100, 100, 110, 110, 110, 200, 200, 200, 300, 300} {
		if !records[i].Time.Equal(at(want)) {
			t.Errorf("frame %d is of %d, want %d", i+1, records[i].Time.Unix(), want)
		}
	}
	if len(records) != 11 {
		t.Errorf("%d frames", len(records))
	}
}

// TestSeqAt looks for every time that a log has, those between, and those at its ends, in logs of all small lengths.
func TestSeqAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	log := newLogger(t, w)
	for n := persistence.Seq(0); n <= 20; n++ {
		if n > 0 {
			log.add(custom(1)) // at n seconds
			log.flush()
		}
		boards, err := w.store.Boards(t.Context(), w.id)
		if err != nil {
			t.Fatal(err)
		}
		for s := persistence.Seq(0); s <= n+2; s++ {
			for _, after := range []time.Duration{-1, 0, 1} {
				want := min(s, n)
				if after < 0 {
					want = min(max(s, 1)-1, n)
				}
				got, err := w.hub.SeqAt(t.Context(), boards[0], time.Unix(int64(s), 0).Add(after))
				if err != nil || got != want {
					t.Errorf("%d frames, %d s %+d ns: seq %d (%v), want %d", n, s, after, got, err, want)
				}
			}
		}
	}
	b := persistence.Board{ID: w.id, First: 5, Head: 20}
	for s, want := range map[int64]persistence.Seq{0: 0, 4: 0, 5: 5, 6: 6, 30: 20} { // as if it were trimmed
		if got, err := w.hub.SeqAt(t.Context(), b, time.Unix(s, 0)); err != nil || got != want {
			t.Errorf("trimmed, %d s: seq %d (%v), want %d", s, got, err, want)
		}
	}
}

// frameAt is the id of the frame at a seq.
func (w *world) frameAt(seq persistence.Seq) persistence.FrameID {
	w.t.Helper()
	records, err := w.store.Store.Read(w.t.Context(), persistence.ReadParams{Board: w.id, After: seq - 1, Limit: 1})
	if err != nil || len(records) != 1 {
		w.t.Fatal(records, err)
	}
	return records[0].ID
}

// TestTrimmedMeanwhile: who asks for a moment just when the log is trimmed gets it where the log has it still, and is told
// that it is trimmed where not.
func TestTrimmedMeanwhile(t *testing.T) {
	t.Parallel()
	type ask func(*room.Hub, persistence.BoardID, persistence.Seq) (*board.Board, persistence.Epoch, error)
	asks := map[string]ask{
		"by seq": func(h *room.Hub, id persistence.BoardID, at persistence.Seq) (*board.Board, persistence.Epoch, error) {
			return h.StateAt(t.Context(), id, at)
		},
		"by time": func(h *room.Hub, id persistence.BoardID, at persistence.Seq) (*board.Board, persistence.Epoch, error) {
			return h.StateAtTime(t.Context(), id, time.Unix(int64(at), 0))
		},
	}
	whens := map[string]func(*watchedStore, func()){
		"before the log is read": func(s *watchedStore, trim func()) { s.alter = func(*persistence.Board) { trim() } },
		"behind a snapshot": func(s *watchedStore, trim func()) {
			s.alterSnapshot = func(*persistence.Snapshot) error { trim(); return nil }
		},
	}
	for how, ask := range asks {
		for when, watch := range whens {
			for _, begin := range []persistence.Seq{1, 5} {
				for _, at := range []persistence.Seq{7, 10, 15} {
					w := newWorld(t, room.Config{})
					r := w.acquire(w.hub)
					for range 20 {
						w.write(r, 1)
						w.at = w.at.Add(time.Second)
					}
					w.put(3, w.frameAt(3))
					want, trim := w.fold(at).Snapshot(), w.trim(10)
					if begin > 1 {
						w.beginLog(begin)
					}
					w.store.set(func() { watch(w.store, trim) })
					state, _, err := ask(w.newHub(room.Config{}), w.id, at)
					var trimmed *persistence.TrimmedError
					switch {
					case w.board().First != 10:
						t.Errorf("%s, %s, from %d, at %d: the log was not trimmed", how, when, begin, at)
					case at < 10 && !errors.As(err, &trimmed), at >= 10 && err != nil:
						t.Errorf("%s, %s, from %d, at %d: %v", how, when, begin, at, err)
					case at >= 10 && !bytes.Equal(state.Snapshot(), want):
						t.Errorf("%s, %s, from %d, at %d: the state is another", how, when, begin, at)
					}
					if warned := w.log.take(); len(warned) > 0 {
						t.Errorf("%s, %s, from %d, at %d: warnings %q", how, when, begin, at, warned)
					}
				}
			}
		}
	}
}
