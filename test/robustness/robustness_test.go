package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/test/pgtest"
	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/powerfail"
)

func TestMain(m *testing.M) {
	if servesSQLite() {
		return
	}
	os.Exit(m.Run())
}

// cyclesInCI is how many things are broken, one after the other, in one round of the tests.
const cyclesInCI = 10

// fixedSeeds are played every time, and a drawn one besides. They have no history of failures: what a run has found has
// a test of its own that does not depend on luck.
var fixedSeeds = []uint64{1, 2}

// TestNothingAckedIsLostWhateverBreaks is a short run: servers, databases, disks and networks are broken under load, and
// what every client did and saw must keep all that is promised.
func TestNothingAckedIsLostWhateverBreaks(t *testing.T) {
	binary := buildFor(t)
	for _, store := range []string{onSQLite, onPostgres} {
		for _, seed := range append(slices.Clone(fixedSeeds), uint64(rand.Uint32())) {
			t.Run(fmt.Sprintf("%s/seed %d", store, seed), func(t *testing.T) {
				holds(t, config{
					Binary: binary, Store: store, Seed: seed, Cycles: cyclesInCI, Disk: withDisk(t), Second: twoServers(seed), Args: tight(seed), Trim: trims(seed),
				})
			})
		}
	}
}

// TestSeedGivesTheSameFaults draws rounds in which faults draw more or less, as they do on a machine.
func TestSeedGivesTheSameFaults(t *testing.T) {
	t.Parallel()
	for _, store := range []string{onSQLite, onPostgres} {
		c := config{Store: store, Seed: 7, Cycles: 50, Disk: true}
		var cycles [3][]string
		for i := range cycles {
			for cycle, rng := range c.drawn() {
				cycles[i] = append(cycles[i], cycle.String())
				for range i {
					rng.Uint64()
				}
			}
		}
		if len(cycles[0]) != c.Cycles || !slices.Equal(cycles[0], cycles[1]) || !slices.Equal(cycles[0], cycles[2]) {
			t.Errorf("%s: drawn were\n%q\n%q\n%q", store, cycles[0], cycles[1], cycles[2])
		}
	}
}

// TestPowerFailureLosesNothingAcked lets the power fail, and nothing else.
func TestPowerFailureLosesNothingAcked(t *testing.T) {
	if !withDisk(t) {
		t.Skip("nothing else would be broken")
	}
	binary := buildFor(t)
	for _, store := range []string{onSQLite, onPostgres} {
		t.Run(store, func(t *testing.T) {
			holds(t, config{
				Binary: binary, Store: store, Seed: uint64(rand.Uint32()), Cycles: 8, Disk: true, Faults: []string{losePower, losePowerInPart},
			})
		})
	}
}

// TestClockThatJumpsHarmsNothing runs a server whose wall clock is up to an hour wrong, another way at each transaction.
func TestClockThatJumpsHarmsNothing(t *testing.T) {
	binary := buildFor(t, edit{
		"persistence/commit.go",
		"at := time.Now().UTC()",
		"at := time.Now().Add(time.Duration(time.Now().UnixNano()%7200-3600) * time.Second).UTC()",
	})
	holds(t, config{Binary: binary, Store: onSQLite, Seed: 1, Cycles: 4, Disk: withDisk(t)})
}

// holds plays a round, and wants everything to hold in it.
func holds(t *testing.T, c config) {
	t.Helper()
	c.Dir, c.Say = evidence(t), t.Logf
	if len(c.Faults) == 0 {
		t.Log("again: " + c.command())
	}
	r, err := play(t.Context(), c)
	report(t, r, err)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	if r.Cycles != c.Cycles {
		t.Errorf("%d cycles, want %d", r.Cycles, c.Cycles)
	}
	for _, tally := range r.Checked.Idle() {
		if tally.Guarantee == check.Chained { // which it would be, too, where the server writes none
			t.Errorf("no %s were judged", tally.What)
		}
	}
}

