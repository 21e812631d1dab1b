package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

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
