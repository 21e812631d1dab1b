package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

type soakCmd struct {
	Store    string        `default:"sqlite" enum:"sqlite,postgres" help:"What to run on."`
	Duration time.Duration `default:"30m" help:"How long."`
	Rate     int           `default:"500" help:"Frames a second of the load that is not recorded, on 64 boards."`
	Every    time.Duration `default:"5s" help:"How often to look at the server."`
	Seed     uint64        `default:"1" help:"Of what clients do at random."`
	Dir      string        `default:"build/robustness/soak" type:"path" help:"Where to leave the history, the samples and the plot."`
	Binary   string        `type:"path" help:"The server; it is built when none is named."`
}

// sample is what a server is made of at one time.
type sample struct {
	at         time.Duration
	goroutines int
	heap       int64  // bytes in use after a collection
	resident   int64  // bytes that the process has of the machine
	acks       uint64 // of the recorded clients
}

// Run is called by kong. Nothing is broken: a server at steady load, whose memory and goroutines must not grow, and whose
// promises are checked in the end as in any other run.
func (c *soakCmd) Run(ctx context.Context) error {
	binary := c.Binary
	if binary == "" {
		binary = filepath.Join(c.Dir, "collaboard")
		if err := build(ctx, binary); err != nil {
			return err
		}
	}
	samples, err := c.soak(ctx, binary)
	if err != nil {
		return err
	}
	events, err := history.Read(filepath.Join(c.Dir, "history.jsonl"))
	if err != nil {
		return err
	}
	summary, violations := check.Report(events)
	fmt.Println(summary)
	if err := errors.Join(c.write(samples), plotSoak(filepath.Join(c.Dir, "soak.svg"), samples)); err != nil {
		return err
	}
	return errors.Join(complain(violations), flat(samples))
}

func (c *soakCmd) soak(ctx context.Context, binary string) (samples []sample, err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	env, err := newEnvironment(ctx, setup{
		binary: binary, dir: c.Dir, store: c.Store, boards: 3, pace: 50 * time.Millisecond,
		args: []string{"--debug-addr", "127.0.0.1:0", "--tail-bytes", "256KiB"}, // tails that are full soon
	})
	defer func() { err = errors.Join(err, env.close()) }()
	if err != nil {
		return nil, err
	}
	// A drawn thing stays, or is deleted and remembered: what grows with their number is not a leak. So they are few.
	env.steady = true
	env.rec.Add(history.Event{Kind: history.KindRun, Note: fmt.Sprintf("soak, store %s, seed %d, %s", c.Store, c.Seed, c.Duration)})
	clients, err := populate(ctx, env, c.Seed)
	defer func() { _ = clients.close() }() // in case of an error; it may be closed twice
	if err != nil {
		return nil, err
	}
	load := exec.CommandContext(ctx, binary, "bench", "run", "--server", env.server.addr, "--rate", strconv.Itoa(c.Rate),
		"--duration", c.Duration.String(), "--clients", "16", "--boards", "64", "--subscribers", "1", "--kind", "chat")
	load.Stdout, load.Stderr = os.Stdout, os.Stderr
	load.SysProcAttr = childAttr()
	if err := startOnThread(load); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- load.Wait() }()
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			s, err := env.look(ctx, clients.members)
			if err != nil {
				return samples, err
			}
			samples = append(samples, s)
			fmt.Printf("%8s  %d goroutines, heap %.1f MiB, resident %.1f MiB, %d acks\n",
				s.at.Round(time.Second), s.goroutines, mib(s.heap), mib(s.resident), s.acks)
		case err := <-ended:
			if err != nil {
				return samples, fmt.Errorf("the load ended: %w", err)
			}
			running = false
		}
	}
	return samples, errors.Join(clients.settle(ctx, env), clients.close(), env.recordEnd(ctx))
}

// look asks the server for its profiles, and the machine for what the process has.
func (env *environment) look(ctx context.Context, members []member) (s sample, err error) {
	s.at = env.rec.Now()
	for _, m := range members {
		s.acks += env.tally.get(m.name())
	}
	heap, err := env.profile(ctx, "heap?gc=1&debug=1", `(?m)^# HeapAlloc = (\d+)$`)
	if err != nil {
		return s, err
	}
	goroutines, err := env.profile(ctx, "goroutine?debug=1", `^goroutine profile: total (\d+)`)
	if err != nil {
		return s, err
	}
	s.heap, s.goroutines = heap, int(goroutines)
	s.resident, err = resident(env.server.cmd.Process.Pid)
	return s, err
}

// profile finds a number in a profile.
func (env *environment) profile(ctx context.Context, name, pattern string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, env.server.debug+name, http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(pattern).FindSubmatch(body)
	if found == nil {
		return 0, fmt.Errorf("profile %s has no %s", name, pattern)
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}

// resident reads how many bytes of memory a process has; 0 where the system does not say it as Linux does.
func resident(pid int) (int64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if kib, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(kib, "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

func (c *soakCmd) write(samples []sample) error {
	file, err := os.Create(filepath.Join(c.Dir, "soak.csv"))
	if err != nil {
		return err
	}
	w := csv.NewWriter(file)
	_ = w.Write([]string{"seconds", "goroutines", "heap_bytes", "resident_bytes", "acks"}) // Error says it
	for _, s := range samples {
		_ = w.Write([]string{
			strconv.Itoa(int(s.at.Seconds())), strconv.Itoa(s.goroutines), strconv.FormatInt(s.heap, 10),
			strconv.FormatInt(s.resident, 10), strconv.FormatUint(s.acks, 10),
		})
	}
	w.Flush()
	return errors.Join(w.Error(), file.Close())
}

// flat compares the second quarter of a soak with the last one, by their medians: the first is for caches to fill.
func flat(samples []sample) error {
	n := len(samples)
	if n < 8 {
		return fmt.Errorf("%d samples are too few to compare", n)
	}
	second, last := samples[n/4:n/2], samples[3*n/4:]
	var errs []error
	for _, q := range []struct {
		name  string
		value func(sample) int64
		slack int64 // what may be added, besides a tenth
	}{
		{"goroutines", func(s sample) int64 { return int64(s.goroutines) }, 20},
		{"heap bytes", func(s sample) int64 { return s.heap }, 4 << 20},
		{"resident bytes", func(s sample) int64 { return s.resident }, 16 << 20},
	} {
		before, after := median(second, q.value), median(last, q.value)
		most := before + before/10 + q.slack
		fmt.Printf("%s: median of the second quarter %d, of the last %d, which may be %d\n", q.name, before, after, most)
		if after > most {
			errs = append(errs, fmt.Errorf("%s grow: from %d to %d", q.name, before, after))
		}
	}
	return errors.Join(errs...)
}

func median(samples []sample, value func(sample) int64) int64 {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
