package room

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// chargedBytes is how large a frame may be that counts as one. A larger one counts as more, so that bytes are limited, too.
const chargedBytes = 4 << 10

// Throttle limits how fast the ephemeral frames of one connection are relayed, to all its boards together. What comes too
// fast is not refused but waits, the newest of each kind, within the bounds of what a room keeps: a flood costs the
// members no more than the limit, and when it is over they see the last cursor. It is safe for concurrent use.
type Throttle struct {
	// mu guards the fields below. It is acquired before a Room.mu.
	mu      sync.Mutex
	bucket  *rate.Limiter
	waiting newest
	timer   *time.Timer // nil when it is not waited for
}

// NewThrottle returns a Throttle that lets through so many frames a second, and twice as many at once.
func NewThrottle(perSecond int) *Throttle {
	return &Throttle{bucket: rate.NewLimiter(rate.Limit(perSecond), 2*perSecond)}
}

// Relay sends the frame on to the other members of the room, now or as soon as the limit allows, but not before the frames
// that are in the log by then.
func (t *Throttle) Relay(s *Subscription, frame *collaboardv1.Frame) {
	e := newEphemeral(s, frame)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting.put(e)
	t.relayLocked()
}

// Drop forgets what waits of the kind: it has been overtaken.
func (t *Throttle) Drop(s *Subscription, kind persistence.Kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting.remove(ephemeralKey{conn: s.conn, board: s.room.id, kind: kind})
}

// Stop ends it: what waits is not relayed any more.
func (t *Throttle) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}

// relayLocked relays what may be, oldest first, and comes back for the rest.
func (t *Throttle) relayLocked() {
	if t.timer != nil {
		return // it is not time yet
	}
	for e := t.waiting.oldest(); e != nil; e = t.waiting.oldest() {
		now := time.Now()
		cost := min(1+len(e.body)/chargedBytes, t.bucket.Burst())
		if !t.bucket.AllowN(now, cost) {
			missing := float64(cost) - t.bucket.TokensAt(now)
			t.timer = time.AfterFunc(time.Duration(missing/float64(t.bucket.Limit())*float64(time.Second))+1, t.due)
			return
		}
		t.waiting.remove(e.key)
		e.from.relay(*e)
	}
}

func (t *Throttle) due() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = nil
	t.relayLocked()
}
