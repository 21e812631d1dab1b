package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

const (
	// makingBoards is how many boards are made of frames at a time: each has its state in memory.
	makingBoards = 4
	// pieceFrames and pieceBytes are how much of a new log is one transaction, for which others may have to wait: the
	// bytes are passed by one frame at most.
	pieceFrames = 512
	pieceBytes  = 1 << 20

	// dropTimeout and dropFrames are for how long what was made in vain is removed, and how many frames at a time. What is
	// left then is purged as deleted boards are.
	dropTimeout = time.Minute
	dropFrames  = 1000
)

// errMaking means that as many boards are being made of frames as may be.
var errMaking = errors.New("the server makes as many boards as it can at a time")

// maker makes a board of frames. Nobody sees any of it before all of it is there.
type maker struct {
	service *boardService
	board   persistence.Board
	log     *room.Writer
	piece   []persistence.Record // not stored yet
	bytes   int                  // of it
	ids     map[persistence.FrameID]bool
}

// makeBoard makes a board, owned by the caller, of what fill adds to it; or none where that fails.
func (b *boardService) makeBoard(ctx context.Context, name string, fill func(*maker) error) (*collaboardv1.Board, error) {
	select {
	case b.making <- struct{}{}:
		defer func() { <-b.making }()
	default:
		return nil, errMaking
	}
	created, err := newBoard(ctx, name)
	if err != nil {
		return nil, err
	}
	m := &maker{service: b, board: created, log: room.NewWriter(), ids: map[persistence.FrameID]bool{}}
	shown := false
	defer func() {
		if !shown {
			m.drop(context.WithoutCancel(ctx))
		}
	}()
	err = m.call(ctx, func(ctx context.Context) error { return b.store.CreateHidden(ctx, created) })
	if err == nil {
		err = fill(m)
	}
	if err == nil {
		err = m.store(ctx)
	}
	if err != nil {
		return nil, err
	}
	err = m.call(ctx, func(ctx context.Context) (err error) {
		created, err = b.store.UndeleteBoard(ctx, created.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	shown = true
	return room.BoardProto(created), nil
}

// add adds the next frame of the log, which is an EVENT.
func (m *maker) add(ctx context.Context, event *collaboardv1.Frame) error {
	event.BoardId = m.board.ID.String()
	seq := uint64(m.log.Seq()) + 1
	record, err := m.log.Import(event)
	if rule, ok := errors.AsType[*board.Error](err); ok {
		return badFrame(seq, rule.Message)
	}
	if err != nil {
		return err
	}
	if m.ids[record.ID] {
		return badFrame(seq, sameID)
	}
	m.ids[record.ID] = true
	m.piece = append(m.piece, record)
	if m.bytes += len(record.Body); len(m.piece) < pieceFrames && m.bytes < pieceBytes {
		return nil
	}
	return m.store(ctx)
}

const sameID = "id: is that of a frame before"

// badFrame is a refusal of a frame that is not what the log could have at a seq.
func badFrame(seq uint64, what string) error {
	return invalid("frame", fmt.Sprintf("of seq %d: %s", seq, what))
}

// store stores the piece.
func (m *maker) store(ctx context.Context) error {
	if len(m.piece) == 0 {
		return nil
	}
	claim := persistence.Claim{Board: m.board.ID, Applied: m.log.Seq(), Hidden: true}
	for i := range m.piece {
		claim.IDs = append(claim.IDs, m.piece[i].ID)
	}
	err := m.call(ctx, func(ctx context.Context) error {
		return m.service.store.Append(ctx, []persistence.Claim{claim}, func(l []persistence.Locked) ([]persistence.Extension, error) {
			switch {
			case !l[0].Exists: // somebody showed it, or purged it
				return nil, &persistence.BoardNotFoundError{Board: m.board.ID}
			case len(l[0].Known) > 0:
				first := slices.IndexFunc(claim.IDs, func(id persistence.FrameID) bool { return l[0].Known[id] > 0 })
				return nil, badFrame(uint64(m.piece[first].Seq), sameID)
			}
			return []persistence.Extension{{Board: m.board.ID, Records: m.piece, Objects: m.log.Objects()}}, nil
		})
	})
	if err != nil {
		return err
	}
	clear(m.piece)
	clear(m.ids)
	m.piece, m.bytes = m.piece[:0], 0
	return nil
}

// drop removes what was stored; nothing of a board that was shown after all, although the store did not say so.
func (m *maker) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	for done := false; !done; {
		err := m.call(ctx, func(ctx context.Context) (err error) {
			done, err = m.service.store.PurgeBoard(ctx, m.board.ID, m.board.CreatedAt.Add(time.Microsecond), dropFrames)
			return err
		})
		if err != nil {
			return
		}
	}
}

// call makes one call of the store, which is not to hang.
func (m *maker) call(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, m.service.uploadTimeout)
	defer cancel()
	return fn(ctx)
}
