package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

// storeSpec names a store, as --store does.
type storeSpec struct {
	sqlitePath  string // of a file; or else
	postgresURL string
	shown       string // for logs and errors: without the password
}

func parseStore(spec string) (storeSpec, error) {
	scheme, rest, _ := strings.Cut(spec, ":")
	switch scheme {
	case "sqlite":
		path := strings.TrimPrefix(rest, "//") // sqlite:///var/lib/x.db, as some programs write it
		if path == "" {
			return storeSpec{}, usagef("--store sqlite: needs the path of a file, as in sqlite:collaboard.db")
		}
		return storeSpec{sqlitePath: path, shown: "sqlite:" + path}, nil
	case "postgres", "postgresql":
		u, err := url.Parse(spec)
		if err != nil || !strings.HasPrefix(rest, "//") || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
			// The reason might quote the password, and so would what follows an @ or a / in it.
			return storeSpec{}, usagef("--store: not a %s:// URL; in a password, special characters are percent-encoded, as %%40 for @",
				scheme)
		}
		if authority, _, _ := strings.Cut(rest[2:], "/"); strings.Count(authority, "@") > 1 {
			// Parsers do not agree where the password ends, and some show what they take for the host.
			return storeSpec{}, usagef("--store: more than one @ before the database's name; percent-encode those in the user " +
				"name and the password, as %%40")
		}
		return storeSpec{postgresURL: spec, shown: redacted(u)}, nil
	default:
		return storeSpec{}, usagef("--store must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")
	}
}

// redacted is the URL without passwords, and without the other parameters.
func redacted(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.Fragment = "", ""
	return shown.Redacted()
}

// shards is how many transactions at a time the store is best given. SQLite has one writer. PostgreSQL gets one for each
// core, since more would only make smaller groups, but two at the least, so that one is decided while another is flushed.
func (s storeSpec) shards() int {
	if s.postgresURL != "" {
		return min(max(runtime.GOMAXPROCS(0), 2), 4)
	}
	return 1
}

type storeConfig struct {
	conns        int // of PostgreSQL; 0 means the store's default
	allowNoFsync bool
}

// engine is what each of them is for the commands.
type engine interface {
	persistence.Store
	RenewEpochs(ctx context.Context, renew persistence.RenewFunc) (boards int, err error)
}

func (s storeSpec) open(ctx context.Context, cfg storeConfig) (engine, error) {
	var store engine
	var err error
	if s.sqlitePath != "" {
		store, err = sqlite.Open(ctx, s.sqlitePath, sqlite.Config{})
	} else {
		store, err = postgres.Open(ctx, s.postgresURL, postgres.Config{
			MaxConns: cfg.conns, AllowNoFsync: cfg.allowNoFsync,
		})
	}
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return store, nil
}

// inspect opens the store to be read as it is, damage included. It neither makes nor migrates one. It fails with
// *persistence.CorruptError where the damage is such that nothing can be read.
func (s storeSpec) inspect(ctx context.Context) (persistence.Inspector, error) {
	var in persistence.Inspector
	var err error
	if s.sqlitePath != "" {
		if _, err := os.Stat(s.sqlitePath); err != nil {
			return nil, fmt.Errorf("cannot open the store %s: %w", s.shown, innermost(err))
		}
		in, err = sqlite.Inspect(ctx, s.sqlitePath)
	} else {
		in, err = postgres.Inspect(ctx, s.postgresURL)
	}
	if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok && ctx.Err() == nil {
		return nil, corrupt
	}
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return in, nil
}

// explain puts an error of opening the store into the user's terms.
func (s storeSpec) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.sqlitePath != "" {
		if reason := whyNotFile(s.sqlitePath); reason != nil {
			return fmt.Errorf("cannot open the store %s: %w", s.shown, reason)
		}
	}
	return fmt.Errorf("cannot open the store %s: %w", s.shown, innermost(err))
}

// whyNotFile says why a file cannot be opened and written to, which SQLite does not; nil when it seems that it can.
func whyNotFile(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no directory %s", dir)
	case err != nil:
		return innermost(err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	// SQLite makes files beside the database.
	probe, err := os.CreateTemp(dir, ".collaboard-*")
	if err != nil {
		return fmt.Errorf("no file can be made in %s: %w", dir, innermost(err))
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())

	switch info, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err == nil && info.IsDir():
		return errors.New("it is a directory")
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return innermost(err)
	}
	_ = file.Close()
	return nil
}

// innermost is what actually went wrong, without the operations that it went wrong in: those are told in the user's
// own terms. Of several errors it is what a database said, or else the last: the one after which nobody tried on.
func innermost(err error) error {
	type databaseError interface {
		error
		SQLState() string
	}
	if said, ok := errors.AsType[databaseError](err); ok {
		return said
	}
	for {
		var next error
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				next = all[len(all)-1]
			}
		}
		if next == nil {
			return err
		}
		err = next
	}
}
