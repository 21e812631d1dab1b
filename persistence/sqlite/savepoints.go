package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	savepointColumns = `seq, name, created_by, time`

	// putSavepointSQL changes nothing where one without a name meets another.
	putSavepointSQL = `
	INSERT INTO savepoints (board_id, seq, name, created_by, time)
	SELECT ?1, f.seq, ?3, ?4, f.time FROM frames AS f JOIN boards AS b ON b.id = f.board_id
	WHERE f.board_id = ?1 AND f.seq = ?2 AND f.seq >= b.first_seq AND b.deleted_at IS NULL
	ON CONFLICT (board_id, seq) DO UPDATE SET
		name = CASE ?3 WHEN '' THEN name ELSE ?3 END, created_by = CASE ?3 WHEN '' THEN created_by ELSE ?4 END
	RETURNING ` + savepointColumns

	namedSavepointsSQL = `SELECT count(*) FROM savepoints WHERE board_id = ?1 AND seq <> ?2 AND name <> ''`

	// dropSavepointsSQL leaves the newest of those without a name.
	dropSavepointsSQL = `
	DELETE FROM savepoints WHERE board_id = ?1 AND name = '' AND seq <= (
		SELECT seq FROM savepoints WHERE board_id = ?1 AND name = '' ORDER BY seq DESC LIMIT 1 OFFSET ?2
	)`

	savepointsSQL = `
	SELECT ` + savepointColumns + ` FROM savepoints
	WHERE board_id = ?1 AND seq >= (SELECT first_seq FROM boards WHERE id = ?1 AND deleted_at IS NULL) ORDER BY seq DESC`

	deleteSavepointSQL = `DELETE FROM savepoints WHERE board_id = ?1 AND seq = ?2`

	trimSavepointsSQL = `DELETE FROM savepoints WHERE board_id = ?1 AND seq < ?2`
)

// PutSavepoint implements persistence.Store.
func (s *Store) PutSavepoint(ctx context.Context, p persistence.Savepoint) (stored persistence.Savepoint, err error) {
	err = s.write(ctx, func(w *writer) (bool, error) {
		stored, err = w.putSavepoint(p)
		return true, err
	})
	if err != nil {
		return persistence.Savepoint{}, fmt.Errorf("store a savepoint of board %s: %w", p.Board, err)
	}
	return stored, nil
}

func (w *writer) putSavepoint(p persistence.Savepoint) (persistence.Savepoint, error) {
	background := context.Background() // see writer
	seq := contract.Column(p.Seq)
	var named int
	err := w.conn.QueryRowContext(background, namedSavepointsSQL, p.Board[:], seq).Scan(&named)
	if err == nil && named >= persistence.MaxSavepoints && p.Name != "" {
		err = persistence.ErrSavepointLimit
	}
	if err != nil {
		return p, err
	}
	stored, err := scanSavepoint(p.Board, w.conn.QueryRowContext(background, putSavepointSQL, p.Board[:], seq, p.Name, p.By))
	if errors.Is(err, sql.ErrNoRows) {
		err = w.conn.QueryRowContext(background, firstSQL, p.Board[:]).Scan(new(int64))
		if errors.Is(err, sql.ErrNoRows) {
			return p, &persistence.BoardNotFoundError{Board: p.Board}
		}
		if err == nil {
			err = persistence.ErrNoFrame
		}
	}
	if err != nil {
		return p, err
	}
	_, err = w.count(dropSavepointsSQL, p.Board[:], persistence.KeptSavepoints)
	return stored, err
}

// DeleteSavepoint implements persistence.Store.
func (s *Store) DeleteSavepoint(ctx context.Context, board persistence.BoardID, seq persistence.Seq) (found bool, err error) {
	err = s.write(ctx, func(w *writer) (bool, error) {
		n, err := w.count(deleteSavepointSQL, board[:], contract.Column(seq))
		found = n > 0
		return found, err
	})
	if err != nil {
		return false, fmt.Errorf("delete a savepoint of board %s: %w", board, err)
	}
	return found, nil
}

// Savepoints implements persistence.Store.
func (s *Store) Savepoints(ctx context.Context, board persistence.BoardID) (found []persistence.Savepoint, err error) {
	s.reads.Add(1)
	defer s.reads.Done()
	rows, err := s.readers.QueryContext(ctx, savepointsSQL, board[:])
	if err == nil {
		for err == nil && rows.Next() {
			var p persistence.Savepoint
			p, err = scanSavepoint(board, rows)
			found = append(found, p)
		}
		err = errors.Join(err, closing(rows, rows.Err()))
	}
	if err != nil {
		return nil, fmt.Errorf("list savepoints of board %s: %w", board, classify(err))
	}
	return found, nil
}

// scanSavepoint reads savepointColumns.
func scanSavepoint(board persistence.BoardID, row interface{ Scan(dest ...any) error }) (persistence.Savepoint, error) {
	p := persistence.Savepoint{Board: board}
	var seq, at int64
	err := row.Scan(&seq, &p.Name, &p.By, &at)
	p.Seq, p.Time = persistence.Seq(seq), time.UnixMicro(at).UTC()
	return p, err
}
