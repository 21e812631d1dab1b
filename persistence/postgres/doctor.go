package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/collaboard-io/collaboard/migrations"
	"github.com/collaboard-io/collaboard/persistence/checkup"
)

const (
	// doctorTimeout bounds the whole: a frozen server does not answer at all.
	doctorTimeout = time.Minute
	// commitTimeout bounds a commit that is measured. One that waits for a standby may wait for ever.
	commitTimeout = 10 * time.Second
)

// doctor examines a database through one connection.
type doctor struct {
	conn   *pgx.Conn
	cfg    Config
	checks *checkup.Checks
	// settings are those of a session before the store makes it its own.
	settings map[string]string
	current  bool // the schema is the program's
	writable bool // a commit ends
}

// Doctor checks whether a Store with this configuration could rely on the database at url. It changes and leaves nothing;
// what it commits is a message in the write-ahead log, which nobody reads. It fails when the database cannot be reached,
// or no longer; what it found before that is in checks.
func Doctor(ctx context.Context, url string, cfg Config, checks *checkup.Checks) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	cfg = cfg.withDefaults()
	pc, err := poolConfig(url, cfg)
	if err != nil {
		return err
	}
	// Otherwise a commit that is given up would wait on in the server.
	pc.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: rollbackTimeout}
	}
	begin := time.Now()
	conn, err := pgx.ConnectConfig(ctx, pc.ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	checks.OK("reachable", fmt.Sprintf("connected in %s", time.Since(begin).Round(time.Millisecond)))

	d := &doctor{conn: conn, cfg: cfg, checks: checks}
	for _, step := range []struct {
		name  string
		check func(context.Context) error
	}{
		{"settings", d.readSettings},
		{"server", d.server},
		{"schema", d.schema},
		{"permissions", d.permissions},
		{"fsync", d.fsync},
		{"full_page_writes", d.fullPageWrites},
		{"synchronous_commit", d.synchronousCommit},
		{"standbys", d.standbys},
		{"connections", d.connections},
		{"clock", d.clock},
		{"commit", d.commit},
	} {
		if err := step.check(ctx); err != nil {
			if ctx.Err() != nil || conn.IsClosed() {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			checks.Fail(step.name, "cannot be checked: "+err.Error(), "")
		}
	}
	return nil
}

func (d *doctor) readSettings(ctx context.Context) error {
	d.settings = make(map[string]string)
	rows, err := d.conn.Query(ctx, `
		SELECT name, setting FROM pg_settings WHERE name = ANY ($1)
		UNION ALL SELECT 'recovery', pg_is_in_recovery()::text`, []string{
		"full_page_writes", "max_connections", "reserved_connections", "server_version", "server_version_num",
		"superuser_reserved_connections", "synchronous_commit", "synchronous_standby_names", "transaction_read_only", "wal_level",
	})
	if err != nil {
		return err
	}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		d.settings[name] = value
		return nil
	})
	return err
}

// number is a setting that is one; 0 where the server does not have it.
func (d *doctor) number(name string) int {
	n, _ := strconv.Atoi(d.settings[name])
	return n
}

func (d *doctor) server(context.Context) error {
	found := "PostgreSQL " + d.settings["server_version"]
	switch {
	case d.settings["recovery"] == "true":
		d.checks.Fail("server", found+", a standby", "name the primary: a standby takes no frames")
	case d.settings["transaction_read_only"] == "on":
		d.checks.Fail("server", found+", read-only", "set default_transaction_read_only = off for this role and database")
	case d.number("server_version_num") < 130000:
		d.checks.Warn("server", found, "13 and later are known to do")
		d.writable = true
	default:
		d.checks.OK("server", found)
		d.writable = true
	}
	return nil
}

func (d *doctor) schema(ctx context.Context) error {
	db := stdlib.OpenDB(*d.conn.Config())
	v, err := migrations.PostgresVersion(ctx, db)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	d.current = v.Database >= v.Program
	d.checks.Schema(v.Database, v.Program)
	return nil
}

