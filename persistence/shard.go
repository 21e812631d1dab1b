package persistence

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// shard is the queue of the boards that share a transaction, and the loop that empties it.
type shard struct {
	c    *Committer
	wake chan struct{} // capacity 1: something was queued, or the intake ended

	// mu guards the fields below. It is never held across a call of the Store, a Log or a Done.
	mu     sync.Mutex
	ready  []*group // every group that holds submissions, in the order in which their turn comes
	groups map[BoardID]*group
	frames int // queued or being committed
	bytes  int
	closed error // why Submit refuses; nil while it does not

	// The fields below belong to the loop.
	failures  int       // attempts in a row that could not reach the store
	notBefore time.Time // when the store is tried again
	down      bool      // frames are refused until the store answers a ping
}

// group is one board's part of the queue. It exists while it holds submissions, or is being committed.
type group struct {
	board     BoardID
	queue     []*Submission
	listed    bool // is in ready
	failures  int  // attempts in a row in which this board was contended
	notBefore time.Time
}

// part is what one transaction takes of one group.
type part struct {
	group  *group
	subs   []*Submission
	noWait bool  // the board was locked by somebody else when it was last tried
	err    error // why those that are not finished go back into the queue
}

func newShard(c *Committer) *shard {
	return &shard{c: c, wake: make(chan struct{}, 1), groups: map[BoardID]*group{}}
}

func (s *shard) submit(sub *Submission) error {
	sub.deadline = time.Now().Add(s.c.cfg.CommitTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return s.closed
	}
	if s.frames >= s.c.cfg.QueueFrames || (s.frames > 0 && s.bytes+sub.Size > s.c.cfg.QueueBytes) {
		return &QueueFullError{RetryAfter: s.c.cfg.RetryMax}
	}
	s.frames++
	s.bytes += sub.Size
	g := s.groups[sub.Board]
	if g == nil {
		g = &group{board: sub.Board, listed: true}
		s.groups[sub.Board] = g
		s.ready = append(s.ready, g)
	}
	g.queue = append(g.queue, sub)
	s.signal()
	return nil
}

func (s *shard) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = ErrDraining
	s.signal()
}

func (s *shard) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shard) run(ctx context.Context) error {
	defer func() {
		s.drain() // nobody would answer what is queued from now on
		s.refuseAll(context.Cause(ctx))
	}()
	for ctx.Err() == nil {
		if s.down {
			s.probe(ctx)
		}
		parts, wait, done := s.take(time.Now())
		switch {
		case done:
			return nil
		case len(parts) == 0:
			s.sleep(ctx, wait)
		default:
			s.commit(ctx, parts)
			s.putBack(parts, time.Now())
		}
	}
	return nil
}

// take removes the next transaction's submissions from the queue: whole boards in turn, up to the batch limits. With
// nothing to do it says how long to wait, 0 meaning until something is queued, and whether the shard is done for good.
func (s *shard) take(now time.Time) (parts []*part, wait time.Duration, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait = s.notBefore.Sub(now); s.down || wait > 0 {
		return nil, max(wait, 1), false
	}
	if len(s.ready) == 0 {
		return nil, 0, s.closed == ErrDraining //nolint:errorlint // set as it is
	}
	frames, bytes := 0, 0
	wait = s.c.cfg.RetryMax
	var later []*group
	for i, g := range s.ready {
		if pause := g.notBefore.Sub(now); pause > 0 {
			wait = min(wait, pause)
			later = append(later, g)
			continue
		}
		alone := g.failures > 0 // it was contended, and others shall not wait for it again
		if alone && len(parts) > 0 {
			later = append(later, g)
			continue
		}
		n := 0
		for n < len(g.queue) && frames < s.c.cfg.BatchFrames && (frames == 0 || bytes+g.queue[n].Size <= s.c.cfg.BatchBytes) {
			bytes += g.queue[n].Size
			frames++
			n++
		}
		if n == 0 { // the batch is full: its turn comes first in the next
			s.ready = append(later, s.ready[i:]...)
			return parts, 0, false
		}
		parts = append(parts, &part{group: g, subs: g.queue[:n:n], noWait: alone})
		g.queue = g.queue[n:]
		if len(g.queue) > 0 { // the batch is full: its turn comes again after those that got none
			s.ready = append(append(later, s.ready[i+1:]...), g)
			return parts, 0, false
		}
		g.listed = false
		if alone {
			s.ready = append(later, s.ready[i+1:]...)
			return parts, 0, false
		}
	}
	s.ready = later
	return parts, wait, false
}

