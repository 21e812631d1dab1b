package sqlite

import (
	"golang.org/x/sys/unix"

	"github.com/collaboard-io/collaboard/persistence/checkup"
)

func checkFileSystem(dir string, checks *checkup.Checks) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		checks.Fail("file system", "cannot be asked: "+err.Error(), "")
		return
	}
	judgeFileSystem(uint32(fs.Type), checks) // the number has 32 bits, whatever the field has
	judgeSpace(fs.Bavail*uint64(fs.Bsize), checks)
}
