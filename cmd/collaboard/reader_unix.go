//go:build unix

package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// awaitNoReader returns when nobody will ever read what is written to the pipe or terminal w, or when ctx ends. A write
// would tell, too, but there may be nothing to write for long.
func awaitNoReader(ctx context.Context, w *os.File) {
	const interval = 500 * time.Millisecond // in which ctx is looked at
	fds := []unix.PollFd{{Fd: int32(w.Fd())}}
	for ctx.Err() == nil {
		n, err := unix.Poll(fds, int(interval.Milliseconds()))
		if n > 0 && err == nil { // an error of the descriptor is all that it was asked for
			return
		}
	}
}
