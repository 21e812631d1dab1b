// Package process runs a collaboard server for the benchmarks, in a process of its own.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Server is one that listens on loopback.
type Server struct {
	Addr string

	cmd      *exec.Cmd
	profiles string        // the URL of its profiles, where it was asked to serve them
	logged   chan struct{} // closed when its log has ended
}

// Build builds the program in dir, and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "collaboard")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "github.com/collaboard-io/collaboard/cmd/collaboard")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
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
			s.profiles = record.URL
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

// Profile asks a server with --debug-addr for a profile, as in "heap?gc=1".
func (s *Server) Profile(ctx context.Context, query string) (body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.profiles+query, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", query, body)
	}
	return body, err
}

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
