package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	// currentSnapshotsSQL are those of the logs that the boards have.
	currentSnapshotsSQL = `
	SELECT s.board_id, s.seq FROM snapshots AS s JOIN boards AS b ON b.id = s.board_id AND b.epoch = s.epoch`

	renewEpochsSQL = `UPDATE boards SET epoch = randomblob(16)`
	epochSQL       = `SELECT epoch FROM boards WHERE id = ?1`

	renewSnapshotSQL = `UPDATE snapshots SET epoch = ?3, body = ?4 WHERE board_id = ?1 AND seq = ?2`
)

// RenewEpochs gives every board another epoch, deleted ones too, in one transaction, and returns how many there are. It is
// for a database that was taken back to what it was before: clients whose positions are of what came after are told so, and
// begin again. No server must use the database meanwhile.
//
// What renew returns takes the place of each snapshot of a board's log: the same under the epoch that it is given. One for
// which it fails is of another log from then on. Bases stay as they are.
func (s *Store) RenewEpochs(ctx context.Context, renew persistence.RenewFunc) (boards int, err error) {
	err = s.write(ctx, func(w *writer) (bool, error) {
		current, err := w.currentSnapshots()
		if err != nil {
			return false, err
		}
		if boards, err = w.count(renewEpochsSQL); err != nil {
			return false, err
		}
		for _, of := range current {
			if err := contract.Ended(ctx); err != nil {
				return false, err
			}
			if err := w.renewSnapshot(of, renew); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("renew epochs: %w", classify(err))
	}
	return boards, nil
}

// snapshotKey is where a snapshot lies.
type snapshotKey struct {
	board persistence.BoardID
	seq   int64
}

func (w *writer) currentSnapshots() (keys []snapshotKey, err error) {
	rows, err := w.conn.QueryContext(context.Background(), currentSnapshotsSQL) // see writer
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var board []byte
		var key snapshotKey
		if err = rows.Scan(&board, &key.seq); err == nil && len(board) != len(key.board) {
			err = &persistence.CorruptError{Err: fmt.Errorf("a snapshot's board has an id of %d bytes", len(board))}
		}
		if err != nil {
			break
		}
		key.board = persistence.BoardID(board)
		keys = append(keys, key)
	}
	return keys, errors.Join(err, closing(rows, rows.Err()))
}

func (w *writer) renewSnapshot(of snapshotKey, renew persistence.RenewFunc) error {
	background := context.Background() // see writer
	var epoch []byte
	if err := w.conn.QueryRowContext(background, epochSQL, of.board[:]).Scan(&epoch); err != nil {
		return err
	}
	old, err := scanSnapshot(of.board, w.conn.QueryRowContext(background, nextSnapshotSQL, of.board[:], of.seq-1))
	if err != nil || old == nil {
		return err
	}
	renewed, err := renew(*old, persistence.Epoch(epoch))
	if err != nil {
		return nil //nolint:nilerr // a snapshot can be lost
	}
	_, err = w.count(renewSnapshotSQL, of.board[:], of.seq, epoch, renewed.Body)
	return err
}

// InUse reports whether somebody else has the database at path open, which must be there. What a crash left in its log is
// taken in, as by Open.
func InUse(ctx context.Context, path string) (used bool, err error) {
	if used, err = inUse(ctx, path); err != nil {
		return false, fmt.Errorf("look who uses SQLite database %s: %w", path, err)
	}
	return used, nil
}

func inUse(ctx context.Context, path string) (_ bool, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return false, err
	}
	// Who has a database in WAL mode open holds a lock of its file, which one that wants it alone waits for.
	db, err := connections(path, Config{}, 1, "mode=rw", "_pragma=locking_mode(exclusive)")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "BEGIN IMMEDIATE")
	if err = classify(err); isContended(err) {
		return true, nil
	}
	return false, err
}
