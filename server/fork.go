package server

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// ForkBoard makes a new board of what was on another.
func (b *boardService) ForkBoard(ctx context.Context, req *collaboardv1.ForkBoardRequest) (*collaboardv1.Board, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	if err := checkName("name", req.GetName()); err != nil {
		return nil, err
	}
	return b.makeBoard(ctx, req.GetName(), func(m *maker) error {
		then, _, err := b.stateOf(ctx, id, req)
		if err != nil {
			return err
		}
		if err := m.copyFiles(ctx, id); err != nil {
			return err
		}
		s := board.Stamp{Seq: 1, Time: m.board.CreatedAt, From: m.board.Owner}
		for i, batch := range then.Copies(s) {
			err := m.add(ctx, &collaboardv1.Frame{
				Id: uuid.NewString(), Seq: s.Seq + uint64(i), Time: timestamppb.New(s.Time), From: s.From,
				Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// copyFiles copies all files of a board: nobody but the application knows which of them its objects refer to.
func (m *maker) copyFiles(ctx context.Context, from persistence.BoardID) error {
	for after := (persistence.FileID{}); ; {
		last := after
		err := m.call(ctx, func(ctx context.Context) (err error) {
			last, err = m.service.store.CopyFiles(ctx, from, m.board.ID, after)
			return err
		})
		if err != nil || last == after {
			return err
		}
		after = last
	}
}
