package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
)

const boardColumns = `id, name, owner, epoch, head_seq, first_seq, object_count, retain_log, created_at, updated_at`

// Boards implements persistence.Store.
func (s *Store) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	boards, err := s.queryBoards(ctx, `
		SELECT `+boardColumns+` FROM boards
		WHERE id = ANY ($1) AND deleted_at IS NULL`, ids)
	if err != nil {
		return nil, fmt.Errorf("read %d boards: %w", len(ids), err)
	}
	return boards, nil
}

// ListBoards implements persistence.Store.
func (s *Store) ListBoards(ctx context.Context, after persistence.BoardID, limit int) ([]persistence.Board, error) {
	if limit < 1 {
		return nil, fmt.Errorf("list boards: limit %d is less than 1", limit)
	}
	query, args := `
		SELECT `+boardColumns+` FROM boards
		WHERE deleted_at IS NULL ORDER BY id DESC LIMIT $1`, []any{limit}
	if after != (persistence.BoardID{}) {
		query, args = `
		SELECT `+boardColumns+` FROM boards
		WHERE deleted_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $1`, []any{limit, after}
	}
	boards, err := s.queryBoards(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list boards: %w", err)
	}
	return boards, nil
}

// CreateBoard implements persistence.Store.
func (s *Store) CreateBoard(ctx context.Context, b persistence.Board) error {
	return s.createBoard(ctx, b, false)
}

// CreateHidden implements persistence.Store.
func (s *Store) CreateHidden(ctx context.Context, b persistence.Board) error {
	return s.createBoard(ctx, b, true)
}

func (s *Store) createBoard(ctx context.Context, b persistence.Board, hidden bool) error {
	s.calls.Add(1)
	defer s.calls.Done()
	_, err := s.pool.Exec(ctx, `
		INSERT INTO boards (id, name, owner, epoch, created_at, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7::boolean THEN $5::timestamptz END)`,
		b.ID, b.Name, b.Owner, b.Epoch, b.CreatedAt, b.UpdatedAt, hidden)
	if err != nil {
		return fmt.Errorf("create board %s: %w", b.ID, classify(err))
	}
	return nil
}

// ChangeBoard implements persistence.Store.
func (s *Store) ChangeBoard(ctx context.Context, id persistence.BoardID, c persistence.BoardChange, at time.Time) (persistence.Board, error) {
	b, err := s.updateBoard(ctx, id, `
		UPDATE boards SET name = coalesce($2, name), retain_log = coalesce($3, retain_log), updated_at = $4
		WHERE id = $1 AND deleted_at IS NULL
		RETURNING `+boardColumns, c.Name, c.RetainLog, at)
	if err != nil {
		return persistence.Board{}, fmt.Errorf("change board %s: %w", id, err)
	}
	return b, nil
}

// DeleteBoard implements persistence.Store.
func (s *Store) DeleteBoard(ctx context.Context, id persistence.BoardID, at time.Time) error {
	_, err := s.updateBoard(ctx, id, `
		UPDATE boards SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL
		RETURNING `+boardColumns, at)
	if err != nil {
		return fmt.Errorf("delete board %s: %w", id, err)
	}
	return nil
}

// UndeleteBoard implements persistence.Store.
func (s *Store) UndeleteBoard(ctx context.Context, id persistence.BoardID) (persistence.Board, error) {
	b, err := s.updateBoard(ctx, id, `
		UPDATE boards SET deleted_at = NULL WHERE id = $1 AND NOT purging
		RETURNING `+boardColumns)
	if err != nil {
		return persistence.Board{}, fmt.Errorf("undelete board %s: %w", id, err)
	}
	return b, nil
}

// updateBoard runs a query that changes one board and returns it.
func (s *Store) updateBoard(ctx context.Context, id persistence.BoardID, query string, args ...any) (persistence.Board, error) {
	s.calls.Add(1)
	defer s.calls.Done()
	rows, err := s.pool.Query(ctx, query, append([]any{id}, args...)...)
	if err != nil {
		return persistence.Board{}, classify(err)
	}
	b, err := pgx.CollectExactlyOneRow(rows, scanBoard)
	if errors.Is(err, pgx.ErrNoRows) {
		return persistence.Board{}, &persistence.BoardNotFoundError{Board: id}
	}
	return b, classify(err)
}

func (s *Store) queryBoards(ctx context.Context, query string, args ...any) (boards []persistence.Board, err error) {
	err = s.read(ctx, func() error {
		rows, err := s.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		boards, err = pgx.CollectRows(rows, scanBoard)
		return err
	})
	return boards, err
}

// scanBoard reads boardColumns.
func scanBoard(row pgx.CollectableRow) (b persistence.Board, err error) {
	var head, first, objects int64
	err = row.Scan((*[16]byte)(&b.ID), &b.Name, &b.Owner, (*[16]byte)(&b.Epoch), &head, &first, &objects, &b.RetainLog, &b.CreatedAt, &b.UpdatedAt)
	b.Head, b.First, b.Objects = persistence.Seq(head), persistence.Seq(first), uint64(objects)
	b.CreatedAt, b.UpdatedAt = b.CreatedAt.UTC(), b.UpdatedAt.UTC()
	return b, err
}
