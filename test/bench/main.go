// Command bench measures a server against its own database on this machine: the same frames through the server, with
// group commit, and as one awaited INSERT each; and against NATS JetStream, which publishes as many messages of their
// size. Absolute figures vary with the machine and its mood, so what is to be
// compared is measured in turns, several rounds of it, and the ratios are taken within a round.
//
// Every round begins with a new server and an empty database: a SQLite file in a temporary directory, and a database on
// a PostgreSQL of its own, made with the installed binaries. Server, clients and database share the machine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/test/pgtest"
)

type flags struct {
	Stores   []string      `enum:"sqlite,postgres" default:"sqlite,postgres" help:"What to measure: sqlite, postgres."`
	Postgres string        `placeholder:"URL" help:"An empty database on a PostgreSQL to use instead of a private one. What is measured stays in it."`
	Rounds   int           `default:"3" help:"How often; the median counts."`
	Duration time.Duration `default:"3s" help:"How long each measurement takes."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write all figures to this file, too."`
	Check    bool          `help:"Fail when a target is missed."`

	FanOutServer bool   `hidden:"" help:"Be the bare gRPC server that only passes frames on."`
	FloorServer  string `hidden:"" placeholder:"FILE" help:"Be the bare gRPC server, which syncs this file for each frame."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("bench"), kong.Description("Measure a server against its own database."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := f.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (f *flags) run(ctx context.Context) (err error) {
	if f.FloorServer != "" {
		return serveFloor(ctx, f.FloorServer)
	}
	if f.FanOutServer {
		return serveFanOut(ctx)
	}
	if f.Rounds < 1 {
		return errors.New("--rounds must be at least 1")
	}
	dir, err := os.MkdirTemp("", "collaboard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := &bench{self: self, binary: filepath.Join(dir, "collaboard"), dir: dir, duration: f.Duration, postgres: f.Postgres}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.binary, "github.com/collaboard-io/collaboard/cmd/collaboard")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	b.jetstream = filepath.Join(dir, "jetstream")
	build = exec.CommandContext(ctx, "go", "build", "-C", "test/bench/jetstream", "-trimpath", "-o", b.jetstream, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build (bench runs at the root of the repository): %w\n%s", err, out)
	}
	if slices.Contains(f.Stores, "postgres") && f.Postgres == "" {
		if b.cluster, err = pgtest.Start(nil); err != nil { //nolint:contextcheck // has limits of its own
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		defer func() { err = errors.Join(err, b.cluster.Close()) }()
	}
	rounds := map[string][]figures{}
	for n := range f.Rounds {
		for _, store := range f.Stores {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", n+1, f.Rounds, store)
			got, err := b.round(ctx, store, n)
			if err != nil {
				return fmt.Errorf("%s: %w", store, err)
			}
			rounds[store] = append(rounds[store], got)
		}
	}
	missed := printTable(os.Stdout, f.Stores, rounds)
	if f.JSON != "" {
		text, err := json.MarshalIndent(map[string]any{"rounds": rounds, "median": medians(rounds)}, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.JSON, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if f.Check && missed {
		return errors.New("a target was missed")
	}
	return nil
}

// bench runs the binary.
type bench struct {
	self      string // the program that runs
	binary    string
	jetstream string // the program of test/bench/jetstream
	dir       string
	duration  time.Duration
	cluster   *pgtest.Cluster // nil when there is another PostgreSQL, or none is asked for
	postgres  string          // its URL
}

// round measures once. What is compared with each other comes one after the other.
func (b *bench) round(ctx context.Context, store string, n int) (got figures, err error) {
	spec, err := b.newStore(ctx, store, n)
	if err != nil {
		return nil, err
	}
	srv, err := b.serve(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()

	got = figures{}
	var direct storeReport
	if err := b.call(ctx, &direct, "bench", "store", "--store", spec, "--measure", "naive"); err != nil {
		return nil, err
	}
	got[naiveRate] = direct.Naive.PerSecond

	var through serverReport
	if err := b.call(ctx, &through, "bench", "--server", srv.addr, "--clients", "64", "--in-flight", "16", "--boards", "64"); err != nil {
		return nil, err
	}
	got[aRate], got[aP50], got[aP99] = through.Acks.PerSecond, through.Acks.Latency.P50, through.Acks.Latency.P99
	got[aRatio] = got[aRate] / got[naiveRate]
	if err := b.measureJetStream(ctx, got); err != nil {
		return nil, err
	}

	if err := b.single(ctx, got, spec, srv.addr); err != nil {
		return nil, err
	}

	if err := b.call(ctx, &through, "bench", "--server", srv.addr, "--clients", "1", "--in-flight", "256", "--boards", "1",
		"--subscribers", "100"); err != nil {
		return nil, err
	}
	got[cRate], got[cP99] = through.Deliveries.PerSecond, through.Deliveries.Latency.P99

	for stalled, names := range map[string][2]string{"0": {dP50, dP99}, "10": {dStalledP50, dStalledP99}} {
		if err := b.call(ctx, &through, "bench", "--server", srv.addr, "--clients", "1", "--boards", "1", "--rate", "200",
			"--payload", "4KiB", "--subscribers", "10", "--stalled", stalled); err != nil {
			return nil, err
		}
		got[names[0]], got[names[1]] = through.Deliveries.Latency.P50, through.Deliveries.Latency.P99
	}

	if err := b.call(ctx, &direct, "bench", "store", "--store", spec, "--measure", "groups", "--group", "64,512,2048"); err != nil {
		return nil, err
	}
	for i, group := range direct.Groups {
		got[[]string{group64, group512, group2048}[i]] = group.PerSecond
	}
	return got, nil
}

// single compares one frame at a time through the server with the store's own transaction, in short turns: the machine's
// mood, which changes from one second to the next, is a large part of so short a time.
func (b *bench) single(ctx context.Context, got figures, spec, addr string) error {
	const turns = 5
	short := *b
	short.duration = max(b.duration/3, 100*time.Millisecond)
	all := map[string][]float64{}
	for range turns {
		alone, served, err := short.measureFloor(ctx)
		if err != nil {
			return err
		}
		var direct storeReport
		if err := short.call(ctx, &direct, "bench", "store", "--store", spec, "--measure", "single"); err != nil {
			return err
		}
		var through serverReport
		if err := short.call(ctx, &through, "bench", "--server", addr, "--clients", "1", "--in-flight", "1", "--boards", "1",
			"--warm-up", "200ms"); err != nil {
			return err
		}
		for name, v := range map[string]float64{
			floorAlone: alone, floorServed: served, floorAdded: served - alone,
			bAdded:    through.Acks.Latency.P50 - direct.Single.Latency.P50,
			singleP50: direct.Single.Latency.P50, singleP99: direct.Single.Latency.P99,
			bP50: through.Acks.Latency.P50, bP99: through.Acks.Latency.P99,
			bRatio: through.Acks.Latency.P50 / direct.Single.Latency.P50,
		} {
			all[name] = append(all[name], v)
		}
	}
	for name, values := range all {
		got[name] = median(values)
	}
	return nil
}

// measureJetStream has JetStream do what A and B do.
func (b *bench) measureJetStream(ctx context.Context, got figures) error {
	cmd := exec.CommandContext(ctx, b.jetstream, "measure", b.duration.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	var report map[string]map[string]struct { // by how it syncs, and what it does
		PerSecond float64 `json:"per_second"`
		P50       float64 `json:"p50"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return err
	}
	always, byDefault := report["always"], report["default"]
	got[natsAlways], got[natsDefault] = always["a"].PerSecond, byDefault["a"].PerSecond
	got[natsRatio] = got[aRate] / got[natsAlways]
	got[natsSingle], got[natsDefaultSingle] = always["single"].P50, byDefault["single"].P50
	return nil
}

// newStore makes an empty database.
func (b *bench) newStore(ctx context.Context, store string, n int) (string, error) {
	if store == "sqlite" {
		return "sqlite:" + filepath.Join(b.dir, fmt.Sprintf("round%d.db", n)), nil
	}
	if b.cluster == nil {
		return b.postgres, nil
	}
	conn, err := pgx.Connect(ctx, b.cluster.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	name := "round" + strconv.Itoa(n)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return b.cluster.URL(name), nil
}

// call runs a command and reads its JSON.
func (b *bench) call(ctx context.Context, report any, args ...string) error {
	args = append(args, "--json", "--duration", b.duration.String())
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return json.Unmarshal(out, report)
}

type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

type serverReport struct {
	Acks, Deliveries struct {
		PerSecond float64 `json:"per_second"`
		Latency   latency `json:"latency_ms"`
	}
}

type storeReport struct {
	Naive, Single storeResult
	Groups        []storeResult
}

type storeResult struct {
	PerSecond float64 `json:"frames_per_second"`
	Latency   latency `json:"latency_ms"`
}
