package server

import (
	"testing"
	"time"
)

// TestPauseOf is of rooms that are too large to fill in a test of the server.
func TestPauseOf(t *testing.T) {
	t.Parallel()
	for members, want := range map[int]time.Duration{
		2: 300 * time.Microsecond, 333: 49_950 * time.Microsecond, 334: 50 * time.Millisecond, 100_000: 50 * time.Millisecond,
	} {
		if got := pauseOf(members); got != want {
			t.Errorf("%d members: %s, want %s", members, got, want)
		}
	}
}
