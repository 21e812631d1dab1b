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

	"github.com/collaboard-io/collaboard/test/bench/internal/process"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

type flags struct {
	Stores   []string      `enum:"sqlite,postgres" default:"sqlite,postgres" help:"What to measure: sqlite, postgres."`
	Postgres string        `placeholder:"URL" help:"An empty database on a PostgreSQL to use instead of a private one. What is measured stays in it."`
	Rounds   int           `default:"3" help:"How often; the median counts."`
	Duration time.Duration `default:"3s" help:"How long each measurement takes."`
	JSON     string        `name:"json" placeholder:"FILE" help:"Write all figures to this file, too."`
	Plots    string        `placeholder:"DIR" help:"Draw figures into this directory."`
	Only     []string      `placeholder:"SCENARIO,..." help:"Measure only these: acks, hot, latency, fanout, slow, meeting, idle, long."`
	Check    bool          `help:"Fail when a target is missed."`
	Profiles string        `placeholder:"DIR" help:"Do not measure: write profiles of the server into this directory, taken while it has to do what the scenarios measure."`

	FanOutServer bool   `hidden:"" help:"Be the bare gRPC server that only passes frames on."`
	FloorServer  string `hidden:"" placeholder:"FILE" help:"Be the bare gRPC server, which syncs this file for each frame."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k := kong.Parse(&flags{}, kong.Name("bench"), kong.Description("Measure a server against its own database."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	k.FatalIfErrorf(k.Run())
}

// Run is called by kong.
func (f *flags) Run(ctx context.Context) (err error) {
	if f.FloorServer != "" {
		return serveFloor(ctx, f.FloorServer)
	}
	if f.FanOutServer {
		return serveFanOut(ctx)
	}
	if f.Rounds < 1 {
		return errors.New("--rounds must be at least 1")
	}
	var settings pgtest.Settings
	if f.Profiles != "" {
		if f.JSON != "" || f.Plots != "" || f.Check {
			return errors.New("--profiles has no figures for --json, --plots or --check: profiling costs the server time")
		}
		if err := os.MkdirAll(f.Profiles, 0o755); err != nil {
			return err
		}
		f.Rounds, settings = 1, pgtest.Settings{"track_io_timing": "on", "track_wal_io_timing": "on"}
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
	b := &bench{self: self, dir: dir, duration: f.Duration, postgres: f.Postgres, profiles: f.Profiles}
	if b.binary, err = process.Build(ctx, dir); err != nil {
		return err
	}
	b.jetstream = filepath.Join(dir, "jetstream")
	build := exec.CommandContext(ctx, "go", "build", "-C", "test/bench/jetstream", "-trimpath", "-o", b.jetstream, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build (bench runs at the root of the repository): %w\n%s", err, out)
	}
	if slices.Contains(f.Stores, "postgres") && f.Postgres == "" {
		if b.cluster, err = pgtest.Start(settings); err != nil { //nolint:contextcheck // has limits of its own
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		defer func() { err = errors.Join(err, b.cluster.Close()) }()
	}
	rounds := map[string][]figures{}
	for n := range f.Rounds {
		for _, store := range f.Stores {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", n+1, f.Rounds, store)
			got, err := b.round(ctx, store, n, f.Only)
			if err != nil {
				return fmt.Errorf("%s: %w", store, err)
			}
			rounds[store] = append(rounds[store], got)
		}
	}
	if f.Profiles != "" {
		return nil
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
	if f.Plots != "" {
		if err := os.MkdirAll(f.Plots, 0o755); err != nil {
			return err
		}
		if err := drawFigures(f.Plots, f.Stores, medians(rounds)); err != nil {
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
	profiles  string          // the directory for them; empty to measure
	cluster   *pgtest.Cluster // nil when there is another PostgreSQL, or none is asked for
	postgres  string          // its URL
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
	args = append(args, "--json")
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return json.Unmarshal(out, report)
}

type latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

type serverReport struct {
	Acks, Deliveries, Cursors struct {
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
