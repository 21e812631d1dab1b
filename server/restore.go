package server

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

const (
	// restoreBytes is the most that one restoration appends: all of it is one transaction, which others wait for.
	restoreBytes = 32 << 20
	// revertTries is how often it is looked anew what was set since, because it was being set just then.
	revertTries = 8
	// leftAloneBytes is how much of what was left alone is told.
	leftAloneBytes = 1 << 20
)

// errOvertaken means that objects were changed after it was looked what was set of them.
var errOvertaken = errors.New("objects were changed meanwhile")

// RestoreBoard makes a board what it was, by appending the difference.
func (b *boardService) RestoreBoard(ctx context.Context, req *collaboardv1.RestoreBoardRequest) (*collaboardv1.RestoreBoardResponse, error) {
	at, changed, err := b.restore(ctx, req, func(now, then *board.Board) ([]*collaboardv1.ObjectOp, error) {
		return now.Restoration(then), nil
	})
	if err != nil {
		return nil, err
	}
	return &collaboardv1.RestoreBoardResponse{Position: at, ChangedObjects: changed}, nil
}

// RestoreObject does that to one object.
func (b *boardService) RestoreObject(ctx context.Context, req *collaboardv1.RestoreObjectRequest) (*collaboardv1.RestoreObjectResponse, error) {
	at, changed, err := b.restore(ctx, req, func(now, then *board.Board) ([]*collaboardv1.ObjectOp, error) {
		return now.RestorationOf(req.GetObjectId(), then)
	})
	if err != nil {
		return nil, err
	}
	return &collaboardv1.RestoreObjectResponse{Position: at, Changed: changed > 0}, nil
}

// restoring is a request to go back to a moment.
type restoring interface {
	GetBoardId() string
	GetFrameId() string
	moment
}

// moment is a request with a seq, or a time.
type moment interface {
	GetAtSeq() uint64
	GetAtTime() *timestamppb.Timestamp
}

// stateOf is the state at a moment.
func (b *boardService) stateOf(ctx context.Context, id persistence.BoardID, at moment) (*board.Board, persistence.Epoch, error) {
	switch t := at.GetAtTime(); {
	case t == nil:
		return b.hub.StateAt(ctx, id, persistence.Seq(at.GetAtSeq()))
	case !t.IsValid():
		return nil, persistence.Epoch{}, invalid("at_time", "must be a time of the years 1 to 9999")
	default:
		return b.hub.StateAtTime(ctx, id, t.AsTime())
	}
}

// restore appends the ops that difference finds between the board as it is, once its log is locked, and as it was then.
func (b *boardService) restore(
	ctx context.Context, req restoring, difference func(now, then *board.Board) ([]*collaboardv1.ObjectOp, error),
) (at *collaboardv1.Position, changed uint64, err error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, 0, err
	}
	then, epoch, err := b.stateOf(ctx, id, req)
	if err != nil {
		return nil, 0, err
	}
	at, err = b.append(ctx, id, req.GetFrameId(), room.Plan(epoch, func(now *board.Board) ([]*collaboardv1.Frame, error) {
		ops, err := difference(now, then)
		if err != nil {
			return nil, err
		}
		changed = objectsOf(ops)
		return framesOf(ops, func(batch *collaboardv1.ObjectBatch) { batch.RestoredSeq = then.Seq() })
	}))
	if err != nil {
		return nil, 0, err // the plan may be asked still
	}
	return at, changed, nil
}

// RevertFrame undoes what a frame did to objects, but for what was set since: what that is takes too long to find out while
// the log is locked, so it is done before, and again where the objects were changed meanwhile.
func (b *boardService) RevertFrame(ctx context.Context, req *collaboardv1.RevertFrameRequest) (*collaboardv1.RevertFrameResponse, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	seq := persistence.Seq(req.GetSeq())
	before, epoch, err := b.hub.StateAt(ctx, id, seq-1)
	if err != nil {
		return nil, err
	}
	by := board.Touched{}
	if err := b.addTouched(ctx, id, seq-1, seq, by); err != nil {
		return nil, err
	}
	if len(by) == 0 {
		return nil, status.Errorf(codes.FailedPrecondition, "no frame that changes objects is at seq %d", seq)
	}
	since, known := board.Touched{}, seq
	for range revertTries {
		resp := &collaboardv1.RevertFrameResponse{}
		resp.Position, err = b.append(ctx, id, req.GetFrameId(), room.Plan(epoch, func(now *board.Board) ([]*collaboardv1.Frame, error) {
			if newest := newestChange(now, by); newest > known {
				return nil, errOvertaken
			}
			ops, left := now.Reversal(before, by, since)
			resp.ChangedObjects, resp.LeftAlone = objectsOf(ops), leftAlone(left)
			return framesOf(ops, func(batch *collaboardv1.ObjectBatch) { batch.RevertedSeq = uint64(seq) })
		}))
		if err == nil {
			return resp, nil
		}
		if !errors.Is(err, errOvertaken) {
			return nil, err
		}
		r, err := b.hub.Acquire(ctx, id)
		if err != nil {
			return nil, err
		}
		newest := newestChange(r.State(), by)
		r.Release()
		if err := b.addTouched(ctx, id, known, newest, since); err != nil {
			return nil, err
		}
		maps.DeleteFunc(since, func(object string, _ map[string]bool) bool { return by[object] == nil })
		known = max(known, newest)
	}
	return nil, status.Error(codes.Aborted, "its objects are being changed: try again")
}

