package client

import (
	"slices"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// maxReported is how many refused frames are kept for the next Flush.
const maxReported = 100

// outbox holds the durable frames that the application submitted, until each is acked or refused for good. The mutex of
// the Client guards it.
//
// Frames go into a board's log in the order of its lane. That holds because each frame names the one sent before it, as
// long as that one is in flight: if the server refuses one for now, it refuses those behind it too. Then the lane sends
// nothing until everything in flight is answered, waits, and sends all that is left again, in order, the first of it
// naming none. After a reconnect it does the same; a wait that was asked for before goes on.
type outbox struct {
	maxFrames, maxBytes int

	pending map[string]*Pending // by frame id: every frame that is not finished
	bytes   int                 // of pending
	lanes   map[string]*lane    // by board; only those that are not empty
	turn    []*lane             // lanes with frames to send, in the order in which their turn comes
	room    bell                // frames were finished

	inFlight      int // sent on this connection and not answered
	inFlightBytes int

	refused []*FrameError // for the next Flush
	more    int           // how many did not fit
}

// lane is the durable frames of one board that are not answered yet.
type lane struct {
	queue    []*Pending // in the order submitted
	sent     int        // how many of them, from the first on, were sent on this connection
	inFlight int        // how many of those are not answered; fewer than sent while refusals come in
	lastID   string     // of the newest sent; empty when the next one need not name it
	queued   bool       // is in turn

	refused   bool // a frame was refused for now: nothing is sent until nothing is in flight
	wait      time.Duration
	notBefore time.Time
	retry     backoff
}

func newOutbox(maxFrames, maxBytes int) outbox {
	return outbox{maxFrames: maxFrames, maxBytes: maxBytes, pending: map[string]*Pending{}, lanes: map[string]*lane{}}
}

// fits reports whether there is room. A frame that is larger than the whole outbox fits into an empty one.
func (o *outbox) fits(size int) bool {
	return len(o.pending) < o.maxFrames && (len(o.pending) == 0 || o.bytes+size <= o.maxBytes)
}

func (o *outbox) add(p *Pending, retry backoff) {
	o.pending[p.id] = p
	o.bytes += len(p.body)
	l := o.lanes[p.board]
	if l == nil {
		l = &lane{retry: retry}
		o.lanes[p.board] = l
	}
	l.queue = append(l.queue, p)
	o.enqueue(l)
}

func (o *outbox) enqueue(l *lane) {
	if !l.queued && l.sent < len(l.queue) {
		l.queued = true
		o.turn = append(o.turn, l)
	}
}

// send appends to batch what may be sent now, the boards taking turns, until limit frames are in flight or more than
// limitBytes would be; one frame may always be. It returns when to look again, the zero time for when something changes.
func (o *outbox) send(batch []any, now time.Time, limit, limitBytes int) ([]any, time.Time) {
	var later []*lane
	var next time.Time
	for len(o.turn) > 0 && o.inFlight < limit {
		l := o.turn[0]
		if l.sent >= len(l.queue) {
			l.queued = false
			o.turn = o.turn[1:]
			continue
		}
		if l.refused || now.Before(l.notBefore) {
			if !l.refused {
				next = earliest(next, l.notBefore)
			}
			later = append(later, l)
			o.turn = o.turn[1:]
			continue
		}
		p := l.queue[l.sent]
		if o.inFlight > 0 && o.inFlightBytes+len(p.body) > limitBytes {
			break
		}
		batch = append(batch, &outgoing{body: p.body, after: l.lastID})
		p.inFlight = true
		l.sent++
		l.inFlight++
		l.lastID = p.id
		o.inFlight++
		o.inFlightBytes += len(p.body)
		o.turn = append(o.turn[1:], l)
	}
	o.turn = append(o.turn, later...)
	return batch, next
}

// landed takes p, which was in flight and is answered, off the wire.
func (o *outbox) landed(p *Pending) *lane {
	l := o.lanes[p.board]
	p.inFlight = false
	l.inFlight--
	o.inFlight--
	o.inFlightBytes -= len(p.body)
	return l
}

// answered takes p, which landed, out of its lane: the server has the last word on it.
func (o *outbox) answered(p *Pending, now time.Time) {
	l := o.landed(p)
	i := slices.Index(l.queue, p)
	if i == 0 {
		l.queue[0] = nil
		l.queue = l.queue[1:]
	} else {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	l.sent--
	l.retry.reset()
	o.settle(l, now)
	if len(l.queue) == 0 {
		// A later frame need not name one of these: they are all in the log, or never will be.
		delete(o.lanes, p.board)
	}
}

// refusedForNow keeps p for a resend, after wait at the earliest.
func (o *outbox) refusedForNow(p *Pending, wait time.Duration, now time.Time) {
	l := o.landed(p)
	if !l.refused {
		l.refused, l.wait = true, wait // the others are refused because of this one
	}
	o.settle(l, now)
}

// settle lets a lane that was refused begin anew once nothing of it is in flight.
func (o *outbox) settle(l *lane, now time.Time) {
	if l.inFlight > 0 {
		return
	}
	l.lastID = ""
	if l.refused {
		l.notBefore = now.Add(l.wait + l.retry.next())
		l.rewind()
		o.enqueue(l)
	}
}

// rewind makes the lane send everything that it holds.
func (l *lane) rewind() {
	l.sent, l.inFlight, l.lastID, l.refused, l.wait = 0, 0, "", false, 0
}

// disconnected forgets what is in flight: whether it arrived is unknown, and the ids will tell.
func (o *outbox) disconnected() {
	o.inFlight, o.inFlightBytes = 0, 0
	for _, l := range o.lanes {
		for _, p := range l.queue[:l.sent] {
			p.inFlight = false
		}
		l.rewind()
		o.enqueue(l)
	}
}

// finish ends p with the ack or the error that was set in it.
func (o *outbox) finish(p *Pending) {
	delete(o.pending, p.id)
	o.bytes -= len(p.body)
	o.room.ring()
	close(p.done)
}

// report keeps a refusal for the next Flush.
func (o *outbox) report(refused *FrameError) {
	if len(o.refused) < maxReported {
		o.refused = append(o.refused, refused)
	} else {
		o.more++
	}
}

func (o *outbox) takeReport() error {
	if len(o.refused) == 0 {
		return nil
	}
	err := &FlushError{Refused: o.refused, More: o.more}
	o.refused, o.more = nil, 0
	return err
}

// retryAfter is how long a refusal asks to wait, in bounds that no server can talk us out of.
func retryAfter(e *collaboardv1.Error) time.Duration {
	return min(max(e.GetRetryAfter().AsDuration(), 0), maxRetryAfter)
}

// maxRetryAfter is the longest that a server can make a client wait in one go.
const maxRetryAfter = 5 * time.Minute

// earliest is the earlier of two times of which the zero one means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
