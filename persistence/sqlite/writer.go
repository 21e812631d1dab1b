package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

// insertRows are how many frames one INSERT takes. The rest that the largest leaves is done by the smaller ones. With
// this driver a parameter costs the same wherever it stands, and what is saved is the statement's own cost: 16 rows a
// statement measured best, 64 and 256 were slower again.
var insertRows = [...]int{16, 4, 1} //nolint:gochecknoglobals // a constant

// writer is the connection that writes, with its statements. It is in no transaction while it waits in Store.writer.
//
// Statements run without the caller's context, all but the one that may wait for a lock: each of them is short, and the
// driver's way to stop one (sqlite3_interrupt) may roll back a transaction, or report a statement as stopped that has
// been done. The context is looked at between them, for the last time before COMMIT. So it is always known what became
// of a commit, unless the disk failed.
type writer struct {
	conn   *sql.Conn
	insert [len(insertRows)]*sql.Stmt
	args   []any // of an insert; kept, because it is large
	heads  lookup
	hidden lookup // heads, of one hidden board
	known  lookup
	former lookup // known, of frames that were trimmed
	extend *sql.Stmt
	start  *sql.Stmt
	commit *sql.Stmt

	patience time.Duration // its busy timeout, once that was set here; before that -1
}

// lookup is a query by a number of ids that are one blob. Where it is one id, which is what a board that few people
// write to asks for each time, the statement does not have to cut the blob up.
type lookup struct{ one, many *sql.Stmt }

// The ids of a whole batch come as one blob, cut up by the statement: one statement of one shape for any number.
const (
	headsSQL = `
		WITH RECURSIVE claim (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM claim WHERE i + 1 < ?1)
		SELECT i, epoch, head_seq, first_seq
		FROM claim CROSS JOIN boards ON id = substr(?2, i * 16 + 1, 16)
		WHERE deleted_at IS NULL`
	// One id: ?1 is only there to take the number that the others need.
	oneHeadSQL = `SELECT 0, epoch, head_seq, first_seq FROM boards WHERE ?1 = 1 AND id = ?2 AND deleted_at IS NULL`
	hiddenSQL  = `
		SELECT 0, epoch, head_seq, first_seq FROM boards
		WHERE ?1 = 1 AND id = ?2 AND deleted_at IS NOT NULL AND NOT purging`
	knownSQL = `
		WITH RECURSIVE candidate (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM candidate WHERE i + 1 < ?1)
		SELECT i, seq
		FROM candidate CROSS JOIN %[1]s
			ON board_id = substr(?2, i * 32 + 1, 16) AND id = substr(?2, i * 32 + 17, 16)`
	oneKnownSQL = `
		SELECT 0, seq FROM %[1]s WHERE ?1 = 1 AND board_id = substr(?2, 1, 16) AND id = substr(?2, 17, 16)`
	insertSQL = `INSERT INTO frames (board_id, seq, id, time, sender, kind, body) VALUES `
	extendSQL = `UPDATE boards SET head_seq = ?2, object_count = ?3, updated_at = ?4 WHERE id = ?1`
)

// connectWriter makes a writer of the one connection of db, and makes sure that it is durable.
func connectWriter(ctx context.Context, db *sql.DB) (_ *writer, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, patience: -1}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := checkDurable(ctx, conn); err != nil {
		return nil, err
	}
	prepare := func(query string) (st *sql.Stmt) {
		if err == nil {
			st, err = conn.PrepareContext(ctx, query)
		}
		return st
	}
	w.heads = lookup{one: prepare(oneHeadSQL), many: prepare(headsSQL)}
	w.hidden = lookup{one: prepare(hiddenSQL)}
	knownIn := func(table string) lookup {
		return lookup{one: prepare(fmt.Sprintf(oneKnownSQL, table)), many: prepare(fmt.Sprintf(knownSQL, table))}
	}
	w.known, w.former = knownIn("frames"), knownIn("trimmed")
	w.extend = prepare(extendSQL)
	w.start, w.commit = prepare("BEGIN IMMEDIATE"), prepare("COMMIT")
	for i, n := range insertRows {
		w.insert[i] = prepare(insertSQL + strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?),", n), ","))
	}
	return w, err
}

