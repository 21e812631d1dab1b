// Robustness breaks a real server in every way that it knows, while real clients use it, records what each of them did
// and saw, and checks the record against the guarantees that are promised.
//
//	make robustness DURATION=10m SEED=7
//	go run ./test/robustness check build/robustness/sqlite-7/history.jsonl
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

type program struct {
	Run   runCmd   `cmd:"" default:"withargs" help:"Break servers for a while. This is what it does by itself."`
	Soak  soakCmd  `cmd:"" help:"Let a server work for long, and see that it does not grow."`
	Check checkCmd `cmd:"" help:"Check a history again."`
}

type runCmd struct {
	Stores   []string      `default:"sqlite,postgres" enum:"sqlite,postgres" help:"What to run on, in turns."`
	Duration time.Duration `default:"2m" help:"How long; the round that is under way then is finished."`
	Seed     uint64        `help:"Of the first round; each other one has the next. Without one it is drawn."`
	Cycles   int           `default:"12" help:"Things to break in a round, one after the other."`
	Dir      string        `default:"build/robustness" type:"path" help:"Where rounds leave their history and logs; those without a violation are removed."`
	NoDisk   bool          `env:"COLLABOARD_NO_FUSE" help:"Use the machine's own disk only, where there is no FUSE, or no root; then power does not fail."`
	Keep     bool          `help:"Keep what rounds without a violation leave, too."`
	Binary   string        `type:"path" help:"The server to break; it is built when none is named."`
}

type checkCmd struct {
	File string `arg:"" type:"existingfile" help:"A history.jsonl."`
}

func main() {
	if servesSQLite() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second one ends it at once, should what it started not go away
	k := kong.Parse(&program{}, kong.Name("robustness"), kong.Description("Break a server, and check what it promised."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	k.FatalIfErrorf(k.Run())
}

// Run is called by kong.
func (c *checkCmd) Run() error {
	events, err := history.Read(c.File)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return fmt.Errorf("%s is empty: there is nothing to judge", c.File)
	}
	summary, violations := check.Report(events)
	fmt.Println(summary)
	return complain(violations)
}

func complain(violations []check.Violation) error {
	for _, v := range violations {
		fmt.Println("VIOLATION", v)
	}
	if len(violations) > 0 {
		return fmt.Errorf("%d violations", len(violations))
	}
	return nil
}

// Run is called by kong.
func (c *runCmd) Run(ctx context.Context) error {
	binary := c.Binary
	if binary == "" {
		binary = filepath.Join(c.Dir, "collaboard")
		if err := build(ctx, binary); err != nil {
			return err
		}
	}
	seed := c.Seed
	if seed == 0 {
		seed = uint64(rand.Uint32())
	}
	first, began := seed, time.Now()
	crashes, cycles, rounds := 0, 0, 0
	faults := map[string]int{}
	for ; time.Since(began) < c.Duration && ctx.Err() == nil; seed++ {
		for _, store := range c.Stores {
			round := config{
				Binary: binary, Dir: filepath.Join(c.Dir, fmt.Sprintf("%s-%d", store, seed)), Store: store, Seed: seed, Cycles: c.Cycles,
				Disk: !c.NoDisk, Second: twoServers(seed), Args: tight(seed), Trim: trims(seed),
				Say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
			}
			r, err := play(ctx, round)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if r != nil {
				fmt.Printf("%s, seed %d: %d cycles, %d crashes in %s: %v\n", store, seed, r.Cycles, r.Crashes, r.Took.Round(time.Second), r.Checked)
				err = errors.Join(err, complain(r.Violations))
				crashes, cycles, rounds = crashes+r.Crashes, cycles+r.Cycles, rounds+1
				for name, n := range r.Faults {
					faults[name] += n
				}
			}
			if err != nil {
				return fmt.Errorf("%w\nsee %s; again: %s", err, round.Dir, round.command())
			}
			if !c.Keep {
				if err := os.RemoveAll(round.Dir); err != nil {
					return err
				}
			}
		}
	}
	fmt.Printf("no violation: %d rounds, seeds %d to %d, %d cycles, %d crashes in %s\n", rounds, first, seed-1, cycles, crashes, time.Since(began).Round(time.Second))
	fmt.Println(faultsText(faults))
	return nil
}

// build makes the server that is broken.
func build(ctx context.Context, binary string, args ...string) error {
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	args = append([]string{"build", "-o", binary}, args...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/collaboard-io/collaboard/cmd/collaboard")...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the server: %w", err)
	}
	return nil
}
