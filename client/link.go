package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// errSilent is why a connection is given up on which nothing comes any more.
var errSilent = errors.New("the server has fallen silent")

// link is one connection, with the one stream on it.
//
// It is a grpc.ClientConn of its own, made for this stream and closed with it. One that outlives its streams would keep
// a dead network's transport for the next stream, and add a backoff of its own, which resets when it wants to.
type link struct {
	c      *Client
	stream grpc.ClientStream

	began time.Time
	heard atomic.Int64 // when something came last: nanoseconds since began

	pinged bool // guarded by c.mu: a ping was sent since
}

// connect opens a connection, serves it until it ends, and says why. When it returns nothing of it is left, so that
// nothing which is late can disturb the next one.
func (c *Client) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel(nil)

	cc, err := grpc.NewClient(c.target, c.cfg.streamOptions()...)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer cc.Close()
	l := &link{c: c, began: time.Now()}
	work.Go(func() { cancel(l.watch(ctx)) })

	identified, err := c.cfg.identify(ctx)
	if err == nil {
		desc := &collaboardv1.CollaborationService_ServiceDesc.Streams[0]
		l.stream, err = cc.NewStream(identified, desc, collaboardv1.CollaborationService_Collaborate_FullMethodName)
	}
	if err != nil {
		return l.why(ctx, err)
	}
	work.Go(func() { cancel(l.receive()) })
	return l.why(ctx, l.send(ctx))
}

// why is the reason for the end of the connection that came first: what watch, receive or Close said, or else err.
func (l *link) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// watch ends the connection on which nothing comes.
func (l *link) watch(ctx context.Context) error {
	t := time.NewTimer(l.c.cfg.timeout)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		limit := l.c.cfg.timeout // for the welcome
		if l.heard.Load() > 0 {
			limit += l.c.cfg.heartbeat
		}
		left := limit - l.idle()
		if left <= 0 {
			return errSilent
		}
		t.Reset(left)
	}
}

func (l *link) idle() time.Duration { return time.Since(l.began) - time.Duration(l.heard.Load()) }

func (l *link) receive() error {
	for {
		var in incoming
		if err := l.stream.RecvMsg(&in); err != nil {
			if errors.Is(err, io.EOF) {
				return errStreamEnded
			}
			return err // a status
		}
		l.heard.Store(int64(max(time.Since(l.began), 1)))
		l.c.handle(l, &in)
	}
}

// send sends what there is to send. It alone does. When the stream breaks, receive knows why.
func (l *link) send(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		batch, pause := l.c.collect(l, time.Now())
		for _, m := range batch {
			if err := l.stream.SendMsg(m); errors.Is(err, io.EOF) {
				<-ctx.Done()
				return nil
			} else if err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			continue
		}
		t.Reset(pause)
		select {
		case <-l.c.wake:
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// collect takes what may be sent now, and accounts for it as sent. If that is nothing it says how long to wait, should
// nothing change meanwhile.
func (c *Client) collect(l *link, now time.Time) (batch []any, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause = c.cfg.heartbeat
	if !c.online {
		return nil, pause
	}
	if idle := l.idle(); !l.pinged && idle >= c.cfg.heartbeat {
		l.pinged = true
		batch = append(batch, &collaboardv1.Frame{
			Id: newID(), Status: collaboardv1.Status_STATUS_REQUEST,
			Payload: &collaboardv1.Frame_Ping{Ping: &collaboardv1.Ping{}},
		})
	} else if !l.pinged {
		pause -= idle
	}
	var next time.Time
	batch, next = c.collectBoards(batch, now)
	frames, bytes := c.window()
	batch, again := c.outbox.send(batch, now, frames, bytes)
	if next = earliest(next, again); !next.IsZero() {
		pause = min(pause, next.Sub(now))
	}
	return batch, max(pause, 0)
}

// collectBoards takes the requests to part and to join, and the signals of the boards that are joined.
func (c *Client) collectBoards(batch []any, now time.Time) (_ []any, next time.Time) {
	for id := range c.parts {
		batch = append(batch, &collaboardv1.Frame{
			Id: newID(), BoardId: id, Status: collaboardv1.Status_STATUS_REQUEST,
			Payload: &collaboardv1.Frame_BoardPart{BoardPart: &collaboardv1.BoardPart{}},
		})
	}
	clear(c.parts)
	for _, b := range c.boards {
		switch {
		case b.live:
			batch = b.signals.take(batch)
		case b.joinID == "" && now.Before(b.notBefore):
			next = earliest(next, b.notBefore)
		case b.joinID == "":
			batch = append(batch, b.join())
		}
	}
	return batch, next
}

// window is how much may be in flight. A few frames of what the server allows are left for joins and pings, so that
// these do not wait behind frames that are being committed.
func (c *Client) window() (frames, bytes int) {
	const spare = 8
	frames = c.cfg.window
	if n := int(min(c.limits.GetMaxInFlightFrames(), 1<<20)); n > 0 {
		frames = min(frames, max(n-spare, 1))
	}
	bytes = 1 << 20
	if n := c.limits.GetMaxInFlightBytes(); n > 0 {
		bytes = int(min(n, 1<<30))
	}
	return frames, bytes
}
