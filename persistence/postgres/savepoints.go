package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	savepointColumns = `seq, name, created_by, time`

	// putSavepointSQL changes nothing where one without a name meets another. Two servers at once may pass the limit by one.
	putSavepointSQL = `
		INSERT INTO savepoints (board_id, seq, name, created_by, time)
		SELECT $1, f.seq, $3::text, $4, f.time FROM frames AS f JOIN boards AS b ON b.id = f.board_id
		WHERE f.board_id = $1 AND f.seq = $2 AND f.seq >= b.first_seq AND b.deleted_at IS NULL AND ($3 = '' OR $5::bigint > (
			SELECT count(*) FROM savepoints WHERE board_id = $1 AND seq <> $2 AND name <> ''
		))
		ON CONFLICT (board_id, seq) DO UPDATE SET
			name = CASE excluded.name WHEN '' THEN savepoints.name ELSE excluded.name END,
			created_by = CASE excluded.name WHEN '' THEN savepoints.created_by ELSE excluded.created_by END
		RETURNING ` + savepointColumns

	// dropSavepointsSQL leaves the newest of those without a name.
	dropSavepointsSQL = `
		DELETE FROM savepoints WHERE board_id = $1 AND name = '' AND seq <= (
			SELECT seq FROM savepoints WHERE board_id = $1 AND name = '' ORDER BY seq DESC LIMIT 1 OFFSET $2
		)`

	// noSavepointSQL says why none was stored: the board is not there, the log has no frame, or it has its fill.
	noSavepointSQL = `
		SELECT EXISTS (SELECT 1 FROM frames AS f WHERE f.board_id = b.id AND f.seq = $2 AND f.seq >= b.first_seq)
		FROM boards AS b WHERE b.id = $1 AND b.deleted_at IS NULL`

	savepointsSQL = `
		SELECT ` + savepointColumns + ` FROM savepoints
		WHERE board_id = $1 AND seq >= (SELECT first_seq FROM boards WHERE id = $1 AND deleted_at IS NULL) ORDER BY seq DESC`

	deleteSavepointSQL = `DELETE FROM savepoints WHERE board_id = $1 AND seq = $2`

	trimSavepointsSQL = `DELETE FROM savepoints WHERE board_id = $1 AND seq < $2`
)

// PutSavepoint implements persistence.Store.
func (s *Store) PutSavepoint(ctx context.Context, p persistence.Savepoint) (stored persistence.Savepoint, err error) {
	err = s.read(ctx, func() error {
		seq := contract.Column(p.Seq)
		batch := &pgx.Batch{}
		batch.Queue(putSavepointSQL, p.Board, seq, p.Name, p.By, persistence.MaxSavepoints).QueryRow(func(row pgx.Row) (err error) {
			stored, err = scanSavepoint(p.Board, row)
			return err
		})
		batch.Queue(dropSavepointsSQL, p.Board, persistence.KeptSavepoints)
		err := s.pool.SendBatch(ctx, batch).Close()
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var exists bool
		switch err := s.pool.QueryRow(ctx, noSavepointSQL, p.Board, seq).Scan(&exists); {
		case errors.Is(err, pgx.ErrNoRows):
			return &persistence.BoardNotFoundError{Board: p.Board}
		case err != nil:
			return err
		case exists:
			return persistence.ErrSavepointLimit
		default:
			return persistence.ErrNoFrame
		}
	})
	if err != nil {
		return persistence.Savepoint{}, fmt.Errorf("store a savepoint of board %s: %w", p.Board, err)
	}
	return stored, nil
}

// DeleteSavepoint implements persistence.Store.
func (s *Store) DeleteSavepoint(ctx context.Context, board persistence.BoardID, seq persistence.Seq) (found bool, err error) {
	err = s.read(ctx, func() error {
		tag, err := s.pool.Exec(ctx, deleteSavepointSQL, board, contract.Column(seq))
		found = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("delete a savepoint of board %s: %w", board, err)
	}
	return found, nil
}

// Savepoints implements persistence.Store.
func (s *Store) Savepoints(ctx context.Context, board persistence.BoardID) (found []persistence.Savepoint, err error) {
	err = s.read(ctx, func() error {
		rows, err := s.pool.Query(ctx, savepointsSQL, board)
		if err == nil {
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (persistence.Savepoint, error) {
				return scanSavepoint(board, row)
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list savepoints of board %s: %w", board, err)
	}
	return found, nil
}

// scanSavepoint reads savepointColumns.
func scanSavepoint(board persistence.BoardID, row pgx.Row) (persistence.Savepoint, error) {
	p := persistence.Savepoint{Board: board}
	var seq int64
	err := row.Scan(&seq, &p.Name, &p.By, &p.Time)
	p.Seq, p.Time = persistence.Seq(seq), p.Time.UTC()
	return p, err
}
