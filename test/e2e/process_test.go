// Package e2e runs the real binary as its users do: as processes that are killed, stopped and doubled.
package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/test/pgtest"
)

// patience bounds waiting for what must come; only a test that fails waits for so long.
const patience = 60 * time.Second

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "collaboard-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "collaboard")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/collaboard-io/collaboard/cmd/collaboard").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	pgtest.Main(m) // exits; the directory is in the system's temporary one
}

// process is a running server.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	wait func() error
}

// start runs the server and waits until it listens. An addr with port 0 takes a free one.
func start(t *testing.T, addr, store string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, "serve", "--addr", addr, "--store", store, "--log-format", "json",
		"--snapshot-every", "50")}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	logged := make(chan struct{})
	var lines []string
	go func() {
		defer close(logged)
		scanner := bufio.NewScanner(stderr)
		for scanner.Scan() {
			lines = append(lines, scanner.Text())
			var record struct{ Msg, Addr string }
			if json.Unmarshal(scanner.Bytes(), &record) == nil && record.Msg == "listening" {
				listening <- record.Addr
			}
		}
	}()
	p.wait = sync.OnceValue(func() error {
		<-logged
		return p.cmd.Wait()
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.wait()
		if t.Failed() {
			for _, line := range lines {
				t.Log(line)
			}
		}
	})
	select {
	case p.addr = <-listening:
	case <-logged:
		t.Fatalf("server ended: %v: %v", p.wait(), lines)
	case <-time.After(patience):
		t.Fatal("server does not listen")
	}
	return p
}

// kill is SIGKILL: the process has no chance to do anything.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.wait()
}

// terminate is SIGTERM; it returns how the process ended.
func (p *process) terminate() error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// onBothStores gives the test a --store value for each engine.
func onBothStores(t *testing.T, test func(t *testing.T, store string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "collaboard.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Database(t))
	})
}
