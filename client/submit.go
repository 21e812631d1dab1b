package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// afterIDBytes is what naming its predecessor adds to an encoded frame: a tag, a length, a UUID.
const afterIDBytes = 38

// Ack says where a frame is in its board's log.
type Ack struct {
	Position
	// Duplicate means that the frame was in the log already when the server decided it: an earlier copy of it had
	// arrived although its ack had not. That is as good as the first time.
	Duplicate bool
}

func (a Ack) String() string {
	if a.Duplicate {
		return a.Position.String() + " (duplicate)"
	}
	return a.Position.String()
}

// Pending is a frame on its way into its board's log.
type Pending struct {
	id    string
	board string
	body  []byte

	inFlight bool // guarded by Client.mu

	done chan struct{} // closed once the fields below are set for good
	ack  Ack
	err  error
}

// ID is the frame's id.
func (p *Pending) ID() string { return p.id }

// Done is closed when the frame is durable or will not be: Wait then returns at once.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait returns when the frame is in the log, and on the replica of its board if that is joined. It fails with
// [*FrameError] when the server refused the frame for good, with [ErrClosed] or [*ConnectionError] when the client ended
// before it knew, and with the cause of ctx when that ended first: the frame is then still on its way.
func (p *Pending) Wait(ctx context.Context) (Ack, error) {
	select {
	case <-p.done:
		return p.ack, p.err
	default:
	}
	select {
	case <-p.done:
		return p.ack, p.err
	case <-ctx.Done():
		return Ack{}, fmt.Errorf("frame %s is not acked yet: %w", p.id, context.Cause(ctx))
	}
}

// Submit puts a durable frame on its way to a board, joined or not, and returns without waiting for it. Frames of one
// board are in its log in the order of the calls. payload is an ObjectCreate, ObjectUpdate, ObjectDelete, ObjectBatch,
// ChatMessage or Custom, which may be changed after the call, or a whole Frame, of which the payload is used and the id,
// if it has one. (An id names a frame in its board for ever: submitted again, it is acked and not repeated.)
//
// While the outbox is full Submit waits for room: when ctx ends first, it fails with [ErrOutboxFull] and the cause of
// ctx. A frame that could never be sent is refused at once with [ErrPayload], or a [*FrameError] where it is too large.
func (c *Client) Submit(ctx context.Context, boardID string, payload proto.Message) (*Pending, error) {
	p, err := newPending(boardID, payload)
	if err != nil {
		return nil, fmt.Errorf("submit: %w", err)
	}
	for {
		room, err := c.take(p)
		if err != nil {
			return nil, fmt.Errorf("submit: %w", err)
		}
		if room == nil {
			return p, nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, fmt.Errorf("submit: %w: %w", ErrOutboxFull, context.Cause(ctx))
		}
	}
}

// Flush returns nil when everything that was submitted before is durable. It fails with [*FlushError] when that is so
// but for frames that were refused for good, each of which is reported by one Flush, with the error that ended the
// client, or with the cause of ctx.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return fmt.Errorf("flush: %w", c.ended)
	}
	waiting := make([]*Pending, 0, len(c.outbox.pending))
	for _, p := range c.outbox.pending {
		waiting = append(waiting, p)
	}
	c.mu.Unlock()
	for i, p := range waiting {
		select {
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("flush: %d frames are not acked yet: %w", len(waiting)-i, context.Cause(ctx))
		}
		if _, refused := errors.AsType[*FrameError](p.err); p.err != nil && !refused {
			return fmt.Errorf("flush: %w", p.err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.outbox.takeReport(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

func newPending(boardID string, payload proto.Message) (*Pending, error) {
	f := wrap(payload)
	if f == nil || !isDurable(f) {
		return nil, fmt.Errorf("%w: %T is not durable", ErrPayload, payload)
	}
	if f.GetBoardId() != "" && f.GetBoardId() != boardID {
		return nil, fmt.Errorf("%w: the frame is for board %s", ErrPayload, f.GetBoardId())
	}
	var err error
	if f.BoardId, err = parseUUID("board id", boardID); err != nil {
		return nil, err
	}
	if f.GetId() == "" {
		f.Id = newID()
	} else if f.Id, err = parseUUID("frame id", f.GetId()); err != nil {
		return nil, err
	}
	body, err := proto.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode frame: %w", err)
	}
	return &Pending{id: f.GetId(), board: f.GetBoardId(), body: body, done: make(chan struct{})}, nil
}

// newID returns a UUIDv7: ids that follow each other are near each other in the server's index.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// take puts p into the outbox. If there is no room it returns a channel that is closed when there may be.
func (c *Client) take(p *Pending) (room <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := board.MaxFrameBytes
	if n := c.limits.GetMaxFrameBytes(); n > 0 {
		limit = int(min(n, uint64(limit)))
	}
	switch size := len(p.body) + afterIDBytes; {
	case c.ended != nil:
		return nil, c.ended
	case size > limit:
		return nil, &FrameError{
			Board: p.board, Frame: p.id, Code: collaboardv1.ErrorCode_TOO_LARGE,
			Message: fmt.Sprintf("the frame has %d bytes, %d are allowed", size, limit),
		}
	case c.outbox.pending[p.id] != nil:
		return nil, fmt.Errorf("%w: frame %s is on its way already", ErrPayload, p.id)
	case !c.outbox.fits(len(p.body)):
		return c.outbox.room.wait(), nil
	}
	c.outbox.add(p, c.newBackoff())
	c.wanted = true
	c.changed.ring()
	c.signal()
	return nil, nil //nolint:nilnil // taken
}

// acked ends p, or holds its ack back until the replica of its board has the frame.
func (c *Client) acked(p *Pending, ack Ack) {
	p.ack = ack
	if b := c.boards[p.board]; b != nil && b.awaits(ack.Position) {
		b.held = append(b.held, p)
		return
	}
	c.finish(p)
}

func (c *Client) finish(p *Pending) {
	c.outbox.finish(p)
	c.changed.ring()
}
