// Package migrations holds the schema of both engines as embedded SQL, and brings a database up to it.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// PostgresFiles holds postgres/*.sql.
//
//go:embed postgres/*.sql
var PostgresFiles embed.FS

// SQLiteFiles holds sqlite/*.sql.
//
//go:embed sqlite/*.sql
var SQLiteFiles embed.FS

// NewerSchemaError means that a newer program has migrated the database. This one would misread it, so it must not
// touch it.
type NewerSchemaError struct {
	Database int64 // the version the database has
	Program  int64 // the newest version this program knows
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, and this program knows only up to %d: use a newer program",
		e.Database, e.Program)
}

// versionTable keeps the schema's version. It has a name of our own: others who share the database may use goose, too.
const versionTable = "collaboard_schema"

// lockPeriod and lockTries bound how long one server waits for the migrations of another. The lock is polled: waiting
// in pg_advisory_lock would hold a snapshot, which CREATE INDEX CONCURRENTLY of the other server would wait for.
const (
	lockPeriod = 1 // seconds
	lockTries  = 300
)

// Postgres brings the database up to the newest version, unless another server does so at the same time, for which it
// then waits. It fails with *NewerSchemaError, and then has changed nothing.
func Postgres(ctx context.Context, db *sql.DB) error {
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockTimeout(lockPeriod, lockTries), lock.WithUnlockTimeout(lockPeriod, lockTries))
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	p, err := provider(goose.DialectPostgres, db, PostgresFiles, "postgres", goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	_, err = up(ctx, p)
	return err
}

// sqliteTries bounds how often SQLite looks again after it lost a migration to another process.
const sqliteTries = 10

// SQLite brings the database up to the newest version. Transactions of db must begin immediate (_txlock=immediate):
// that, and the unique index on the versions, make it safe to be run by several processes at once. It fails with
// *NewerSchemaError, and then has changed nothing.
func SQLite(ctx context.Context, db *sql.DB) error {
	var err error
	for range sqliteTries {
		var p *goose.Provider
		// A provider remembers an attempt to create its version table, even one that failed.
		if p, err = provider(goose.DialectSQLite3, db, SQLiteFiles, "sqlite"); err != nil {
			return err
		}
		var retry bool
		if retry, err = up(ctx, p); err == nil || !retry {
			return err
		}
	}
	return err
}

// Version is how far the schema of a database has come.
type Version struct {
	Database int64 // 0 before the first migration
	Program  int64 // the newest that this program knows
}

// PostgresVersion looks and changes nothing: where no migration ever ran it makes no table.
func PostgresVersion(ctx context.Context, db *sql.DB) (Version, error) {
	return look(ctx, db, goose.DialectPostgres, PostgresFiles, "postgres",
		`SELECT to_regclass('`+versionTable+`') IS NOT NULL`)
}

// SQLiteVersion is as PostgresVersion.
func SQLiteVersion(ctx context.Context, db *sql.DB) (Version, error) {
	return look(ctx, db, goose.DialectSQLite3, SQLiteFiles, "sqlite",
		`SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '`+versionTable+`')`)
}

func look(ctx context.Context, db *sql.DB, d goose.Dialect, files fs.FS, dir, existsSQL string) (v Version, err error) {
	p, err := provider(d, db, files, dir)
	if err != nil {
		return Version{}, err
	}
	sources := p.ListSources()
	v.Program = sources[len(sources)-1].Version
	var exists bool
	if err := db.QueryRowContext(ctx, existsSQL).Scan(&exists); err != nil || !exists {
		return v, err
	}
	// As goose reads it.
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable).Scan(&v.Database)
	return v, err
}

func provider(d goose.Dialect, db *sql.DB, files fs.FS, dir string, opts ...goose.ProviderOption) (*goose.Provider, error) {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		return nil, fmt.Errorf("open %s migrations: %w", dir, err)
	}
	opts = append(opts, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	p, err := goose.NewProvider(d, db, sub, opts...)
	if err != nil {
		return nil, fmt.Errorf("load %s migrations: %w", dir, err)
	}
	return p, nil
}

// up reports as retry that the migrations failed, which may be because somebody else ran them.
func up(ctx context.Context, p *goose.Provider) (retry bool, err error) {
	have, know, err := p.GetVersions(ctx)
	if err != nil {
		return true, fmt.Errorf("read schema version: %w", err)
	}
	if have > know {
		return false, &NewerSchemaError{Database: have, Program: know}
	}
	if have == know {
		return false, nil
	}
	if _, err := p.Up(ctx); err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			err = partial.Err // its own text repeats the file's path and how long it took
		}
		return ctx.Err() == nil, fmt.Errorf("migrate schema from version %d to %d: %w", have, know, err)
	}
	return false, nil
}
