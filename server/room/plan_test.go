package room_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"

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

// TestWatch: a plan sees what was set of the objects that are watched, whoever set it, and not what was set before.
func TestWatch(t *testing.T) {
	w := newWorld(t, room.Config{TailBytes: 1})
	r := w.acquire(w.hub)
	defer r.Release()
	object, other := uuid.NewString(), uuid.NewString()
	set := func(a persistence.Attempt, id, field string) {
		w.decide(a, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{
			Id: id, Props: map[string]*structpb.Value{field: structpb.NewBoolValue(true)},
		}}})
	}
	publish := func(id, field string) {
		a := r.Begin()
		set(a, id, field)
		w.decide(a, custom(100)) // more than a tail of one byte keeps
		a.Publish()
	}
	for _, id := range []string{object, other} {
		a := r.Begin()
		w.decide(a, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: id, Kind: "line"},
		}}})
		a.Publish()
	}
	publish(object, "before")
	watch := r.Watch(board.Touched{object: {}})
	if seq := watch.State().Seq(); seq != 4 {
		t.Errorf("watched from seq %d on", seq)
	}
	since := func(a persistence.Attempt) (touched board.Touched, err error) {
		touched = board.Touched{object: {"props.read": true}}
		plan := room.Plan(w.epoch, func(now room.Now) ([]*collaboardv1.Frame, error) { return nil, now.AddSince(touched, watch) })
		_, err = a.Decide(&persistence.Submission{Board: w.id, ID: persistence.FrameID(uuid.New()), Sender: "ada", Plan: plan}, w.at, nil)
		return touched, err
	}
	publish(object, "a")
	publish(other, "b")
	a := r.Begin()
	set(a, object, "c")
	want := board.Touched{object: {"props.read": true, "props.a": true, "props.c": true}}
	for range 2 { // a plan may be asked again
		if got, err := since(a); err != nil || !maps.EqualFunc(got, want, maps.Equal[map[string]bool, map[string]bool]) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	if _, err := since(w.acquire(w.newHub(room.Config{})).Begin()); !errors.Is(err, persistence.ErrStaleLog) {
		t.Errorf("of another room: %v", err)
	}
	watch.End()
	publish(object, "d")
	if got, err := since(r.Begin()); err == nil { // it would take back what it does not know of
		t.Errorf("after the end: %v", got)
	}
}
