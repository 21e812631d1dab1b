package room

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// Retention is how much of a log is kept at the least; the zero value is all of it. It is kept an eighth longer, so that
// a log is not trimmed all the time. The newest frame stays in any case.
type Retention struct {
	Frames uint64        // the newest ones
	Age    time.Duration // those that are not older
}

const forever = "forever"

// ParseRetention reads "forever", a number of frames, or an age in days or hours as in "30d" and "12h".
func ParseRetention(text string) (Retention, error) {
	if text == forever {
		return Retention{}, nil
	}
	digits, unit := text, time.Duration(0)
	for suffix, d := range map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = rest, d
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	const mostHours = 1_000_000 // a century
	if err != nil || n == 0 || unit > 0 && n > uint64(mostHours*time.Hour/unit) {
		return Retention{}, fmt.Errorf(`%q is not "forever", a number of frames as in 100000, or an age as in 30d or 12h`, text)
	}
	if unit > 0 {
		return Retention{Age: time.Duration(n) * unit}, nil
	}
	return Retention{Frames: n}, nil
}

// UnmarshalText is ParseRetention.
func (r *Retention) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRetention(string(text))
	return err
}

const (
	retainPage = 100                   // boards in one read
	pagePause  = 50 * time.Millisecond // before each
	// After a step that removes something comes a pause of three times as long, and stepPause at the least: no more than a
	// quarter of what SQLite's one writer can do goes into it, and where steps are quick some 25,000 frames go in a second.
	stepPause = 5 * time.Millisecond
	// A step that takes longer than slowStep is followed by smaller ones: SQLite's one writer waits for it.
	mostRemoved  = 512
	leastRemoved = 16
	slowStep     = 50 * time.Millisecond
	// mostSlack is how many frames more than wanted a long log may have.
	mostSlack = 4096
)

// runRetention trims logs and purges deleted boards, one step at a time, until ctx ends. Other servers on the same store
// may do so at once: what one has done the others find done. They begin at different times.
func (h *Hub) runRetention(ctx context.Context) {
	next := time.NewTimer(rand.N(h.cfg.RetainInterval))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			err := h.retainAll(ctx)
			if err == nil {
				err = h.purgeAll(ctx)
			}
			if err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "trimming of logs ended early", "error", err)
			}
			next.Reset(h.cfg.RetainInterval)
		}
	}
}

// errUnhealthy ends a pass: the store has enough to do.
var errUnhealthy = errors.New("durable frames are refused")

// rest waits between steps.
func (h *Hub) rest(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
	}
	if !h.healthy.Load() {
		return errUnhealthy
	}
	return nil
}

// retainAll goes through all boards, in use or not. It goes on after a board that cannot be trimmed, unless the store is
// away.
func (h *Hub) retainAll(ctx context.Context) error {
	for after := (persistence.BoardID{}); ; {
		if err := h.rest(ctx, pagePause); err != nil {
			return err
		}
		boards, err := ask(ctx, h, func(ctx context.Context) ([]persistence.Board, error) {
			return h.store.ListBoards(ctx, after, retainPage)
		})
		if err != nil || len(boards) == 0 {
			return err
		}
		for i := range boards {
			err := h.retain(ctx, boards[i])
			var notFound *persistence.BoardNotFoundError
			var unavailable *persistence.UnavailableError
			var contended *persistence.ContendedError
			switch {
			case err == nil || errors.As(err, &notFound) || errors.As(err, &contended): // there is a next time
			case ctx.Err() != nil || errors.As(err, &unavailable) || errors.Is(err, errUnhealthy):
				return err
			default:
				h.log.WarnContext(ctx, "log cannot be trimmed", "board", boards[i].ID, "error", err)
			}
		}
		after = boards[len(boards)-1].ID
	}
}

