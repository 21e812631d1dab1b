package storebench

import (
	"context"
	"database/sql" //nolint:depguard // the baseline is what a store must beat, so it is not one
	"errors"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" //nolint:depguard // see above
)

const sqliteDDL = `
	CREATE TABLE frames (
		board_id BLOB    NOT NULL,
		seq      INTEGER NOT NULL,
		id       BLOB    NOT NULL,
		time     INTEGER NOT NULL,
		sender   TEXT    NOT NULL,
		kind     INTEGER NOT NULL,
		body     BLOB    NOT NULL,
		PRIMARY KEY (board_id, seq)
	) STRICT, WITHOUT ROWID;
	CREATE UNIQUE INDEX frames_board_id_id ON frames (board_id, id);`

type sqlite struct {
	db     *sql.DB
	insert *sql.Stmt
	dir    string
}

// SQLite returns a Naive on a file of its own in dir, as durable as the store's. Its writers share one connection: with
// one each they would be slower, since SQLite lets them wait for each other by polling.
func SQLite(ctx context.Context, dir string) (_ Naive, err error) {
	s := &sqlite{}
	if dir, err = filepath.Abs(dir); err != nil { // as a URI needs it
		return nil, err
	}
	if s.dir, err = os.MkdirTemp(dir, "collaboard-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	uri := url.URL{
		Scheme: "file", Path: filepath.Join(s.dir, "naive.db"),
		RawQuery: "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)",
	}
	if s.db, err = sql.Open("sqlite", uri.String()); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	if _, err = s.db.ExecContext(ctx, sqliteDDL); err != nil {
		return nil, err
	}
	s.insert, err = s.db.PrepareContext(ctx,
		`INSERT INTO frames (board_id, seq, id, time, sender, kind, body) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	return s, err
}

// Insert implements Naive.
func (s *sqlite) Insert(ctx context.Context, r Row) error {
	_, err := s.insert.ExecContext(ctx, r.Board[:], r.Seq, r.ID[:], r.Time.UnixMicro(), r.Sender, r.Kind, r.Body)
	return err
}

// Close implements Naive.
func (s *sqlite) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
