package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/auth"
	"github.com/collaboard-io/collaboard/server/room"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000

	maxBoardNameRunes = 200
)

// boardService implements BoardService on the store, and tells rooms of what it changed. Its calls about files are in
// files.go, those about logs in history.go, those about boards as they were in past.go and restore.go, and those that
// make boards of frames in make.go, import.go and fork.go.
type boardService struct {
	collaboardv1.UnimplementedBoardServiceServer

	store     persistence.Store
	hub       *room.Hub
	committer *persistence.Committer
	validator protovalidate.Validator

	fileLimit     persistence.FileLimit
	uploads       *uploads
	uploadTimeout time.Duration

	past        chan struct{} // a place for each board as it was
	pastTimeout time.Duration

	making   chan struct{} // a place for each board that is being made of frames
	draining <-chan struct{}
}

// CreateBoard makes an empty board, owned by the caller.
func (b *boardService) CreateBoard(ctx context.Context, req *collaboardv1.CreateBoardRequest) (*collaboardv1.Board, error) {
	if err := checkName("name", req.GetName()); err != nil {
		return nil, err
	}
	created, err := newBoard(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := b.store.CreateBoard(ctx, created); err != nil {
		return nil, err
	}
	return room.BoardProto(created), nil
}

// newBoard is a board as it begins, owned by the caller.
func newBoard(ctx context.Context, name string) (persistence.Board, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return persistence.Board{}, fmt.Errorf("new board id: %w", err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	return persistence.Board{
		ID: persistence.BoardID(id), Name: name, Owner: identityFrom(ctx).user,
		Epoch: persistence.Epoch(uuid.New()), First: 1, CreatedAt: now, UpdatedAt: now,
	}, nil
}

// GetBoard reads one board.
func (b *boardService) GetBoard(ctx context.Context, req *collaboardv1.GetBoardRequest) (*collaboardv1.Board, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	board, err := b.board(ctx, id)
	if err != nil {
		return nil, err
	}
	return room.BoardProto(board), nil
}

func (b *boardService) board(ctx context.Context, id persistence.BoardID) (persistence.Board, error) {
	boards, err := b.store.Boards(ctx, id)
	if err != nil {
		return persistence.Board{}, err
	}
	if len(boards) == 0 {
		return persistence.Board{}, &persistence.BoardNotFoundError{Board: id}
	}
	return boards[0], nil
}

// GetBoardUsage adds up what is stored of a board.
func (b *boardService) GetBoardUsage(ctx context.Context, req *collaboardv1.GetBoardUsageRequest) (*collaboardv1.BoardUsage, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	found, err := b.board(ctx, id)
	if err != nil {
		return nil, err
	}
	usage, err := b.store.Usage(ctx, id)
	if err != nil {
		return nil, err
	}
	return &collaboardv1.BoardUsage{
		Board: room.BoardProto(found), LogBytes: usage.Log, SnapshotBytes: usage.Snapshots, FileBytes: usage.Files,
	}, nil
}

// ListBoards reads boards, newest first. A page token is the last id of the page before.
func (b *boardService) ListBoards(ctx context.Context, req *collaboardv1.ListBoardsRequest) (*collaboardv1.ListBoardsResponse, error) {
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	size = min(size, maxPageSize)
	var after persistence.BoardID
	if token := req.GetPageToken(); token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(raw) != len(after) {
			return nil, invalid("page_token", "not one that ListBoards returned")
		}
		copy(after[:], raw)
	}
	boards, err := b.store.ListBoards(ctx, after, size+1)
	if err != nil {
		return nil, err
	}
	resp := &collaboardv1.ListBoardsResponse{}
	if len(boards) > size {
		boards = boards[:size]
		last := boards[size-1].ID
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString(last[:])
	}
	for _, board := range boards {
		resp.Boards = append(resp.Boards, room.BoardProto(board))
	}
	return resp, nil
}

// UpdateBoard changes what its mask names.
func (b *boardService) UpdateBoard(ctx context.Context, req *collaboardv1.UpdateBoardRequest) (*collaboardv1.Board, error) {
	id, err := parseBoardID("board.id", req.GetBoard().GetId())
	if err != nil {
		return nil, err
	}
	change, err := boardChange(req)
	if err != nil {
		return nil, err
	}
	if change == (persistence.BoardChange{}) {
		return b.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: req.GetBoard().GetId()}) // nothing to set
	}
	updated, err := b.store.ChangeBoard(ctx, id, change, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	if r := b.hub.Find(id); r != nil {
		r.Learn(updated)
	}
	return room.BoardProto(updated), nil
}

// boardChange is what an update sets.
func boardChange(req *collaboardv1.UpdateBoardRequest) (c persistence.BoardChange, err error) {
	name, retain := req.GetBoard().GetName(), req.GetBoard().GetRetainLog()
	if len(req.GetUpdateMask().GetPaths()) == 0 {
		if name != "" {
			c.Name = &name
		}
		if retain != "" {
			c.RetainLog = &retain
		}
	}
	for _, path := range req.GetUpdateMask().GetPaths() {
		switch path {
		case "name":
			c.Name = &name
		case "retain_log":
			c.RetainLog = &retain
		case "*":
			c.Name, c.RetainLog = &name, &retain
		default:
			return c, invalid("update_mask", fmt.Sprintf("%q cannot be set", path))
		}
	}
	if c.Name != nil {
		err = checkName("board.name", name)
	}
	if c.RetainLog != nil && retain != "" && err == nil {
		if _, wrong := room.ParseRetention(retain); wrong != nil {
			err = invalid("board.retain_log", "must be forever, a number of frames, or an age as in 30d or 12h")
		}
	}
	return c, err
}

// DeleteBoard takes a board away.
func (b *boardService) DeleteBoard(ctx context.Context, req *collaboardv1.DeleteBoardRequest) (*collaboardv1.DeleteBoardResponse, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	if err := b.store.DeleteBoard(ctx, id, time.Now().UTC().Truncate(time.Microsecond)); err != nil {
		return nil, err
	}
	if r := b.hub.Find(id); r != nil {
		r.Deleted()
	}
	return &collaboardv1.DeleteBoardResponse{}, nil
}

// UndeleteBoard brings a deleted board back.
func (b *boardService) UndeleteBoard(ctx context.Context, req *collaboardv1.UndeleteBoardRequest) (*collaboardv1.Board, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	board, err := b.store.UndeleteBoard(ctx, id)
	if err != nil {
		return nil, err
	}
	return room.BoardProto(board), nil
}

func validate(validator protovalidate.Validator, req any) error {
	msg, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	if err := validator.Validate(msg); err != nil {
		return violations(err)
	}
	return nil
}

func parseBoardID(field, s string) (persistence.BoardID, error) {
	id, err := persistence.ParseBoardID(s)
	if err != nil {
		return id, invalid(field, "must be a UUID")
	}
	return id, nil
}

func checkName(field, name string) error {
	if strings.TrimSpace(name) == "" || !auth.IsPrintable(name, maxBoardNameRunes) {
		return invalid(field, fmt.Sprintf("must be 1 to %d printable characters, not all of them spaces", maxBoardNameRunes))
	}
	return nil
}
