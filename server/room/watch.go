package room

import (
	"errors"
	"fmt"
	"maps"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// Watch notes what is set of some objects from a state of a room on, so that a plan knows it however much the log grows
// before its turn. It needs no more memory for that than the names of what is set.
type Watch struct {
	room    *Room
	objects board.Touched
	state   *board.Board // must not be changed
	since   board.Touched
	err     error
}

// Watch begins to note what is set of the objects. End must be called.
func (r *Room) Watch(objects board.Touched) *Watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &Watch{room: r, objects: objects, state: r.state.Clone(), since: board.Touched{}}
	r.watches[w] = true
	return w
}

// State is the state that the watch began with.
func (w *Watch) State() *board.Board { return w.state }

// errWatchEnded is for plans whose turn comes after that: they would not know all.
var errWatchEnded = errors.New("the watch has ended")

// End ends the watch: a plan that asks for it later fails.
func (w *Watch) End() {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	delete(w.room.watches, w)
	w.err = errWatchEnded
}

// noteLocked is called with the room's mu held.
func (w *Watch) noteLocked(records []persistence.Record) {
	if w.err == nil {
		w.err = AddTouched(w.since, records, w.objects)
	}
}

// AddSince adds to touched what was set between the state with which the watch began and now. It fails after the watch's
// end, and with persistence.ErrStaleLog where the room that was watched is not in use any more.
func (n Now) AddSince(touched board.Touched, w *Watch) error {
	if n.attempt.room != w.room {
		return fmt.Errorf("%w: another room was watched", persistence.ErrStaleLog)
	}
	w.room.mu.Lock()
	err := w.err
	for id, names := range w.since {
		if touched[id] == nil {
			touched[id] = map[string]bool{}
		}
		maps.Copy(touched[id], names)
	}
	w.room.mu.Unlock()
	if err != nil {
		return err
	}
	return AddTouched(touched, n.attempt.records, w.objects)
}

// AddTouched adds what the records have set: of the objects of in, where it is not nil.
func AddTouched(touched board.Touched, records []persistence.Record, in board.Touched) error {
	for i := range records {
		event := &collaboardv1.Frame{}
		if err := proto.Unmarshal(records[i].Body, event); err != nil {
			return fmt.Errorf("decode frame at seq %d: %w", records[i].Seq, err)
		}
		touched.Add(event)
	}
	if in != nil {
		maps.DeleteFunc(touched, func(object string, _ map[string]bool) bool { return in[object] == nil })
	}
	return nil
}
