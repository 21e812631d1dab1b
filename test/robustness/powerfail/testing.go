package powerfail

import (
	"errors"
	"os"
	"testing"
)

// NoFUSE is the environment variable that, set to 1, says that tests may go without.
const NoFUSE = "COLLABOARD_NO_FUSE"

// New mounts a file system for one test, which every user can reach, and unmounts it when the test ends. Where that
// cannot be done the test fails, or, if NoFUSE says so, is skipped.
func New(tb testing.TB) *FS {
	tb.Helper()
	dir, err := os.MkdirTemp("", "powerfail-") //nolint:usetesting // other users cannot reach the one of tb
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			tb.Error(err)
		}
	})
	fs, err := Mount(dir)
	if _, unavailable := errors.AsType[*UnavailableError](err); unavailable && os.Getenv(NoFUSE) == "1" {
		tb.Skipf("%s=1: WITHOUT this test of lost power: %v", NoFUSE, err)
	}
	if err != nil {
		tb.Fatalf("%v\nset %s=1 to go without the tests that need it", err, NoFUSE)
	}
	tb.Cleanup(func() {
		if err := fs.Close(); err != nil {
			tb.Error(err)
		}
	})
	return fs
}
