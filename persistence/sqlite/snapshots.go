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
	// snapshotColumns have no body where it is too large: length does not look into one.
	snapshotColumns = fmt.Sprintf(`seq, epoch, created_at, CASE WHEN length(body) <= %d THEN body END`, persistence.MaxSnapshotBytes)

	readSnapshotSQL = `
	SELECT ` + snapshotColumns + ` FROM snapshots
	WHERE board_id = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1`

	nextSnapshotSQL = `
	SELECT ` + snapshotColumns + ` FROM snapshots
	WHERE board_id = ?1 AND seq > ?2 ORDER BY seq LIMIT 1`

	// dropSnapshotsSQL leaves the newest ones of the log that the board has: ?2 is its epoch, ?3 and ?4 its head and first.
	dropSnapshotsSQL = fmt.Sprintf(`
	DELETE FROM snapshots WHERE board_id = ?1 AND (epoch <> ?2 OR seq > ?3 OR seq < ?4 OR NOT keyframe AND seq < (
		SELECT min(seq) FROM (
			SELECT seq FROM snapshots WHERE board_id = ?1 AND epoch = ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT %d
		)
	))`, persistence.KeptSnapshots)
)

const putSnapshotSQL = `
	INSERT INTO snapshots (board_id, seq, epoch, created_at, body, keyframe)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6 > 0 AND ?2 >= ?6 AND NOT EXISTS (
		SELECT 1 FROM snapshots
		WHERE board_id = ?1 AND epoch = ?3 AND keyframe AND seq > ?2 - ?6 AND seq - ?2 < ?6 AND seq <> ?2
	))
	ON CONFLICT (board_id, seq) DO UPDATE SET epoch = excluded.epoch, created_at = excluded.created_at, body = excluded.body,
		keyframe = excluded.keyframe OR keyframe AND epoch = excluded.epoch`

// PutSnapshot implements persistence.Store.
func (s *Store) PutSnapshot(ctx context.Context, snap persistence.Snapshot) error {
	if err := s.putSnapshot(ctx, &snap); err != nil {
		return fmt.Errorf("store a snapshot of board %s: %w", snap.Board, classify(err))
	}
	return nil
}

func (s *Store) putSnapshot(ctx context.Context, snap *persistence.Snapshot) error {
	if err := contract.CheckPutSnapshot(snap); err != nil {
		return err
	}
	return s.writeLarge(ctx, func(w *writer) (bool, error) {
		background := context.Background() // see writer
		var i, head, first int64
		var epoch []byte
		err := w.conn.QueryRowContext(background, oneHeadSQL, 1, snap.Board[:]).Scan(&i, &epoch, &head, &first)
		if errors.Is(err, sql.ErrNoRows) {
			return false, &persistence.BoardNotFoundError{Board: snap.Board}
		}
		if err == nil && len(epoch) != len(snap.Epoch) {
			err = &persistence.CorruptError{Err: fmt.Errorf("its epoch has %d bytes", len(epoch))}
		}
		if err == nil {
			err = contract.CheckPosition(snap.Position, persistence.Epoch(epoch), persistence.Seq(head))
		}
		if err == nil {
			_, err = w.conn.ExecContext(background, putSnapshotSQL,
				snap.Board[:], contract.Column(snap.Seq), snap.Epoch[:], snap.CreatedAt.UnixMicro(), snap.Body, contract.Column(snap.Spacing))
		}
		if err == nil {
			_, err = w.conn.ExecContext(background, dropSnapshotsSQL, snap.Board[:], epoch, head, first)
		}
		return true, err
	})
}

// ReadSnapshot implements persistence.Store. The board is looked at after the snapshot, as in Read.
func (s *Store) ReadSnapshot(ctx context.Context, board persistence.BoardID, upTo persistence.Seq) (*persistence.Snapshot, error) {
	s.reads.Add(1)
	defer s.reads.Done()
	snap, err := scanSnapshot(board, s.readers.QueryRowContext(ctx, readSnapshotSQL, board[:], contract.Column(upTo)))
	if err == nil {
		var first int64
		err = s.readers.QueryRowContext(ctx, firstSQL, board[:]).Scan(&first)
		if errors.Is(err, sql.ErrNoRows) {
			err = &persistence.BoardNotFoundError{Board: board}
		}
		if err == nil && first > 1 {
			snap, err = s.orBase(ctx, board, snap, upTo)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read a snapshot of board %s: %w", board, classify(err))
	}
	return snap, nil
}

// scanSnapshot reads snapshotColumns; nil where there is no row.
func scanSnapshot(board persistence.BoardID, row *sql.Row) (*persistence.Snapshot, error) {
	snap := &persistence.Snapshot{Board: board}
	var seq, created int64
	var epoch []byte
	err := row.Scan(&seq, &epoch, &created, &snap.Body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	if err != nil {
		return nil, err
	}
	if len(epoch) != len(snap.Epoch) {
		return nil, &persistence.CorruptError{Err: fmt.Errorf("the snapshot at seq %d has an epoch of %d bytes", seq, len(epoch))}
	}
	snap.Position = persistence.Position{Epoch: persistence.Epoch(epoch), Seq: persistence.Seq(seq)}
	snap.CreatedAt = time.UnixMicro(created).UTC()
	return snap, nil
}
