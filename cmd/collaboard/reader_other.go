//go:build !unix

package main

import (
	"context"
	"os"
)

// awaitNoReader waits for ctx alone: the next write will tell.
func awaitNoReader(ctx context.Context, _ *os.File) { <-ctx.Done() }
