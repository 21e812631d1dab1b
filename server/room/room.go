package room

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

const (
	readFrames = 1024      // frames in one read of the store
	readBytes  = 256 << 10 // bytes in one read for a member
	foldBytes  = 4 << 20   // bytes in one read for a fold
)

// Room is one board in use. It implements persistence.Log. It is safe for concurrent use.
type Room struct {
	hub *Hub
	id  persistence.BoardID

	loaded  chan struct{} // closed once loadErr is set
	loadErr error

	refs      int       // guarded by hub.mu
	idleSince time.Time // guarded by hub.mu

	// mu guards the fields below. It is acquired after Hub.mu, and never held across a call of the Store.
	mu      sync.Mutex
	meta    persistence.Board // what the board is called; its head is not kept
	state   *board.Board      // at the head; replaced, never changed, so that clones of it may be read without mu
	head    head              // of the frame at the state's seq
	bytes   int               // of all frames since the snapshot from which it was loaded
	stored  stored
	paused  []persistence.Seq // savepoints to be noted: the last before each pause
	tail    tail
	relays  relays
	subs    []*Subscription // members, in the order they came
	watches map[*Watch]bool
	closed  error
}

// head is what is kept of the frame that a log ends with; the zero value of that before the first frame.
type head struct {
	frame persistence.FrameID
	time  time.Time
	chain board.Chain
}

func headOf(r persistence.Record) head {
	_, chain := board.SplitChain(r.Body)
	return head{frame: r.ID, time: r.Time, chain: chain}
}

func newRoom(h *Hub, id persistence.BoardID) *Room {
	return &Room{hub: h, id: id, loaded: make(chan struct{}), watches: map[*Watch]bool{}}
}

// ID is the id of the room's board.
func (r *Room) ID() persistence.BoardID { return r.id }

// Release gives back what Acquire took.
func (r *Room) Release() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.refs--
	if r.refs == 0 {
		r.idleSince = time.Now()
	}
}

// Position is where the room stands.
func (r *Room) Position() persistence.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positionLocked()
}

// State is a copy of the board's state as the room has it.
func (r *Room) State() *board.Board { return r.begin().state }

// Now is what the frames of a plan are to follow.
type Now struct {
	*board.Board // must not be changed

	attempt *attempt
}

// Plan is a plan for a submission to a room: it asks plan for the frames. What that knows is of an epoch: in another it fails
// with persistence.ErrStaleLog.
func Plan(
	epoch persistence.Epoch, plan func(Now) ([]*collaboardv1.Frame, error),
) func(persistence.Attempt) ([]*collaboardv1.Frame, error) {
	return func(a persistence.Attempt) ([]*collaboardv1.Frame, error) {
		overlay, ok := a.(*attempt)
		if !ok {
			return nil, fmt.Errorf("plan for %T", a)
		}
		if overlay.epoch != epoch {
			return nil, fmt.Errorf("%w: planned for epoch %s", persistence.ErrStaleLog, epoch)
		}
		return plan(Now{overlay.state, overlay})
	}
}

// Refresh brings the room to the store's head, so that it has everything that any server acked before the call.
func (r *Room) Refresh(ctx context.Context) error {
	before := r.Position()
	b, err := r.hub.board(ctx, r.id)
	if _, ok := errors.AsType[*persistence.BoardNotFoundError](err); ok {
		r.close(ErrDeleted)
	}
	if err != nil {
		return err
	}
	return r.follow(ctx, b, before)
}

// Begin implements persistence.Log.
func (r *Room) Begin() persistence.Attempt { return r.begin() }

// Invalidate implements persistence.Log: the members are told to come back, and the next who asks loads the board anew.
func (r *Room) Invalidate(cause error) {
	r.hub.log.Warn("room dropped", "board", r.id, "error", cause)
	r.close(ErrInvalid)
}

