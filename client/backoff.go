package client

import (
	"math/rand/v2"
	"time"
)

// backoff is the pause before another try: exponential with full jitter, so that clients who failed together do not
// return together (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
type backoff struct {
	min, max time.Duration
	failures int // in a row
}

// next counts a failure and returns how long to wait: evenly from 0 to min, doubled for each failure before, up to max.
func (b *backoff) next() time.Duration {
	limit := b.max
	if b.failures < 32 && b.min<<b.failures > 0 {
		limit = min(limit, b.min<<b.failures)
	}
	b.failures++
	return rand.N(limit + 1)
}

func (b *backoff) reset() { b.failures = 0 }
