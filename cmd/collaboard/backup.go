package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/verify"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// servedStore names the store of a server, as the server's own flag and variable do.
type servedStore struct {
	Store string `default:"sqlite:collaboard.db" env:"COLLABOARD_STORE" help:"The server's store: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE."`
}

type backupCmd struct {
	servedStore

	File string `arg:"" help:"The file to make, which must not be there yet."`
}

// Help is shown by kong.
func (c *backupCmd) Help() string {
	return "Servers may run meanwhile. The copy is of one moment, and has all that was acknowledged before the command was started. It " +
		"is checked as \"verify\" does it, and gets its name only when it is whole and on disk; until then it is in a directory beside, " +
		"FILE.partial-*, which stays only if the command is killed. While it is made the store's log grows by what is written.\n\n" +
		"This is for SQLite. PostgreSQL has pg_dump, and base backups with an archive of its log: see docs/backup.md.\n\n" +
		"Exit codes: 0 when there is a good copy, 3 when the store is damaged; then, and when it is 1 or 2, none was made."
}

// Run is called by kong.
func (c *backupCmd) Run(ctx context.Context) error {
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	if spec.sqlitePath == "" {
		return usagef("backup is for SQLite; for PostgreSQL use pg_dump --format=custom --file=FILE DATABASE (see docs/backup.md)")
	}
	if err := spec.holdsBoards(ctx, false); err != nil {
		return err
	}
	size, err := newFile(c.File, func(path string) error {
		if err := spec.copyTo(ctx, path); err != nil {
			return err
		}
		return storeSpec{sqlitePath: path, shown: c.File}.checkWhole(ctx)
	})
	if err != nil {
		return err
	}
	return printf("backed up %s to %s, %d bytes\n", spec.shown, c.File, size)
}

type restoreCmd struct {
	servedStore

	File string `arg:"" help:"The backup."`
}

// Help is shown by kong.
func (c *restoreCmd) Help() string {
	return "The store must be SQLite's, and not be there, or be an empty file. What is made of the backup has another epoch for each board, " +
		"is checked as \"verify\" does it, and gets its name only when it is whole and on disk: no server opens it before. By the epochs clients " +
		"that know more than the backup notice, take what there is, and send again what was not acknowledged. What was acknowledged " +
		"after the backup was made is lost. A backup of an older version is brought up to this one's schema. The backup stays as it is.\n\n" +
		"Restore PostgreSQL by its own means, without a server, and then run \"renew-epochs\": see docs/backup.md.\n\n" +
		"Exit codes: 0 when there is a good store, 3 when the backup is damaged; then, and when it is 1 or 2, none was made."
}

// Run is called by kong.
func (c *restoreCmd) Run(ctx context.Context) error {
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	if spec.sqlitePath == "" {
		return usagef("restore is for SQLite; for PostgreSQL use pg_restore, and then renew-epochs (see docs/backup.md)")
	}
	backup := storeSpec{sqlitePath: c.File, shown: c.File}
	if err := backup.holdsBoards(ctx, true); err != nil {
		return err
	}
	boards := 0
	_, err = newFile(spec.sqlitePath, func(path string) (err error) {
		if err := backup.copyTo(ctx, path); err != nil {
			return err
		}
		restored := storeSpec{sqlitePath: path, shown: spec.shown}
		if boards, err = restored.renewEpochs(ctx); err != nil {
			return err
		}
		return restored.checkWhole(ctx)
	})
	if err != nil {
		return err
	}
	return printf("restored %s to %s: %d boards have another epoch\n", c.File, spec.shown, boards)
}

type renewEpochsCmd struct{ servedStore }

// Help is shown by kong.
func (c *renewEpochsCmd) Help() string {
	return "Run it after a database was taken back to what it was before, by pg_restore, to a point in time, by a copy of its files, or by " +
		"the promotion of a standby that did not have all, and before the first server uses it: otherwise clients that know more go on from " +
		"positions that now mean something else. After \"restore\" it is not needed. Done when it was not needed it does no harm: every client takes its " +
		"boards anew, once. It is one transaction.\n\n" +
		"It refuses while a server is connected, as far as that is seen: on PostgreSQL by the sessions' application_name, as a role that may see " +
		"them. It says nothing of what is stored: that is \"verify\"."
}

// Run is called by kong.
func (c *renewEpochsCmd) Run(ctx context.Context) error {
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	if err := spec.holdsBoards(ctx, true); err != nil {
		return err
	}
	used, err := spec.inUse(ctx)
	if err != nil {
		return spec.explain(ctx, err)
	}
	if used {
		return fmt.Errorf("%s is in use: stop its servers first; they may have taken frames since it was restored", spec.shown)
	}
	boards, err := spec.renewEpochs(ctx)
	if err != nil {
		return err
	}
	return printf("%s: %d boards have another epoch\n", spec.shown, boards)
}

// holdsBoards fails unless the store is there, and has the schema of this program, or an older one if that will do.
func (s storeSpec) holdsBoards(ctx context.Context, orOlder bool) error {
	in, err := s.inspect(ctx)
	if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
		complainf("cannot open the store %s: %w", s.shown, corrupt.Err)
		return errDamaged
	}
	if schema, ok := errors.AsType[*persistence.SchemaError](err); ok && orOlder && 0 < schema.Database && schema.Database < schema.Program {
		return nil
	}
	if err != nil {
		return err
	}
	return in.Close()
}

// copyTo makes a file of a SQLite store.
func (s storeSpec) copyTo(ctx context.Context, path string) error {
	err := sqlite.Copy(ctx, s.sqlitePath, path)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", s.shown, innermost(err))
	}
	return nil
}

// checkWhole is the verify command's check. What it finds it prints, and fails.
func (s storeSpec) checkWhole(ctx context.Context) error {
	const perBoard = 10
	sum, err := s.verify(ctx, verify.Config{PerBoard: perBoard}, printFinding)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = printSummary(s, sum)
	}
	if err == nil && sum.Findings > 0 {
		err = errDamaged
	}
	return err
}

func (s storeSpec) inUse(ctx context.Context) (bool, error) {
	if s.sqlitePath != "" {
		return sqlite.InUse(ctx, s.sqlitePath)
	}
	sessions, err := postgres.Sessions(ctx, s.postgresURL)
	return sessions > 0, err
}

func (s storeSpec) renewEpochs(ctx context.Context) (boards int, err error) {
	store, err := s.open(ctx, storeConfig{conns: 1, allowNoFsync: true}) // whether to do without is the server's to say
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	boards, err = store.RenewEpochs(ctx, snapshot.Renew)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot give the boards of %s other epochs: %w", s.shown, innermost(err))
	}
	return boards, nil
}
