package room_test

import (
	"errors"
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
		plan := room.Plan(epoch, func(*board.Board) ([]*collaboardv1.Frame, error) { return frames, nil })
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
		Plan: room.Plan(w.epoch, func(*board.Board) ([]*collaboardv1.Frame, error) {
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
