//go:build !linux

package sqlite

import (
	"runtime"

	"github.com/collaboard-io/collaboard/persistence/checkup"
)

func checkFileSystem(_ string, checks *checkup.Checks) {
	checks.Warn("file system", "not looked at on "+runtime.GOOS, "it must be local, on a disk, and have free space")
}