// Learn tells the room what the store says of its board, and the room tells its members of a change of it. What is of
// another epoch is not of the state that the room holds, and is left to whoever next compares the heads.
func (r *Room) Learn(b persistence.Board) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.meta
	if b.Epoch != before.Epoch {
		return
	}
	r.meta = b
	if b.Name == before.Name && b.RetainLog == before.RetainLog {
		return
	}
	r.announceLocked(changedKey, &collaboardv1.Frame{
		Payload: &collaboardv1.Frame_BoardChanged{BoardChanged: &collaboardv1.BoardChanged{Board: BoardProto(b)}},
	})
}

// Deleted tells the room that its board is gone, and the room tells its members.
func (r *Room) Deleted() { r.close(ErrDeleted) }

func (r *Room) isLoaded() bool {
	select {
	case <-r.loaded:
		return r.loadErr == nil
	default:
		return false
	}
}

func (r *Room) load(ctx context.Context) error {
	b, err := r.hub.board(ctx, r.id)
	if err != nil {
		return err
	}
	f, err := r.hub.foldTo(ctx, b, b.Head)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meta, r.state, r.head, r.bytes, r.stored.seq = b, f.state, f.head, f.bytes, f.snapshot
	return nil
}

func (r *Room) positionLocked() persistence.Position {
	return persistence.Position{Epoch: r.meta.Epoch, Seq: persistence.Seq(r.state.Seq())}
}

func (r *Room) begin() *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &attempt{room: r, epoch: r.meta.Epoch, Writer: Writer{state: r.state.Clone(), head: r.head}}
}

// watch returns where the room stands, and how many members it has.
func (r *Room) watch() (persistence.Position, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positionLocked(), len(r.subs)
}

// follow takes in what the store said of the board, when the room stood at before. A room that cannot follow its log is
// closed: its state would be shown as the board's, and never move again.
func (r *Room) follow(ctx context.Context, b persistence.Board, before persistence.Position) error {
	if b.Epoch != before.Epoch || b.Head < before.Seq {
		return r.stale(fmt.Errorf("memory at %s:%d, store at %s:%d", before.Epoch, before.Seq, b.Epoch, b.Head))
	}
	r.Learn(b)
	for {
		a := r.begin()
		at := a.Position().Seq
		if at >= b.Head {
			return nil
		}
		records, err := r.hub.read(ctx, persistence.ReadParams{Board: r.id, After: at, Limit: readFrames, MaxBytes: foldBytes})
		if _, ok := errors.AsType[*persistence.TrimmedError](err); ok {
			return r.stale(err)
		}
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return r.stale(fmt.Errorf("log ends at seq %d, before %d", at, b.Head))
		}
		if err := a.Apply(records); err != nil {
			return r.stale(err)
		}
		a.Publish()
	}
}

// stale closes the room because its state is not of the stored log, and returns that as an error.
func (r *Room) stale(why error) error {
	err := fmt.Errorf("%w: %w", persistence.ErrStaleLog, why)
	r.Invalidate(err)
	return err
}

// close ends the room: its members' cursors fail with cause, and the hub forgets it.
func (r *Room) close(cause error) {
	r.hub.forget(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		return
	}
	r.closed = cause
	for _, s := range r.subs {
		s.wake()
	}
}

// publish makes the records, which end at state, visible. The caller must not use state any more.
func (r *Room) publish(state *board.Board, records []persistence.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	head := persistence.Seq(r.state.Seq())
	if persistence.Seq(state.Seq()) <= head {
		return // somebody else read the same frames from the store
	}
	for len(records) > 0 && records[0].Seq <= head {
		records = records[1:]
	}
	if head > 0 && records[0].Time.Sub(r.head.time) >= r.hub.cfg.SavepointPause {
		r.paused = append(r.paused, head)
	}
	r.state, r.head = state, headOf(records[len(records)-1])
	r.bytes += bytesOf(records)
	for w := range r.watches {
		w.noteLocked(records)
	}
	if len(r.subs) == 0 {
		return // nor is there a tail
	}
	r.tail.add(records, r.hub.cfg.TailBytes)
	for _, s := range r.subs {
		s.wake()
	}
}