// buildFor builds the server for a test, with edits.
func buildFor(t *testing.T, edits ...edit) (binary string) {
	t.Helper()
	dir := t.TempDir()
	binary = filepath.Join(dir, "collaboard")
	if err := build(t.Context(), binary, "-overlay", overlay(t, dir, edits)); err != nil {
		t.Fatal(err)
	}
	return binary
}

// withDisk is true, unless somebody has said that there shall be no file system that loses power.
func withDisk(t *testing.T) bool {
	t.Helper()
	if os.Getenv(powerfail.NoFUSE) == "1" {
		t.Logf("%s=1: WITHOUT power failures and failing disks", powerfail.NoFUSE)
		return false
	}
	return true
}

// evidence is a directory that stays where the test fails.
func evidence(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "robustness-") //nolint:usetesting // it may have to stay
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the history and the logs are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func report(t *testing.T, r *result, err error) {
	t.Helper()
	if r == nil {
		t.Fatal(err)
	}
	t.Logf("%d cycles, %d crashes (%s)\n%v", r.Cycles, r.Crashes, faultsText(r.Faults), r.Checked)
}

// defect is a server that was broken on purpose: what a checker is worth is what it finds in those.
type defect struct {
	name  string
	edits []edit
	// faults that are needed to see it; none at all where a healthy run shows it.
	faults []string
	cycles int // 10, when it is 0
	// frames a client sends, about, are so far apart, where it takes more of them than usual.
	pace     time.Duration
	sql      string          // see config
	store    string          // onSQLite, when it is empty
	args     []string        // see config
	second   bool            // see config
	trim     bool            // see config
	settings pgtest.Settings // of PostgreSQL
	// caught are the guarantees of which one at least must be found violated.
	caught []string
}

// edit replaces a piece of a source file that is in it once.
type edit struct{ file, old, new string }