// putBack gives the queue back what a transaction did not finish, in the order it had, and sets the pauses: of a board
// that was contended, or of the whole shard when the store could not be reached. What has waited for too long is
// refused, and with it everything behind it, so that no sender's frames change places.
func (s *shard) putBack(parts []*part, now time.Time) {
	cfg := &s.c.cfg
	var refused []*Submission
	var unreachable error
	s.mu.Lock()
	for _, p := range parts {
		left := slices.DeleteFunc(p.subs, func(sub *Submission) bool { return sub.finished })
		g := p.group
		if len(left) > 0 {
			g.queue = append(left, g.queue...)
		}
		switch {
		case p.err == nil:
			g.failures, g.notBefore = 0, time.Time{}
		case isUnavailable(p.err):
			unreachable = p.err
		default:
			g.failures++
			g.notBefore = now.Add(cfg.backoff(g.failures))
		}
		if len(left) > 0 && now.After(left[0].deadline) {
			refused = append(refused, s.emptyLocked(g)...)
		}
		switch {
		case len(g.queue) == 0:
			delete(s.groups, g.board)
			if g.listed {
				s.ready = slices.DeleteFunc(s.ready, func(other *group) bool { return other == g })
			}
		case !g.listed:
			g.listed = true
			s.ready = append(s.ready, g)
		}
	}
	if unreachable != nil {
		s.failures++
		s.notBefore = now.Add(cfg.backoff(s.failures))
	} else {
		s.failures, s.notBefore = 0, time.Time{}
	}
	s.mu.Unlock()

	cause := unreachable
	if cause == nil {
		for _, p := range parts {
			cause = errors.Join(cause, p.err)
		}
	}
	for _, sub := range refused {
		sub.finish(Result{}, &RefusedError{RetryAfter: cfg.RetryMax, Err: cause})
	}
	if unreachable != nil && len(refused) > 0 {
		s.goDown(unreachable)
	}
}

// goDown refuses everything, at once and until a ping succeeds: a frame that cannot be written for long should not
// keep its sender waiting for as long.
func (s *shard) goDown(cause error) {
	s.down = true
	refusal := &RefusedError{RetryAfter: s.c.cfg.RetryMax, Err: cause}
	s.mu.Lock()
	if s.closed == nil {
		s.closed = refusal
	}
	s.mu.Unlock()
	s.refuseAll(cause)
	s.c.shardHealth(false, cause)
}

// probe waits for the pause to end, and pings.
func (s *shard) probe(ctx context.Context) {
	if pause := time.Until(s.notBefore); pause > 0 {
		s.sleep(ctx, pause)
	}
	attempt, cancel := context.WithTimeout(ctx, s.c.cfg.AttemptTimeout)
	defer cancel()
	err := s.c.store.Ping(attempt)
	s.mu.Lock()
	draining := s.closed == ErrDraining //nolint:errorlint // set as it is
	if err == nil && !draining {
		s.closed = nil
	}
	s.mu.Unlock()
	if err != nil && !draining {
		s.failures++
		s.notBefore = time.Now().Add(s.c.cfg.backoff(s.failures))
		return
	}
	s.down, s.failures, s.notBefore = false, 0, time.Time{}
	if err == nil {
		s.c.shardHealth(true, nil)
	}
}

// refuseAll ends every submission that is queued.
func (s *shard) refuseAll(cause error) {
	s.mu.Lock()
	var refused []*Submission
	for _, g := range s.ready {
		refused = append(refused, s.emptyLocked(g)...)
		delete(s.groups, g.board)
	}
	s.ready = nil
	s.mu.Unlock()
	for _, sub := range refused {
		sub.finish(Result{}, &RefusedError{RetryAfter: s.c.cfg.RetryMax, Err: cause})
	}
}

// finish ends a submission of a transaction. Its place in the queue is free before its sender hears of it.
func (s *shard) finish(sub *Submission, r Result, err error) {
	s.mu.Lock()
	s.frames--
	s.bytes -= sub.Size
	s.mu.Unlock()
	sub.finish(r, err)
}

func (s *shard) emptyLocked(g *group) []*Submission {
	subs := g.queue
	g.queue = nil
	for _, sub := range subs {
		s.frames--
		s.bytes -= sub.Size
	}
	return subs
}

// sleep ends after d, 0 meaning never, or when something is queued and no pause is set, or with ctx.
func (s *shard) sleep(ctx context.Context, d time.Duration) {
	wake := s.wake
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
		if !s.notBefore.IsZero() {
			wake = nil
		}
	}
	select {
	case <-wake:
	case <-timer:
	case <-ctx.Done():
	}
}

// backoff is the pause after n failures in a row: it doubles, and is spread over its upper half so that servers that
// failed together do not return together.
func (c *CommitterConfig) backoff(n int) time.Duration {
	d := c.RetryMax
	if shift := n - 1; shift < 20 {
		d = min(d, c.RetryMin<<shift)
	}
	return d/2 + rand.N(d/2+1)
}
