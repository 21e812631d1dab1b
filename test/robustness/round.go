package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/test/pgtest"
	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// How long a client may take, once everything is mended, to carry on, and in the end to have said and heard
// everything. Only a round that fails waits for so long.
const patience = 90 * time.Second

// deadConnections is for how long a server may use a connection to the database that broke while it was away: what was
// idle for longer pgx looks at first.
const deadConnections = 2 * time.Second

// config is what a round is made of. A seed gives the same faults in the same order, on the same boards, under the same
// kind of load; not the same interleaving, which is the machine's.
type config struct {
	Binary string
	Dir    string // where the round leaves its history and logs; made anew
	Store  string
	Seed   uint64
	Cycles int      // faults, or combinations of them, one after the other
	Faults []string // the only ones, by name; none means all that the store can have
	SQL    string   // run on a SQLite file before there is any load
	Disk   bool     // keep the database on a disk that loses power
	Second bool     // have another server on the database, where the store can have one
	Trim   bool     // have the logs trimmed
	Args   []string // of serve, besides
	// Settings are PostgreSQL's.
	Settings pgtest.Settings
	Boards   int           // 0 means 3
	Pace     time.Duration // between two frames of one client, about; 0 means 4 ms
	Say      func(format string, args ...any)
}

// twoServers is for which seeds there are two. They are exempt from some of what one server has to keep.
func twoServers(seed uint64) bool { return seed%2 == 0 }

// tight are arguments of serve with which, for the other seeds, frames are refused because the queue is full, while what
// follows them on its way is not, and slow members fall out of the tail.
func tight(seed uint64) []string {
	if twoServers(seed) {
		return nil
	}
	return []string{"--commit-queue-frames", "12", "--commit-batch-frames", "4", shortTail, "4KiB"}
}

const shortTail = "--tail-bytes"

// command is how to play the same round again.
func (c config) command() string {
	s := fmt.Sprintf("go run ./test/robustness --stores %s --seed %d --cycles %d --duration 1s", c.Store, c.Seed, c.Cycles)
	if !c.Disk {
		s += " --no-disk"
	}
	return s
}

// result is what a round was, and what it broke.
type result struct {
	Seed       uint64
	Store      string
	Cycles     int
	Crashes    int            // see fault.crash
	Faults     map[string]int // by name
	Lost       int            // answers to COMMIT that were lost
	Took       time.Duration
	Checked    check.Summary
	Violations []check.Violation

	recorded bool // whether the history has an end, and can be judged
}