func bytesOf(records []persistence.Record) (n int) {
	for i := range records {
		n += len(records[i].Body)
	}
	return n
}

// attempt implements persistence.Attempt on a clone of a room's state.
type attempt struct {
	Writer

	room    *Room
	epoch   persistence.Epoch
	records []persistence.Record
}

func (a *attempt) Position() persistence.Position {
	return persistence.Position{Epoch: a.epoch, Seq: persistence.Seq(a.state.Seq())}
}

func (a *attempt) Publish() { a.room.publish(a.state, a.records) }

func (a *attempt) Apply(missed []persistence.Record) error {
	a.records = append(a.records, missed...)
	if len(missed) > 0 {
		a.head = headOf(missed[len(missed)-1])
	}
	return applyRecords(a.state, missed)
}

func (a *attempt) Decide(s *persistence.Submission, at time.Time, records []persistence.Record) ([]persistence.Record, error) {
	if at.Before(a.head.time) {
		at = a.head.time // clocks differ, and are set; but a log is searched by time
	}
	if s.Plan != nil {
		return a.decidePlan(s, at, records)
	}
	record, err := a.decide(s, s.ID, s.Frame, at)
	if err != nil {
		return nil, err
	}
	return append(records, record), nil
}

// decidePlan decides what the submission's plan makes, on a clone: what is refused in the middle of it leaves no trace.
func (a *attempt) decidePlan(s *persistence.Submission, at time.Time, records []persistence.Record) ([]persistence.Record, error) {
	frames, err := s.Plan(a)
	if err != nil {
		return nil, err
	}
	trial := *a
	trial.state = a.state.Clone()
	for i, frame := range frames {
		id := planned(s.ID, len(frames)-1-i)
		frame.Id, frame.BoardId = id.String(), s.Board.String()
		record, err := trial.decide(s, id, frame, at)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	*a = trial
	return records, nil
}

// planned is the id of the frame that has left more behind it in the plan of the submission id. It depends on nothing
// else, so that whoever tries the submission again finds all of it by the last.
func planned(id persistence.FrameID, left int) persistence.FrameID {
	if left == 0 {
		return id
	}
	return persistence.FrameID(uuid.NewSHA1(uuid.UUID(id), []byte(strconv.Itoa(left))))
}

func (a *attempt) decide(
	s *persistence.Submission, id persistence.FrameID, frame *collaboardv1.Frame, at time.Time,
) (persistence.Record, error) {
	seq := a.state.Seq() + 1
	event, err := a.state.Decide(frame, board.Stamp{Seq: seq, Time: at, From: s.Sender, Name: s.Name})
	if err != nil {
		return persistence.Record{}, err
	}
	record, err := a.record(event, id, at)
	if err != nil {
		return persistence.Record{}, err
	}
	a.state.Apply(event)
	a.records = append(a.records, record)
	return record, nil
}

// applyRecords folds the records, which must follow the state without a gap.
func applyRecords(state *board.Board, records []persistence.Record) error {
	for i := range records {
		if want := state.Seq() + 1; uint64(records[i].Seq) != want {
			return fmt.Errorf("log has a gap: seq %d where %d should be", records[i].Seq, want)
		}
		frame := &collaboardv1.Frame{}
		if err := proto.Unmarshal(records[i].Body, frame); err != nil {
			return fmt.Errorf("decode frame at seq %d: %w", records[i].Seq, err)
		}
		if frame.GetSeq() != uint64(records[i].Seq) {
			return fmt.Errorf("frame at seq %d says that it is at %d", records[i].Seq, frame.GetSeq())
		}
		state.Apply(frame)
	}
	return nil
}
