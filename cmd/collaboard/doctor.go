package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/collaboard-io/collaboard/persistence/checkup"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

type doctorCmd struct {
	checkedStore

	PostgresConns      int  `default:"16" env:"COLLABOARD_POSTGRES_CONNS" help:"Connections to PostgreSQL that a server is to take, as of serve."`
	UnsafeAllowNoFsync bool `env:"COLLABOARD_UNSAFE_ALLOW_NO_FSYNC" help:"Only warn of a PostgreSQL with fsync off."`
	JSON               bool `name:"json" help:"Print a JSON object instead of lines."`
}

// Help is shown by kong.
func (c *doctorCmd) Help() string {
	return "One line a check: ok, warn or fail, what was found, and what to do. Run it on the machine where the server is to run, as " +
		"the user that it is to run as. It checks that the store can be reached and written to, the version of its schema, " +
		"everything that durability rests on as far as the database or the file system tells it, and how long a commit takes to be on " +
		"disk. What a disk or a controller only pretends cannot be asked, but may show in a time that is too good to be true.\n\n" +
		"It makes no database, migrates none, and leaves nothing behind. It says nothing of what is stored: that is \"verify\".\n\n" +
		"Exit codes: 0 when no check fails, though some may warn; 1 when one fails."
}

// Validate is called by kong.
func (c *doctorCmd) Validate() error {
	if c.PostgresConns < 1 {
		return errors.New("--postgres-conns must be greater than 0")
	}
	return nil
}

// Run is called by kong.
func (c *doctorCmd) Run(ctx context.Context) error {
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	var checks checkup.Checks
	spec.examine(ctx, storeConfig{conns: c.PostgresConns, allowNoFsync: c.UnsafeAllowNoFsync}, &checks)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.JSON {
		err = printJSON(struct {
			Store  string          `json:"store"`
			Checks []checkup.Check `json:"checks"`
		}{spec.shown, checks.All})
	} else {
		err = printChecks(checks.All)
	}
	if err == nil && checks.Failed() {
		err = errReported
	}
	return err
}

// examine lets the engine check the store.
func (s storeSpec) examine(ctx context.Context, cfg storeConfig, checks *checkup.Checks) {
	const reachable = "reachable"
	const useless = "a server could not use it"
	if s.postgresURL != "" {
		err := postgres.Doctor(ctx, s.postgresURL, postgres.Config{MaxConns: cfg.conns, AllowNoFsync: cfg.allowNoFsync}, checks)
		name := reachable
		if len(checks.All) > 0 { // it was
			name = "connection"
		}
		if err != nil {
			checks.Fail(name, s.shown+": "+innermost(err).Error(), useless)
		}
		return
	}
	if reason := whyNotFile(s.sqlitePath); reason != nil {
		checks.Fail(reachable, s.shown+": "+reason.Error(), useless)
	} else {
		checks.OK(reachable, "files can be made and written beside "+s.sqlitePath)
	}
	if info, err := os.Stat(filepath.Dir(s.sqlitePath)); err == nil && info.IsDir() {
		sqlite.Doctor(ctx, s.sqlitePath, checks)
	}
}

func printChecks(checks []checkup.Check) error {
	for _, c := range checks {
		advice := ""
		if c.Advice != "" {
			advice = "; " + c.Advice
		}
		if err := printf("%-4s  %s: %s%s\n", c.Level, c.Name, c.Found, advice); err != nil {
			return err
		}
	}
	return nil
}