// play makes a round and checks it. An error means that it could not be made, or that the server did not carry on:
// what it has recorded until then is checked all the same.
func play(ctx context.Context, c config) (_ *result, err error) {
	if c.Boards == 0 {
		c.Boards = 3
	}
	if c.Pace == 0 {
		c.Pace = 4 * time.Millisecond
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(c.Dir, 0o755); err != nil { // PostgreSQL is another user, and has its data below
		return nil, err
	}
	owned, err := own(c.Dir)
	if err != nil {
		return nil, err
	}
	defer owned.Close()
	r := &result{Seed: c.Seed, Store: c.Store, Faults: map[string]int{}}
	began := time.Now()
	played := r.breakAndRecord(ctx, c)
	r.Took = time.Since(began)

	if !r.recorded {
		return r, played
	}
	events, err := history.Read(filepath.Join(c.Dir, "history.jsonl"))
	if err != nil {
		return r, errors.Join(played, err)
	}
	r.Checked, r.Violations = check.Report(events)
	return r, played
}

func (r *result) breakAndRecord(ctx context.Context, c config) (err error) {
	env, err := newEnvironment(ctx, setup{
		binary: c.Binary, dir: c.Dir, store: c.Store, disk: c.Disk, boards: c.Boards, pace: c.Pace, args: c.Args, settings: c.Settings,
		second: c.Second, trim: c.Trim,
	})
	defer func() { err = errors.Join(err, env.close()) }()
	if err != nil {
		return err
	}
	if c.SQL != "" {
		release, err := execSQLite(ctx, env.file, c.SQL)
		if err != nil {
			return err
		}
		if err := release(); err != nil {
			return err
		}
	}
	env.rec.Add(history.Event{Kind: history.KindRun, Note: fmt.Sprintf("store %s, seed %d, %d cycles", c.Store, c.Seed, c.Cycles)})
	clients, err := populate(ctx, env, c.Seed)
	if err == nil {
		err = r.breakAll(ctx, c, env, clients)
	}
	if env.back != nil {
		r.Lost = env.back.lostCommits()
		r.Crashes += r.Lost
	}
	// However it went: what was seen until then can be judged once nobody hears any more, and the log is known.
	err = errors.Join(err, clients.close())
	ending := env.recordEnd(ctx)
	r.recorded = ending == nil
	if r.recorded {
		ending = env.verify(ctx, c.Binary)
	}
	return errors.Join(err, ending)
}

func (r *result) breakAll(ctx context.Context, c config, env *environment, clients *crowd) error {
	if err := clients.carryOn(ctx, env); err != nil {
		return fmt.Errorf("before anything was broken: %w", err)
	}
	n := 0
	for cycle, rng := range c.drawn() {
		c.Say("%s, seed %d, %d of %d: %s", c.Store, c.Seed, n+1, c.Cycles, cycle)
		away := env.second != nil && slices.ContainsFunc(cycle.faults, func(f fault) bool { return f.layer == storage })
		if away {
			env.rec.Add(history.Event{Kind: history.KindAway})
		}
		if err := r.endure(ctx, env, cycle, rng); err != nil {
			return fmt.Errorf("cycle %d (%s): %w", n+1, cycle, err)
		}
		if err := clients.carryOn(ctx, env); err != nil {
			return fmt.Errorf("after cycle %d (%s): %w", n+1, cycle, err)
		}
		if away {
			env.rec.Add(history.Event{Kind: history.KindBack, At: env.rec.Now() + deadConnections})
		}
		n++
	}
	return clients.settle(ctx, env)
}

// drawn are the cycles of a round, each with what its faults draw from. How often they do may depend on the machine, as on
// what is not synced when power fails: so it is of no cycle after it.
func (c config) drawn() iter.Seq2[cycle, *rand.Rand] {
	return func(yield func(cycle, *rand.Rand) bool) {
		rng, all := rand.New(rand.NewPCG(c.Seed, 1)), faultsOf(c.Store, c.Disk, c.Faults)
		for n := range c.Cycles {
			if !yield(draw(rng, all), rand.New(rand.NewPCG(c.Seed, uint64(1000+n)))) {
				return
			}
		}
	}
}

// endure breaks, waits and mends.
func (r *result) endure(ctx context.Context, env *environment, c cycle, rng *rand.Rand) error {
	type mending struct {
		fault fault
		mend  func() error
	}
	var mendings []mending
	var failed error
	// What is deeper breaks first, too: a frozen server may hold locks, for which a fault of the database would wait.
	slices.SortStableFunc(c.faults, func(a, b fault) int { return int(b.layer - a.layer) })
	for _, f := range c.faults {
		env.rec.Add(history.Event{Kind: history.KindFault, Note: f.name})
		mend, err := f.inflict(ctx, env, rng)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.name, err))
		}
		if mend != nil {
			mendings = append(mendings, mending{f, mend})
		}
		r.Faults[f.name]++
		if f.crash && f.name != "lose the answer to COMMIT" { // those are counted as they happen
			r.Crashes++
		}
	}
	rest(ctx, c.hold)
	for _, m := range mendings {
		if err := m.mend(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("mend: %s: %w", m.fault.name, err))
		}
		env.rec.Add(history.Event{Kind: history.KindFault, Note: "mended: " + m.fault.name})
	}
	r.Cycles++
	if env.second != nil {
		failed = errors.Join(failed, env.second.ended())
	}
	return errors.Join(failed, env.server.ended())
}

// faultsText is the faults of a result, the most frequent first.
func faultsText(counts map[string]int) string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return strings.Join(names, ", ")
}
