// Package process runs a collaboard server for the benchmarks, in a process of its own.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Server is one that listens on loopback.
type Server struct {
	Addr     string
	Profiles string // the URL of its profiles, where it was asked to serve them

	cmd    *exec.Cmd
	logged chan struct{} // closed when its log has ended
}

// Start starts the program binary on the store, with further flags of its command serve.
func Start(ctx context.Context, binary, store string, flags ...string) (*Server, error) {
	args := append([]string{"serve", "--addr", "127.0.0.1:0", "--store", store, "--log-format", "json"}, flags...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{cmd: cmd, logged: make(chan struct{})}
	log := bufio.NewScanner(stderr)
	for s.Addr == "" && log.Scan() {
		var record struct {
			Msg  string `json:"msg"`
			Addr string `json:"addr"`
			URL  string `json:"url"`
		}
		switch err := json.Unmarshal(log.Bytes(), &record); {
		case err == nil && record.Msg == "serving profiles":
			s.Profiles = record.URL
		case err == nil && record.Msg == "listening":
			s.Addr = record.Addr
		default:
			fmt.Fprintln(os.Stderr, log.Text())
		}
	}
	if s.Addr == "" {
		return nil, errors.Join(errors.New("the server did not start"), cmd.Wait())
	}
	go func() {
		defer close(s.logged)
		_, _ = io.Copy(io.Discard, stderr)
	}()
	return s, nil
}

// Pid is the id of its process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop has it drain, and waits for its end.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.logged
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}
