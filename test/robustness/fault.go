package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/test/pgtest"
)

// layer is where a fault is. What is deeper is mended first: a server does not start without its database.
type layer int

const (
	network layer = iota // between the clients and the server
	process              // the server
	storage              // the database, and the way to it
)

// fault is one way to break an environment.
type fault struct {
	name  string
	layer layer
	store string // the only store on which it can be; empty for any
	// weight is how often it is drawn, beside the others; 0 means 1.
	weight int
	// disk says that it needs a disk that can fail.
	disk bool
	// alone says that nothing else breaks at the same time.
	alone bool
	// crash counts it among the crash cycles: a process that dies, or a commit whose answer is lost.
	crash bool
	// inflict breaks something, and returns how it is mended; nil where it is over at once.
	inflict func(ctx context.Context, env *environment, rng *rand.Rand) (mend func() error, err error)
}

// faults are all of them. To add one in the middle changes what a seed means.
func faults() []fault {
	return []fault{
		{name: "kill the server", layer: process, weight: 4, crash: true, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return env.server.start, env.server.kill()
		}},
		{name: "terminate the server", layer: process, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return env.server.start, env.server.terminate()
		}},
		{name: "freeze the server", layer: process, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return func() error { return env.server.signal(syscall.SIGCONT) }, env.server.signal(syscall.SIGSTOP)
		}},
		{name: "cut the clients off", layer: network, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			env.front.cut()
			return nil, nil
		}},
		{name: "delay between clients and server", layer: network, inflict: func(_ context.Context, env *environment, rng *rand.Rand) (func() error, error) {
			return delay(env.front, rng)
		}},
		{name: "stall between clients and server", layer: network, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return stall(env.front)
		}},
		{name: "lose the answer to COMMIT", layer: storage, store: onPostgres, weight: 3, crash: true, inflict: loseCommits},
		{name: "cut the server off its database", layer: storage, store: onPostgres, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			env.back.cut()
			return nil, nil
		}},
		{name: "delay between server and database", layer: storage, store: onPostgres, inflict: func(_ context.Context, env *environment, rng *rand.Rand) (func() error, error) {
			return delay(env.back, rng)
		}},
		{name: "stall between server and database", layer: storage, store: onPostgres, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return stall(env.back)
		}},
		{name: "kill PostgreSQL", layer: storage, store: onPostgres, weight: 2, crash: true, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return env.cluster.Restart, env.cluster.Kill()
		}},
		{name: "stop PostgreSQL at once", layer: storage, store: onPostgres, weight: 2, crash: true, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return env.cluster.Restart, env.cluster.Stop(pgtest.Immediate)
		}},
		{name: "restart PostgreSQL", layer: storage, store: onPostgres, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return env.cluster.Restart, env.cluster.Stop(pgtest.Fast)
		}},
		{name: "freeze PostgreSQL", layer: storage, store: onPostgres, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			return env.cluster.Continue, env.cluster.Pause()
		}},
		{name: "terminate every backend", layer: storage, store: onPostgres, inflict: terminateBackends},
		{name: "lock the boards in PostgreSQL", layer: storage, store: onPostgres, inflict: lockPostgres},
		{name: "lock the SQLite file", layer: storage, store: onSQLite, inflict: lockSQLite},
		{name: losePower, layer: storage, disk: true, alone: true, weight: 3, crash: true, inflict: powerFails(0)},
		{
			name: losePowerInPart, layer: storage, disk: true, alone: true, weight: 3, crash: true,
			inflict: powerFails(0.5),
		},
		{name: "fill the disk", layer: storage, disk: true, inflict: func(_ context.Context, env *environment, _ *rand.Rand) (func() error, error) {
			env.disk.Limit(env.disk.Stats().Used)
			return func() error { //nolint:contextcheck // a start has a limit of its own
				env.disk.Limit(math.MaxInt64)
				return env.restartPostgres()
			}, nil
		}},
		{name: "fail to sync", layer: storage, disk: true, inflict: func(_ context.Context, env *environment, rng *rand.Rand) (func() error, error) {
			env.disk.FailSync(syscall.EIO, 1+rng.IntN(3))
			return func() error { //nolint:contextcheck // see above
				env.disk.FailSync(0, 0)
				return env.restartPostgres()
			}, nil
		}},
	}
}

