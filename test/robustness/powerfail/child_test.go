package powerfail_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"

	"github.com/collaboard-io/collaboard/test/pgtest"
)

// childEnv says which part a process plays, since what maps files must not be the process that serves them.
const childEnv = "POWERFAIL_TEST_CHILD"

func TestMain(m *testing.M) {
	part := os.Getenv(childEnv)
	if part == "" {
		pgtest.Main(m)
	}
	err := map[string]func(args []string) error{"map": mapFile, "sqlite": fillDatabase}[part](os.Args[1:])
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a process of ours that prints lines, and may be sent some.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    *os.File
	lines chan string // closed when it has ended; holds all that a test lets one print
	ended chan struct{}
}

func startChild(t *testing.T, part string, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0], args...), lines: make(chan string, 1<<16), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+part)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	check(t, err)
	stdin, in, err := os.Pipe()
	check(t, err)
	c.cmd.Stdin, c.in = stdin, in
	check(t, c.cmd.Start())
	check(t, stdin.Close())
	go func() {
		defer close(c.ended)
		defer close(c.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	t.Cleanup(c.kill)
	return c
}

// line waits for what it prints next.
func (c *child) line() string {
	c.t.Helper()
	select {
	case line, ok := <-c.lines:
		if !ok || strings.HasPrefix(line, "error:") {
			c.t.Fatalf("%v ended: %s", c.cmd.Args, line)
		}
		return line
	case <-time.After(time.Minute):
		c.t.Fatalf("%v says nothing", c.cmd.Args)
		return ""
	}
}

func (c *child) ask(question string) string {
	c.t.Helper()
	_, err := fmt.Fprintln(c.in, question)
	check(c.t, err)
	return c.line()
}

// kill ends it and waits until it is gone; what it printed before can still be read.
func (c *child) kill() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Kill()
	<-c.ended // Wait would close what has not been read
	_ = c.cmd.Wait()
	_ = c.in.Close()
}

// mapFile maps a page of a file, and then sets and gets its first byte as it is told.
func mapFile(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	fmt.Println("mapped")
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
		switch command := scanner.Text(); command {
		case "get":
			fmt.Println(string(m[:1]))
		case "sync":
			if err := unix.Msync(m, unix.MS_SYNC); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
			fmt.Println("synced")
		default:
			m[0] = command[0]
			fmt.Println("set")
		}
	}
	return nil
}

// fillDatabase checks the SQLite database and prints how many rows it has; then it inserts rows for ever, each in a
// transaction of its own, and prints their numbers.
func fillDatabase(args []string) (err error) {
	ctx := context.Background()
	uri := url.URL{Scheme: "file", Path: args[0], RawQuery: "_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(10)&_synchronous=" + args[1]}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body BLOB)"); err != nil {
		return err
	}
	var verdict string
	var rows, last int
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*), coalesce(max(id), 0) FROM t").Scan(&rows, &last); err != nil {
		return err
	}
	if verdict != "ok" || rows != last {
		return fmt.Errorf("integrity check: %s; %d rows up to %d", verdict, rows, last)
	}
	fmt.Println(rows)
	for id := rows + 1; ; id++ {
		if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (?, randomblob(1000))", id); err != nil {
			return err
		}
		fmt.Println(id)
	}
}
