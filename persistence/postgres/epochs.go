package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
)

const (
	// patientSQL is for a transaction that nobody waits for, and that computes between its statements.
	patientSQL = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`

	// currentSnapshotsSQL are those of the logs that the boards have.
	currentSnapshotsSQL = `
		SELECT s.board_id, s.seq FROM snapshots AS s JOIN boards AS b ON b.id = s.board_id AND b.epoch = s.epoch`

	renewEpochsSQL = `UPDATE boards SET epoch = gen_random_uuid()`
	epochSQL       = `SELECT epoch FROM boards WHERE id = $1`

	renewSnapshotSQL = `UPDATE snapshots SET epoch = $3, body = $4 WHERE board_id = $1 AND seq = $2`

	// sessionsSQL are those of servers: by their name, which ours has, too.
	sessionsSQL = `
		SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()`
)

// RenewEpochs gives every board another epoch, deleted ones too, in one transaction, and returns how many there are. It is
// for a database that was taken back to what it was before: clients whose positions are of what came after are told so, and
// begin again. No server must use the database meanwhile: see Sessions.
//
// What renew returns takes the place of each snapshot of a board's log: the same under the epoch that it is given. One for
// which it fails is of another log from then on. Bases stay as they are.
func (s *Store) RenewEpochs(ctx context.Context, renew persistence.RenewFunc) (boards int, err error) {
	s.calls.Add(1)
	defer s.calls.Done()
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		boards, err = renewEpochs(ctx, tx, renew)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("renew epochs: %w", classify(err))
	}
	return boards, nil
}

func renewEpochs(ctx context.Context, tx pgx.Tx, renew persistence.RenewFunc) (boards int, err error) {
	if _, err := tx.Exec(ctx, patientSQL); err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, currentSnapshotsSQL)
	if err != nil {
		return 0, err
	}
	type key struct {
		board persistence.BoardID
		seq   int64
	}
	var current []key
	var k key
	if _, err := pgx.ForEachRow(rows, []any{(*[16]byte)(&k.board), &k.seq}, func() error {
		current = append(current, k)
		return nil
	}); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, renewEpochsSQL)
	if err != nil {
		return 0, err
	}
	for _, k := range current {
		if err := renewSnapshot(ctx, tx, k.board, k.seq, renew); err != nil {
			return 0, err
		}
	}
	return int(tag.RowsAffected()), nil
}

func renewSnapshot(ctx context.Context, tx pgx.Tx, board persistence.BoardID, seq int64, renew persistence.RenewFunc) error {
	var epoch [16]byte
	if err := tx.QueryRow(ctx, epochSQL, board).Scan(&epoch); err != nil {
		return err
	}
	old, err := scanSnapshot(board, tx.QueryRow(ctx, nextSnapshotSQL, board, seq-1))
	if err != nil || old == nil {
		return err
	}
	renewed, err := renew(*old, epoch)
	if err != nil {
		return nil //nolint:nilerr // a snapshot can be lost
	}
	_, err = tx.Exec(ctx, renewSnapshotSQL, board, seq, epoch, renewed.Body)
	return err
}

// Sessions returns how many servers' sessions there are in the database at url, as far as its role may see them: those with the
// application_name that ours has. It looks for a second before it says that there are any: one that was closed takes its time.
func Sessions(ctx context.Context, url string) (int, error) {
	n, err := sessions(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("look who uses PostgreSQL database: %w", classify(err))
	}
	return n, nil
}

func sessions(ctx context.Context, url string) (n int, err error) {
	pc, err := poolConfig(url, Config{}.withDefaults())
	if err != nil {
		return 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, pc.ConnConfig)
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	const tries, pause = 10, 100 * time.Millisecond
	for try := 1; ; try++ {
		// Outside of a transaction each statement sees who is there now.
		if err := conn.QueryRow(ctx, sessionsSQL).Scan(&n); err != nil || n == 0 || try == tries {
			return n, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return n, context.Cause(ctx)
		}
	}
}
