// Package checkup is how the engines say whether a database is fit to be relied on: a list of checks, each with what was
// found and what to do about it.
package checkup

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Level is how a check came out.
type Level string

// Levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // a server runs, but somebody should know
	Fail Level = "fail" // a server does not run, or its promise is void
)

// Check is one line of a checkup.
type Check struct {
	Name   string `json:"name"`
	Level  Level  `json:"level"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what to do, for who is not content with what was found
}

// Checks is a checkup. Its zero value is one that has just begun. It is for one goroutine.
type Checks struct{ All []Check }

// OK adds a check that all is well with.
func (c *Checks) OK(name, found string) { c.add(name, OK, found, "") }

// Warn adds a check with a caveat.
func (c *Checks) Warn(name, found, advice string) { c.add(name, Warn, found, advice) }

// Fail adds a check that did not pass.
func (c *Checks) Fail(name, found, advice string) { c.add(name, Fail, found, advice) }

func (c *Checks) add(name string, l Level, found, advice string) {
	c.All = append(c.All, Check{Name: name, Level: l, Found: found, Advice: advice})
}

// Failed reports whether a check did not pass.
func (c *Checks) Failed() bool {
	return slices.ContainsFunc(c.All, func(c Check) bool { return c.Level == Fail })
}

// Schema adds what comes of the schema's version in the database, 0 for none, and the newest that the program knows.
func (c *Checks) Schema(database, program int64) {
	const name = "schema"
	switch {
	case database == program:
		c.OK(name, fmt.Sprintf("version %d, which is this program's", database))
	case database == 0:
		c.Warn(name, "there is none yet", "the first server makes it; if there should be boards, it is another database")
	case database < program:
		c.Warn(name, fmt.Sprintf("version %d, and this program's is %d", database, program),
			"the first server of this version migrates it: have a backup")
	default:
		c.Fail(name, fmt.Sprintf("version %d, and this program knows only up to %d", database, program), "use a newer program")
	}
}

// How a measurement is bounded: whichever comes first.
const (
	samples      = 100
	sampleBudget = 2 * time.Second
)

// Latencies is how long something took each time, in ascending order.
type Latencies []time.Duration

// Measure runs fn again and again, for two seconds at most unless the first run takes longer.
func Measure(ctx context.Context, fn func(context.Context) error) (Latencies, error) {
	var all Latencies
	for end := time.Now().Add(sampleBudget); len(all) < samples && (len(all) == 0 || time.Now().Before(end)); {
		begin := time.Now()
		if err := fn(ctx); err != nil {
			return nil, err
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all, nil
}

// Median is the middle one.
func (l Latencies) Median() time.Duration { return l[len(l)/2] }

func (l Latencies) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s of %d", round(l.Median()), round(l[len(l)*99/100]), round(l[len(l)-1]), len(l))
}

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}

const (
	// tooFast is well below what any disk needs to keep what it was given.
	tooFast = 20 * time.Microsecond
	// tooSlow is what a disk needs that turns slowly and is busy: 50 commits a second.
	tooSlow = 20 * time.Millisecond
)

// Flush adds how long it takes to bring bytes to disk, of which the median is flush.
func (c *Checks) Flush(name, found string, flush time.Duration) {
	switch {
	case flush < tooFast:
		c.Warn(name, found+": too fast to be true", "no disk is that fast: it is memory, or a cache that says that it has written "+
			"what it has not; without a battery behind it, acknowledged frames are lost when power fails")
	case flush > tooSlow:
		c.Warn(name, found+": slow", "each commit takes that long, and every sender waits for one: a faster disk, or one of its own")
	default:
		c.OK(name, found)
	}
}
