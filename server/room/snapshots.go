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

const (
	// snapshotShare is how many times as long as a board's snapshot took there is none of it: so they take no more than
	// some 3 % of a core for each board, however large it is and however fast its log grows, and a server that is killed
	// leaves no more to fold than what came meanwhile.
	snapshotShare = 32
	// lastSnapshots is how long a hub whose context has ended goes on to store them.
	lastSnapshots = 2 * time.Second
	// storePause is how long all boards wait after a snapshot could not be stored, failedPause how long its own board does,
	// and largePause how long one whose snapshot was found to be larger than any that is stored: it may become smaller.
	storePause  = 5 * time.Second
	failedPause = time.Minute
	largePause  = 24 * time.Hour
)

// stored is what a room knows of its board's snapshots.
type stored struct {
	seq   persistence.Seq // of the newest that is known to be good; 0 for none
	bytes int             // as the room's, at that seq
	next  time.Time       // before which no other is tried
}

// fold is the state that a log folds to, up to some seq.
type fold struct {
	state    *board.Board
	head     head            // of the frame at the state's seq
	snapshot persistence.Seq // from which it was folded; 0 for the beginning of the log
	bytes    int             // of the frames since then
}

// foldTo folds the board's log up to the seq to: from the newest good snapshot, or else from its beginning. What is wrong
// with a snapshot is no more than a warning, since it saves time and nothing else; but a log that was trimmed has no
// beginning without its base. It fails with *persistence.TrimmedError where the log begins behind to.
func (h *Hub) foldTo(ctx context.Context, b persistence.Board, to persistence.Seq) (fold, error) {
	for {
		f, err := h.restore(ctx, b, to)
		if err == nil {
			err = h.follow(ctx, b.ID, &f, to)
		}
		trimmed, ok := errors.AsType[*persistence.TrimmedError](err)
		if !ok || trimmed.First <= b.First {
			return f, err
		}
		b.First = trimmed.First // meanwhile
	}
}

// restore returns the newest good snapshot with a seq of at most upTo, or else an empty board. It fails where the store
// cannot be asked: to fold a long log instead would ask it more. And it fails where there is none, and the log was
// trimmed: what is before it is not an empty board.
func (h *Hub) restore(ctx context.Context, b persistence.Board, upTo persistence.Seq) (fold, error) {
	if upTo < b.First && b.First > 1 {
		return fold{}, &persistence.TrimmedError{Board: b.ID, First: b.First}
	}
	for upTo > 0 {
		s, err := h.readSnapshot(ctx, b.ID, upTo)
		if isOthers(err) {
			return fold{}, err
		}
		if err != nil {
			h.log.WarnContext(ctx, "snapshot cannot be read: the log is folded from its beginning", "board", b.ID, "error", err)
			break
		}
		if s == nil || s.Seq < b.First {
			break
		}
		f, err := h.check(ctx, b, s)
		if err == nil {
			return f, nil
		}
		if isOthers(err) {
			return fold{}, err
		}
		h.log.WarnContext(ctx, "snapshot is ignored", "board", b.ID, "seq", s.Seq, "error", err)
		upTo = s.Seq - 1
	}
	if b.First > 1 {
		if _, err := h.read(ctx, persistence.ReadParams{Board: b.ID, After: b.First - 1, Limit: 1}); err != nil {
			return fold{}, err // it was trimmed once more, and what was looked for went with it
		}
		return fold{}, fmt.Errorf("the log was trimmed, and the state with which it begins at seq %d cannot be used", b.First)
	}
	return fold{state: board.New()}, nil
}

// check returns what a snapshot holds, if it is of the board's log: of its epoch, or its base, and the fold up to the frame
// that the log has at its seq. A log that went another way in the same epoch has another there.
func (h *Hub) check(ctx context.Context, b persistence.Board, s *persistence.Snapshot) (fold, error) {
	if s.Epoch != b.Epoch && !s.Base {
		return fold{}, fmt.Errorf("it is of epoch %s, the board of %s", s.Epoch, b.Epoch)
	}
	state, frame, err := snapshot.Decode(s)
	if err != nil {
		return fold{}, err
	}
	records, err := h.read(ctx, persistence.ReadParams{Board: b.ID, After: s.Seq - 1, Limit: 1})
	if err != nil {
		return fold{}, err
	}
	if len(records) == 0 || records[0].Seq != s.Seq || records[0].ID != frame {
		return fold{}, fmt.Errorf("frame %s is not in the log at its seq", frame)
	}
	return fold{state: state, head: headOf(records[0]), snapshot: s.Seq}, nil
}

// isOthers says whether a failure is not the snapshot's: the store is away, the board gone, or the log trimmed meanwhile.
func isOthers(err error) bool {
	var unavailable *persistence.UnavailableError
	var notFound *persistence.BoardNotFoundError
	var trimmed *persistence.TrimmedError
	return errors.As(err, &unavailable) || errors.As(err, &notFound) || errors.As(err, &trimmed)
}

