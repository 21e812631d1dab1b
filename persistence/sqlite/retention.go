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

//nolint:gochecknoglobals // never written
var (
	baseSQL        = `SELECT ` + snapshotColumns + ` FROM bases WHERE board_id = ?1 AND seq <= ?2 AND seq >= ?3`
	inspectBaseSQL = `SELECT ` + snapshotColumns + ` FROM bases WHERE board_id = ?1`
)

const (
	putBaseSQL = `
	INSERT INTO bases (board_id, seq, epoch, created_at, body) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (board_id) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, created_at = excluded.created_at, body = excluded.body`

	beginLogSQL = `UPDATE boards SET first_seq = ?2 WHERE id = ?1`

	// removableSQL is the seq before which a step removes frames: their seqs have no gaps.
	removableSQL = `
	SELECT coalesce(min(first_seq, (SELECT min(seq) FROM frames WHERE board_id = ?1) + ?2), 0) FROM boards
	WHERE id = ?1 AND deleted_at IS NULL`

	keepIDsSQL = `INSERT INTO trimmed (board_id, id, seq) SELECT board_id, id, seq FROM frames WHERE board_id = ?1 AND seq < ?2`
	removeSQL  = `DELETE FROM frames WHERE board_id = ?1 AND seq < ?2`

	usageSQL = `
	SELECT
		(SELECT coalesce(sum(length(body)), 0) FROM frames WHERE board_id = ?1),
		(SELECT coalesce(sum(length(body)), 0) FROM snapshots WHERE board_id = ?1) +
			(SELECT coalesce(sum(length(body)), 0) FROM bases WHERE board_id = ?1),
		coalesce((SELECT bytes FROM file_totals WHERE board_id = ?1), 0)
	FROM boards WHERE id = ?1 AND deleted_at IS NULL`

	purgeableSQL = `
	SELECT id FROM boards WHERE deleted_at < ?1 AND id > ?2 ORDER BY id LIMIT ?3`
	purgeSQL = `
	UPDATE boards SET purging = TRUE WHERE id = ?1 AND deleted_at < ?2`
)

// purgeSteps remove what there is of a board, a part of it each time: ?2 is how many rows. The board itself comes last.
//
//nolint:gochecknoglobals // never written
var purgeSteps = []string{
	`DELETE FROM frames WHERE board_id = ?1 AND seq < (SELECT min(seq) FROM frames WHERE board_id = ?1) + ?2`,
	`DELETE FROM trimmed WHERE board_id = ?1 AND id IN (SELECT id FROM trimmed WHERE board_id = ?1 ORDER BY id LIMIT ?2)`,
	`DELETE FROM files WHERE board_id = ?1 AND ?2 > 0 AND sha256 = (SELECT min(sha256) FROM files WHERE board_id = ?1)`,
	`DELETE FROM snapshots WHERE board_id = ?1 AND ?2 > 0 AND seq = (SELECT min(seq) FROM snapshots WHERE board_id = ?1)`,
	`DELETE FROM savepoints WHERE board_id = ?1 AND ?2 > 0`,
	`DELETE FROM bases WHERE board_id = ?1 AND ?2 > 0`,
	`DELETE FROM file_totals WHERE board_id = ?1 AND ?2 > 0`,
}

// BeginLog implements persistence.Store.
func (s *Store) BeginLog(ctx context.Context, snap persistence.Snapshot) error {
	err := contract.CheckPutSnapshot(&snap)
	if err == nil {
		err = s.writeLarge(ctx, func(w *writer) (bool, error) { return w.beginLog(&snap) })
	}
	if err != nil {
		return fmt.Errorf("begin the log of board %s at seq %d: %w", snap.Board, snap.Seq, classify(err))
	}
	return nil
}

func (w *writer) beginLog(snap *persistence.Snapshot) (commit bool, err error) {
	background := context.Background() // see writer
	var i, head, first int64
	var epoch []byte
	err = w.conn.QueryRowContext(background, oneHeadSQL, 1, snap.Board[:]).Scan(&i, &epoch, &head, &first)
	if errors.Is(err, sql.ErrNoRows) {
		return false, &persistence.BoardNotFoundError{Board: snap.Board}
	}
	if err == nil && len(epoch) != len(snap.Epoch) {
		err = &persistence.CorruptError{Err: fmt.Errorf("its epoch has %d bytes", len(epoch))}
	}
	if err == nil {
		err = contract.CheckPosition(snap.Position, persistence.Epoch(epoch), persistence.Seq(head))
	}
	if err != nil || contract.Column(snap.Seq) <= first {
		return false, err
	}
	if _, err := w.conn.ExecContext(background, putBaseSQL,
		snap.Board[:], contract.Column(snap.Seq), snap.Epoch[:], snap.CreatedAt.UnixMicro(), snap.Body); err != nil {
		return false, err
	}
	if _, err := w.count(trimSavepointsSQL, snap.Board[:], contract.Column(snap.Seq)); err != nil {
		return false, err
	}
	_, err = w.conn.ExecContext(background, beginLogSQL, snap.Board[:], contract.Column(snap.Seq))
	return true, err
}

