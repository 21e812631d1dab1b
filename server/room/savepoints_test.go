package room_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

func (w *world) wantSavepoints(want ...persistence.Seq) {
	w.t.Helper()
	all, err := w.store.Savepoints(context.Background(), w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	got := []persistence.Seq{}
	for _, p := range all {
		got = append(got, p.Seq)
		if p.Name != "" || p.By != "" {
			w.t.Errorf("the savepoint at %d is called %q by %q", p.Seq, p.Name, p.By)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("savepoints at %v, want %v", got, want)
	}
}

// TestSavepointBeforeEachPause: where a board is changed again after a long time, what it was meanwhile is noted; by every
// server that sees it, and once; also where the store was away just then, and where the room was loaded meanwhile.
func TestSavepointBeforeEachPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := room.Config{PollInterval: time.Second, SnapshotInterval: time.Second, IdleTimeout: time.Minute, SavepointPause: 10 * time.Minute}
		w := newWorld(t, cfg)
		other := w.newHub(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		for _, h := range []*room.Hub{w.hub, other} {
			go func() { _ = h.Run(ctx) }()
		}
		defer synctest.Wait()
		defer cancel()
		settle := func() {
			time.Sleep(3 * time.Second) //nolint:forbidigo // moves the bubble's clock
			synctest.Wait()
		}
		r, elsewhere := w.acquire(w.hub), w.acquire(other)
		w.join(elsewhere, nil)
		w.write(r, 1) // the first frame ends no pause
		w.at = w.at.Add(10*time.Minute - time.Microsecond)
		w.write(r, 1)
		settle()
		w.wantSavepoints()
		w.at = w.at.Add(10 * time.Minute)
		w.store.set(func() {
			w.store.failPut = func(context.Context, persistence.BoardID) error { return &persistence.UnavailableError{} }
		})
		w.write(r, 1)
		settle()
		w.wantSavepoints()
		w.store.set(func() { w.store.failPut = nil })
		settle()
		w.wantSavepoints(2)
		r.Release()
		elsewhere.Release()
		time.Sleep(3 * time.Minute) //nolint:forbidigo // moves the bubble's clock: the first server unloads it
		w.at = w.at.Add(time.Hour)
		r = w.acquire(w.hub)
		w.write(r, 1)
		settle()
		w.wantSavepoints(3, 2)
		r.Release()
	})
}
