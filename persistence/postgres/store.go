// Package postgres keeps boards in PostgreSQL, for any number of servers. See README.md for what it asks of the
// database and of what stands before it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/collaboard-io/collaboard/migrations"
	"github.com/collaboard-io/collaboard/persistence"
)

// Config tunes a Store. Its zero value is a sensible one.
type Config struct {
	// MaxConns is how many connections the store has at most; 0 means 16. Reads leave a quarter of them to writes, and
	// files and snapshots on their way in take an eighth.
	MaxConns int
	// AllowNoFsync makes do with a database that loses commits when its machine fails.
	AllowNoFsync bool
	// LockTimeout is how long a transaction waits for a board that another server holds; 0 means 2 s. It ends in a
	// *persistence.ContendedError.
	LockTimeout time.Duration
	// StatementTimeout bounds each statement on the database's side, so that what a server that has died was doing ends
	// by itself; but not COMMIT, which PostgreSQL does not stop. 0 means 10 s.
	StatementTimeout time.Duration
	// Dial opens connections instead of a net.Dialer, when it is not nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = 16
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = 2 * time.Second
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = 10 * time.Second
	}
	return c
}

// FsyncOffError means that the database acknowledges commits before they are on disk.
type FsyncOffError struct{}

func (*FsyncOffError) Error() string {
	return "the database runs with fsync = off: what it has acknowledged is lost when its machine fails; " +
		"turn fsync on, or accept that with --unsafe-allow-no-fsync"
}

// Store is a persistence.Store over one PostgreSQL database.
type Store struct {
	pool  *pgxpool.Pool
	reads chan struct{}  // a place for each read at a time, so that readers never hold all connections
	large chan struct{}  // a place for each file and snapshot that is stored at a time
	calls sync.WaitGroup // what Close waits for
}

var _ persistence.Store = (*Store)(nil)

// Open connects to the database at url (a postgres:// URL or a keyword string) and brings its schema up to date, unless
// a newer program has been there, which is a *migrations.NewerSchemaError. It fails with *FsyncOffError on a database
// that is not durable. The store must be closed.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	s, err := open(ctx, url, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL database: %w", classify(err))
	}
	return s, nil
}

func open(ctx context.Context, url string, cfg Config) (*Store, error) {
	pc, err := poolConfig(url, cfg)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, pc.ConnConfig, cfg); err != nil {
		return nil, err
	}

	session := cfg.session()
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return prepareSession(ctx, conn, cfg, session) }
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil { // the first connection
		pool.Close()
		return nil, err
	}
	return &Store{
		pool: pool, reads: make(chan struct{}, max(1, cfg.MaxConns-(cfg.MaxConns+3)/4)), large: make(chan struct{}, max(1, cfg.MaxConns/8)),
	}, nil
}

// poolConfig is how every connection to the database at url is made.
func poolConfig(url string, cfg Config) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if cfg.MaxConns < 1 || cfg.MaxConns > 1<<15 {
		return nil, fmt.Errorf("MaxConns is %d", cfg.MaxConns)
	}
	pc.MaxConns = int32(cfg.MaxConns)
	pc.ConnConfig.OnNotice = onNotice
	pc.ConnConfig.DialFunc = cfg.Dial
	if cfg.Dial == nil {
		// It notices within half a minute that the other side is gone.
		keepAlive := net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
		pc.ConnConfig.DialFunc = (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		// Less than a committer's patience, so that it is heard what was the matter.
		pc.ConnConfig.ConnectTimeout = 3 * time.Second
	}
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "collaboard"
	}
	return pc, nil
}

func migrate(ctx context.Context, cc *pgx.ConnConfig, cfg Config) (err error) {
	db := stdlib.OpenDB(*cc, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		if err := checkFsync(ctx, conn, cfg); err != nil { // before anything is written
			return err
		}
		// A migration takes its time, but does not queue for a table for long: everybody else queues behind it.
		_, err := conn.Exec(ctx, `SET statement_timeout = 0; SET lock_timeout = '10s'; SET synchronous_commit = on`)
		return err
	}))
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrations.Postgres(ctx, db)
}

// setting is one of the parameters that every session of the store has, whatever the server, the database or the role
// say.
type setting struct{ name, value string }

func (c Config) session() []setting {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }
	return []setting{
		// What the promise rests on: COMMIT returns when the commit is on disk.
		{"synchronous_commit", "on"},
		{"lock_timeout", ms(c.LockTimeout)},
		{"statement_timeout", ms(c.StatementTimeout)},
		// A server that stops between the two trips of Append holds the heads of its boards. Nothing but computing
		// happens there.
		{"idle_in_transaction_session_timeout", ms(5 * time.Second)},
		// The database notices within half a minute that a server's machine is gone, and lets go of its locks.
		{"tcp_keepalives_idle", "15"},
		{"tcp_keepalives_interval", "5"},
		{"tcp_keepalives_count", "3"},
		// Every statement of the store goes by a key. A plan that is made while a table is empty and kept while it
		// grows must not be a scan, and a plan that is known beforehand need not be made again for each batch.
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		{"enable_bitmapscan", "off"},
		{"plan_cache_mode", "force_generic_plan"},
		{"jit", "off"},
	}
}

// prepareSession sets the parameters in one round trip, rather than in the startup message, where they would lose
// against ALTER ROLE … SET; and believes what it reads back.
func prepareSession(ctx context.Context, conn *pgx.Conn, cfg Config, session []setting) error {
	useArrays(conn)
	var names, values []string
	for _, s := range session {
		names, values = append(names, s.name), append(values, s.value)
	}
	_, err := conn.Exec(ctx, `SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)`,
		names, values)
	if err != nil {
		return err
	}
	var committed string
	if err := conn.QueryRow(ctx, `SELECT current_setting('synchronous_commit')`).Scan(&committed); err != nil {
		return err
	}
	if committed != "on" {
		return fmt.Errorf("synchronous_commit is %s after it was set to on", committed)
	}
	return checkFsync(ctx, conn, cfg)
}

// checkFsync is asked of every connection: after a failover it may be another server's.
func checkFsync(ctx context.Context, conn *pgx.Conn, cfg Config) error {
	if cfg.AllowNoFsync {
		return nil
	}
	var fsync string
	if err := conn.QueryRow(ctx, `SELECT current_setting('fsync')`).Scan(&fsync); err != nil {
		return err
	}
	if fsync != "on" {
		return &FsyncOffError{}
	}
	return nil
}

// warned is where onNotice leaves word for Append.
const warned = "collaboard.warned"

// onNotice remembers a warning. One that comes with a COMMIT means that the commit is not as durable as it was asked to
// be: the wait for a synchronous standby was cancelled, and the server reports success all the same.
func onNotice(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warned] = (*pgconn.PgError)(n)
	}
}

// Ping implements persistence.Store.
func (s *Store) Ping(ctx context.Context) error {
	s.calls.Add(1)
	defer s.calls.Done()
	var readOnly bool // in recovery, too
	err := s.pool.QueryRow(ctx, `SELECT current_setting('transaction_read_only')::boolean`).Scan(&readOnly)
	if err == nil && readOnly {
		err = errors.New("database is read-only")
	}
	if err != nil {
		return fmt.Errorf("ping: %w", &persistence.UnavailableError{Err: err})
	}
	return nil
}

// Close implements persistence.Store.
func (s *Store) Close() error {
	s.calls.Wait()
	s.pool.Close()
	return nil
}
