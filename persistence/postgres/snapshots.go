package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

//nolint:gochecknoglobals // never written
var (
	// snapshotColumns have no body where it is too large: its length is known without it.
	snapshotColumns = fmt.Sprintf(`seq, epoch, created_at, CASE WHEN octet_length(body) <= %d THEN body END`, persistence.MaxSnapshotBytes)

	readSnapshotSQL = `
		SELECT ` + snapshotColumns + ` FROM snapshots
		WHERE board_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1`

	nextSnapshotSQL = `
		SELECT ` + snapshotColumns + ` FROM snapshots
		WHERE board_id = $1 AND seq > $2 ORDER BY seq LIMIT 1`

	// dropSnapshotsSQL leaves the newest ones of the log that the board has.
	dropSnapshotsSQL = fmt.Sprintf(`
		DELETE FROM snapshots AS s USING boards AS b
		WHERE b.id = $1 AND s.board_id = $1 AND (s.epoch <> b.epoch OR s.seq > b.head_seq OR s.seq < b.first_seq OR NOT s.keyframe AND s.seq < (
			SELECT min(seq) FROM (
				SELECT k.seq FROM snapshots AS k
				WHERE k.board_id = $1 AND k.epoch = b.epoch AND k.seq <= b.head_seq ORDER BY k.seq DESC LIMIT %d
			) AS kept
		))`, persistence.KeptSnapshots)
)

const (
	// putSnapshotSQL does nothing where CheckPosition would fail. The board is not locked: commits would wait for it.
	putSnapshotSQL = `
		INSERT INTO snapshots (board_id, seq, epoch, created_at, body, keyframe)
		SELECT id, $2::bigint, $3::uuid, $4, $5, $6::bigint > 0 AND $2 >= $6 AND NOT EXISTS (
			SELECT 1 FROM snapshots AS k
			WHERE k.board_id = $1 AND k.epoch = $3 AND k.keyframe AND k.seq > $2 - $6 AND k.seq - $2 < $6 AND k.seq <> $2
		)
		FROM boards WHERE id = $1 AND deleted_at IS NULL AND epoch = $3 AND head_seq >= $2
		ON CONFLICT (board_id, seq) DO UPDATE SET epoch = excluded.epoch, created_at = excluded.created_at, body = excluded.body,
			keyframe = excluded.keyframe OR snapshots.keyframe AND snapshots.epoch = excluded.epoch`

	positionSQL = `SELECT epoch, head_seq FROM boards WHERE id = $1 AND deleted_at IS NULL`
)

// PutSnapshot implements persistence.Store. It takes one round trip, and is one transaction.
func (s *Store) PutSnapshot(ctx context.Context, snap persistence.Snapshot) error {
	err := contract.CheckPutSnapshot(&snap)
	if err == nil {
		err = s.writeLarge(ctx, func() error { return s.putSnapshot(ctx, &snap) })
	}
	if err != nil {
		return fmt.Errorf("store a snapshot of board %s: %w", snap.Board, err)
	}
	return nil
}

func (s *Store) putSnapshot(ctx context.Context, snap *persistence.Snapshot) error {
	var stored, head int64
	var epoch [16]byte
	batch := &pgx.Batch{}
	put := batch.Queue(putSnapshotSQL,
		snap.Board, contract.Column(snap.Seq), snap.Epoch, snap.CreatedAt, snap.Body, contract.Column(snap.Spacing))
	put.Exec(func(tag pgconn.CommandTag) error {
		stored = tag.RowsAffected()
		return nil
	})
	batch.Queue(dropSnapshotsSQL, snap.Board)
	batch.Queue(positionSQL, snap.Board).QueryRow(func(row pgx.Row) error { return row.Scan(&epoch, &head) })
	err := s.pool.SendBatch(ctx, batch).Close() // one transaction, as batches are
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &persistence.BoardNotFoundError{Board: snap.Board}
	case err == nil && stored == 0:
		moved := &persistence.ContendedError{Err: errors.New("its board changed meanwhile")}
		return cmp.Or[error](contract.CheckPosition(snap.Position, epoch, persistence.Seq(head)), moved)
	default:
		return err
	}
}

// ReadSnapshot implements persistence.Store. The board is looked at after the snapshot, as in Read.
func (s *Store) ReadSnapshot(ctx context.Context, board persistence.BoardID, upTo persistence.Seq) (snap *persistence.Snapshot, err error) {
	err = s.read(ctx, func() error {
		var first int64
		batch := &pgx.Batch{}
		batch.Queue(readSnapshotSQL, board, contract.Column(upTo)).QueryRow(func(row pgx.Row) error {
			var err error
			snap, err = scanSnapshot(board, row)
			return err
		})
		batch.Queue(firstSQL, board).QueryRow(func(row pgx.Row) error { return row.Scan(&first) })
		err := s.pool.SendBatch(ctx, batch).Close()
		if errors.Is(err, pgx.ErrNoRows) {
			return &persistence.BoardNotFoundError{Board: board}
		}
		if err == nil && first > 1 {
			snap, err = s.orBase(ctx, board, snap, upTo)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a snapshot of board %s: %w", board, err)
	}
	return snap, nil
}

// scanSnapshot reads snapshotColumns; nil where there is no row.
func scanSnapshot(board persistence.BoardID, row pgx.Row) (*persistence.Snapshot, error) {
	snap := &persistence.Snapshot{Board: board}
	var seq int64
	err := row.Scan(&seq, (*[16]byte)(&snap.Epoch), &snap.CreatedAt, &snap.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	if err != nil {
		return nil, err
	}
	snap.Seq, snap.CreatedAt = persistence.Seq(seq), snap.CreatedAt.UTC()
	return snap, nil
}
