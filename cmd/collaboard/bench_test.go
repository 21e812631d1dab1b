package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/bench"
	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/storebench"
)

func TestBench(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	for _, args := range [][]string{
		{"--clients", "4", "--boards", "3", "--subscribers", "2"},
		{"--clients", "3", "--boards", "3", "--subscribers", "1", "--kind", "object_update", "--decode"},
		{"--clients", "2", "--boards", "1", "--subscribers", "1", "--kind", "chat", "--rate", "100"},
		{"--clients", "3", "--boards", "1", "--rate", "30", "--cursors", "20", "--kind", "object_update"},
	} {
		out, stderr := cli(append([]string{"bench", "--duration", "1s", "--warm-up", "100ms", "--json"}, args...)...).run(0)
		if stderr != "" {
			t.Errorf("%v: complained %q", args, stderr)
		}
		var r bench.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		rates := map[string]*bench.Rate{"acks": &r.Acks, "deliveries": r.Deliveries}
		if slices.Contains(args, "--cursors") {
			rates["cursors"] = r.Cursors
		}
		for name, rate := range rates {
			l := rate.Latency
			if rate.Count <= 0 || rate.PerSecond <= 0 || l.P50 <= 0 || l.P90 < l.P50 || l.P99 < l.P90 || l.P999 < l.P99 || l.Max < l.P999*0.99 {
				t.Errorf("%v: %s: %+v", args, name, rate)
			}
		}
		if len(r.Errors) > 0 {
			t.Errorf("%v: errors %v", args, r.Errors)
		}
		if r.TargetRate > 0 && (r.Acks.PerSecond > 1.2*r.TargetRate) {
			t.Errorf("%v: %f acks/s", args, r.Acks.PerSecond)
		}
	}
	out, _ := cli("bench", "--duration", "2s", "--warm-up", "0s").run(0)
	if !regexp.MustCompile(`(?m)^clients 64, in flight 16 each, boards 64, custom frames of 200 B, 2 s$`).MatchString(out) {
		t.Errorf("printed:\n%s", out)
	}
	if out, _ := cli("board", "list", "--json").run(0); strings.Count(out, "\n") != 1 || !strings.Contains(out, board) {
		t.Errorf("left behind:\n%s", out)
	}
}

func TestBenchWithoutAcks(t *testing.T) {
	t.Parallel()
	cli, _ := setup(t)
	out, stderr := cli("bench", "--payload", "2MiB", "--clients", "1", "--duration", "2s", "--warm-up", "0s").run(1)
	if !strings.Contains(out, "refused with TOO_LARGE") || stderr != "collaboard: no frame was acknowledged in the time that was measured\n" {
		t.Errorf("printed:\n%s\ncomplained %q", out, stderr)
	}
}

// What an interrupted run has made, it deletes.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	follower := cli("tail", "--follow", board).start()
	p := cli("bench", "--boards", "1", "--clients", "1", "--duration", "1h").start()
	// The bench has begun when its board has frames.
	for started := false; !started; {
		out, _ := cli("board", "list").run(0)
		started = regexp.MustCompile(`(?m)^\S+  bench \S+ \S+ 0 +[1-9]`).MatchString(out)
	}
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 1 || p.err.String() != "collaboard: interrupted\n" {
		t.Errorf("exit code %d, complained %q", code, p.err)
	}
	if out, _ := cli("board", "list", "--json").run(0); strings.Count(out, "\n") != 1 {
		t.Errorf("left behind:\n%s", out)
	}
	follower.signal(syscall.SIGTERM)
	if code := follower.wait(); code != 0 {
		t.Errorf("tail ended with %d", code)
	}
}

func TestBenchStore(t *testing.T) {
	t.Parallel()
	p := command(t, "bench", "store", "--duration", "200ms", "--group", "8,64", "--json")
	out, _ := p.run(0)
	var r storebench.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	results := []storebench.Result{*r.Naive, *r.Single}
	for _, g := range r.Groups {
		results = append(results, g.Result)
	}
	if len(results) != 4 {
		t.Errorf("printed %s", out)
	}
	for i, result := range results {
		if result.PerSecond <= 0 || result.Latency.P50 <= 0 {
			t.Errorf("result %d is %+v", i, result)
		}
	}
	left, err := os.ReadDir(p.cmd.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A board is made with a log of this length, measured on the way, and joined in both ways.
func TestBenchFillAndJoin(t *testing.T) {
	t.Parallel()
	cli, _ := setup(t)
	out, stderr := cli("bench", "fill", "--objects", "250", "--frames", "1000", "--lengths", "100,500", "--measured", "300", "--json").run(0)
	var filled bench.Filled
	if err := json.Unmarshal([]byte(out), &filled); err != nil || stderr != "" {
		t.Fatal(err, stderr)
	}
	if len(filled.Costs) != 2 || filled.Costs[0].Length != 100 || filled.Costs[0].Microseconds <= 0 || filled.Costs[1].Microseconds <= 0 {
		t.Errorf("measured %+v", filled.Costs)
	}
	if list, _ := cli("board", "list", "--json").run(0); !strings.Contains(list, `"headSeq":"1000"`) {
		t.Errorf("the boards are %s", list)
	}
	for _, tt := range []struct {
		flags []string
		want  bench.Joined
	}{
		{nil, bench.Joined{Objects: 250}},
		{[]string{"--from-start"}, bench.Joined{Frames: 1000}},
	} {
		out, _ := cli(append([]string{"bench", "join", "--times", "3", "--json", filled.Board}, tt.flags...)...).run(0)
		var joined bench.Joined
		if err := json.Unmarshal([]byte(out), &joined); err != nil {
			t.Fatal(err)
		}
		if joined.Objects != tt.want.Objects || joined.Frames != tt.want.Frames || joined.Milliseconds <= 0 || joined.First <= 0 {
			t.Errorf("%v: joined %+v", tt.flags, joined)
		}
	}
	_, stderr = cli("bench", "fill", "--objects", "1000", "--frames", "10").run(2)
	if !strings.Contains(stderr, "--frames must be enough to make the objects") {
		t.Errorf("complained %q", stderr)
	}
	_, stderr = cli("bench", "join", "00000000-0000-4000-8000-000000000000").run(1)
	if stderr == "" {
		t.Error("joined a board that does not exist")
	}
}

// Streams are held until they are let go, whether they share connections or not.
func TestBenchIdle(t *testing.T) {
	t.Parallel()
	cli, _ := setup(t)
	for _, perConnection := range []string{"1", "4"} {
		p := cli("bench", "idle", "--streams", "6", "--boards", "2", "--per-connection", perConnection).start()
		p.out.await(t, "ready", 1)
		if err := p.stdin.Close(); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(); code != 0 || p.err.String() != "" {
			t.Errorf("exit code %d, complained %q", code, p.err)
		}
	}
	if out, _ := cli("board", "list", "--json").run(0); strings.Count(out, "\n") != 1 {
		t.Errorf("left behind:\n%s", out)
	}
}