// orBase returns the base of a board's log, where it is not older than snap, which may be nil, or else snap.
func (s *Store) orBase(ctx context.Context, board persistence.BoardID, snap *persistence.Snapshot, upTo persistence.Seq) (*persistence.Snapshot, error) {
	var from persistence.Seq
	if snap != nil {
		from = snap.Seq
	}
	base, err := scanSnapshot(board, s.readers.QueryRowContext(ctx, baseSQL, board[:], contract.Column(upTo), contract.Column(from)))
	if err != nil || base == nil {
		return snap, err
	}
	base.Base = true
	return base, nil
}

// RemoveTrimmed implements persistence.Store.
func (s *Store) RemoveTrimmed(ctx context.Context, board persistence.BoardID, limit int) (removed int, err error) {
	if err = contract.CheckRemove(limit); err == nil {
		err = s.write(ctx, func(w *writer) (bool, error) {
			removed, err = w.removeTrimmed(board, limit)
			return removed > 0, err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("remove trimmed frames of board %s: %w", board, classify(err))
	}
	return removed, nil
}

func (w *writer) removeTrimmed(board persistence.BoardID, limit int) (int, error) {
	background := context.Background() // see writer
	var before int64
	err := w.conn.QueryRowContext(background, removableSQL, board[:], limit).Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, &persistence.BoardNotFoundError{Board: board}
	}
	if err != nil {
		return 0, err
	}
	if _, err := w.conn.ExecContext(background, keepIDsSQL, board[:], before); err != nil {
		return 0, err
	}
	return w.count(removeSQL, board[:], before)
}

// count runs a statement and returns how many rows it changed.
func (w *writer) count(query string, args ...any) (int, error) {
	result, err := w.conn.ExecContext(context.Background(), query, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Usage implements persistence.Store.
func (s *Store) Usage(ctx context.Context, board persistence.BoardID) (u persistence.Usage, err error) {
	s.reads.Add(1)
	defer s.reads.Done()
	err = s.readers.QueryRowContext(ctx, usageSQL, board[:]).Scan(&u.Log, &u.Snapshots, &u.Files)
	if errors.Is(err, sql.ErrNoRows) {
		err = &persistence.BoardNotFoundError{Board: board}
	}
	if err != nil {
		return persistence.Usage{}, fmt.Errorf("add up board %s: %w", board, classify(err))
	}
	return u, nil
}

// PurgeableBoards implements persistence.Store.
func (s *Store) PurgeableBoards(ctx context.Context, deletedBefore time.Time, after persistence.BoardID, limit int) ([]persistence.BoardID, error) {
	s.reads.Add(1)
	defer s.reads.Done()
	ids, err := queryIDs(ctx, s.readers, purgeableSQL, deletedBefore.UnixMicro(), after[:], limit)
	if err != nil {
		return nil, fmt.Errorf("list deleted boards: %w", classify(err))
	}
	return ids, nil
}

// queryIDs reads a column of boards' ids.
func queryIDs(ctx context.Context, db *sql.DB, query string, args ...any) (ids []persistence.BoardID, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id []byte
		if err = rows.Scan(&id); err == nil && len(id) != 16 {
			err = &persistence.CorruptError{Err: fmt.Errorf("a board has an id of %d bytes", len(id))}
		}
		if err != nil {
			break
		}
		ids = append(ids, persistence.BoardID(id))
	}
	return ids, errors.Join(err, closing(rows, rows.Err()))
}

// PurgeBoard implements persistence.Store.
func (s *Store) PurgeBoard(ctx context.Context, board persistence.BoardID, deletedBefore time.Time, limit int) (done bool, err error) {
	if err = contract.CheckRemove(limit); err == nil {
		err = s.write(ctx, func(w *writer) (bool, error) {
			var found int
			if found, err = w.count(purgeSQL, board[:], deletedBefore.UnixMicro()); err == nil && found > 0 {
				done, err = w.purge(board, limit)
				return true, err
			}
			done = err == nil
			return false, err
		})
	}
	if err != nil {
		return false, fmt.Errorf("purge board %s: %w", board, classify(err))
	}
	return done, nil
}

func (w *writer) purge(board persistence.BoardID, limit int) (done bool, err error) {
	for _, step := range purgeSteps {
		if n, err := w.count(step, board[:], limit); err != nil || n > 0 {
			return false, err
		}
	}
	_, err = w.count(`DELETE FROM boards WHERE id = ?1`, board[:])
	return err == nil, err
}
