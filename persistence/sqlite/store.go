// Package sqlite keeps boards in one SQLite file, for a server that needs no database beside it. See README.md for what
// it asks of the file system and what it does not do.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/collaboard-io/collaboard/migrations"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

// Config tunes a Store. Its zero value is a sensible one.
type Config struct {
	// Readers is how many calls read at once; 0 means 4.
	Readers int
	// BusyTimeout is how long a call waits for another process that writes to the same file; 0 means 5 s.
	BusyTimeout time.Duration
}

// Store is a persistence.Store over one file. SQLite has one writer at a time, so the store has one connection that
// writes, and a few that read beside it.
type Store struct {
	readers *sql.DB
	writers *sql.DB // no more than one connection, the writer's

	// writer holds the one writer when nobody uses it. A nil one has to be connected first: the one before it could
	// not be trusted any more.
	writer chan *writer
	large  chan struct{} // capacity 1: a place for a file or a snapshot on its way to the writer

	reads       sync.WaitGroup // calls that read
	busyTimeout time.Duration
}

var _ persistence.Store = (*Store)(nil)

// Open opens the file at path, or creates it, in a directory that exists; it brings the schema up to date, unless a
// newer program has been there, which is a *migrations.NewerSchemaError. The store must be closed.
func Open(ctx context.Context, path string, cfg Config) (*Store, error) {
	if cfg.Readers == 0 {
		cfg.Readers = 4
	}
	if cfg.BusyTimeout == 0 {
		cfg.BusyTimeout = 5 * time.Second
	}
	s, err := open(ctx, path, cfg)
	if err != nil {
		return nil, fmt.Errorf("open SQLite database %s: %w", path, classify(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, cfg Config) (_ *Store, err error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("frames must be durable: a file is needed")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, path, cfg); err != nil {
		return nil, err
	}

	s := &Store{writer: make(chan *writer, 1), large: make(chan struct{}, 1), busyTimeout: cfg.BusyTimeout}
	// query_only keeps a mistake from becoming a second writer.
	if s.readers, err = connections(path, cfg, cfg.Readers, "_query_only=1"); err != nil {
		return nil, err
	}
	if s.writers, err = connections(path, cfg, 1, "_pragma=wal_autocheckpoint("+strconv.Itoa(logPages)+")"); err != nil {
		return nil, errors.Join(err, s.readers.Close())
	}
	w, err := connectWriter(ctx, s.writers)
	if err != nil {
		return nil, errors.Join(err, s.readers.Close(), s.writers.Close())
	}
	s.writer <- w
	return s, nil
}

func migrate(ctx context.Context, path string, cfg Config) (err error) {
	db, err := connections(path, cfg, 1, "_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := useWAL(ctx, db); err != nil {
		return err
	}
	return migrations.SQLite(ctx, db)
}

// useWAL turns a new database to write-ahead logging, which the file then remembers. Two processes that do so at once
// get SQLITE_BUSY whatever their busy timeout.
func useWAL(ctx context.Context, db *sql.DB) error {
	const tries, pause = 100, 20 * time.Millisecond
	for try := 1; ; try++ {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if err == nil && mode != "wal" {
			return fmt.Errorf("journal mode is %q, but must be WAL, which this file or file system cannot have", mode)
		}
		if _, contended := errors.AsType[*persistence.ContendedError](classify(err)); try == tries || !contended {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return contract.Ended(ctx)
		}
	}
}

// logPages is how long the log gets, in pages of 4 KiB, before the commit that gets there copies it back into the file. The
// end of each board's log is written again and again, and copied once: at SQLite's default of 1,000 pages copying was a
// quarter of what a busy server did, and stalled it a dozen times a second. Beyond this a reader's way through the log, and
// what a crash leaves to be recovered, get longer for little.
const logPages = 16000

// connections returns a pool of at most n connections, which are made when they are needed and then kept.
func connections(path string, cfg Config, n int, params ...string) (*sql.DB, error) {
	params = append([]string{
		"_busy_timeout=" + strconv.FormatInt(cfg.BusyTimeout.Milliseconds(), 10),
		"_synchronous=FULL",
		"_pragma=cache_size(-16384)", // KiB for each connection
		"_pragma=temp_store(memory)",
		"_dqs=0",      // a misspelt column is an error, not a string
		"_error_rc=1", // the text of an error is about that error
	}, params...)

	c, err := sqlite.NewConnector(location(path, params...))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// location names a file and how to open it, as the driver wants it. The path is an absolute one: it may hold what ends a path
// in a URI, and begins with a letter on Windows.
func location(path string, params ...string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	uri := url.URL{Scheme: "file", Path: p, RawQuery: strings.Join(params, "&")}
	return uri.String()
}

// Ping implements persistence.Store. It takes the write lock, so it waits for its turn; a full disk it does not notice.
func (s *Store) Ping(ctx context.Context) error {
	err := s.write(ctx, func(*writer) (bool, error) { return false, nil })
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*persistence.UnavailableError](err); !ok {
		err = &persistence.UnavailableError{Err: err}
	}
	return fmt.Errorf("ping: %w", err)
}

// Close implements persistence.Store.
func (s *Store) Close() error {
	w := <-s.writer
	s.writer <- nil
	s.reads.Wait()
	// The writer last: whoever closes the last connection copies the log into the file and removes it, which a reader
	// may not.
	err := s.readers.Close()
	if w != nil {
		w.close()
	}
	if err = errors.Join(err, s.writers.Close()); err != nil {
		return fmt.Errorf("close SQLite database: %w", err)
	}
	return nil
}
