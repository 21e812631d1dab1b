package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// pastBoards is how many boards as they were calls may have in memory at a time, each as large as a board may be. Who comes
// later waits.
const pastBoards = 8

// moment is a request with a seq, or a time.
type moment interface {
	GetAtSeq() uint64
	GetAtTime() *timestamppb.Timestamp
}

// GetSnapshot streams a board's objects as of a seq, or a moment.
func (b *boardService) GetSnapshot(req *collaboardv1.GetSnapshotRequest, stream grpc.ServerStreamingServer[collaboardv1.BoardSnapshot]) error {
	if err := validate(b.validator, req); err != nil {
		return err
	}
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return err
	}
	ctx, release, err := b.holdPast(stream.Context())
	if err != nil {
		return err
	}
	defer release()
	var state *board.Board
	var epoch persistence.Epoch
	if req.GetAtTime() == nil && req.GetAtSeq() == 0 {
		state, epoch, err = b.hub.StateAtHead(ctx, id)
	} else {
		state, epoch, err = b.stateOf(ctx, id, req)
	}
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { // a client that does not read keeps it until the call has ended
		for chunk := range state.Chunks(epoch.String()) {
			if err := stream.Send(chunk); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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

// holdPast waits for a place for a board as it was. The context that it returns ends when the place must have been released.
func (b *boardService) holdPast(ctx context.Context) (_ context.Context, release func(), err error) {
	select {
	case b.past <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.pastTimeout, errPastTimeout(b.pastTimeout))
	return ctx, func() {
		cancel()
		<-b.past
	}, nil
}

func errPastTimeout(limit time.Duration) error {
	return status.Errorf(codes.DeadlineExceeded, "a call about the past of a board must be over after %v", limit)
}
