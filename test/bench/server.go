package main

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

// server is a collaboard server in a process of its own.
type server struct {
	addr   string
	cmd    *exec.Cmd
	logged chan struct{} // closed when its log has ended
}

func (b *bench) serve(ctx context.Context, store string) (*server, error) {
	cmd := exec.CommandContext(ctx, b.binary, "serve", "--addr", "127.0.0.1:0", "--store", store, "--log-format", "json")
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
