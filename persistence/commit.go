package persistence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// errBehind rolls back a transaction that found more missed frames than it may read under its locks.
var errBehind = errors.New("state is too far behind the log")

// errPanic rolls back a transaction in which Decide panicked.
var errPanic = errors.New("panic")

// commit runs one transaction for the parts. If it fails for a reason of its content, it runs again board by board,
// and then frame by frame, until the culprit stands alone. Submissions that it leaves unfinished are to be tried
// again, for the reason in their part's err.
func (s *shard) commit(ctx context.Context, parts []*part) {
	err := s.attempt(ctx, parts)
	if err == nil {
		return
	}
	s.c.cfg.OnError(err, len(parts), countSubmissions(parts))
	var contended *ContendedError
	switch {
	case isUnavailable(err):
		for _, p := range parts {
			p.err = err
			s.refusePlans(p, err)
		}
	case len(parts) > 1:
		for i, p := range parts {
			p.noWait = errors.As(err, &contended)
			if s.commit(ctx, []*part{p}); p.err != nil && isUnavailable(p.err) {
				for _, rest := range parts[i+1:] {
					rest.err = p.err
				}
				return
			}
		}
	case errors.As(err, &contended):
		parts[0].err = err
	case len(parts[0].subs) > 1:
		for i := range parts[0].subs {
			one := &part{group: parts[0].group, subs: parts[0].subs[i : i+1]}
			if s.commit(ctx, []*part{one}); one.err != nil {
				parts[0].err = one.err
				return
			}
		}
	default:
		s.finish(parts[0].subs[0], Result{}, err)
	}
}

// refusePlans ends the submissions that have a plan: one may be why the transaction took too long, and shall not make the
// others wait for it again. Its sender may try again, under the same id.
func (s *shard) refusePlans(p *part, err error) {
	for _, sub := range p.subs {
		if sub.Plan != nil {
			s.finish(sub, Result{}, &RefusedError{RetryAfter: s.c.cfg.RetryMax, Err: err})
		}
	}
}

// attempt runs one transaction, and once it is durable publishes it and finishes its submissions. On an error no
// submission is finished, and nothing is published but frames that were durable before.
func (s *shard) attempt(ctx context.Context, parts []*part) error {
	slices.SortFunc(parts, func(a, b *part) int { return slices.Compare(a.group.board[:], b.group.board[:]) })
	for {
		boards := make([]*decision, len(parts))
		claims := make([]Claim, len(parts))
		for i, p := range parts {
			boards[i] = newDecision(p.subs)
			claims[i] = boards[i].claim()
			claims[i].NoWait = p.noWait
		}
		at := time.Now().UTC().Truncate(time.Microsecond)
		limited, cancel := context.WithTimeout(ctx, s.c.cfg.AttemptTimeout)
		err := s.c.store.Append(limited, claims, func(locked []Locked) ([]Extension, error) {
			return decideAll(boards, locked, at, time.Now().Add(s.c.cfg.BatchTime))
		})
		cancel()
		switch {
		case errors.Is(err, errBehind):
			for _, d := range boards {
				if d.stale == nil {
					d.attempt.Publish() // the missed frames only: nothing was decided
				}
			}
		case err != nil:
			if isUnavailable(err) {
				for _, d := range boards {
					d.doubt()
				}
			}
			return err
		default:
			for _, d := range boards {
				d.publish()
				for i, sub := range d.subs {
					s.finish(sub, d.outcomes[i].result, d.outcomes[i].err)
				}
			}
			return nil
		}
	}
}

// decision is one board's part of one transaction.
type decision struct {
	subs     []*Submission
	log      Log
	attempt  Attempt
	outcomes []outcome // of subs
	stale    error     // why the state must be thrown away
	added    bool
}

type outcome struct {
	result Result
	err    error
}

func newDecision(subs []*Submission) *decision {
	log := subs[len(subs)-1].Log // the newest: an older one may have been invalidated meanwhile
	return &decision{subs: subs, log: log, attempt: log.Begin()}
}

func (d *decision) claim() Claim {
	ids := make([]FrameID, len(d.subs))
	for i, sub := range d.subs {
		ids[i] = sub.ID
	}
	return Claim{Board: d.subs[0].Board, Applied: d.attempt.Position().Seq, IDs: ids}
}

