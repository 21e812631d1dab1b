package main

import (
	"database/sql"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/test/robustness/powerfail"
)

// A backup or a restore that is ended in the middle leaves nothing that could be taken for one.
func TestBackupEndsInTheMiddle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err == nil {
		err = store.Close()
	}
	db, openErr := sql.Open("sqlite", path)
	if err = errors.Join(err, openErr); err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`CREATE TABLE ballast AS SELECT zeroblob(?) AS b`, 64<<20) // so that there is a middle
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		for name, args := range map[string][]string{
			"backup": {"backup", "new.db", "--store", "sqlite:" + path}, "restore": {"restore", path, "--store", "sqlite:new.db"},
		} {
			t.Run(name+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				p := command(t, args...)
				begun := awaitFile(t, p.cmd.Dir)
				p.start()
				begun()
				p.signal(sig)
				code := p.wait()
				if _, err := os.Lstat(filepath.Join(p.cmd.Dir, "new.db")); !os.IsNotExist(err) {
					t.Errorf("there is a file (%v)", err)
				}
				if sig == syscall.SIGKILL {
					return
				}
				if all := filesIn(t, p.cmd.Dir); len(all) > 0 || code != 1 || p.err.String() != "collaboard: interrupted\n" {
					t.Errorf("left %q, exit code %d, complained %q", all, code, p.err)
				}
			})
		}
	}
}

// A backup or a restore that says that it is done is there when the power fails right after. On a disk that is full, or that
// cannot write, there is none, and it says so.
func TestBackupOnADiskThatFails(t *testing.T) {
	t.Parallel()
	boards := storedInSQLite(t)
	d := boards.copy(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	command(t, "backup", file, "--store", d.store).run(0)
	want := heads(t, d.store)
	for name, args := range map[string]func(path string) []string{
		"backup":  func(path string) []string { return []string{"backup", path, "--store", d.store} },
		"restore": func(path string) []string { return []string{"restore", file, "--store", "sqlite:" + path} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := powerfail.New(t)
			path := filepath.Join(disk.Dir(), "new.db")
			for problem, fail := range map[string]func(){
				"no space left on device|database or disk is full": func() { disk.Limit(16 << 10) },
				"input/output error|disk I/O error":                func() { disk.FailSync(syscall.EIO, math.MaxInt) },
			} {
				fail()
				p := command(t, args(path)...)
				p.start()
				code := p.wait()
				if left := filesIn(t, disk.Dir()); code != 1 || len(left) > 0 || !regexp.MustCompile(problem).MatchString(p.err.String()) {
					t.Errorf("exit code %d, complained %q, left %q", code, p.err, left)
				}
				disk.Limit(math.MaxInt64)
				disk.FailSync(0, 0)
			}
			command(t, args(path)...).run(0)
			if err := disk.Crash(nil, 0); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, heads(t, "sqlite:"+path)); diff != "" {
				t.Errorf("after a power failure (-want +got):\n%s", diff)
			}
		})
	}
}

// awaitFile returns a function that waits until a file is made in a directory.
func awaitFile(t *testing.T, dir string) (wait func()) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { _ = events.Close() })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		err := events.SetReadDeadline(time.Now().Add(patience))
		if err == nil {
			_, err = events.Read(make([]byte, 4096))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
