package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/storebench"
)

type benchStoreCmd struct {
	Store    string        `env:"COLLABOARD_BENCH_STORE" placeholder:"STORE" help:"As of serve; default a temporary SQLite file in the working directory."`
	Duration time.Duration `short:"d" default:"3s" help:"How long each measurement takes."`
	Payload  byteSize      `default:"200" help:"Size of a frame's content."`
	Group    []int         `default:"64,512,2048" help:"Frames in a transaction, one measurement for each."`
	Boards   int           `default:"8" help:"Boards that a transaction is spread over."`
	Writers  int           `default:"0" help:"Transactions at a time; 0 means 1 for SQLite and 4 for PostgreSQL."`
	Naive    int           `default:"32" help:"Writers of the baseline, one INSERT a frame, each of which waits for it."`
	Measure  []string      `enum:"naive,single,groups" default:"naive,single,groups" help:"Parts: naive (the baseline), single, groups."`
	JSON     bool          `name:"json" help:"Print a JSON object instead of a table."`

	UnsafeAllowNoFsync bool `help:"Accept a PostgreSQL with fsync off."`
}

// Help is shown by kong.
func (c *benchStoreCmd) Help() string {
	return "The baseline is one INSERT a frame, each of which is waited for. It is compared with transactions as the server " +
		"makes them: of one frame, and of groups. " + leftBehind
}

// Validate is called by kong.
func (c *benchStoreCmd) Validate() error {
	if c.Duration <= 0 || c.Payload < 1 || c.Boards < 1 || c.Naive < 1 || c.Writers < 0 {
		return errors.New("--duration, --payload, --boards and --naive must be greater than 0, --writers not negative")
	}
	for _, n := range c.Group {
		if n < 1 {
			return errors.New("--group must be greater than 0")
		}
	}
	return nil
}

// Run is called by kong.
func (c *benchStoreCmd) Run(ctx context.Context) (err error) {
	temporary := c.Store == ""
	if temporary {
		dir, err := os.MkdirTemp(".", "collaboard-bench-")
		if err != nil {
			return fmt.Errorf("cannot make a directory for a temporary store: %w", innermost(err))
		}
		defer os.RemoveAll(dir)
		c.Store = "sqlite:" + filepath.Join(dir, "bench.db")
	}
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	if temporary {
		spec.shown = "sqlite: a temporary file"
	}
	report, err := c.measure(ctx, spec)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	report.Store = spec.shown
	if c.JSON {
		return printJSON(report)
	}
	return outputError(printStoreReport(report))
}

func (c *benchStoreCmd) measure(ctx context.Context, spec storeSpec) (_ *storebench.Report, err error) {
	writers := c.Writers
	if writers == 0 {
		writers = spec.shards()
	}
	store, err := spec.open(ctx, storeConfig{allowNoFsync: c.UnsafeAllowNoFsync})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var naive storebench.Naive
	if spec.postgresURL != "" {
		naive, err = storebench.Postgres(ctx, spec.postgresURL, c.Naive)
	} else {
		naive, err = storebench.SQLite(ctx, filepath.Dir(spec.sqlitePath))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the baseline on %s: %w", spec.shown, innermost(err))
	}
	defer func() { err = errors.Join(err, naive.Close()) }()
	var measure []storebench.Measurement
	for _, m := range c.Measure {
		measure = append(measure, storebench.Measurement(m))
	}
	return storebench.Run(ctx, storebench.Config{
		Measure: measure,
		Payload: int(c.Payload), Duration: c.Duration, Groups: c.Group, Boards: c.Boards, Writers: writers,
		NaiveWriters: c.Naive,
	}, store, naive)
}

func printStoreReport(r *storebench.Report) error {
	fmt.Fprintf(os.Stdout, "%s, frames of %d B\n\n", r.Store, r.Payload)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\twriters\tframes/s\tp50 ms\tp90 ms\tp99 ms\tmax ms\t")
	row := func(name string, m storebench.Result) {
		l := m.Latency
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", name, m.Writers, m.PerSecond, l.P50, l.P90, l.P99, l.Max)
	}
	if r.Naive != nil {
		row("one INSERT a frame", *r.Naive)
	}
	if r.Single != nil {
		row("commits of 1 frame", *r.Single)
	}
	for _, g := range r.Groups {
		name := fmt.Sprintf("commits of %d frames", g.Frames)
		if g.Frames == 1 {
			name = "commits of 1 frame"
		}
		row(name, g.Result)
	}
	return table.Flush()
}
