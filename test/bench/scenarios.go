package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/test/bench/internal/process"
)

// round is one store's part of a round: an empty database, and a server on it.
type round struct {
	*bench

	store string
	spec  string
	srv   *process.Server
	got   figures
}

// scenario measures something of it.
type scenario struct {
	name    string
	measure func(*round, context.Context) error
	loads   []load
}

// load is what the server has to do meanwhile: a command of collaboard bench, and its flags.
type load struct {
	name string
	args []string
}

const idleStreams = 10_000

var (
	manyBoards = load{"acks", []string{"run", "--clients", "64", "--in-flight", "16", "--boards", "64"}}
	oneBoard   = load{"hot", []string{"run", "--clients", "32", "--in-flight", "16", "--boards", "1"}}
	oneFrame   = load{"latency", []string{"run", "--clients", "1", "--in-flight", "1", "--boards", "1"}}
	openLoop   = load{"latency-5000", []string{"run", "--clients", "500", "--boards", "500", "--rate", "5000"}}
	members    = load{"fanout", []string{"run", "--clients", "1", "--in-flight", "256", "--boards", "1", "--subscribers", "100"}}
	slow       = load{"slow", []string{
		"run", "--clients", "1", "--boards", "1", "--rate", "200", "--payload", "4KiB", "--subscribers", "10", "--stalled", "10",
	}}
	people = load{"meeting", []string{
		"run", "--clients", "200", "--boards", "1", "--rate", "200", "--cursors", "10", "--kind", "object_update",
	}}
	streams = load{"idle", []string{"idle", "--streams", strconv.Itoa(idleStreams)}}
	longLog = load{"long", []string{"fill", "--frames", "1000000000"}}
)

// scenarios in their order: what fills the database comes late.
var scenarios = []scenario{
	{"acks", (*round).acks, []load{manyBoards}},
	{"hot", (*round).hotBoard, []load{oneBoard}},
	{"latency", (*round).latency, []load{oneFrame, openLoop}},
	{"fanout", (*round).fanOut, []load{members}},
	{"slow", (*round).slowMembers, []load{slow}},
	{"meeting", (*round).meeting, []load{people}},
	{"idle", (*round).idle, []load{streams}},
	{"long", (*round).longRun, []load{longLog}},
}

// round measures once. What is compared with each other comes one after the other.
func (b *bench) round(ctx context.Context, store string, n int, only []string) (_ figures, err error) {
	r := &round{bench: b, store: store, got: figures{}}
	if r.spec, err = b.newStore(ctx, store, n); err != nil {
		return nil, err
	}
	if r.srv, err = b.serve(ctx, r.spec); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.srv.Stop()) }()
	for _, s := range scenarios {
		if len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		if err := r.settle(ctx); err != nil {
			return nil, err
		}
		if r.profiles != "" {
			for _, l := range s.loads {
				if err := r.profile(ctx, l); err != nil {
					return nil, fmt.Errorf("%s: %w", l.name, err)
				}
			}
		} else if err := s.measure(r, ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return r.got, nil
}

// settle has everything written that the scenario before has left to be written: a sync waits as long as the disk has that
// to do, and which scenario it hits is chance.
func (r *round) settle(ctx context.Context) error {
	if r.cluster != nil && r.store == "postgres" {
		conn, err := pgx.Connect(ctx, r.spec)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
			return err
		}
	}
	return exec.CommandContext(ctx, "sync").Run()
}

// under measures the server under the load, with further flags.
func (r *round) under(ctx context.Context, l load, flags ...string) (got serverReport, err error) {
	args := slices.Concat([]string{"bench"}, l.args, []string{"--server", r.srv.Addr, "--duration", r.duration.String()}, flags)
	return got, r.call(ctx, &got, args...)
}

// alone measures the store by itself.
func (r *round) alone(ctx context.Context, args ...string) (got storeReport, err error) {
	return got, r.call(ctx, &got, append([]string{"bench", "store", "--store", r.spec, "--duration", r.duration.String()}, args...)...)
}

