package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync"
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
	srv := &http.Server{Handler: profiles(), ReadHeaderTimeout: 10 * time.Second}
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

// profiles serves Go's own. Waits for locks and channels are recorded only while somebody asks for them, as in
// mutex?seconds=5: it would cost every server something.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	// One in ten waits for a lock is recorded, and of all waits one for each 10 µs of waiting.
	mux.Handle("/debug/pprof/mutex", recorded(pprof.Handler("mutex"), 10, func(rate int) { runtime.SetMutexProfileFraction(rate) }))
	mux.Handle("/debug/pprof/block", recorded(pprof.Handler("block"), 10_000, runtime.SetBlockProfileRate))
	return mux
}

// recorded serves a profile with the rate set, to one client at a time.
func recorded(profile http.Handler, rate int, set func(rate int)) http.Handler {
	var serving sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Lock()
		defer serving.Unlock()
		set(rate)
		defer set(0)
		profile.ServeHTTP(w, r)
	})
}
