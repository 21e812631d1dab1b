package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// serveDebug serves Go's profiles until stop is called, on a loopback address only: they show what is in memory.
func serveDebug(ctx context.Context, log *slog.Logger, addr string) (stop func(), err error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with --debug-addr", addr, innermost(err))
	}
	if !isLoopback(lis.Addr()) {
		return nil, errors.Join(usagef("--debug-addr %s: must be a loopback address, as in 127.0.0.1:6060", addr), lis.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := srv.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			log.ErrorContext(ctx, "profiles are no longer served", "error", err)
		}
	}()
	log.InfoContext(ctx, "serving profiles", "url", "http://"+lis.Addr().String()+"/debug/pprof/")
	return func() {
		_ = srv.Close()
		<-ended
	}, nil
}