// retain trims one board's log where it is too long, and goes on with what was begun.
func (h *Hub) retain(ctx context.Context, b persistence.Board) (err error) {
	defer func() {
		if p := recover(); p != nil { // a log that cannot be folded is not trimmed, and that is all
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	keep := h.cfg.Retain
	if b.RetainLog != "" {
		if keep, err = ParseRetention(b.RetainLog); err != nil {
			return err
		}
	}
	first, err := h.firstToKeep(ctx, b, keep)
	if err != nil {
		return err
	}
	if first > b.First {
		if err := h.beginLog(ctx, b, first); err != nil {
			return err
		}
		h.log.InfoContext(ctx, "log is trimmed", "board", b.ID, "first", first, "before", b.First)
	}
	if max(first, b.First) == 1 {
		return nil
	}
	return h.inSteps(ctx, func(ctx context.Context, limit int) (done bool, err error) {
		n, err := h.store.RemoveTrimmed(ctx, b.ID, limit)
		return n < limit, err
	})
}

// firstToKeep is the seq at which the board's log is to begin: where it does, unless it is longer than it may be.
func (h *Hub) firstToKeep(ctx context.Context, b persistence.Board, keep Retention) (persistence.Seq, error) {
	switch {
	case b.Head <= b.First || keep == Retention{}:
		return b.First, nil
	case keep.Frames > 0:
		most := keep.Frames + min(keep.Frames/8, mostSlack)
		if uint64(b.Head-b.First+1) <= most {
			return b.First, nil
		}
		return b.Head - persistence.Seq(keep.Frames) + 1, nil
	default:
		return h.firstSince(ctx, b, time.Now().Add(-keep.Age), keep.Age/8)
	}
}

// firstSince is the seq of the first frame that is not older than since, or the newest frame's where all are older; but
// where the log begins while nothing is older than that by more than slack. Times ascend with the seqs, but for what
// servers' clocks differ.
func (h *Hub) firstSince(ctx context.Context, b persistence.Board, since time.Time, slack time.Duration) (persistence.Seq, error) {
	oldest, err := h.timeAt(ctx, b.ID, b.First)
	if err != nil || !oldest.Before(since.Add(-slack)) {
		return b.First, err
	}
	before, first := b.First, b.Head // the frame at before is older, and the one wanted is not behind first
	for first-before > 1 {
		middle := before + (first-before)/2
		at, err := h.timeAt(ctx, b.ID, middle)
		if err != nil {
			return 0, err
		}
		if at.Before(since) {
			before = middle
		} else {
			first = middle
		}
	}
	return first, nil
}

func (h *Hub) timeAt(ctx context.Context, id persistence.BoardID, seq persistence.Seq) (time.Time, error) {
	records, err := h.read(ctx, persistence.ReadParams{Board: id, After: seq - 1, Limit: 1})
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("log ends before seq %d", seq)
	}
	if err != nil {
		return time.Time{}, err
	}
	return records[0].Time, nil
}

// beginLog makes the board's log begin at a seq. The state there is then nowhere else: what will be read of it is compared
// with what it was made of before it counts.
func (h *Hub) beginLog(ctx context.Context, b persistence.Board, first persistence.Seq) error {
	f, err := h.foldTo(ctx, b, first)
	if err != nil {
		return err
	}
	s, err := snapshot.Encode(f.state, snapshot.Origin{Board: b.ID, Epoch: b.Epoch, Frame: f.head.frame}, time.Now())
	if err != nil {
		return err
	}
	state, frame, err := snapshot.Decode(&s)
	if err != nil {
		return err
	}
	if frame != f.head.frame || !bytes.Equal(state.Snapshot(), f.state.Snapshot()) {
		return fmt.Errorf("the state at seq %d is another once it is stored", first)
	}
	_, err = ask(ctx, h, func(ctx context.Context) (struct{}, error) { return struct{}{}, h.store.BeginLog(ctx, s) })
	return err
}

// purgeAll removes what was deleted long ago.
func (h *Hub) purgeAll(ctx context.Context) error {
	before := time.Now().Add(-h.cfg.PurgeAfter)
	for after := (persistence.BoardID{}); ; {
		ids, err := ask(ctx, h, func(ctx context.Context) ([]persistence.BoardID, error) {
			return h.store.PurgeableBoards(ctx, before, after, retainPage)
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			err := h.inSteps(ctx, func(ctx context.Context, limit int) (bool, error) {
				return h.store.PurgeBoard(ctx, id, before, limit)
			})
			if err != nil {
				return err
			}
			h.log.InfoContext(ctx, "deleted board is purged", "board", id)
			after = id
		}
	}
}

// inSteps calls step, with the number of rows that it may remove, until it is done. Where somebody else is at the same
// rows it is tried again.
func (h *Hub) inSteps(ctx context.Context, step func(ctx context.Context, limit int) (done bool, err error)) error {
	for limit := mostRemoved; ; {
		begin := time.Now()
		done, err := ask(ctx, h, func(ctx context.Context) (bool, error) { return step(ctx, limit) })
		if _, contended := errors.AsType[*persistence.ContendedError](err); err != nil && !contended || done {
			return err
		}
		took := time.Since(begin)
		if took > slowStep {
			limit = max(limit/2, leastRemoved)
		}
		if err := h.rest(ctx, max(3*took, stepPause)); err != nil {
			return err
		}
	}
}

// ask calls the store, for no longer than a call may take.
func ask[T any](ctx context.Context, h *Hub, call func(context.Context) (T, error)) (T, error) {
	if err := h.begin(); err != nil {
		var none T
		return none, err
	}
	defer h.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	return call(ctx)
}
