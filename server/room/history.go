package room

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// keyframeShare is for how many bytes of a keyframe there is a frame in the log: with frames of some hundred bytes,
// keyframes take about a quarter of what the log takes.
const keyframeShare = 64

// AheadError means that a seq is ahead of the board's head.
type AheadError struct{ Head persistence.Seq }

func (e *AheadError) Error() string { return fmt.Sprintf("the log ends at seq %d", e.Head) }

// StateAt is the fold of the log up to at, which must not be ahead of the board's head: 0 means the empty board. It fails
// with *persistence.TrimmedError where that is not in the log any more.
func (h *Hub) StateAt(ctx context.Context, id persistence.BoardID, at persistence.Seq) (*board.Board, persistence.Epoch, error) {
	b, err := h.board(ctx, id)
	if err != nil {
		return nil, persistence.Epoch{}, err
	}
	if at > b.Head {
		return nil, b.Epoch, &AheadError{Head: b.Head}
	}
	state, err := h.stateAt(ctx, b, at)
	return state, b.Epoch, err
}

// StateAtHead is the fold of the log.
func (h *Hub) StateAtHead(ctx context.Context, id persistence.BoardID) (*board.Board, persistence.Epoch, error) {
	b, err := h.board(ctx, id)
	if err != nil {
		return nil, persistence.Epoch{}, err
	}
	state, err := h.stateAt(ctx, b, b.Head)
	return state, b.Epoch, err
}

// NotYetError means that a board did not exist at a time: it is older than the board and than every frame of its log.
type NotYetError struct{ CreatedAt time.Time }

func (e *NotYetError) Error() string {
	return "the board did not exist then: it was made at " + e.CreatedAt.Format(time.RFC3339)
}

// StateAtTime is the fold of the log up to its last frame that is not later than at. It fails with
// *persistence.TrimmedError where that is not in the log any more, and with *NotYetError where there was no board.
func (h *Hub) StateAtTime(ctx context.Context, id persistence.BoardID, at time.Time) (*board.Board, persistence.Epoch, error) {
	b, err := h.board(ctx, id)
	if err != nil {
		return nil, persistence.Epoch{}, err
	}
	seq, err := h.SeqAt(ctx, b, at)
	if err != nil {
		return nil, b.Epoch, err
	}
	if seq == 0 && b.First == 1 && at.Before(b.CreatedAt) {
		return nil, b.Epoch, &NotYetError{CreatedAt: b.CreatedAt}
	}
	state, err := h.stateAt(ctx, b, seq)
	return state, b.Epoch, err
}

// SeqAt is the seq of the last frame that is not later than at, 0 where the board's log has none, or none any more. It
// halves the log, which has no index for it: the times of a log do not go back. Where they do, since an older version
// wrote it, it is the seq of some frame that is not later than at, and before one that is. It fails with
// *persistence.TrimmedError where the log is trimmed meanwhile, and has none any more.
func (h *Hub) SeqAt(ctx context.Context, b persistence.Board, at time.Time) (persistence.Seq, error) {
	low, high := b.First-1, b.Head // the frame at low is not later, the one behind high is
	var trimmed *persistence.TrimmedError
	for low < high {
		middle := low + (high-low+1)/2
		records, err := h.read(ctx, persistence.ReadParams{Board: b.ID, After: middle - 1, Limit: 1})
		if errors.As(err, &trimmed) && trimmed.First > middle {
			b.First = trimmed.First
			low = b.First - 1
			continue
		}
		if err != nil {
			return 0, err
		}
		if len(records) == 0 || records[0].Seq != middle {
			return 0, fmt.Errorf("the log of board %s has no frame at seq %d", b.ID, middle)
		}
		if records[0].Time.After(at) {
			high = middle - 1
		} else {
			low = middle
		}
	}
	switch {
	case low >= b.First:
		return low, nil
	case trimmed != nil:
		return 0, trimmed
	default:
		return 0, nil
	}
}

// stateAt is the fold of the log up to at. Where it has far to go from the snapshot that it begins with, as with logs of
// a version that kept none for long, it leaves keyframes on its way: the next one has not. Where the log is trimmed
// meanwhile, though not behind at, it begins again.
func (h *Hub) stateAt(ctx context.Context, b persistence.Board, at persistence.Seq) (*board.Board, error) {
	for {
		state, err := h.stateOnce(ctx, b, at)
		trimmed, ok := errors.AsType[*persistence.TrimmedError](err)
		if !ok || trimmed.First <= b.First || trimmed.First > at {
			return state, err
		}
		b.First = trimmed.First
	}
}

func (h *Hub) stateOnce(ctx context.Context, b persistence.Board, at persistence.Seq) (*board.Board, error) {
	f, err := h.restore(ctx, b, at)
	if err != nil {
		return nil, err
	}
	step := persistence.Seq(h.cfg.SnapshotFrames)
	for to := persistence.Seq(f.state.Seq()); to < at; {
		to += min(step, at-to)
		if err := h.follow(ctx, b.ID, &f, to); err != nil {
			return nil, err
		}
		if at-to < step {
			continue // the next keyframe, which is beyond at, may be too near for another
		}
		if step, err = h.keep(ctx, b, &f, at); err != nil {
			h.log.WarnContext(ctx, "keyframe is not stored", "board", b.ID, "seq", to, "error", err)
			step = at
		}
	}
	return f.state, nil
}

// keep stores a keyframe, unless it is too near to at, and returns how far it is to the next one.
func (h *Hub) keep(ctx context.Context, b persistence.Board, f *fold, at persistence.Seq) (persistence.Seq, error) {
	s, err := snapshot.Encode(f.state, snapshot.Origin{Board: b.ID, Epoch: b.Epoch, Frame: f.head.frame}, time.Now())
	if err != nil {
		return 0, err
	}
	s.Spacing = h.spacing(&s)
	if at-s.Seq < s.Spacing {
		return s.Spacing, nil
	}
	return s.Spacing, h.putSnapshot(ctx, s)
}

// spacing is how far keyframes of the size of s are apart.
func (h *Hub) spacing(s *persistence.Snapshot) persistence.Seq {
	return persistence.Seq(max(h.cfg.SnapshotFrames, len(s.Body)/keyframeShare))
}
