package sqlite

import (
	"fmt"

	"github.com/collaboard-io/collaboard/persistence/checkup"
)

const (
	onNetwork = "WAL needs locks and shared memory of one machine: take a local disk"
	inMemory  = "everything is gone when the machine restarts: take a disk"
	unknown   = "if it is a network's, WAL does not work on it"
	layered   = "in a container everything is gone with it: take a volume"
)

// fileSystems are those that need a word, by the number that Linux has for them in statfs(2).
//
//nolint:gochecknoglobals // a constant
var fileSystems = map[uint32]struct{ name, advice string }{
	0x00006969: {"nfs", onNetwork},
	0x0000517b: {"smb", onNetwork},
	0xfe534d42: {"smb2", onNetwork},
	0xff534d42: {"cifs", onNetwork},
	0x00c36400: {"ceph", onNetwork},
	0x5346414f: {"afs", onNetwork},
	0x73757245: {"coda", onNetwork},
	0x0000564c: {"ncp", onNetwork},
	0x7461636f: {"ocfs2", onNetwork},
	0x01161970: {"gfs2", onNetwork},
	0x01021997: {"9p", onNetwork},
	0x0bd00bd0: {"lustre", onNetwork},
	0x47504653: {"gpfs", onNetwork},
	0x786f4256: {"vboxsf", onNetwork},
	0x65735546: {"fuse", unknown},
	0x01021994: {"tmpfs", inMemory},
	0x858458f6: {"ramfs", inMemory},
	0x794c7630: {"overlay", layered},
}

// Free space below which a checkup warns and fails, in bytes.
const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
)

func judgeFileSystem(magic uint32, checks *checkup.Checks) {
	switch fs, ok := fileSystems[magic]; {
	case !ok:
		checks.OK("file system", fmt.Sprintf("a local disk's (type 0x%x)", magic))
	case fs.advice == inMemory:
		checks.Fail("file system", fs.name, fs.advice)
	default:
		checks.Warn("file system", fs.name, fs.advice)
	}
}

func judgeSpace(free uint64, checks *checkup.Checks) {
	found := fmt.Sprintf("%d MiB", free>>20)
	switch {
	case free < noSpace:
		checks.Fail("free space", found, "nothing can be stored on a full disk")
	case free < littleSpace:
		checks.Warn("free space", found, "make room before it is needed: a full disk refuses every frame")
	default:
		checks.OK("free space", found)
	}
}