// permissions are what the statements of the store and of the migrations need.
func (d *doctor) permissions(ctx context.Context) error {
	var role, schema string
	var create bool
	var missing []string
	err := d.conn.QueryRow(ctx, `
		SELECT current_user, coalesce(current_schema(), ''), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), array(
			SELECT privilege || ' on ' || tbl
			FROM (VALUES ('boards', 'SELECT'), ('boards', 'INSERT'), ('boards', 'UPDATE'),
				('frames', 'SELECT'), ('frames', 'INSERT'), ('files', 'SELECT'), ('files', 'INSERT'),
				('file_totals', 'SELECT'), ('file_totals', 'INSERT'), ('file_totals', 'UPDATE'),
				('snapshots', 'SELECT'), ('snapshots', 'INSERT'), ('snapshots', 'UPDATE'), ('snapshots', 'DELETE'),
				('boards', 'DELETE'), ('frames', 'DELETE'), ('files', 'DELETE'), ('file_totals', 'DELETE'),
				('trimmed', 'SELECT'), ('trimmed', 'INSERT'), ('trimmed', 'DELETE'),
				('bases', 'SELECT'), ('bases', 'INSERT'), ('bases', 'UPDATE'), ('bases', 'DELETE'),
				('savepoints', 'SELECT'), ('savepoints', 'INSERT'), ('savepoints', 'UPDATE'), ('savepoints', 'DELETE'),
				('collaboard_schema', 'SELECT')) AS needed (tbl, privilege)
			WHERE NOT has_table_privilege(to_regclass(tbl), privilege)
		)`).Scan(&role, &schema, &create, &missing)
	if err != nil {
		return err
	}
	const name = "permissions"
	switch {
	case len(missing) > 0:
		d.checks.Fail(name, fmt.Sprintf("role %s has no %s", role, strings.Join(missing, ", ")), "grant it, or let the role own the tables")
	case schema == "":
		d.checks.Fail(name, "no schema of the search path exists", "create one, or set the role's search_path")
	case !create && !d.current:
		d.checks.Fail(name, fmt.Sprintf("role %s may not create tables in schema %s", role, schema), "grant CREATE on it: the migrations need it")
	case !create:
		d.checks.Warn(name, fmt.Sprintf("role %s may do all that a server does, but not create tables in schema %s", role, schema),
			"the migrations of a later version will need CREATE on it")
	default:
		d.checks.OK(name, fmt.Sprintf("role %s may do all that a server does, in schema %s", role, schema))
	}
	return nil
}

func (d *doctor) fsync(ctx context.Context) error {
	err := checkFsync(ctx, d.conn, Config{})
	if _, off := errors.AsType[*FsyncOffError](err); off {
		report := d.checks.Fail
		if d.cfg.AllowNoFsync {
			report = d.checks.Warn
		}
		report("fsync", "off: what it has acknowledged is lost when its machine fails", "set fsync = on, and restart the database server")
		return nil
	}
	if err == nil {
		d.checks.OK("fsync", "on")
	}
	return err
}

func (d *doctor) fullPageWrites(context.Context) error {
	if d.settings["full_page_writes"] == "on" {
		d.checks.OK("full_page_writes", "on")
	} else {
		d.checks.Warn("full_page_writes", "off: a page that is half written when power fails cannot be repaired",
			"set full_page_writes = on, unless the file system never tears a page, as ZFS does")
	}
	return nil
}

// synchronousCommit lets the session become one of the store's, which makes sure of it.
func (d *doctor) synchronousCommit(ctx context.Context) error {
	cfg := d.cfg
	cfg.AllowNoFsync = true // that has its own line
	if err := prepareSession(ctx, d.conn, cfg, cfg.session()); err != nil {
		d.writable = false
		return err
	}
	const name = "synchronous_commit"
	switch before := d.settings[name]; before {
	case "on", "remote_apply":
		d.checks.OK(name, "on")
	default:
		d.checks.Warn(name, fmt.Sprintf("%s for this role and database; a server sets it to on for its own sessions", before),
			"set it to on, so that what others write there is as durable")
	}
	return nil
}

