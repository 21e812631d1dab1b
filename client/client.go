package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Client is one user's connection to a server: any number of boards on one stream. It connects when it is first needed,
// and from then on it stays connected, until Close.
//
// Between two connections it pauses; see [WithBackoff]. The pauses grow until a connection has proven itself, which is
// when the server, after its welcome, has answered something: a join, a frame, or the first heartbeat.
type Client struct {
	cfg    config
	target string
	log    *slog.Logger
	unary  *grpc.ClientConn
	rpc    collaboardv1.BoardServiceClient

	stop func(cause error) // ends run
	done chan struct{}     // closed when run has ended
	wake chan struct{}     // capacity 1: run may find something to do

	// mu guards the fields below and those of every Board, lane and Pending that say so. It is never held across a
	// send, a receive, or a call to the application but for the handler of its log.
	mu      sync.Mutex
	wanted  bool                 // somebody needs a connection
	online  bool                 // the server has welcomed the present connection
	met     bool                 // the server has welcomed the client at least once
	limits  *collaboardv1.Limits // as in the newest welcome; nil before the first
	userID  string               // the same
	lastErr error                // why the last connection ended
	retry   backoff              // of connecting
	ended   error                // why the client is no longer of use
	boards  map[string]*Board    // joined, or to be joined
	parts   map[string]bool      // boards to part on this connection
	outbox  outbox
	changed bell // the state changed
}

// Dial returns a client of the server at target, a name in gRPC's syntax, as in "boards.example.com:443". It does not
// connect yet. It starts the goroutine that will: Close, which must be called, ends it.
//
// A connection that fails is tried again, since the server may come: that is so, too, where it cannot ever succeed,
// because the server does not speak TLS and [WithInsecure] is missing, say. What waits for it (Join, Wait, Flush) should
// have a context that ends; Join's error then says why the last connection failed, as [WithLogger] does each time.
func Dial(target string, opts ...Option) (*Client, error) {
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		return nil, fmt.Errorf("dial %s: not a URL is wanted but HOST:PORT", target)
	}
	cfg := newConfig(opts)
	unary, err := grpc.NewClient(target, cfg.unaryOptions()...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	c := newClient(target, cfg)
	c.unary, c.rpc, c.stop = unary, collaboardv1.NewBoardServiceClient(unary), stop
	go c.run(ctx)
	return c, nil
}

func newClient(target string, cfg config) *Client {
	return &Client{
		cfg: cfg, target: target, log: cfg.log,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		retry:  cfg.backoff,
		boards: map[string]*Board{},
		parts:  map[string]bool{},
		outbox: newOutbox(cfg.outbox.frames, cfg.outbox.bytes),
	}
}

// Close ends the client, and returns when its goroutines have ended. It does not wait for frames that are not acked,
// which fail with [ErrClosed]: call Flush first. Boards end with ErrClosed. Closing again does nothing.
func (c *Client) Close() error {
	c.stop(ErrClosed)
	<-c.done
	if err := c.unary.Close(); err != nil && status.Code(err) != codes.Canceled {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Boards returns the service that creates, finds, renames and deletes boards, and reads their logs and snapshots. Its
// calls are made as the client's user, on a connection of their own.
func (c *Client) Boards() collaboardv1.BoardServiceClient { return c.rpc }

// Err returns why the client has ended: [ErrClosed] or a [*ConnectionError]; nil while it works.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// UserID is who the server took the client for when it connected last; empty before that.
func (c *Client) UserID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userID
}

// run connects, again and again, until the client ends.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	for c.awaitDemand(ctx) {
		err := c.connect(ctx)
		pause, fatal := c.disconnected(ctx, err)
		if fatal != nil {
			c.stop(fatal)
		}
		sleep(ctx, pause)
	}
	c.end(context.Cause(ctx))
}

// awaitDemand returns true when a connection is needed, false when ctx has ended.
func (c *Client) awaitDemand(ctx context.Context) bool {
	for ctx.Err() == nil {
		c.mu.Lock()
		wanted := c.wanted
		c.mu.Unlock()
		if wanted {
			return true
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// disconnected makes everything ready for the next connection. It says how long to wait before it, or why there shall
// be none.
func (c *Client) disconnected(ctx context.Context, err error) (pause time.Duration, fatal error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	welcomed := c.online
	c.online = false
	c.lastErr = err
	clear(c.parts)
	c.outbox.disconnected()
	for _, b := range c.boards {
		b.disconnected()
		b.asks = false
	}
	c.changed.ring()
	if ctx.Err() != nil {
		return 0, nil
	}
	if isFatal(err, welcomed, c.met) {
		c.log.ErrorContext(ctx, "server refuses the connection", "target", c.target, "error", err)
		return 0, &ConnectionError{Code: status.Code(err), Err: err}
	}
	pause = c.retry.next()
	c.log.InfoContext(ctx, "disconnected", "target", c.target, "error", err, "pause", pause)
	return pause, nil
}

// isFatal reports whether the next connection would end as this one did. A token may have expired on a connection that
// had been welcomed: the next one begins with another. From a server that has ever welcomed the client, other refusals
// are taken for the word of a proxy, which is passing.
func isFatal(err error, welcomed, ever bool) bool {
	switch status.Code(err) {
	case codes.Unauthenticated:
		return !welcomed
	case codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument, codes.FailedPrecondition:
		return !ever
	default:
		return false
	}
}

// end tells everybody that the client is no longer of use.
func (c *Client) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = cause
	for _, b := range c.boards {
		b.end(cause)
	}
	for _, p := range c.outbox.pending {
		p.err = cause
		c.finish(p)
	}
	c.outbox = outbox{room: c.outbox.room}
	c.outbox.room.ring()
	c.changed.ring()
}

// signal wakes run. It never blocks.
func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) newBackoff() backoff { return backoff{min: c.cfg.backoff.min, max: c.cfg.backoff.max} }

var errStreamEnded = errors.New("the server ended the stream")

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
