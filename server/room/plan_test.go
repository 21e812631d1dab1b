package room_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestPlan: its frames follow each other, the last with the submission's id; one that is refused leaves no trace of those
// before it; and what was planned for another epoch is not decided.
func TestPlan(t *testing.T) {
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	defer r.Release()
	a := r.Begin()
	decide := func(epoch persistence.Epoch, id persistence.FrameID, frames ...*collaboardv1.Frame) ([]persistence.Record, error) {
		plan := room.Plan(epoch, func(room.Now) ([]*collaboardv1.Frame, error) { return frames, nil })
		return a.Decide(&persistence.Submission{Board: w.id, ID: id, Sender: "ada", Plan: plan}, w.at, nil)
	}
	id := persistence.FrameID(uuid.New())
	for what, records := range map[string]func() ([]persistence.Record, error){
		"refused": func() ([]persistence.Record, error) {
			return decide(w.epoch, id, custom(1), custom(1), &collaboardv1.Frame{})
		},
		"stale": func() ([]persistence.Record, error) { return decide(persistence.Epoch(uuid.New()), id, custom(1)) },
	} {
		got, err := records()
		var rule *board.Error
		if refused := errors.As(err, &rule) || errors.Is(err, persistence.ErrStaleLog); !refused || got != nil || a.Position().Seq != 0 {
			t.Errorf("%s: %d records, %v, at seq %d", what, len(got), err, a.Position().Seq)
		}
	}
	records, err := decide(w.epoch, id, custom(1), custom(2), custom(3))
	if err != nil || len(records) != 3 || a.Position().Seq != 3 || records[2].ID != id || records[0].ID == records[1].ID {
		t.Fatalf("%v, %v", records, err)
	}
	again := r.Begin()
	same, err := again.Decide(&persistence.Submission{
		Board: w.id, ID: id, Sender: "ada",
		Plan: room.Plan(w.epoch, func(room.Now) ([]*collaboardv1.Frame, error) {
			return []*collaboardv1.Frame{custom(1), custom(2), custom(3)}, nil
		}),
	}, w.at, nil)
	if err != nil || same[0].ID != records[0].ID || same[1].ID != records[1].ID {
		t.Errorf("tried again it has other ids: %v, %v", same, err)
	}
	if nothing, err := decide(w.epoch, persistence.FrameID(uuid.New())); err != nil || len(nothing) != 0 || a.Position().Seq != 3 {
		t.Errorf("nothing made %v, %v", nothing, err)
	}
	if next := w.decide(a, custom(1)); next.Seq != 4 {
		t.Errorf("the next frame has seq %d", next.Seq)
	}
}

// TestSince: a plan sees what came since a seq, whoever wrote it, as far as the room keeps it; and no more is kept than for
// somebody who needs it.
func TestSince(t *testing.T) {
	w := newWorld(t, room.Config{TailBytes: 1 << 10})
	r := w.acquire(w.hub)
	defer r.Release()
	since := func(a persistence.Attempt, seq persistence.Seq) (seqs []persistence.Seq, ok bool) {
		plan := room.Plan(w.epoch, func(now room.Now) (_ []*collaboardv1.Frame, err error) {
			var records []persistence.Record
			records, ok = now.Since(seq)
			for _, r := range records {
				seqs = append(seqs, r.Seq)
			}
			return nil, nil
		})
		if _, err := a.Decide(&persistence.Submission{Board: w.id, ID: persistence.FrameID(uuid.New()), Sender: "ada", Plan: plan}, w.at, nil); err != nil {
			t.Fatal(err)
		}
		return seqs, ok
	}
	add := func(n int) {
		a := r.Begin()
		for range n {
			w.decide(a, custom(1))
		}
		a.Publish()
	}
	add(1)
	if got, ok := since(r.Begin(), 0); ok {
		t.Errorf("a frame is kept that nobody asked to keep: %v", got)
	}
	release := r.Hold()
	add(2)
	a := r.Begin()
	w.decide(a, custom(1))
	add(1) // the attempt does not know it: it is of another's transaction, and this one will not be committed
	for from, want := range map[persistence.Seq][]persistence.Seq{1: {2, 3, 4}, 2: {3, 4}, 3: {4}, 4: nil} {
		if got, ok := since(a, from); !ok || !slices.Equal(got, want) {
			t.Errorf("since %d: %v, %t, want %v", from, got, ok, want)
		}
	}
	if got, ok := since(a, 0); ok {
		t.Errorf("since 0: %v", got)
	}
	add(100)
	if got, ok := since(r.Begin(), 1); ok {
		t.Errorf("all of %d frames are kept", len(got))
	}
	release()
	if got, ok := since(r.Begin(), 103); ok {
		t.Errorf("frames are kept for nobody: %v", got)
	}
}
