package server

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

const (
	// restoreBytes and restoreOps are the most that one restoration appends: all of it is one transaction, which others wait
	// for.
	restoreBytes = 32 << 20
	restoreOps   = 50_000
	// leftAloneBytes is how much of what was left alone is told.
	leftAloneBytes = 1 << 20
)

// RestoreBoard makes a board what it was, by appending the difference.
func (b *boardService) RestoreBoard(ctx context.Context, req *collaboardv1.RestoreBoardRequest) (*collaboardv1.RestoreBoardResponse, error) {
	done, err := b.restore(ctx, req, func(now, then *board.Board) ([]*collaboardv1.ObjectOp, error) {
		return now.Restoration(then), nil
	})
	if err != nil {
		return nil, err
	}
	return &collaboardv1.RestoreBoardResponse{Position: done.at, ChangedObjects: done.changed, BeforeSeq: done.before}, nil
}

// RestoreObject does that to one object.
func (b *boardService) RestoreObject(ctx context.Context, req *collaboardv1.RestoreObjectRequest) (*collaboardv1.RestoreObjectResponse, error) {
	done, err := b.restore(ctx, req, func(now, then *board.Board) ([]*collaboardv1.ObjectOp, error) {
		return now.RestorationOf(req.GetObjectId(), then)
	})
	if err != nil {
		return nil, err
	}
	return &collaboardv1.RestoreObjectResponse{Position: done.at, Changed: done.changed > 0, BeforeSeq: done.before}, nil
}

// restoring is a request to go back to a moment.
type restoring interface {
	GetBoardId() string
	GetFrameId() string
	moment
}

// restored is what was done.
type restored struct {
	at      *collaboardv1.Position
	changed uint64 // objects
	before  uint64 // the seq before what was appended
}

// restore appends the ops that difference finds between the board as it is, once its log is locked, and as it was then.
func (b *boardService) restore(
	ctx context.Context, req restoring, difference func(now, then *board.Board) ([]*collaboardv1.ObjectOp, error),
) (restored, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return restored{}, err
	}
	ctx, release, err := b.holdPast(ctx)
	if err != nil {
		return restored{}, err
	}
	defer release()
	then, epoch, err := b.stateOf(ctx, id, req)
	if err != nil {
		return restored{}, err
	}
	var done restored
	done.at, err = b.append(ctx, id, req.GetFrameId(), room.Plan(epoch, func(now room.Now) ([]*collaboardv1.Frame, error) {
		ops, err := difference(now.Board, then)
		if err != nil {
			return nil, err
		}
		if done.changed, done.before = objectsOf(ops), 0; len(ops) > 0 {
			done.before = now.Seq()
		}
		return framesOf(ops, func(batch *collaboardv1.ObjectBatch) { batch.RestoredSeq = then.Seq() })
	}))
	if err != nil {
		return restored{}, err // the plan may be asked still
	}
	return done, nil
}

// RevertFrame undoes what a frame did to objects, but for what was set since. To read that takes too long while the log is
// locked, so it is done before; what is set meanwhile is noted.
func (b *boardService) RevertFrame(ctx context.Context, req *collaboardv1.RevertFrameRequest) (*collaboardv1.RevertFrameResponse, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	seq := persistence.Seq(req.GetSeq())
	ctx, release, err := b.holdPast(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	before, epoch, err := b.hub.StateAt(ctx, id, seq-1)
	if err != nil {
		return nil, err
	}
	by := board.Touched{}
	if err := b.addTouched(ctx, id, seq-1, seq, by, nil); err != nil {
		return nil, err
	}
	if len(by) == 0 {
		return nil, status.Errorf(codes.FailedPrecondition, "no frame that changes objects is at seq %d", seq)
	}
	r, err := b.hub.Acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Release()
	if err := r.Refresh(ctx); err != nil { // it may not have the frame yet
		return nil, err
	}
	watch := r.Watch(by)
	defer watch.End()
	read := board.Touched{}
	if err := b.addTouched(ctx, id, seq, newestChange(watch.State(), by), read, by); err != nil {
		return nil, err
	}
	resp := &collaboardv1.RevertFrameResponse{}
	position, err := b.append(ctx, id, req.GetFrameId(), room.Plan(epoch, func(now room.Now) ([]*collaboardv1.Frame, error) {
		since := read.Clone() // what was decided behind the log may be decided anew
		if err := now.AddSince(since, watch); err != nil {
			return nil, err
		}
		ops, left := now.Reversal(before, by, since)
		resp.ChangedObjects, resp.LeftAlone = objectsOf(ops), leftAlone(left)
		return framesOf(ops, func(batch *collaboardv1.ObjectBatch) { batch.RevertedSeq = uint64(seq) })
	}))
	if err != nil {
		return nil, err // the plan may be asked still
	}
	resp.Position = position
	return resp, nil
}

// newestChange is the seq of the newest change of any of the objects.
func newestChange(now *board.Board, objects board.Touched) (newest persistence.Seq) {
	for id := range objects {
		o, _ := now.Object(id)
		newest = max(newest, persistence.Seq(o.GetUpdatedSeq()))
	}
	return newest
}

// addTouched adds what frames have set, those after one seq, up to another: of the objects of in, where it is not nil.
func (b *boardService) addTouched(
	ctx context.Context, id persistence.BoardID, after, to persistence.Seq, touched, in board.Touched,
) error {
	for after < to {
		p := persistence.ReadParams{
			Board: id, After: after, Before: min(to, after+readLogScan) + 1, Limit: readLogFrames, MaxBytes: readLogBytes, Kinds: objectKinds,
		}
		records, err := b.store.Read(ctx, p)
		if err != nil {
			return err
		}
		if err := room.AddTouched(touched, records, in); err != nil {
			return err
		}
		after = p.Before - 1
		if len(records) > 0 {
			after = records[len(records)-1].Seq
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
		var rule *board.Error
		if errors.As(a.err, &rule) && rule.Code != collaboardv1.ErrorCode_OBJECT_NOT_FOUND {
			return nil, status.Error(codes.FailedPrecondition, "what the board would have to become is refused: "+rule.Message)
		}
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
	if len(ops) > restoreOps {
		return nil, status.Errorf(codes.FailedPrecondition, "%d changes would be needed, and %d are allowed", len(ops), restoreOps)
	}
	size := 0
	for _, batch := range board.Batches(ops) {
		if size += proto.Size(batch); size > restoreBytes {
			return nil, status.Errorf(codes.FailedPrecondition, "changes of more than %d bytes would be needed", restoreBytes)
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
