package sqlite_test

import (
	"testing"

	"github.com/collaboard-io/collaboard/persistence/checkup"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

func TestFileSystems(t *testing.T) {
	t.Parallel()
	for magic, want := range map[uint32]checkup.Check{
		0x6969:     {Level: checkup.Warn, Found: "nfs"},
		0xff534d42: {Level: checkup.Warn, Found: "cifs"},
		0x01021994: {Level: checkup.Fail, Found: "tmpfs"},
		0xef53:     {Level: checkup.OK, Found: "a local disk's (type 0xef53)"},
	} {
		var checks checkup.Checks
		sqlite.JudgeFileSystem(magic, &checks)
		if c := checks.All[0]; c.Level != want.Level || c.Found != want.Found || (c.Advice == "") != (want.Level == checkup.OK) {
			t.Errorf("%#x: %+v", magic, c)
		}
	}
}

func TestFreeSpace(t *testing.T) {
	t.Parallel()
	for free, want := range map[uint64]checkup.Level{0: checkup.Fail, 63 << 20: checkup.Fail, 64 << 20: checkup.Warn, 1 << 30: checkup.OK} {
		var checks checkup.Checks
		sqlite.JudgeSpace(free, &checks)
		if c := checks.All[0]; c.Level != want {
			t.Errorf("%d bytes: %+v", free, c)
		}
	}
}
