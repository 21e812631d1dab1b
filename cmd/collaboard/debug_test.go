package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// TestWaitsAreRecordedOnlyWhileAskedFor has goroutines wait for each other before, while and after a profile is taken.
func TestWaitsAreRecordedOnlyWhileAskedFor(t *testing.T) { //nolint:tparallel // both see what the other's goroutines do
	t.Parallel()
	for _, profile := range []string{"mutex", "block"} {
		t.Run(profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				contend(unrecorded)
				res := httptest.NewRecorder()
				served := make(chan struct{})
				go func() {
					defer close(served)
					profiles().ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/"+profile+"?seconds=1", http.NoBody))
				}()
				synctest.Wait()
				for before := waits(t, profile, ".recording"); waits(t, profile, ".recording") == before; {
					contend(recording)
				}
				<-served
				contend(unrecorded)

				unpacked, err := gzip.NewReader(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(unpacked)
				if err != nil || !bytes.Contains(body, []byte(".recording")) {
					t.Errorf("served is %q, %v", body, err)
				}
				if all := waits(t, profile, ".unrecorded"); all != "" {
					t.Errorf("recorded is %s", all)
				}
			})
		})
	}
}

// waits returns what was recorded of the function, from the beginning.
func waits(t *testing.T, profile, function string) string {
	t.Helper()
	var all strings.Builder
	if err := pprof.Lookup(profile).WriteTo(&all, 1); err != nil {
		t.Fatal(err)
	}
	of := slices.DeleteFunc(strings.Split(all.String(), "\n\n"), func(wait string) bool { return !strings.Contains(wait, function) })
	return strings.Join(of, "")
}

// contend has two goroutines wait for each other's lock, as good as always.
func contend(each func(*sync.Mutex)) {
	var mu sync.Mutex
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 10_000 {
				each(&mu)
			}
		})
	}
	both.Wait()
}

func recording(mu *sync.Mutex) {
	mu.Lock()
	runtime.Gosched()
	mu.Unlock()
}

func unrecorded(mu *sync.Mutex) {
	mu.Lock()
	runtime.Gosched()
	mu.Unlock()
}