// acks is how many a busy server gives, beside what the same database and JetStream do.
func (r *round) acks(ctx context.Context) error {
	for conns, name := range map[string]string{"1": naiveOne, "32": naiveRate} {
		direct, err := r.alone(ctx, "--measure", "naive", "--naive", conns)
		if err != nil {
			return err
		}
		r.got[name] = direct.Naive.PerSecond
	}
	through, err := r.under(ctx, manyBoards)
	if err != nil {
		return err
	}
	r.got[aRate], r.got[aP50], r.got[aP90] = through.Acks.PerSecond, through.Acks.Latency.P50, through.Acks.Latency.P90
	r.got[aP99], r.got[aP999] = through.Acks.Latency.P99, through.Acks.Latency.P999
	direct, err := r.alone(ctx, "--measure", "groups", "--group", "64,512,2048")
	if err != nil {
		return err
	}
	for i, group := range direct.Groups {
		r.got[[]string{group64, group512, group2048}[i]] = group.PerSecond
		r.got[ceiling] = max(r.got[ceiling], group.PerSecond)
	}
	if err := r.measureJetStream(ctx); err != nil {
		return err
	}
	r.got[aNaive], r.got[aCeiling] = r.got[aRate]/r.got[naiveRate], r.got[aRate]/r.got[ceiling]
	r.got[aNats], r.got[aNatsOne] = r.got[aRate]/r.got[natsAlways], r.got[aRate]/r.got[natsAlwaysOne]
	return nil
}

// measureJetStream has JetStream do what acks and latency do.
func (r *round) measureJetStream(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, r.jetstream, "measure", r.duration.String())
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
	r.got[natsAlways], r.got[natsDefault] = always["a"].PerSecond, byDefault["a"].PerSecond
	r.got[natsAlwaysOne] = always["one"].PerSecond
	r.got[natsSingle], r.got[natsDefaultSingle] = always["single"].P50, byDefault["single"].P50
	return nil
}

func (r *round) hotBoard(ctx context.Context) error {
	through, err := r.under(ctx, oneBoard)
	if err != nil {
		return err
	}
	r.got[bRate], r.got[bP99] = through.Acks.PerSecond, through.Acks.Latency.P99
	r.got[bRatio] = r.got[bRate] / r.got[aRate]
	return nil
}

// latency compares one frame at a time through the server with the store's own transaction, in short turns: the machine's
// mood, which changes from one second to the next, is a large part of so short a time. Then the server has 5,000 frames a
// second to take care of.
func (r *round) latency(ctx context.Context) error {
	const turns = 5
	short := *r
	quick := *r.bench
	quick.duration = max(r.duration/3, 100*time.Millisecond)
	short.bench = &quick
	all := map[string][]float64{}
	for range turns {
		alone, served, err := short.measureFloor(ctx)
		if err != nil {
			return err
		}
		direct, err := short.alone(ctx, "--measure", "single")
		if err != nil {
			return err
		}
		through, err := short.under(ctx, oneFrame, "--warm-up", "200ms")
		if err != nil {
			return err
		}
		own, acks := direct.Single.Latency, through.Acks.Latency
		for name, v := range map[string]float64{
			floorAlone: alone, floorServed: served, floorAdded: served - alone,
			singleP50: own.P50, singleP99: own.P99,
			cP50: acks.P50, cP99: acks.P99, cAdded: acks.P50 - own.P50,
			cRatio50: acks.P50 / own.P50, cRatio99: acks.P99 / own.P50,
		} {
			all[name] = append(all[name], v)
		}
	}
	for name, values := range all {
		r.got[name] = median(values)
	}
	through, err := r.under(ctx, openLoop)
	if err != nil {
		return err
	}
	r.got[openP50], r.got[openP99] = through.Acks.Latency.P50, through.Acks.Latency.P99
	r.got[openRatio50], r.got[openRatio99] = r.got[openP50]/r.got[singleP50], r.got[openP99]/r.got[singleP50]
	return nil
}