func (d *doctor) standbys(ctx context.Context) error {
	var all, synchronous int
	err := d.conn.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication`).Scan(&all, &synchronous)
	if err != nil {
		return err
	}
	const name = "standbys"
	found := fmt.Sprintf("wal_level %s, %d standbys, %d of them synchronous", d.settings["wal_level"], all, synchronous)
	switch names := d.settings["synchronous_standby_names"]; {
	case names != "" && synchronous == 0:
		d.writable = false
		d.checks.Warn(name, fmt.Sprintf("%s, and synchronous_standby_names = %q", found, names),
			"every commit waits until one is there (a role without pg_monitor does not see which are)")
	case all > synchronous:
		d.checks.Warn(name, found, "those that are not lack the newest commits when they are promoted: the boards then need another epoch")
	default:
		d.checks.OK(name, found)
	}
	return nil
}

func (d *doctor) connections(ctx context.Context) error {
	var used, role, database int // limits are -1 where there is none
	err := d.conn.QueryRow(ctx, `
		SELECT (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database) - 1,
			(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
			(SELECT datconnlimit FROM pg_database WHERE datname = current_database())`).Scan(&used, &role, &database)
	if err != nil {
		return err
	}
	most := d.number("max_connections") - d.number("superuser_reserved_connections") - d.number("reserved_connections")
	for _, limit := range []int{role, database} {
		if limit >= 0 {
			most = min(most, limit)
		}
	}
	const name = "connections"
	found := fmt.Sprintf("a server takes up to %d of %d, %d are in use now", d.cfg.MaxConns, most, max(used, 0))
	switch {
	case d.cfg.MaxConns > most:
		d.checks.Fail(name, found, "raise max_connections, or the limit of the role or database, or lower --postgres-conns")
	case d.cfg.MaxConns > most-used:
		d.checks.Warn(name, found, "all servers together must stay below it: see --postgres-conns")
	default:
		d.checks.OK(name, found)
	}
	return nil
}

// clock compares the clocks in the middle of the quickest of a few round trips.
func (d *doctor) clock(ctx context.Context) error {
	const tries, most = 5, time.Second
	var off, quickest time.Duration
	for try := range tries {
		var there time.Time
		begin := time.Now()
		if err := d.conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
			return err
		}
		if took := time.Since(begin); try == 0 || took < quickest {
			quickest, off = took, there.Sub(begin.Add(took/2))
		}
	}
	found := fmt.Sprintf("the database's is %s ahead of this machine's, give or take %s",
		off.Round(time.Millisecond), max(quickest/2, time.Millisecond).Round(time.Millisecond))
	if off.Abs() > most {
		d.checks.Warn("clock", found, "frames carry the time of the server that took them: let all machines ask a time server")
	} else {
		d.checks.OK("clock", found)
	}
	return nil
}

// commit measures commits that wait for the disk as a store's do, without a table: what they bring there is a message in the
// write-ahead log. From each a round trip is taken off, which is the network's.
func (d *doctor) commit(ctx context.Context) error {
	if !d.writable {
		d.checks.Warn("commit", "not measured, for the reason above", "")
		return nil
	}
	measure := func(query string, args ...any) (checkup.Latencies, error) {
		return checkup.Measure(ctx, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, commitTimeout)
			defer cancel()
			_, err := d.conn.Exec(ctx, query, args...)
			return err
		})
	}
	trips, err := measure(`SELECT 1`)
	if err != nil {
		return err
	}
	commits, err := measure(`SELECT pg_logical_emit_message(true, 'collaboard doctor', $1)`, strings.Repeat("x", 200))
	if err != nil {
		return err
	}
	d.checks.Flush("commit", fmt.Sprintf("%s, round trip p50 %s", commits, trips.Median().Round(time.Microsecond)),
		commits.Median()-trips.Median())
	return nil
}
