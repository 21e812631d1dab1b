package check

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// The two judges are given the same histories, right and wrong, and agree on every one.
func TestJudgesAgree(t *testing.T) {
	t.Parallel()
	verdicts := make(map[porcupine.CheckResult]int)
	agree := func(t *rapid.T) {
		moment := func(name string, from time.Duration) time.Duration {
			return from + time.Duration(rapid.IntRange(0, 6).Draw(t, name))
		}
		// Small numbers: times collide, operations overlap, reads are a little too new, or too old.
		var writes, reads []operation
		n := rapid.IntRange(0, 5).Draw(t, "writes")
		var began time.Duration
		for seq := range n {
			op := operation{write: true, seq: uint64(seq) + 1, ret: never, call: moment("call", began)}
			began = max(0, op.call-2)
			if rapid.IntRange(0, 3).Draw(t, "acked") > 0 {
				op.ret = moment("ret", op.call)
			}
			writes = append(writes, op)
		}
		for range rapid.IntRange(0, 4).Draw(t, "reads") {
			op := operation{seq: uint64(rapid.IntRange(0, n).Draw(t, "seq")), call: moment("call", time.Duration(rapid.IntRange(0, 12).Draw(t, "at")))}
			op.ret = moment("ret", op.call)
			reads = append(reads, op)
		}
		f := new(findings)
		first := porcupine.Illegal
		if consistent(writes, reads, f) {
			first = porcupine.Ok
		}
		slices.SortFunc(reads, func(a, b operation) int { return cmp.Compare(a.seq, b.seq) })
		second := linearizable(0, slices.Concat(writes, reads), time.Minute)
		prepared := linearizable(0, early(writes, reads), time.Minute)
		if first != second || first != prepared {
			t.Fatalf("ours says %s, porcupine %s, and %s as it is asked\nwrites %v\nreads %v", first, second, prepared, writes, reads)
		}
		verdicts[first]++
	}
	for range 20 { // of 100 histories, rapid's default
		rapid.Check(t, agree)
	}
	if verdicts[porcupine.Ok] < 10 || verdicts[porcupine.Illegal] < 10 {
		t.Errorf("one verdict was hardly ever given: %v", verdicts)
	}
}

// busy is what happens on a board of n frames, up to 1,024 of them on their way at a time, and a join for every 10.
func busy(n int) (writes, reads []operation) {
	lots := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		at := time.Duration(i) * time.Microsecond
		around := func(most int) (call, ret time.Duration) {
			return at - time.Duration(lots.IntN(most))*time.Microsecond, at + time.Duration(lots.IntN(most))*time.Microsecond
		}
		write := operation{write: true, seq: uint64(i) + 1, events: []*history.Event{{}}}
		write.call, write.ret = around(1024)
		if i%500 == 0 {
			write.ret = never
		}
		writes = append(writes, write)
		if i%10 == 0 {
			read := operation{seq: uint64(i) + 1, events: []*history.Event{{}}}
			read.call, read.ret = around(200)
			reads = append(reads, read)
		}
	}
	return writes, reads
}

// A long history of a busy board takes a moment, and a wrong one no longer.
func TestRecentOfALongHistory(t *testing.T) {
	t.Parallel()
	writes, reads := busy(50_000)
	f := &findings{tallies: []Tally{{What: "windows"}}}
	if !consistent(writes, reads, f) {
		t.Fatalf("the first judge found %v", f.violations)
	}
	secondOpinion(&boardLog{}, writes, reads, patience, f)
	if len(f.violations) != 0 {
		t.Errorf("the second judge found %v", f.violations)
	}
	stale := reads[4000]
	stale.seq -= 20_000
	reads = append(reads, stale)
	if consistent(writes, reads, f) {
		t.Error("a join that was shown 20,000 frames less than had been acked was found right")
	}
}

// What porcupine does not find right is a violation, and so is what it does not decide.
func TestSecondOpinionIsHeard(t *testing.T) {
	t.Parallel()
	writes, reads := busy(20_000)
	f := &findings{tallies: []Tally{{What: "windows"}}}
	secondOpinion(&boardLog{}, writes, reads, time.Nanosecond, f)
	if len(f.violations) == 0 || !strings.Contains(f.violations[0].Text, "undecided") {
		t.Errorf("without any time porcupine found %v", f.violations)
	}
	writes = []operation{{write: true, seq: 1, call: 1, ret: 2}, {write: true, seq: 2, call: 1, ret: 2}}
	reads = []operation{{seq: 1, call: 4, ret: 5}}
	f = &findings{tallies: []Tally{{What: "windows"}}}
	secondOpinion(&boardLog{}, writes, reads, patience, f)
	if len(f.violations) != 1 || !strings.Contains(f.violations[0].Text, "no order") {
		t.Errorf("of a stale join porcupine found %v", f.violations)
	}
}

func BenchmarkRecent(b *testing.B) {
	for _, n := range []int{10_000, 50_000, 200_000} {
		writes, reads := busy(n)
		b.Run(fmt.Sprintf("bounds/frames=%d", n), func(b *testing.B) {
			for b.Loop() {
				if !consistent(writes, reads, new(findings)) {
					b.Fatal("not consistent")
				}
			}
		})
		b.Run(fmt.Sprintf("porcupine/frames=%d", n), func(b *testing.B) {
			for b.Loop() {
				f := &findings{tallies: []Tally{{What: "windows"}}}
				secondOpinion(&boardLog{}, writes, reads, patience, f)
				if f.violations != nil {
					b.Fatal(f.violations)
				}
			}
		})
	}
}
