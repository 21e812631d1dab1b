// Package pgtest gives tests a PostgreSQL of their own: a throw-away cluster made with the installed binaries, durable
// like a real one (fsync is on), that can be stopped, killed and frozen.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	poll         = 20 * time.Millisecond
	dirPrefix    = "pgtest-"
)

// Settings are lines of postgresql.conf, such as "max_connections": "20".
type Settings map[string]string

// Cluster is one PostgreSQL server with its data directory. Its methods must not be called concurrently.
type Cluster struct {
	bin      string
	dir      string // holds the socket and the log
	data     string // by default in dir
	port     int
	settings Settings
	cred     *syscall.Credential // nil unless we are root, which PostgreSQL refuses to run as

	cmd    *exec.Cmd     // nil while stopped
	exited chan struct{} // closed when cmd has ended
	frozen []int         // the processes, while paused
}

// Start makes a cluster in a temporary directory and starts it. It must be closed.
func Start(settings Settings) (*Cluster, error) { return StartAt("", settings) }

// StartAt is Start with the data in a directory that it makes, and that stays when the cluster is closed; the directory
// above it must exist. "" is one in the temporary directory.
func StartAt(data string, settings Settings) (_ *Cluster, err error) {
	sweep()
	c := &Cluster{data: data, settings: settings}
	if c.bin, err = binDir(); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if c.cred, err = credentials("postgres"); err != nil {
			return nil, err
		}
	}
	// The name tells sweep who owned the directory.
	if c.dir, err = os.MkdirTemp("", dirPrefix+strconv.Itoa(os.Getpid())+"-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.cred != nil {
		if err := os.Chown(c.dir, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if c.data == "" {
		c.data = filepath.Join(c.dir, "data")
	}
	if err := os.Mkdir(c.data, 0o700); err != nil {
		return nil, err
	}
	if c.cred != nil {
		if err := os.Chown(c.data, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(c.bin, "initdb"), "-D", c.data, "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	initdb.Dir = c.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if c.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := c.Restart(); err != nil {
		return nil, err
	}
	return c, nil
}

// New starts a cluster that is closed when the test ends.
func New(tb testing.TB, settings Settings) *Cluster {
	tb.Helper()
	return NewAt(tb, "", settings)
}

// NewAt is New with the data in a directory of the caller's, as StartAt has it.
func NewAt(tb testing.TB, data string, settings Settings) *Cluster {
	tb.Helper()
	c, err := StartAt(data, settings)
	if err != nil {
		tb.Fatalf("start PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close PostgreSQL: %v", err)
		}
	})
	return c
}

// URL is the address of a database of the cluster; "postgres" always exists. It stays the same across restarts.
func (c *Cluster) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
	}
	return u.String()
}

// Restart starts the server again, on the same data and port, and waits until it answers. If it runs, it is stopped
// first.
func (c *Cluster) Restart() error {
	if c.cmd != nil {
		if err := c.Stop(Fast); err != nil {
			return err
		}
	}
	args := []string{
		"-D", c.data, "-p", strconv.Itoa(c.port), "-k", c.dir,
		"-c", "listen_addresses=127.0.0.1",
		"-c", "fsync=on",
		"-c", "max_connections=200",
		"-c", "shared_buffers=128MB",
		"-c", "log_checkpoints=off",
	}
	for _, k := range sortedKeys(c.settings) {
		args = append(args, "-c", k+"="+c.settings[k])
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()

	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...)
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttr(c.cred)
	exited := make(chan struct{})
	started := make(chan error)
	go func() {
		// The child is told of the death of the thread that started it, not of the process; so that thread stays, in
		// this goroutine, as long as the child does.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in the log
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	c.cmd, c.exited = cmd, exited
	if err := c.ready(); err != nil {
		return errors.Join(err, c.Stop(Immediate))
	}
	return nil
}

// ready waits until the server answers.
func (c *Cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return fmt.Errorf("server ended while it started:\n%s", c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("server does not answer: %w\n%s", err, c.logTail())
		case <-time.After(poll):
		}
	}
}