// newestChange is the seq of the newest change of any of the objects.
func newestChange(now *board.Board, objects board.Touched) (newest persistence.Seq) {
	for id := range objects {
		o, _ := now.Object(id)
		newest = max(newest, persistence.Seq(o.GetUpdatedSeq()))
	}
	return newest
}

// addTouched adds what frames have set: those after one seq, up to another.
func (b *boardService) addTouched(ctx context.Context, id persistence.BoardID, after, to persistence.Seq, touched board.Touched) error {
	for after < to {
		p := persistence.ReadParams{
			Board: id, After: after, Before: min(to, after+readLogScan) + 1, Limit: readLogFrames, MaxBytes: readLogBytes, Kinds: objectKinds,
		}
		records, err := b.store.Read(ctx, p)
		if err != nil {
			return err
		}
		after = p.Before - 1
		for i := range records {
			event := &collaboardv1.Frame{}
			if err := proto.Unmarshal(records[i].Body, event); err != nil {
				return fmt.Errorf("decode frame at seq %d: %w", records[i].Seq, err)
			}
			touched.Add(event)
			after = records[i].Seq
		}
	}
	return nil
}

// append appends what a plan makes, under the id or, where that is empty, a new one.
func (b *boardService) append(
	ctx context.Context, id persistence.BoardID, frameID string, plan func(persistence.Attempt) ([]*collaboardv1.Frame, error),
) (*collaboardv1.Position, error) {
	if frameID == "" {
		frameID = uuid.NewString()
	}
	frame, err := persistence.ParseFrameID(frameID)
	if err != nil {
		return nil, invalid("frame_id", "must be a UUID")
	}
	r, err := b.hub.Acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	type answer struct {
		result persistence.Result
		err    error
	}
	answered := make(chan answer, 1)
	who := identityFrom(ctx)
	err = b.committer.Submit(&persistence.Submission{
		Board: id, ID: frame, Sender: who.user, Name: who.name, Size: board.MaxFrameBytes, Log: r, Plan: plan,
		Done: func(result persistence.Result, err error) {
			r.Release()
			answered <- answer{result, err}
		},
	})
	if err != nil {
		r.Release()
		return nil, err
	}
	select {
	case a := <-answered:
		if a.err != nil {
			return nil, a.err
		}
		return &collaboardv1.Position{Epoch: a.result.Epoch.String(), Seq: uint64(a.result.Seq)}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// framesOf are requests of the ops, each marked for what it is.
func framesOf(ops []*collaboardv1.ObjectOp, mark func(*collaboardv1.ObjectBatch)) (frames []*collaboardv1.Frame, err error) {
	size := 0
	for _, batch := range board.Batches(ops) {
		if size += proto.Size(batch); size > restoreBytes {
			return nil, &board.Error{
				Code: collaboardv1.ErrorCode_TOO_LARGE, Message: fmt.Sprintf("the difference has more than %d bytes", restoreBytes),
			}
		}
		mark(batch)
		frames = append(frames, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch}})
	}
	return frames, nil
}

func objectsOf(ops []*collaboardv1.ObjectOp) uint64 {
	ids := map[string]bool{}
	for _, op := range ops {
		ids[op.GetUpdate().GetId()+op.GetDelete().GetId()] = true // one of them is empty
	}
	return uint64(len(ids))
}

func leftAlone(left []board.LeftAlone) (told []*collaboardv1.LeftAlone) {
	size := 0
	for _, l := range left {
		m := &collaboardv1.LeftAlone{ObjectId: l.Object, Fields: l.Fields}
		if size += proto.Size(m); size > leftAloneBytes {
			break
		}
		told = append(told, m)
	}
	return told
}
