package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// SetSavepoint names a moment of a board.
func (b *boardService) SetSavepoint(ctx context.Context, req *collaboardv1.SetSavepointRequest) (*collaboardv1.Savepoint, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	if err := checkName("name", req.GetName()); err != nil {
		return nil, err
	}
	meta, err := b.board(ctx, id)
	if err != nil {
		return nil, err
	}
	seq := persistence.Seq(req.GetSeq())
	if seq == 0 {
		seq = meta.Head
	}
	switch {
	case seq == 0 || seq > meta.Head:
		return nil, &room.AheadError{Head: meta.Head}
	case seq < meta.First:
		return nil, &persistence.TrimmedError{Board: id, First: meta.First}
	}
	stored, err := b.store.PutSavepoint(ctx, persistence.Savepoint{Board: id, Seq: seq, Name: req.GetName(), By: identityFrom(ctx).user})
	if err != nil {
		return nil, err
	}
	return savepointProto(stored), nil
}

// DeleteSavepoint takes a savepoint away.
func (b *boardService) DeleteSavepoint(
	ctx context.Context, req *collaboardv1.DeleteSavepointRequest,
) (*collaboardv1.DeleteSavepointResponse, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	if _, err := b.board(ctx, id); err != nil {
		return nil, err
	}
	found, err := b.store.DeleteSavepoint(ctx, id, persistence.Seq(req.GetSeq()))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, status.Errorf(codes.NotFound, "the board has no savepoint at seq %d", req.GetSeq())
	}
	return &collaboardv1.DeleteSavepointResponse{}, nil
}

// ListSavepoints reads all savepoints of a board.
func (b *boardService) ListSavepoints(ctx context.Context, req *collaboardv1.ListSavepointsRequest) (*collaboardv1.ListSavepointsResponse, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	if _, err := b.board(ctx, id); err != nil {
		return nil, err
	}
	savepoints, err := b.store.Savepoints(ctx, id)
	if err != nil {
		return nil, err
	}
	resp := &collaboardv1.ListSavepointsResponse{}
	for i := range savepoints {
		resp.Savepoints = append(resp.Savepoints, savepointProto(savepoints[i]))
	}
	return resp, nil
}

func savepointProto(s persistence.Savepoint) *collaboardv1.Savepoint {
	return &collaboardv1.Savepoint{
		BoardId: s.Board.String(), Seq: uint64(s.Seq), Name: s.Name, CreatedBy: s.By, Time: timestamppb.New(s.Time),
	}
}
