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
	"sync"
	"syscall"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// server is a collaboard server in a process of its own.
type server struct {
	addr   string
	cmd    *exec.Cmd
	logged chan struct{} // closed when its log has ended
}

// startServer starts one that lets pages of origin in.
func startServer(ctx context.Context, binary, database, origin string) (*server, error) {
	cmd := exec.CommandContext(ctx, binary, "serve", "--addr", "127.0.0.1:0", "--store", "sqlite:"+database, "--log-format", "json",
		"--allowed-origin", origin)
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

// writers is how many clients write, each as fast as its acks come: together they are faster than anybody reads.
const writers = 2

// write has clients write to a board, over native gRPC, until stop is called.
func write(ctx context.Context, addr string, t task) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	errs := make([]error, writers)
	var tasks sync.WaitGroup
	for n := range writers {
		tasks.Go(func() {
			c, err := client.Dial(addr, client.WithInsecure(), client.WithUserID(fmt.Sprintf("writer%d", n))) //nolint:contextcheck // Close ends it
			if err != nil {
				errs[n] = err
				return
			}
			defer c.Close()
			payload := &collaboardv1.Custom{Type: "bench", Data: make([]byte, t.Payload)}
			for {
				if _, err := c.Submit(ctx, t.Board, payload); err != nil {
					if ctx.Err() == nil {
						errs[n] = err
					}
					return
				}
			}
		})
	}
	return func() error {
		cancel()
		tasks.Wait()
		return errors.Join(errs...)
	}
}