// checkDurable asks rather than trusts: a setting that SQLite does not like it ignores.
func checkDurable(ctx context.Context, conn *sql.Conn) error {
	const full = 2
	var mode string
	var synchronous int
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if mode != "wal" || synchronous < full {
		return fmt.Errorf("journal_mode is %s and synchronous is %d, not WAL and 2 (FULL)", mode, synchronous)
	}
	return nil
}

// close closes the connection, which rolls back what it is in the middle of. SQLite would put that off until the
// statements are closed, too, and database/sql does not know of them.
func (w *writer) close() {
	for _, st := range append(w.insert[:],
		w.heads.one, w.heads.many, w.hidden.one, w.known.one, w.known.many, w.former.one, w.former.many, w.extend, w.start, w.commit) {
		if st != nil {
			_ = st.Close()
		}
	}
	// Otherwise database/sql keeps the connection for whoever is next.
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
}

func (w *writer) exec(query string) error {
	_, err := w.conn.ExecContext(context.Background(), query)
	return err
}

// write runs fn in a transaction that holds the write lock, and commits when fn wants it.
func (s *Store) write(ctx context.Context, fn func(*writer) (commit bool, err error)) error {
	return s.writeOr(ctx, s.busyTimeout, fn)
}

// writeLarge is write for what takes the disk a while. One call at a time waits for the writer.
func (s *Store) writeLarge(ctx context.Context, fn func(*writer) (commit bool, err error)) error {
	select {
	case s.large <- struct{}{}:
		defer func() { <-s.large }()
		return s.write(ctx, fn)
	case <-ctx.Done():
		return contract.Ended(ctx)
	}
}

// begin waits for other processes no longer than patience.
func (w *writer) begin(ctx context.Context, patience time.Duration) error {
	if w.patience != patience {
		if err := w.exec("PRAGMA busy_timeout = " + strconv.FormatInt(patience.Milliseconds(), 10)); err != nil {
			return classify(err)
		}
		w.patience = patience
	}
	_, err := w.start.ExecContext(ctx)
	return classify(err)
}

func isContended(err error) bool {
	_, contended := errors.AsType[*persistence.ContendedError](err)
	return contended
}

// writeOr is write that waits for other processes no longer than patience.
func (s *Store) writeOr(ctx context.Context, patience time.Duration, fn func(*writer) (commit bool, err error)) (err error) {
	if err := contract.Ended(ctx); err != nil { // select takes either case when both are ready
		return err
	}
	var w *writer
	select {
	case w = <-s.writer:
	case <-ctx.Done():
		return contract.Ended(ctx)
	}
	sound := false // until the connection is known to be in no transaction, and well
	defer func() {
		if w != nil && !sound {
			w.close()
			w = nil
		}
		s.writer <- w
	}()
	if w == nil {
		if w, err = connectWriter(ctx, s.writers); err != nil {
			return classify(err)
		}
	}

	// To wait under a context costs the driver a goroutine, and is hardly ever needed.
	err = w.begin(context.Background(), 0)
	if isContended(err) && patience > 0 {
		err = w.begin(ctx, patience)
	}
	if err != nil {
		// Stopped by its context it may have begun all the same. While another process writes it has not.
		sound = isContended(err)
		return err
	}
	commit, err := fn(w)
	if err == nil && commit {
		err = contract.Ended(ctx)
	}
	if err == nil && commit {
		if _, err = w.commit.ExecContext(context.Background()); err == nil {
			sound = true
			return nil
		}
	}
	err = classify(err)
	_, failed := errors.AsType[*persistence.UnavailableError](err)
	// SQLite rolls back by itself after some errors, and then has nothing to roll back; and a connection that met a
	// failing disk is better made anew.
	sound = w.exec("ROLLBACK") == nil && (!failed || ctx.Err() != nil)
	return err
}