// fanOut compares with streams of grpc-go that are filled with messages which were encoded beforehand.
func (r *round) fanOut(ctx context.Context) (err error) {
	raw, err := r.startBare(ctx, "--fan-out-server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.stop()) }()
	through, err := r.under(ctx, members, "--server", raw.addr, "--rate", "1", "--decode")
	if err != nil {
		return err
	}
	r.got[dRaw] = through.Deliveries.PerSecond
	if through, err = r.under(ctx, members, "--decode"); err != nil {
		return err
	}
	r.got[dRate], r.got[dP99] = through.Deliveries.PerSecond, through.Deliveries.Latency.P99
	r.got[dRatio] = r.got[dRate] / r.got[dRaw]
	if through, err = r.under(ctx, members); err != nil {
		return err
	}
	r.got[dNoDecode] = through.Deliveries.PerSecond
	return nil
}

// slowMembers is what members that read nothing cost the others.
func (r *round) slowMembers(ctx context.Context) error {
	for stalled, names := range map[string][2]string{"0": {steadyP50, steadyP99}, "10": {stalledP50, stalledP99}} {
		through, err := r.under(ctx, slow, "--stalled", stalled)
		if err != nil {
			return err
		}
		r.got[names[0]], r.got[names[1]] = through.Deliveries.Latency.P50, through.Deliveries.Latency.P99
	}
	return nil
}

func (r *round) meeting(ctx context.Context) error {
	through, err := r.under(ctx, people)
	if err != nil {
		return err
	}
	r.got[eP50], r.got[eP99], r.got[eMax] = through.Deliveries.Latency.P50, through.Deliveries.Latency.P99, through.Deliveries.Latency.Max
	r.got[eCursors], r.got[eCursorsP99] = through.Cursors.PerSecond, through.Cursors.Latency.P99
	return nil
}

// idle is what a stream costs that has joined a board and does nothing. The server is a new one, whose memory nothing else
// has stretched.
func (r *round) idle(ctx context.Context) error {
	for perConnection, names := range map[int][2]string{1: {hLive, hResident}, 100: {hSharedLive, hSharedResident}} {
		if err := r.restart(ctx); err != nil {
			return err
		}
		before, err := memoryOf(ctx, r.srv)
		if err != nil {
			return err
		}
		after, err := r.hold(ctx, perConnection)
		if err != nil {
			return err
		}
		r.got[names[0]] = float64(after.live-before.live) / idleStreams / 1024
		r.got[names[1]] = float64(after.resident-before.resident) / idleStreams / 1024
	}
	return nil
}

// hold opens the streams, and asks the server for its memory.
func (r *round) hold(ctx context.Context, perConnection int) (m memory, err error) {
	cmd := exec.CommandContext(ctx, r.binary, slices.Concat([]string{"bench"}, streams.args,
		[]string{"--server", r.srv.Addr, "--per-connection", strconv.Itoa(perConnection)})...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return m, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return m, err
	}
	if err := cmd.Start(); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, stdin.Close(), cmd.Wait()) }()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		return m, fmt.Errorf("bench idle said %q: %w", line, err)
	}
	return memoryOf(ctx, r.srv)
}

// logLengths are those of the boards that are joined by a server that has just been started.
var logLengths = []int{1_000, 100_000, 1_000_000}

// longRun makes logs of up to a million frames, and joins their boards.
func (r *round) longRun(ctx context.Context) error {
	boards := make([]string, len(logLengths))
	for i, length := range logLengths {
		args := []string{"bench", "fill", "--server", r.srv.Addr, "--frames", strconv.Itoa(length)}
		if i == len(logLengths)-1 {
			args = append(args[:4], "--frames", strconv.Itoa(length+30_000), "--lengths", "10000,100000,1000000")
		}
		var filled struct {
			Board string
			Costs []struct{ Microseconds float64 }
		}
		if err := r.call(ctx, &filled, args...); err != nil {
			return err
		}
		boards[i] = filled.Board
		for k, cost := range filled.Costs {
			r.got[[]string{j10k, j100k, j1M}[k]] = cost.Microseconds
		}
	}
	r.got[jRatio] = r.got[j1M] / r.got[j10k]
	if err := r.resume(ctx); err != nil {
		return err
	}
	var times [3][]float64
	for range 3 {
		if err := r.restart(ctx); err != nil {
			return err
		}
		for i, board := range boards {
			var joined struct{ First float64 }
			if err := r.call(ctx, &joined, "bench", "join", "--server", r.srv.Addr, "--times", "1", board); err != nil {
				return err
			}
			times[i] = append(times[i], joined.First)
		}
	}
	r.got[g1k], r.got[g100k], r.got[g1M] = median(times[0]), median(times[1]), median(times[2])
	r.got[gRatio] = r.got[g1M] / r.got[g1k]
	return nil
}

// resume joins a board 10,000 frames behind.
func (r *round) resume(ctx context.Context) error {
	const frames = 10_000
	var filled struct{ Board string }
	err := r.call(ctx, &filled, "bench", "fill", "--server", r.srv.Addr, "--objects", "100", "--frames", strconv.Itoa(frames))
	if err != nil {
		return err
	}
	var joined struct{ Milliseconds float64 }
	if err := r.call(ctx, &joined, "bench", "join", "--server", r.srv.Addr, "--from-start", "--times", "9", filled.Board); err != nil {
		return err
	}
	r.got[fRate] = frames / joined.Milliseconds * 1e3
	return nil
}

func (b *bench) serve(ctx context.Context, store string) (*process.Server, error) {
	return process.Start(ctx, b.binary, store, "--debug-addr", "127.0.0.1:0")
}

func (r *round) restart(ctx context.Context) (err error) {
	if err := r.srv.Stop(); err != nil {
		return err
	}
	r.srv, err = r.serve(ctx, r.spec)
	return err
}
