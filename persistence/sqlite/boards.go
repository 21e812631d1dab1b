package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
)

const boardColumns = `id, name, owner, epoch, head_seq, first_seq, object_count, retain_log, created_at, updated_at`

// Boards implements persistence.Store.
func (s *Store) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	blob := make([]byte, 0, len(ids)*16)
	for i := range ids {
		blob = append(blob, ids[i][:]...)
	}
	boards, err := s.queryBoards(ctx, `
		WITH RECURSIVE wanted (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM wanted WHERE i + 1 < ?1)
		SELECT `+boardColumns+` FROM boards
		WHERE id IN (SELECT substr(?2, i * 16 + 1, 16) FROM wanted) AND deleted_at IS NULL`, len(ids), blob)
	if err != nil {
		return nil, fmt.Errorf("read %d boards: %w", len(ids), classify(err))
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
		WHERE deleted_at IS NULL ORDER BY id DESC LIMIT ?1`, []any{limit}
	if after != (persistence.BoardID{}) {
		query, args = `
		SELECT `+boardColumns+` FROM boards
		WHERE deleted_at IS NULL AND id < ?2 ORDER BY id DESC LIMIT ?1`, []any{limit, after[:]}
	}
	boards, err := s.queryBoards(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list boards: %w", classify(err))
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
	err := s.write(ctx, func(w *writer) (bool, error) {
		_, err := w.conn.ExecContext(context.Background(), `
			INSERT INTO boards (id, name, owner, epoch, created_at, updated_at, deleted_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?7 THEN ?5 END)`,
			b.ID[:], b.Name, b.Owner, b.Epoch[:], b.CreatedAt.UnixMicro(), b.UpdatedAt.UnixMicro(), hidden)
		return true, err
	})
	if err != nil {
		return fmt.Errorf("create board %s: %w", b.ID, err)
	}
	return nil
}

// ChangeBoard implements persistence.Store.
func (s *Store) ChangeBoard(ctx context.Context, id persistence.BoardID, c persistence.BoardChange, at time.Time) (persistence.Board, error) {
	b, err := s.updateBoard(ctx, id, `
		UPDATE boards SET name = coalesce(?2, name), retain_log = coalesce(?3, retain_log), updated_at = ?4
		WHERE id = ?1 AND deleted_at IS NULL
		RETURNING `+boardColumns, c.Name, c.RetainLog, at.UnixMicro())
	if err != nil {
		return persistence.Board{}, fmt.Errorf("change board %s: %w", id, err)
	}
	return b, nil
}

// DeleteBoard implements persistence.Store.
func (s *Store) DeleteBoard(ctx context.Context, id persistence.BoardID, at time.Time) error {
	_, err := s.updateBoard(ctx, id, `
		UPDATE boards SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL
		RETURNING `+boardColumns, at.UnixMicro())
	if err != nil {
		return fmt.Errorf("delete board %s: %w", id, err)
	}
	return nil
}

// UndeleteBoard implements persistence.Store.
func (s *Store) UndeleteBoard(ctx context.Context, id persistence.BoardID) (persistence.Board, error) {
	b, err := s.updateBoard(ctx, id, `
		UPDATE boards SET deleted_at = NULL WHERE id = ?1 AND NOT purging
		RETURNING `+boardColumns)
	if err != nil {
		return persistence.Board{}, fmt.Errorf("undelete board %s: %w", id, err)
	}
	return b, nil
}

// updateBoard runs a query that changes one board and returns it.
func (s *Store) updateBoard(ctx context.Context, id persistence.BoardID, query string, args ...any) (b persistence.Board, err error) {
	err = s.write(ctx, func(w *writer) (bool, error) {
		row := w.conn.QueryRowContext(context.Background(), query, append([]any{id[:]}, args...)...)
		b, err = scanBoard(row)
		if errors.Is(err, sql.ErrNoRows) {
			err = &persistence.BoardNotFoundError{Board: id}
		}
		return true, err
	})
	return b, err
}

func (s *Store) queryBoards(ctx context.Context, query string, args ...any) (boards []persistence.Board, err error) {
	s.reads.Add(1)
	defer s.reads.Done()
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		b, err := scanBoard(rows)
		if err != nil {
			return nil, closing(rows, err)
		}
		boards = append(boards, b)
	}
	return boards, closing(rows, rows.Err())
}

// scanBoard reads boardColumns.
func scanBoard(row interface{ Scan(dest ...any) error }) (b persistence.Board, err error) {
	var id, epoch []byte
	var head, first, objects, created, updated int64
	if err := row.Scan(&id, &b.Name, &b.Owner, &epoch, &head, &first, &objects, &b.RetainLog, &created, &updated); err != nil {
		return b, err
	}
	if len(id) != 16 || len(epoch) != 16 {
		return b, &persistence.CorruptError{Err: fmt.Errorf("board %x has an id of %d bytes, an epoch of %d", id, len(id), len(epoch))}
	}
	b.ID = persistence.BoardID(id)
	b.Epoch = persistence.Epoch(epoch)
	b.Head, b.First, b.Objects = persistence.Seq(head), persistence.Seq(first), uint64(objects)
	b.CreatedAt, b.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return b, nil
}
