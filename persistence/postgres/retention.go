package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

//nolint:gochecknoglobals // never written
var (
	baseSQL        = `SELECT ` + snapshotColumns + ` FROM bases WHERE board_id = $1 AND seq <= $2 AND seq >= $3`
	inspectBaseSQL = `SELECT ` + snapshotColumns + ` FROM bases WHERE board_id = $1`
)

const (
	// putBaseSQL waits for another server that does the same to the board, and never goes back.
	putBaseSQL = `
		INSERT INTO bases (board_id, seq, epoch, created_at, body) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (board_id) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, created_at = excluded.created_at, body = excluded.body
		WHERE bases.seq < excluded.seq`

	// beginLogSQL locks the board, so it comes last, right before COMMIT: commits of frames wait for it.
	beginLogSQL = `
		UPDATE boards SET first_seq = $2
		WHERE id = $1 AND deleted_at IS NULL AND epoch = $3 AND head_seq >= $2 AND first_seq < $2`

	extentSQL = `SELECT epoch, head_seq, first_seq FROM boards WHERE id = $1 AND deleted_at IS NULL`

	// removeSQL locks no board. The seqs of a log have no gaps.
	removeSQL = `
		WITH removed AS (
			DELETE FROM frames
			WHERE board_id = $1 AND seq < (SELECT first_seq FROM boards WHERE id = $1 AND deleted_at IS NULL)
				AND seq < (SELECT min(seq) FROM frames WHERE board_id = $1) + $2::bigint
			RETURNING id, seq
		)
		INSERT INTO trimmed (board_id, id, seq) SELECT $1, id, seq FROM removed`

	usageSQL = `
		SELECT
			(SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM frames WHERE board_id = $1),
			(SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM snapshots WHERE board_id = $1) +
				(SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM bases WHERE board_id = $1),
			coalesce((SELECT bytes FROM file_totals WHERE board_id = $1), 0)
		FROM boards WHERE id = $1 AND deleted_at IS NULL`

	purgeableSQL = `
		SELECT id FROM boards WHERE deleted_at < $1 AND id > $2 ORDER BY id LIMIT $3`

	// purgeSQL locks the board, so that it is not brought back meanwhile.
	purgeSQL = `
		UPDATE boards SET purging = TRUE WHERE id = $1 AND deleted_at < $2`

	purgeFramesSQL = `
		DELETE FROM frames WHERE board_id = $1 AND seq < (SELECT min(seq) FROM frames WHERE board_id = $1) + $2::bigint`

	purgeBoardSQL = `DELETE FROM boards WHERE id = $1`
)

// purgeSteps remove what there is of a board, a part of it each time: $2 is how many rows. The board itself comes last.
//
//nolint:gochecknoglobals // never written
var purgeSteps = []string{
	purgeFramesSQL,
	`DELETE FROM trimmed WHERE board_id = $1 AND id IN (SELECT id FROM trimmed WHERE board_id = $1 ORDER BY id LIMIT $2::bigint)`,
	`DELETE FROM files WHERE board_id = $1 AND $2::bigint > 0 AND sha256 = (SELECT sha256 FROM files WHERE board_id = $1 ORDER BY sha256 LIMIT 1)`,
	`DELETE FROM snapshots WHERE board_id = $1 AND $2::bigint > 0 AND seq = (SELECT min(seq) FROM snapshots WHERE board_id = $1)`,
	`DELETE FROM savepoints WHERE board_id = $1 AND $2::bigint > 0`,
	`DELETE FROM bases WHERE board_id = $1 AND $2::bigint > 0`,
	`DELETE FROM file_totals WHERE board_id = $1 AND $2::bigint > 0`,
}

// BeginLog implements persistence.Store. It takes two round trips.
func (s *Store) BeginLog(ctx context.Context, snap persistence.Snapshot) error {
	err := contract.CheckPutSnapshot(&snap)
	if err == nil {
		err = s.writeLarge(ctx, func() error { return s.beginLog(ctx, &snap) })
	}
	if err != nil {
		return fmt.Errorf("begin the log of board %s at seq %d: %w", snap.Board, snap.Seq, err)
	}
	return nil
}