// The names of faults that tests ask for.
const (
	losePower       = "lose power"
	losePowerInPart = "lose power, with some of what was not synced on the disk"
)

// powerFails ends every process of the machine at once. Of what was not synced each part survives with a chance.
func powerFails(chance float64) func(context.Context, *environment, *rand.Rand) (func() error, error) {
	return func(_ context.Context, env *environment, rng *rand.Rand) (func() error, error) {
		err := env.server.kill()
		if env.cluster != nil {
			err = errors.Join(err, env.cluster.Kill())
		}
		return func() error { //nolint:contextcheck // a start has a limit of its own
			return errors.Join(env.restartPostgres(), env.server.start())
		}, errors.Join(err, env.disk.Crash(rng, chance))
	}
}

// restartPostgres starts a PostgreSQL that was killed, or whose disk failed: it may have ended by itself, or be unable to.
func (env *environment) restartPostgres() error {
	if env.cluster == nil {
		return nil
	}
	return errors.Join(env.cluster.Kill(), env.cluster.Restart())
}

// faultsOf returns what a store can have, or of that only what is named; each as often as it is to be drawn.
func faultsOf(store string, disk bool, only []string) (all []fault) {
	for _, f := range faults() {
		if (f.store == "" || f.store == store) && (disk || !f.disk) && (len(only) == 0 || slices.Contains(only, f.name)) {
			all = append(all, slices.Repeat([]fault{f}, max(f.weight, 1))...)
		}
	}
	return all
}

func delay(p *proxy, rng *rand.Rand) (func() error, error) {
	p.slow(time.Duration(1+rng.IntN(60)) * time.Millisecond)
	return func() error { p.slow(0); return nil }, nil
}

func stall(p *proxy) (func() error, error) {
	p.stall()
	return func() error { p.flow(); return nil }, nil
}

func loseCommits(_ context.Context, env *environment, rng *rand.Rand) (func() error, error) {
	env.back.loseCommits(1 + rng.IntN(3))
	return func() error { env.back.loseCommits(0); return nil }, nil
}

func terminateBackends(ctx context.Context, env *environment, _ *rand.Rand) (func() error, error) {
	conn, err := pgx.Connect(ctx, env.cluster.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	return nil, err
}

// lockPostgres is a second writer that takes the boards' heads, and thinks.
func lockPostgres(ctx context.Context, env *environment, _ *rand.Rand) (func() error, error) {
	conn, err := pgx.Connect(ctx, env.cluster.URL("postgres"))
	if err != nil {
		return nil, err
	}
	// In the order in which everybody locks them.
	if _, err := conn.Exec(ctx, `BEGIN`); err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `SELECT head_seq FROM boards ORDER BY id FOR UPDATE`)
	return func() error { return conn.Close(context.WithoutCancel(ctx)) }, err
}

func lockSQLite(ctx context.Context, env *environment, _ *rand.Rand) (func() error, error) {
	return execSQLite(ctx, env.file, "BEGIN IMMEDIATE")
}

// cycle is what is broken at the same time, and for how long.
type cycle struct {
	faults []fault
	hold   time.Duration
}

func (c cycle) String() string {
	names := make([]string, len(c.faults))
	for i, f := range c.faults {
		names[i] = f.name
	}
	return strings.Join(names, ", ") + " for " + c.hold.String()
}

// draw chooses what to break next: one thing, most of the time, and never two in one layer.
func draw(rng *rand.Rand, all []fault) cycle {
	n := 1
	for n < 3 && rng.IntN(4) == 0 {
		n++
	}
	c := cycle{hold: time.Duration(rng.IntN(600)) * time.Millisecond}
	// Now and then as long as makes the server give up on a frame, and say so.
	if rng.IntN(12) == 0 {
		c.hold += 3 * time.Second
	}
	for len(c.faults) < n {
		f := all[rng.IntN(len(all))]
		if len(c.faults) == 0 || !f.alone && !slices.ContainsFunc(c.faults, func(g fault) bool { return g.alone || g.layer == f.layer }) {
			c.faults = append(c.faults, f)
		} else {
			n--
		}
	}
	return c
}
