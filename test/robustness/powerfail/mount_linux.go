package powerfail

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	sourcePrefix = "powerfail-" // and the process that serves it
	maxWrite     = 1 << 20      // bytes in one request
)

// mounted is what serves the mount; nil while there is none.
type mounted struct{ served chan struct{} }

// attach mounts and serves. It makes the mount itself rather than have the library do so, which would hand /dev/fuse
// down to the processes that we start: the mount would then hang, not end, when we are killed.
func (fs *FS) attach() error {
	sweep()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &UnavailableError{Err: fmt.Errorf("open /dev/fuse: %w", err)}
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other,default_permissions,max_read=%d", fd, dirMode, maxWrite)
	source := sourcePrefix + strconv.Itoa(os.Getpid())
	if err := unix.Mount(source, fs.dir, "fuse.powerfail", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
			err = &UnavailableError{Err: err}
		}
		return err
	}
	server, err := fuse.NewServer(&requests{RawFileSystem: fuse.NewDefaultRawFileSystem(), fs: fs},
		fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
			MaxWrite: maxWrite, DisableXAttrs: true, DisableReadDirPlus: true,
		})
	if err != nil {
		return errors.Join(err, fs.abandon())
	}
	served := make(chan struct{})
	go func() {
		server.Serve()
		close(served)
	}()
	fs.mount.served = served
	return fs.refusePoll()
}

// refusePoll has the kernel learn that files here cannot be polled. Go asks of each file that it opens, in a call that
// holds the scheduler, which the answer would wait for. The name is the library's, which answers.
func (fs *FS) refusePoll() error {
	fd, err := unix.Open(filepath.Join(fs.dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return errors.Join(err, unix.Close(fd))
}

// detach unmounts. Files that processes have mapped are written out by that, as unsynced as they were.
func (fs *FS) detach() error {
	if fs.mount.served == nil {
		return errors.New("not mounted")
	}
	// Whoever has just started a process shares its files with it for a moment.
	const tries, pause = 50, 20 * time.Millisecond
	for try := 1; ; try++ {
		err := unix.Unmount(fs.dir, 0)
		if err == nil {
			break
		}
		if try == tries || !errors.Is(err, unix.EBUSY) {
			return err
		}
		<-time.After(pause)
	}
	<-fs.mount.served
	fs.mount.served = nil
	return nil
}

// abandon takes the mount away from whoever uses it, who gets ENOTCONN from then on.
func (fs *FS) abandon() error { return abandon(fs.dir) }

func abandon(dir string) error {
	return unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH)
}

// sweep removes, once a process, the mounts of processes that were killed.
var sweep = sync.OnceFunc(func() {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		owner, ours := strings.CutPrefix(fields[0], sourcePrefix)
		if pid, err := strconv.Atoi(owner); ours && err == nil && ended(pid) {
			_ = abandon(fields[1])
			_ = os.Remove(fields[1])
		}
	}
})

// ended is true of a zombie, too: one that was killed while it used its own mount waits for itself until that is taken
// away.
func ended(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ") // "pid (name) state …"
	return strings.HasPrefix(state, "Z")
}
