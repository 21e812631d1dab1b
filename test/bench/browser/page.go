package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// page is the page of web/e2e/throughput, which asks for tasks and sends results.
type page struct {
	origin  string
	srv     *http.Server
	tasks   chan task
	results chan report
}

// report is a result, or why there is none.
type report struct {
	result

	Error string `json:"error"`
}

func servePage(ctx context.Context, dir string) (*page, error) {
	if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
		return nil, fmt.Errorf("the page is not built: %w", err)
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &page{origin: "http://" + lis.Addr().String(), tasks: make(chan task), results: make(chan report)}
	mux := http.NewServeMux()
	files := http.FileServer(http.Dir(dir))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		// Its clock then has a resolution of 5 µs, where that of others has 100.
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		files.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /task", func(w http.ResponseWriter, r *http.Request) {
		select {
		case t := <-p.tasks:
			_ = json.NewEncoder(w).Encode(t)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		var got report
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Error = err.Error()
		}
		select {
		case p.results <- got:
		case <-r.Context().Done():
		}
	})
	p.srv = &http.Server{Handler: mux}
	go func() { _ = p.srv.Serve(lis) }()
	return p, nil
}

func (p *page) close() { _ = p.srv.Close() }

func (p *page) run(ctx context.Context, t task) (result, error) {
	select {
	case p.tasks <- t:
	case <-ctx.Done():
		return result{}, context.Cause(ctx)
	}
	select {
	case got := <-p.results:
		if got.Error != "" {
			return result{}, errors.New(got.Error)
		}
		return got.result, nil
	case <-ctx.Done():
		return result{}, context.Cause(ctx)
	}
}

// chromiumArgs are those of web/e2e.
var chromiumArgs = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync",
}

type chromium struct{ cmd *exec.Cmd }

func openChromium(ctx context.Context, executable, profile, url string, args []string) (*chromium, error) {
	args = append(append(append([]string{}, chromiumArgs...), "--user-data-dir="+profile), append(args, url)...)
	cmd := exec.CommandContext(ctx, executable, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return &chromium{cmd}, cmd.Start()
}

func (c *chromium) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
}