// decideAll decides until a time has come, but one submission at the least. What is left over waits for the next
// transaction: an expensive frame is its sender's right, but others shall not wait for hundreds of them.
func decideAll(boards []*decision, locked []Locked, at, until time.Time) ([]Extension, error) {
	behind := false
	for i, d := range boards {
		l := &locked[i]
		d.catchUp(l)
		behind = behind || (l.Exists && d.stale == nil && d.attempt.Position().Seq < l.Head)
	}
	if behind {
		return nil, errBehind
	}
	extensions := make([]Extension, 0, len(boards))
	for i, d := range boards {
		if i > 0 && time.Now().After(until) {
			d.subs = nil
			continue
		}
		records, err := d.decide(&locked[i], at, until)
		if err != nil {
			return nil, err
		}
		if len(records) > 0 {
			extensions = append(extensions, Extension{Board: locked[i].Board, Records: records, Objects: d.attempt.Objects()})
		}
	}
	return extensions, nil
}

// catchUp brings the overlay to the head that the transaction found, as far as it read.
func (d *decision) catchUp(l *Locked) {
	at := d.attempt.Position()
	switch {
	case !l.Exists:
	case at.Epoch != l.Epoch || at.Seq > l.Head:
		d.stale = fmt.Errorf("%w: memory at %s:%d, store at %s:%d", ErrStaleLog, at.Epoch, at.Seq, l.Epoch, l.Head)
	case at.Seq < l.Head && len(l.Missed) == 0:
		d.stale = fmt.Errorf("%w: the log ends at seq %d, before its head %d", ErrStaleLog, at.Seq, l.Head)
	case len(l.Missed) > 0:
		if err := d.attempt.Apply(l.Missed); err != nil {
			d.stale = fmt.Errorf("%w: apply %d missed frames: %w", ErrStaleLog, len(l.Missed), err)
			return
		}
		d.added = true
	}
}

// decide gives each submission its outcome, should the transaction commit, and returns what it adds to the log. After a
// panic the overlay may be half changed: the transaction must not go on with it.
func (d *decision) decide(l *Locked, at, until time.Time) ([]Record, error) {
	d.outcomes = make([]outcome, len(d.subs))
	records := make([]Record, 0, len(d.subs))
	known := l.Known
	for i, sub := range d.subs {
		if i > 0 && time.Now().After(until) {
			d.subs, d.outcomes = d.subs[:i], d.outcomes[:i]
			break
		}
		out := &d.outcomes[i]
		seq, found := known[sub.ID]
		sub.refused = false
		switch {
		case !l.Exists:
			out.err = &BoardNotFoundError{Board: l.Board}
		case d.stale != nil:
			out.err = &RefusedError{Err: d.stale}
			sub.refused = true
		case found:
			out.result = Result{Position: Position{Epoch: l.Epoch, Seq: seq}, Duplicate: !sub.tried}
		case sub.After != nil && sub.After.refused:
			out.err = &RefusedError{Err: ErrPredecessorRefused}
			sub.refused = true
		default:
			more, err := decideOne(d.attempt, sub, at, records)
			if errors.Is(err, errPanic) {
				return nil, err
			}
			if err != nil {
				out.err = err
				continue
			}
			added := len(more) > len(records)
			records = more
			out.result = Result{Position: d.attempt.Position()}
			if i == len(d.subs)-1 || !added {
				break // nobody comes who could be sent again, or there is nothing that could be
			}
			if known == nil {
				known = make(map[FrameID]Seq, len(d.subs)-i)
			}
			known[sub.ID] = out.result.Seq
		}
	}
	d.added = d.added || len(records) > 0
	return records, nil
}

// decideOne turns a panic into an error: a defect in deciding must not stop a shard.
func decideOne(a Attempt, sub *Submission, at time.Time, records []Record) (more []Record, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decide frame %s of board %s: %w: %v", sub.ID, sub.Board, errPanic, p)
		}
	}()
	return a.Decide(sub, at, records)
}

// publish makes the decision visible. The transaction is durable.
func (d *decision) publish() {
	if d.stale != nil {
		d.log.Invalidate(d.stale)
	} else if d.added {
		d.attempt.Publish()
	}
}

// doubt marks the submissions that the transaction would have written. It had no answer: they may be in the log now,
// and were not before.
func (d *decision) doubt() {
	for i := range d.outcomes { // none when it did not come to a decision
		if out := &d.outcomes[i]; out.err == nil && !out.result.Duplicate {
			d.subs[i].tried = true
		}
	}
}

func isUnavailable(err error) bool {
	var unavailable *UnavailableError
	return errors.As(err, &unavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func countSubmissions(parts []*part) int {
	n := 0
	for _, p := range parts {
		n += len(p.subs)
	}
	return n
}
