package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Position is a place in a board's log: all that is needed to resume after it. The zero value is the beginning of
// whatever log there is.
type Position struct {
	Epoch string // UUID of the log's incarnation
	Seq   uint64 // of the last frame before the place; 0 for none
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.Epoch, p.Seq) }

// Board is a board that the client has joined. It stays joined, across reconnects, until it ends: by Leave, by Close,
// or because the server says that it was deleted or may not be read any more.
type Board struct {
	c    *Client
	id   string
	done chan struct{} // closed once ended is set

	wantReplica bool
	joined      chan struct{} // closed at the end of the first join

	// The fields below are guarded by c.mu.

	ended   error
	changed bell // there is something new to read, or the end

	// The join that is under way, or the next one.
	joinID       string    // of the request; empty while none is under way
	joinFrom     *Position // what it asked for; nil for a snapshot
	loading      *board.Board
	loadingAt    Position
	loaded       bool // loading is complete
	notBefore    time.Time
	retry        backoff
	doubt        bool // the server contradicted itself, and no event has come since
	fromSnapshot bool // the position is given up
	lastErr      error
	desyncs      int
	lastDesync   error

	// What the board is.
	asks     bool // a join was sent on this connection: the server may have a member, whatever came of it here
	live     bool // joined on this connection: events follow pos
	known    bool // pos is one to resume from
	pos      Position
	replica  *board.Board // at pos; nil where there is none
	role     collaboardv1.Role
	writable bool
	members  []*collaboardv1.Member
	held     []*Pending // acked, but ahead of pos

	log     reader
	signals signals // to send
	events  events  // received
}

// JoinOption changes how a board is joined.
type JoinOption func(*Board)

// From joins at a position: Frames begins with the frame after it, if the log still has it. A board that is joined after
// its beginning (a Seq that is not 0) has no replica, since what came before is not known.
func From(p Position) JoinOption {
	return func(b *Board) {
		p.Epoch = strings.ToLower(p.Epoch) // as the server spells it
		b.known, b.pos = true, p
		if p.Seq > 0 {
			b.wantReplica = false
		}
	}
}

// WithoutReplica saves the memory of one, for programs that only read or write the log.
func WithoutReplica() JoinOption { return func(b *Board) { b.wantReplica = false } }

// Join makes the client a member of the board, and returns when it is. Where the server cannot be reached, or cannot
// load the board for now, it keeps trying until ctx ends. It fails with [*FrameError] when the server refuses,
// [ErrAlreadyJoined], or why the client ended.
func (c *Client) Join(ctx context.Context, boardID string, opts ...JoinOption) (*Board, error) {
	id, err := parseUUID("board id", boardID)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	b := c.newBoard(id, opts)
	if err := c.register(b); err != nil {
		return nil, fmt.Errorf("join board %s: %w", id, err)
	}
	select {
	case <-b.joined:
		return b, nil
	case <-b.done:
		return nil, fmt.Errorf("join: %w", b.Err())
	case <-ctx.Done():
		if last := b.giveUp(); last != nil {
			return nil, fmt.Errorf("join board %s: %w; the last error was: %w", id, context.Cause(ctx), last)
		}
		return nil, fmt.Errorf("join board %s: %w", id, context.Cause(ctx))
	}
}

func (c *Client) newBoard(id string, opts []JoinOption) *Board {
	b := &Board{
		c: c, id: id, done: make(chan struct{}), joined: make(chan struct{}),
		wantReplica: true, retry: c.newBackoff(),
	}
	for _, opt := range opts {
		opt(b)
	}
	b.log.cursor = b.pos
	return b
}

func (c *Client) register(b *Board) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended != nil:
		return c.ended
	case c.boards[b.id] != nil:
		return ErrAlreadyJoined
	}
	c.boards[b.id] = b
	c.wanted = true
	c.signal()
	return nil
}

// giveUp leaves the board and returns what went wrong last.
func (b *Board) giveUp() error {
	b.Leave()
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if b.lastErr == nil && !b.c.online {
		return b.c.lastErr
	}
	return b.lastErr
}

// ID is the board's id.
func (b *Board) ID() string { return b.id }

// Done is closed when the board has ended; Err then says why.
func (b *Board) Done() <-chan struct{} { return b.done }

// Err returns why the board has ended: [ErrLeft], [*FrameError] with BOARD_NOT_FOUND when it was deleted, or why the
// client ended; nil while it has not.
func (b *Board) Err() error {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	return b.ended
}

// Leave ends the membership, and the board with [ErrLeft]. It does not wait for the server. Frames that were submitted
// are still sent. Leaving a board that has ended does nothing.
func (b *Board) Leave() {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.end(ErrLeft)
}

// Submit is [Client.Submit] to this board. It works after the board has ended too.
func (b *Board) Submit(ctx context.Context, payload proto.Message) (*Pending, error) {
	return b.c.Submit(ctx, b.id, payload)
}

// Replica returns the board as of the last frame that was received, which may be ahead of what Frames gave: skip there
// what is not after Seq. It is the caller's own, and does not change by itself; taking it is cheap, whatever the board's
// size. It is nil for a board that has none; see [From] and [WithoutReplica].
func (b *Board) Replica() *board.Board {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if b.replica == nil {
		return nil
	}
	return b.replica.Clone()
}

// Members returns who is on the board, this client included, in the order they came. While the client is offline it is
// who was there last. The messages must not be changed.
func (b *Board) Members() []*collaboardv1.Member {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	return slices.Clone(b.members)
}

// BoardStatus is what is known of a board besides its content.
type BoardStatus struct {
	// Live means that the client hears of what happens on the board. It is false while it is offline, or joins again.
	Live bool
	// Writable is false while the server refuses durable frames of everybody. They wait in the outbox.
	Writable bool
	// Role is what the user may do.
	Role collaboardv1.Role
	// Position is that of the last frame received.
	Position Position
	// Desyncs is how often the server contradicted itself; LastDesync is how last, a [*DesyncError], or nil.
	Desyncs    int
	LastDesync error
}

// Status returns what is known now. The events of [Board.Ephemeral] tell of most changes.
func (b *Board) Status() BoardStatus {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	return BoardStatus{
		Live: b.live, Writable: b.writable, Role: b.role, Position: b.pos, Desyncs: b.desyncs, LastDesync: b.lastDesync,
	}
}
