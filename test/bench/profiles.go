package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
)

// profileWarmUp is how long a load lasts before it is profiled.
const profileWarmUp = 3 * time.Second

// profile takes profiles of the server under the load, which goes on for as long as that takes.
func (r *round) profile(ctx context.Context, l load) (err error) {
	fmt.Fprintln(os.Stderr, "profiling", l.name)
	args := slices.Concat([]string{"bench"}, l.args, []string{"--server", r.srv.Addr})
	if l.args[0] == "run" {
		args = append(args, "--duration", "24h")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, r.binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.Stderr = &said
	if _, err := cmd.StdinPipe(); err != nil { // idle holds its streams until it is closed
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		stop()
	}()
	err = r.takeProfiles(ctx, filepath.Join(r.profiles, l.name+"-"+r.store))
	early := ctx.Err() != nil
	stop()
	<-ended
	if early {
		return fmt.Errorf("%v ended before the profiles were taken: %v: %s", args, cmd.ProcessState, &said)
	}
	return err
}

// takeProfiles takes them one after the other, so that none shows the cost of another, into files of this name and what
// each is.
func (r *round) takeProfiles(ctx context.Context, name string) error {
	select {
	case <-time.After(profileWarmUp):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	before, err := r.statistics(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	seconds := max(1, int(r.duration.Seconds()))
	for _, p := range []struct{ suffix, query string }{
		{"heap-before.prof", "heap?gc=1"},
		{"cpu.prof", fmt.Sprintf("profile?seconds=%d", seconds)},
		{"mutex.prof", fmt.Sprintf("mutex?seconds=%d", seconds)},
		{"block.prof", fmt.Sprintf("block?seconds=%d", seconds)},
		{"trace", "trace?seconds=1"},
		{"heap.prof", "heap?gc=1"},
		{"goroutine.prof", "goroutine"},
	} {
		body, err := r.srv.Profile(ctx, p.query)
		if err != nil {
			return fmt.Errorf("%s: %w", p.query, err)
		}
		if err := os.WriteFile(name+"."+p.suffix, body, 0o644); err != nil {
			return err
		}
	}
	took := time.Since(begin)
	after, err := r.statistics(ctx)
	if err != nil {
		return err
	}
	if before != nil {
		if err := os.WriteFile(name+".stat.txt", difference(before, after, took), 0o644); err != nil {
			return err
		}
	}
	// The server's own difference knows of nothing since the last collection, which may have been before all of it.
	_, err = exec.CommandContext(ctx, "go", "tool", "pprof", "-proto", "-output", name+".allocs.prof",
		"-base", name+".heap-before.prof", name+".heap.prof").Output()
	if err != nil {
		return fmt.Errorf("go tool pprof -proto: %w", err)
	}
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=25", name+".cpu.prof").Output()
	if err != nil {
		return fmt.Errorf("go tool pprof -top: %w", err)
	}
	fmt.Printf("%s.cpu.prof\n%s\n", name, top)
	return os.WriteFile(name+".cpu.txt", top, 0o644)
}

// statistics returns what PostgreSQL counts, by view and column, of the ones that this version has. It counts up to a second
// late. SQLite counts nothing.
func (r *round) statistics(ctx context.Context) (map[string]float64, error) {
	if r.store != "postgres" {
		return nil, nil //nolint:nilnil // there are none
	}
	conn, err := pgx.Connect(ctx, r.spec)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT viewname FROM pg_views WHERE viewname IN ('pg_stat_wal', 'pg_stat_bgwriter',
		'pg_stat_checkpointer', 'pg_stat_database')`)
	if err != nil {
		return nil, err
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for _, view := range views {
		var row []byte
		query := "SELECT to_jsonb(v) FROM " + view + " v"
		if view == "pg_stat_database" {
			query += " WHERE datname = current_database()"
		}
		if err := conn.QueryRow(ctx, query).Scan(&row); err != nil {
			return nil, fmt.Errorf("%s: %w", view, err)
		}
		var columns map[string]any
		if err := json.Unmarshal(row, &columns); err != nil {
			return nil, err
		}
		for column, v := range columns {
			if n, ok := v.(float64); ok {
				all[strings.TrimPrefix(view, "pg_stat_")+"."+column] = n
			}
		}
	}
	return all, nil
}

// difference shows what changed.
func difference(before, after map[string]float64, took time.Duration) []byte {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "in %.1f s\t\ta second\t\n", took.Seconds())
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if d := after[name] - before[name]; d != 0 {
			fmt.Fprintf(table, "%s\t%.0f\t%.1f\t\n", name, d, d/took.Seconds())
		}
	}
	_ = table.Flush()
	return text.Bytes()
}
