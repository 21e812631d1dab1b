package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// startPatience bounds how long a server may take to listen, its database being there.
const startPatience = 60 * time.Second

// server is the real binary, as a process that is killed, stopped, frozen and started again on one address and one
// store. Its methods must not be called concurrently.
type server struct {
	binary string
	args   []string
	addr   string
	debug  string   // URL of its profiles, if it serves them
	log    *os.File // what it said on stderr, of all its lives

	cmd    *exec.Cmd // nil while it does not run
	exited chan error
}

// newServer prepares a server that logs to a file in dir. args are those of serve, besides the address.
func newServer(binary, dir, name string, args ...string) (*server, error) {
	log, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &server{binary: binary, args: args, addr: "127.0.0.1:0", log: log}, nil
}

// start runs the server, and returns once it listens. The address that it was given first stays its own.
func (s *server) start() error {
	// Boards have snapshots soon, so that most lives of a server load from them.
	args := append([]string{"serve", "--addr", s.addr, "--log-format", "json", "--snapshot-every", "50"}, s.args...)
	cmd := exec.Command(s.binary, args...)
	// Whoever runs this may be killed: its server should not stay behind.
	cmd.SysProcAttr = childAttr()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := startOnThread(cmd); err != nil {
		return err
	}
	listening := make(chan string, 1)
	s.cmd, s.exited = cmd, make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(stderr)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			fmt.Fprintf(s.log, "%s\n", scanner.Bytes())
			var record struct {
				Msg  string `json:"msg"`
				Addr string `json:"addr"`
				URL  string `json:"url"`
			}
			switch {
			case json.Unmarshal(scanner.Bytes(), &record) != nil:
			case record.Msg == "listening":
				listening <- record.Addr
			case record.Msg == "serving profiles":
				s.debug = record.URL
			}
		}
		s.exited <- cmd.Wait()
	}()
	select {
	case s.addr = <-listening:
		return nil
	case err := <-s.exited:
		s.cmd = nil
		return fmt.Errorf("the server ended while it started: %w; see %s", err, s.log.Name())
	case <-time.After(startPatience):
		return errors.Join(fmt.Errorf("the server does not listen; see %s", s.log.Name()), s.kill())
	}
}

// starter runs functions on one thread; see startOnThread.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// startOnThread starts a process from a thread that lives as long as this program does: Linux sends the death signal
// when the thread ends that started the process.
func startOnThread(cmd *exec.Cmd) error {
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// kill is SIGKILL: the process has no chance to do anything. It returns when it is gone.
func (s *server) kill() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.exited //nolint:errcheck // it ended as it was told
	s.cmd = nil
	return nil
}

// terminate is SIGTERM. It fails unless the server ends with exit code 0.
func (s *server) terminate() error {
	if err := s.signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-s.exited
	s.cmd = nil
	if err != nil {
		return fmt.Errorf("the server did not end well after SIGTERM: %w", err)
	}
	return nil
}

// signal also serves to freeze it (SIGSTOP) and to let it go on (SIGCONT).
func (s *server) signal(sig syscall.Signal) error {
	if s.cmd == nil {
		return errors.New("the server does not run")
	}
	return s.cmd.Process.Signal(sig)
}

// ended tells whether the server has ended by itself, and how.
func (s *server) ended() error {
	if s.cmd == nil {
		return nil
	}
	select {
	case err := <-s.exited:
		s.cmd = nil
		return fmt.Errorf("the server ended by itself: %w; see %s", err, s.log.Name())
	default:
		return nil
	}
}

func (s *server) close() error { return errors.Join(s.kill(), s.log.Close()) }
