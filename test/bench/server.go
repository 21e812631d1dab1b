package main

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
	"strconv"
	"strings"
	"syscall"
)

// server is a collaboard server in a process of its own.
type server struct {
	addr     string
	profiles string // their URL
	cmd      *exec.Cmd
	logged   chan struct{} // closed when its log has ended
}

func (b *bench) serve(ctx context.Context, store string) (*server, error) {
	cmd := exec.CommandContext(ctx, b.binary, "serve", "--addr", "127.0.0.1:0", "--store", store, "--log-format", "json",
		"--debug-addr", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, logged: make(chan struct{})}
	log := bufio.NewScanner(stderr)
	for log.Scan() {
		var record struct {
			Msg  string `json:"msg"`
			Addr string `json:"addr"`
			URL  string `json:"url"` // of the profiles
		}
		if json.Unmarshal(log.Bytes(), &record) == nil && record.URL != "" {
			s.profiles = record.URL
			continue
		}
		if json.Unmarshal(log.Bytes(), &record) == nil && record.Msg == "listening" {
			s.addr = record.Addr
			break
		}
		fmt.Fprintln(os.Stderr, log.Text())
	}
	if s.addr == "" {
		return nil, errors.Join(errors.New("the server did not start"), cmd.Wait())
	}
	go func() {
		defer close(s.logged)
		_, _ = io.Copy(io.Discard, stderr)
	}()
	return s, nil
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.logged
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

// memory is what a server has of it, in bytes.
type memory struct {
	live     int64 // heap and stacks, after a collection
	resident int64 // of the process, before that
}

func (s *server) memory(ctx context.Context) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	if m.resident, err = field(status, "VmRSS:"); err != nil {
		return m, err
	}
	m.resident <<= 10
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.profiles+"heap?gc=1&debug=1", nil)
	if err != nil {
		return m, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return m, err
	}
	defer res.Body.Close()
	stats, err := io.ReadAll(res.Body)
	if err != nil {
		return m, err
	}
	for _, name := range []string{"# HeapAlloc =", "# Stack ="} {
		bytes, err := field(stats, name)
		if err != nil {
			return m, err
		}
		m.live += bytes
	}
	return m, nil
}

// field is the number behind the name, at the beginning of a line.
func field(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %q", name)
}

// bare is this program as a server that is measured beside Collaboard.
type bare struct {
	addr  string
	cmd   *exec.Cmd
	input io.Closer // it serves until this is closed
}

func (b *bench) startBare(ctx context.Context, args ...string) (*bare, error) {
	s := &bare{cmd: exec.CommandContext(ctx, b.self, args...)}
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.input = stdin
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%v: %w", args, err), s.stop())
	}
	s.addr = strings.TrimSpace(addr)
	return s, nil
}

func (s *bare) stop() error { return errors.Join(s.input.Close(), s.cmd.Wait()) }