// StopMode is how a server is asked to stop, as in pg_ctl.
type StopMode int

// Smart waits until the clients have left, Fast rolls back what they do, Immediate lets the next start recover.
const (
	Smart StopMode = iota
	Fast
	Immediate
)

// Stop stops the server and waits until it has. With Smart that is when the last client has left.
func (c *Cluster) Stop(mode StopMode) error {
	sig, ok := map[StopMode]os.Signal{Smart: syscall.SIGTERM, Fast: syscall.SIGINT, Immediate: syscall.SIGQUIT}[mode]
	if !ok {
		return fmt.Errorf("unknown stop mode %d", mode)
	}
	if c.cmd == nil {
		return nil
	}
	if err := c.Continue(); err != nil {
		return err
	}
	_ = c.cmd.Process.Signal(sig) // it may just have ended by itself
	select {
	case <-c.exited:
		c.cmd = nil
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("server did not stop:\n%s", c.logTail()), c.Kill())
	}
}

// Kill ends all processes of the server at once with SIGKILL, as the kernel does when memory runs out, and waits until
// they are gone. What was acknowledged is on disk, as far as the operating system is concerned; for what the disk
// itself would lose, power has to fail.
func (c *Cluster) Kill() error {
	if c.cmd == nil {
		return nil
	}
	pid := c.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it forks no more
	pids, err := childrenOf(pid)
	if err != nil {
		return err
	}
	for _, child := range pids {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	<-c.exited
	c.cmd, c.frozen = nil, nil
	// The next server refuses to start while one of them is attached to the shared memory.
	deadline := time.After(stopTimeout)
	for slices.ContainsFunc(pids, alive) {
		select {
		case <-deadline:
			return errors.New("killed processes do not go away")
		case <-time.After(poll):
		}
	}
	return nil
}

// Pause freezes all processes of the server: connections stay open and nobody answers.
func (c *Cluster) Pause() error {
	if c.cmd == nil {
		return errors.New("server is not running")
	}
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // first, so that it forks no more
		return err
	}
	pids, err := childrenOf(pid)
	if err != nil {
		return err
	}
	for _, child := range pids {
		_ = syscall.Kill(child, syscall.SIGSTOP)
	}
	c.frozen = slices.Concat(pids, []int{pid})
	return nil
}

// Continue ends Pause. On a server that is not paused it does nothing.
func (c *Cluster) Continue() error {
	for _, pid := range c.frozen {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	c.frozen = nil
	return nil
}

// Close kills the server and removes its directory.
func (c *Cluster) Close() error {
	err := c.Kill()
	return errors.Join(err, os.RemoveAll(c.dir))
}

// Log is what the server has logged, for a test that looks for something.
func (c *Cluster) Log() (string, error) {
	b, err := os.ReadFile(c.logFile())
	return string(b), err
}

func (c *Cluster) logFile() string { return filepath.Join(c.dir, "log") }

func (c *Cluster) logTail() string {
	log, err := c.Log()
	if err != nil {
		return err.Error()
	}
	const tail = 2000
	return log[max(0, len(log)-tail):]
}

// binDir finds the newest PostgreSQL that has a server.
func binDir() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's; other systems have it in PATH
	if err != nil {
		return "", err
	}
	major := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	sort.Slice(dirs, func(i, k int) bool { return major(dirs[i]) > major(dirs[k]) })
	dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	for _, dir := range dirs {
		if isExecutable(filepath.Join(dir, "initdb")) && isExecutable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server in /usr/lib/postgresql/*/bin or PATH: " +
		"apt-get install postgresql, or set TEST_DATABASE_URL to a server where databases may be created")
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func credentials(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other user for it: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func sortedKeys(m Settings) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sweep removes, once a process, what processes that were killed have left behind.
var sweep = sync.OnceFunc(func() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if pid, err := strconv.Atoi(owner); err == nil && !alive(pid) {
			_ = os.RemoveAll(dir)
		}
	}
})
