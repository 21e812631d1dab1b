package main

import (
	"context"
	"fmt"
	"sync"
)

// tally counts, by name, and lets others wait for a count.
type tally struct {
	mu      sync.Mutex
	counts  map[string]uint64
	changed chan struct{} // closed, and made anew, at each change
}

func newTally() *tally {
	return &tally{counts: map[string]uint64{}, changed: make(chan struct{})}
}

func (t *tally) add(name string, n uint64) { t.set(name, func(c uint64) uint64 { return c + n }) }

// raise makes the count at least n.
func (t *tally) raise(name string, n uint64) {
	t.set(name, func(c uint64) uint64 { return max(c, n) })
}

func (t *tally) set(name string, f func(uint64) uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[name] = f(t.counts[name])
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tally) get(name string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[name]
}

// wait returns once the count of name is at least n.
func (t *tally) wait(ctx context.Context, name string, n uint64) error {
	for {
		t.mu.Lock()
		have, changed := t.counts[name], t.changed
		t.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s is at %d, not at %d: %w", name, have, n, context.Cause(ctx))
		}
	}
}
