package powerfail_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/test/pgtest"
	"github.com/collaboard-io/collaboard/test/robustness/powerfail"
)

func TestMappingsOfTwoProcessesAreOne(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	path := filepath.Join(fs.Dir(), "shared")
	f := create(t, path)
	writeAt(t, f, fill('a', page), 0)
	check(t, f.Sync())
	check(t, f.Close())
	for _, tc := range []struct{ command, want string }{{"get", "a"}, {"sync", "b"}} {
		one, two := startChild(t, "map", path), startChild(t, "map", path)
		one.line()
		two.line()
		one.ask("b")
		if got := two.ask("get"); got != "b" {
			t.Errorf("the other process has %q mapped", got)
		}
		two.ask(tc.command)
		one.kill()
		two.kill()
		crash(t, fs, nil, 0)
		if got := string(read(t, path)[:1]); got != tc.want {
			t.Errorf("after %s and the crash: %q, want %q", tc.command, got, tc.want)
		}
	}
}

// sqliteCycle runs a process that writes until it has committed some rows, kills it, and lets the power fail. It returns
// how many rows it found, and how many there were before the crash.
func sqliteCycle(t *testing.T, fs *powerfail.FS, synchronous string, rng *rand.Rand, chance float64) (found, committed int) {
	t.Helper()
	number := func(line string) int {
		n, err := strconv.Atoi(line)
		check(t, err)
		return n
	}
	c := startChild(t, "sqlite", filepath.Join(fs.Dir(), "test.db"), synchronous)
	found = number(c.line())
	for range 5 + rng.IntN(40) {
		committed = number(c.line())
	}
	c.kill()
	for line := range c.lines { // what it said before it died
		committed = number(line)
	}
	crash(t, fs, rng, chance)
	return found, committed
}

func TestSQLiteKeepsWhatItSynced(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	const seed, cycles = 1, 50
	rng := rand.New(rand.NewPCG(seed, 0))
	before := 0
	for cycle := range cycles + 1 {
		// Often nothing survives that was not synced, and otherwise some of it.
		found, committed := sqliteCycle(t, fs, "FULL", rng, float64(rng.IntN(3))/3)
		if found < before {
			t.Fatalf("cycle %d, seed %d: %d rows were committed, and %d are there", cycle, seed, before, found)
		}
		before = committed
	}
	t.Logf("%d rows, %+v", before, fs.Stats())
}

// TestSQLiteLosesWhatItDoesNotSync shows that the test above could fail.
func TestSQLiteLosesWhatItDoesNotSync(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	rng := rand.New(rand.NewPCG(1, 0))
	_, committed := sqliteCycle(t, fs, "OFF", rng, 0)
	if found, _ := sqliteCycle(t, fs, "OFF", rng, 0); found >= committed {
		t.Errorf("%d rows were committed without a sync, and %d are there", committed, found)
	}
}

// insert commits rows, one after the other, until n were.
func insert(t *testing.T, url string, from, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	check(t, err)
	defer conn.Close(ctx)
	for i := range n {
		_, err := conn.Exec(ctx, "INSERT INTO t VALUES ($1, repeat('x', 1000))", from+i)
		check(t, err)
	}
}

// rows are how many the table has; they must be 1 to that.
func rows(t *testing.T, url string) (count int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	check(t, err)
	defer conn.Close(ctx)
	var last int
	check(t, conn.QueryRow(ctx, "SELECT count(*), coalesce(max(id), 0) FROM t").Scan(&count, &last))
	if count != last {
		t.Fatalf("%d rows up to %d", count, last)
	}
	return count
}

// cluster starts a PostgreSQL whose data is in the file system, with an empty table, all of it durable.
func cluster(t *testing.T, fs *powerfail.FS, settings pgtest.Settings) *pgtest.Cluster {
	t.Helper()
	c := pgtest.NewAt(t, filepath.Join(fs.Dir(), "data"), settings)
	pgtest.Exec(t, c.URL("postgres"), "CREATE TABLE t (id int PRIMARY KEY, body text)")
	fs.Sync()
	return c
}

func TestPostgreSQLKeepsWhatItSynced(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	// Checkpoints write the data files, which the log then no longer covers.
	c := cluster(t, fs, pgtest.Settings{"shared_buffers": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"})
	const seed, cycles = 1, 5
	rng := rand.New(rand.NewPCG(seed, 0))
	committed := 0
	for cycle := range cycles {
		n := 50 + rng.IntN(200)
		insert(t, c.URL("postgres"), committed+1, n)
		committed += n
		if cycle == 2 {
			pgtest.Exec(t, c.URL("postgres"), "CHECKPOINT")
		}
		check(t, c.Kill())
		crash(t, fs, rng, float64(rng.IntN(3))/3)
		check(t, c.Restart())
		if found := rows(t, c.URL("postgres")); found != committed {
			t.Fatalf("cycle %d, seed %d: %d rows were committed, and %d are there", cycle, seed, committed, found)
		}
	}
	t.Logf("%d rows, %+v", committed, fs.Stats())
}

// TestPostgreSQLLosesWhatItDoesNotSync shows that the test above could fail.
func TestPostgreSQLLosesWhatItDoesNotSync(t *testing.T) {
	t.Parallel()
	fs := powerfail.New(t)
	c := cluster(t, fs, pgtest.Settings{"fsync": "off"})
	const committed = 50
	insert(t, c.URL("postgres"), 1, committed)
	check(t, c.Kill())
	crash(t, fs, nil, 0)
	check(t, c.Restart()) // what was there when everything was synced
	if found := rows(t, c.URL("postgres")); found >= committed {
		t.Errorf("%d rows were committed without a sync, and %d are there", committed, found)
	}
}