var defects = []defect{
	{
		name: "acks before COMMIT",
		edits: []edit{{
			"persistence/commit.go",
			`return decideAll(boards, locked, at, time.Now().Add(s.c.cfg.BatchTime))`,
			`exts, err := decideAll(boards, locked, at, time.Now().Add(s.c.cfg.BatchTime))
			if err == nil {
				for _, d := range boards {
					d.publish()
					for i, sub := range d.subs {
						s.finish(sub, d.outcomes[i].result, d.outcomes[i].err)
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
			return exts, err`,
		}, {
			"persistence/commit.go",
			`		default:
			for _, d := range boards {
				d.publish()`,
			`		default:
			for _, d := range boards[:0] {
				d.publish()`,
		}},
		faults: []string{"kill the server"},
		caught: []string{check.Durable},
	},
	{
		name: "drops one delivery in a thousand",
		edits: []edit{{
			"server/room/subscription.go",
			`	if len(records) > 0 {
		s.cursor = records[len(records)-1].Seq
	}
`,
			`	if len(records) > 0 {
		s.cursor = records[len(records)-1].Seq
		if time.Now().UnixNano()/1000%1000 < int64(len(records)) {
			records = records[1:]
		}
	}
`,
		}, {"server/room/subscription.go", "import (\n", "import (\n\t\"time\"\n"}},
		pace:   time.Millisecond,
		caught: []string{check.Resumable},
	},
	{
		name: "reuses a seq",
		edits: []edit{
			{"persistence/sqlite/writer.go", "`INSERT INTO frames", "`INSERT OR REPLACE INTO frames"},
			{"persistence/sqlite/writer.go", "SET head_seq = ?2,", "SET head_seq = ?2 - (abs(random()) % 50 = 0),"},
		},
		caught: []string{check.Durable, check.FromTheLog, check.Ordered},
	},
	{
		name:   "forgets to deduplicate",
		edits:  []edit{{"persistence/commit.go", "seq, found := known[sub.ID]\n", "seq, found := known[sub.ID]\n\t\tfound = false\n"}},
		sql:    "DROP INDEX frames_board_id_id",
		caught: []string{check.Once},
	},
	{
		name:   "forgets the ids of what it trims",
		edits:  []edit{{"persistence/sqlite/append.go", "		trimmed = trimmed || first > 1\n", ""}},
		trim:   true,
		caught: []string{check.Once},
	},
	{
		name:   "lets a frame overtake what it follows",
		edits:  []edit{{"server/persist.go", "	before := l.lastID\n", "	before := l.lastID\n\tafterID = \"\"\n"}},
		args:   tight(1),
		caught: []string{check.Ordered},
	},
	{
		name:   "acks a member before it has its frame",
		edits:  []edit{{"server/session.go", "a.acked != nil && m.behind(a.acked.result.Seq)", "a.acked != nil && m.behind(a.acked.result.Seq) && false"}},
		caught: []string{check.AfterSubmit},
	},
	{
		name: "restores all but one object",
		edits: []edit{{
			"server/restore.go",
			"framesOf(ops, func(batch *collaboardv1.ObjectBatch) { batch.RestoredSeq",
			"framesOf(ops[:max(len(ops), 1)-1], func(batch *collaboardv1.ObjectBatch) { batch.RestoredSeq",
		}},
		caught: []string{check.WentBack},
	},
	{
		name:   "takes back what was set since",
		edits:  []edit{{"server/restore.go", "now.Reversal(before, by, since)", "now.Reversal(before, by, nil)"}},
		pace:   time.Millisecond,
		cycles: 20, // most reverts find nothing that was set since
		caught: []string{check.WentBack},
	},
	{
		name:   "begins the chain anew",
		edits:  []edit{{"server/room/writer.go", "chain: w.head.chain.Next(body)}", "chain: board.Chain{}.Next(body)}"}},
		caught: []string{check.Chained},
	},
	{
		name: "does not ask what another server has written",
		edits: []edit{{
			"server/room/room.go",
			"	b, err := r.hub.board(ctx, r.id)\n	if _, ok",
			"	if before.Seq > 0 {\n		return nil\n	}\n	b, err := r.hub.board(ctx, r.id)\n	if _, ok",
		}},
		store:  onPostgres,
		second: true,
		faults: []string{"kill the server"},
		cycles: 2,
		caught: []string{check.Recent},
	},
	{
		name: "does not sync",
		edits: []edit{
			{"persistence/sqlite/store.go", `"_synchronous=FULL"`, `"_synchronous=OFF"`},
			{"persistence/sqlite/writer.go", `mode != "wal" || synchronous < full`, `mode != "wal" || synchronous < 0*full`},
		},
		faults: []string{losePower},
		cycles: 1,
		caught: []string{check.Durable},
	},
	{
		name:     "has a database that does not sync",
		store:    onPostgres,
		args:     []string{"--unsafe-allow-no-fsync"},
		settings: pgtest.Settings{"fsync": "off"},
		faults:   []string{losePower},
		cycles:   1, // it may well not start again
		caught:   []string{check.Durable},
	},
}

// TestBrokenServersAreCaught is the check of the checks.
func TestBrokenServersAreCaught(t *testing.T) {
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			needsDisk := slices.Contains(d.faults, losePower)
			if needsDisk && !withDisk(t) {
				t.Skip("it can be seen only when power fails")
			}
			dir, binary := evidence(t), buildFor(t, d.edits...)
			const rounds = 5 // chance has its part, and the machine's load
			for seed := range uint64(rounds) {
				r, err := play(t.Context(), config{
					Binary: binary, Dir: dir, Store: cmp.Or(d.store, onSQLite), Seed: seed, Cycles: cmp.Or(d.cycles, 10), Faults: d.faults,
					Pace: d.pace, SQL: d.sql, Disk: needsDisk, Args: d.args, Second: d.second, Settings: d.settings, Trim: d.trim, Say: t.Logf,
				})
				report(t, r, nil)
				found := map[string]int{}
				for _, v := range r.Violations {
					found[v.Guarantee]++
				}
				t.Logf("violated: %v; the run ended with: %v", found, err) // a broken server may well not carry on
				if slices.ContainsFunc(d.caught, func(g string) bool { return found[g] > 0 }) {
					return
				}
			}
			t.Errorf("a server that %s was not caught in %d rounds: want a violation of %s", d.name, rounds, strings.Join(d.caught, " or "))
		})
	}
}