func (s *Store) beginLog(ctx context.Context, snap *persistence.Snapshot) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return &persistence.UnavailableError{Err: err}
	}
	defer giveBack(ctx, conn)

	var head, first int64
	var epoch [16]byte
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(putBaseSQL, snap.Board, contract.Column(snap.Seq), snap.Epoch, snap.CreatedAt, snap.Body)
	batch.Queue(trimSavepointsSQL, snap.Board, contract.Column(snap.Seq))
	batch.Queue(extentSQL, snap.Board).QueryRow(func(row pgx.Row) error { return row.Scan(&epoch, &head, &first) })
	err = conn.Conn().SendBatch(ctx, batch).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return &persistence.BoardNotFoundError{Board: snap.Board}
	}
	if err == nil {
		err = contract.CheckPosition(snap.Position, epoch, persistence.Seq(head))
	}
	if err != nil || contract.Column(snap.Seq) <= first {
		return err
	}
	tag, err := conn.Exec(ctx, beginLogSQL, snap.Board, contract.Column(snap.Seq), snap.Epoch)
	if err == nil && tag.RowsAffected() == 0 {
		return &persistence.ContendedError{Err: errors.New("its board changed meanwhile")}
	}
	if err != nil {
		return err
	}
	return commit(ctx, conn.Conn(), &pgx.Batch{})
}

// orBase returns the base of a board's log, where it is not older than snap, which may be nil, or else snap.
func (s *Store) orBase(ctx context.Context, board persistence.BoardID, snap *persistence.Snapshot, upTo persistence.Seq) (*persistence.Snapshot, error) {
	var from persistence.Seq
	if snap != nil {
		from = snap.Seq
	}
	base, err := scanSnapshot(board, s.pool.QueryRow(ctx, baseSQL, board, contract.Column(upTo), contract.Column(from)))
	if err != nil || base == nil {
		return snap, err
	}
	base.Base = true
	return base, nil
}

// RemoveTrimmed implements persistence.Store. It takes one round trip, and is one transaction.
func (s *Store) RemoveTrimmed(ctx context.Context, board persistence.BoardID, limit int) (removed int, err error) {
	if err = contract.CheckRemove(limit); err == nil {
		err = s.read(ctx, func() error {
			var first int64
			batch := &pgx.Batch{}
			batch.Queue(firstSQL, board).QueryRow(func(row pgx.Row) error { return row.Scan(&first) })
			batch.Queue(removeSQL, board, limit).Exec(func(tag pgconn.CommandTag) error {
				removed = int(tag.RowsAffected())
				return nil
			})
			err := s.pool.SendBatch(ctx, batch).Close()
			if errors.Is(err, pgx.ErrNoRows) {
				return &persistence.BoardNotFoundError{Board: board}
			}
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("remove trimmed frames of board %s: %w", board, err)
	}
	return removed, nil
}

// Usage implements persistence.Store.
func (s *Store) Usage(ctx context.Context, board persistence.BoardID) (u persistence.Usage, err error) {
	err = s.read(ctx, func() error {
		err := s.pool.QueryRow(ctx, usageSQL, board).Scan(&u.Log, &u.Snapshots, &u.Files)
		if errors.Is(err, pgx.ErrNoRows) {
			return &persistence.BoardNotFoundError{Board: board}
		}
		return err
	})
	if err != nil {
		return persistence.Usage{}, fmt.Errorf("add up board %s: %w", board, err)
	}
	return u, nil
}

// PurgeableBoards implements persistence.Store.
func (s *Store) PurgeableBoards(
	ctx context.Context, deletedBefore time.Time, after persistence.BoardID, limit int,
) (ids []persistence.BoardID, err error) {
	err = s.read(ctx, func() error {
		rows, err := s.pool.Query(ctx, purgeableSQL, deletedBefore, after, limit)
		if err == nil {
			var id [16]byte
			_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
				ids = append(ids, id)
				return nil
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list deleted boards: %w", err)
	}
	return ids, nil
}

// PurgeBoard implements persistence.Store.
func (s *Store) PurgeBoard(ctx context.Context, board persistence.BoardID, deletedBefore time.Time, limit int) (done bool, err error) {
	if err = contract.CheckRemove(limit); err == nil {
		err = s.read(ctx, func() error {
			done, err = s.purge(ctx, board, deletedBefore, limit)
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("purge board %s: %w", board, err)
	}
	return done, nil
}

func (s *Store) purge(ctx context.Context, board persistence.BoardID, deletedBefore time.Time, limit int) (done bool, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, purgeSQL, board, deletedBefore)
		if done = tag.RowsAffected() == 0; err != nil || done {
			return err
		}
		for _, step := range purgeSteps {
			if tag, err := tx.Exec(ctx, step, board, limit); err != nil || tag.RowsAffected() > 0 {
				return err
			}
		}
		_, err = tx.Exec(ctx, purgeBoardSQL, board)
		done = err == nil
		return err
	})
	return done && err == nil, err
}