// follow applies the frames from where f stands up to the seq to.
func (h *Hub) follow(ctx context.Context, id persistence.BoardID, f *fold, to persistence.Seq) error {
	for at := persistence.Seq(f.state.Seq()); at < to; at = persistence.Seq(f.state.Seq()) {
		records, err := h.read(ctx, persistence.ReadParams{
			Board: id, After: at, Limit: int(min(to-at, readFrames)), MaxBytes: foldBytes,
		})
		if err != nil {
			return err
		}
		if err := applyRecords(f.state, records); err != nil {
			return fmt.Errorf("fold board %s: %w", id, err)
		}
		if len(records) == 0 {
			return fmt.Errorf("fold board %s: log ends at seq %d, before %d", id, at, to)
		}
		f.head = headOf(records[len(records)-1])
		f.bytes += bytesOf(records)
	}
	return nil
}

// runSnapshots stores the boards' states, and their savepoints, one at a time, until ctx ends; and then those states that
// whoever serves the boards next would have to fold again. It is in nobody's way: a state is a clone, it is encoded without a
// lock, and no commit waits for it.
func (h *Hub) runSnapshots(ctx context.Context) {
	tick := time.NewTicker(h.cfg.PollInterval)
	defer tick.Stop()
	var pause time.Time
	for {
		select {
		case <-ctx.Done():
			h.storeLastSnapshots(ctx)
			return
		case now := <-tick.C:
			if now.Before(pause) || !h.healthy.Load() {
				continue
			}
			if !h.storeSnapshots(ctx, now) || !h.storeSavepoints(ctx) {
				pause = time.Now().Add(storePause)
			}
		}
	}
}

// storeSnapshots stores those that are due, and reports false at the first that fails: what is the matter with it may be
// the matter with the store.
func (h *Hub) storeSnapshots(ctx context.Context, now time.Time) bool {
	for _, r := range h.snapshotsDue(now) {
		err := r.storeSnapshot(ctx)
		if ctx.Err() != nil {
			return true
		}
		if err != nil && !errors.Is(err, snapshot.ErrTooLarge) {
			h.log.WarnContext(ctx, "snapshot cannot be stored", "board", r.id, "error", err)
			return false
		}
		if err != nil {
			h.log.WarnContext(ctx, "board has no snapshots: it is loaded by folding its log", "board", r.id, "error", err)
		}
	}
	return true
}

// storeLastSnapshots stores them as storeSnapshots does, though there were some just now; but not those that are too large.
func (h *Hub) storeLastSnapshots(ctx context.Context) {
	if !h.healthy.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSnapshots)
	defer cancel()
	h.storeSnapshots(ctx, time.Now().Add(failedPause))
}

// snapshotsDue are rooms that are too far past their board's newest snapshot.
func (h *Hub) snapshotsDue(now time.Time) (due []*Room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.rooms {
		most := h.cfg.SnapshotFrames
		if r.refs == 0 {
			most = h.cfg.SnapshotIdleFrames
		}
		if r.isLoaded() && r.pastSnapshot(now, most) {
			due = append(due, r)
		}
	}
	return due
}

// pastSnapshot says whether at least so many frames, or SnapshotBytes of them, have come since the newest snapshot; but not
// while there is to be no other.
func (r *Room) pastSnapshot(now time.Time, frames int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !now.Before(r.stored.next) && (r.state.Seq()-uint64(r.stored.seq) >= uint64(frames) || r.bytes-r.stored.bytes >= r.hub.cfg.SnapshotBytes)
}

// storeSnapshot stores the room's state as it is now.
func (r *Room) storeSnapshot(ctx context.Context) (err error) {
	began := time.Now()
	r.mu.Lock()
	state, size, closed := r.state.Clone(), r.bytes, r.closed
	of := snapshot.Origin{Board: r.id, Epoch: r.meta.Epoch, Frame: r.head.frame}
	r.mu.Unlock()
	if closed != nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil { // a state that cannot be encoded has no snapshot, and that is all
			err = fmt.Errorf("panic: %v", p)
		}
		r.snapshotTried(persistence.Seq(state.Seq()), size, time.Since(began), err)
	}()
	s, err := snapshot.Encode(state, of, time.Now())
	if err != nil {
		return err
	}
	s.Spacing = r.hub.spacing(&s)
	err = r.hub.putSnapshot(ctx, s)
	if _, ok := errors.AsType[*persistence.BoardNotFoundError](err); ok {
		r.close(ErrDeleted)
		return nil
	}
	return err
}

// snapshotTried notes what became of the snapshot at seq, up to which size bytes had come and which took so long, and when
// the next one may be tried.
func (r *Room) snapshotTried(seq persistence.Seq, size int, took time.Duration, err error) {
	pause := max(r.hub.cfg.SnapshotInterval, snapshotShare*took)
	if errors.Is(err, snapshot.ErrTooLarge) {
		pause = largePause
	} else if err != nil {
		pause = failedPause
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored.next = time.Now().Add(pause)
	if err == nil {
		r.stored.seq, r.stored.bytes = seq, size
	}
}

func (h *Hub) readSnapshot(ctx context.Context, id persistence.BoardID, upTo persistence.Seq) (*persistence.Snapshot, error) {
	if err := h.begin(); err != nil {
		return nil, err
	}
	defer h.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	return h.store.ReadSnapshot(ctx, id, upTo)
}

func (h *Hub) putSnapshot(ctx context.Context, s persistence.Snapshot) error {
	if err := h.begin(); err != nil {
		return err
	}
	defer h.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	return h.store.PutSnapshot(ctx, s)
}
