package verify

import (
	"bytes"
	"context"
	"errors"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// snapshots judges those of one board as its log is folded up to each of them. It holds one at a time.
type snapshots struct {
	run *run
	log *log

	pending *persistence.Snapshot // the next one of the board's log; nil for none
	state   *board.Board          // that is in it
	frame   persistence.FrameID
}

// next reads the first snapshot after a seq that can be compared with the log.
func (s *snapshots) next(ctx context.Context, after persistence.Seq) error {
	for s.pending = nil; s.pending == nil; {
		snap, err := s.run.in.NextSnapshot(ctx, s.log.board.ID, after)
		if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
			s.log.problemf(after+1, "the snapshot at it, or after it, cannot be read, nor can those that follow: %v", corrupt.Err)
			return nil
		}
		if err != nil || snap == nil {
			return err
		}
		s.run.sum.Snapshots++
		after = snap.Seq
		s.state, s.frame, err = snapshot.Decode(snap)
		if err != nil {
			s.log.problemf(snap.Seq, "the snapshot at it cannot be loaded: %v", err)
			continue
		}
		if snap.Epoch == s.log.board.Epoch { // else it is whole, and of a log that was there before a restore
			s.pending = snap
		}
	}
	return nil
}

// check compares the snapshots at the seq of a frame, which the log has just been given. Where the log is damaged before it
// there is nothing to compare it with.
func (s *snapshots) check(ctx context.Context, rec persistence.Record) error {
	for s.pending != nil && s.pending.Seq <= rec.Seq {
		switch at := s.pending.Seq; {
		case at != rec.Seq || !s.log.folds:
		case s.frame != rec.ID:
			s.log.problemf(at, "the snapshot at it is of a log that has frame %s there", s.frame)
		case !bytes.Equal(s.state.Snapshot(), s.log.state.Snapshot()):
			s.log.problemf(at, "the snapshot at it is not what the log folds to")
		}
		if err := s.next(ctx, s.pending.Seq); err != nil {
			return err
		}
	}
	return nil
}

// rest judges those that the log did not come to. A server may have added the frames since its head was read, and then the
// head is beyond them now. Where frames lie beyond the head it is the head that is wrong.
func (s *snapshots) rest(ctx context.Context) error {
	for s.pending != nil {
		now, err := s.run.in.Board(ctx, s.log.board.ID)
		if err != nil {
			return err
		}
		if at := s.pending.Seq; now.Epoch == s.pending.Epoch && at > now.Head && now.Beyond == 0 {
			s.log.problemf(at, "the snapshot at it is ahead of the head, which is %d", now.Head)
		}
		if err := s.next(ctx, s.pending.Seq); err != nil {
			return err
		}
	}
	return nil
}
