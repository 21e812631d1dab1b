package persistence_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
)

// Whatever the store does and whoever submits, verify finds nothing.
func TestEveryFrameIsAnsweredOnceUnderFaults(t *testing.T) {
	cfg := persistence.CommitterConfig{Shards: 2, BatchFrames: 20, CommitTimeout: time.Minute}
	bubble(t, cfg, func(_ *testing.T, f *fixture) {
		var boards []*board
		for range 5 {
			boards = append(boards, f.board())
		}
		sometimes := func(errs ...func() error) error {
			if n := rand.N(4 * len(errs)); n < len(errs) {
				return errs[n]()
			}
			return nil
		}
		f.store.set(
			func(context.Context, []persistence.Claim) error {
				return sometimes(unavailable, contended)
			},
			func() error { return sometimes(unavailable) }, nil)
		f.start()
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for range 100 {
					fr := newFrame(boards[rand.N(len(boards))])
					f.submit(fr)
					if rand.N(10) == 0 {
						<-fr.answered
					}
				}
			})
		}
		senders.Wait()
	})
}

func TestDrainCommitsWhatIsQueued(t *testing.T) {
	bubble(t, persistence.CommitterConfig{Shards: 3, BatchFrames: 5}, func(t *testing.T, f *fixture) {
		release := f.store.hold()
		f.start()
		var frames []*frame
		for range 6 {
			frames = append(frames, f.queue(f.board(), 20)...)
		}
		f.pending(frames...)
		f.Drain()
		if err := f.trySubmit(newFrame(f.board())); !errors.Is(err, persistence.ErrDraining) {
			t.Errorf("Submit: %v", err)
		}
		release()
		f.ended()
		f.commit(frames...)
		if err := f.trySubmit(newFrame(f.board())); !errors.Is(err, persistence.ErrDraining) {
			t.Errorf("Submit after Run: %v", err)
		}
	})
}

func TestDrainOfAnIdleCommitter(t *testing.T) {
	bubble(t, persistence.CommitterConfig{Shards: 2}, func(_ *testing.T, f *fixture) {
		f.start()
		synctest.Wait()
		f.Drain()
		f.ended()
	})
}

// A contended board is waited for, although nothing else is left to do.
func TestDrainWaitsForAContendedBoard(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(_ *testing.T, f *fixture) {
		b := f.board()
		f.store.contend(b)
		f.start()
		frames := f.queue(b, 3)
		f.pending(frames...)
		f.Drain()
		f.pending(frames...)
		f.store.mend()
		f.ended()
		f.commit(frames...)
	})
}

// Whether it was known to be away before Drain or not: what is queued is refused, Run returns, and nobody is told that
// the store is back.
func TestDrainWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"known": true, "not known": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
				b := f.board()
				f.store.away()
				f.start()
				frames := f.queue(b, 3)
				f.pending(frames...)
				if !known {
					f.Drain()
				}
				f.refuse(errInjected, frames...)
				if known {
					synctest.Wait()
					f.Drain()
				}
				f.ended()
				if err := f.trySubmit(newFrame(b)); !errors.Is(err, persistence.ErrDraining) {
					t.Errorf("Submit: %v", err)
				}
				if healthy := <-f.health; healthy || len(f.health) > 0 {
					t.Errorf("health %t, and %d more", healthy, len(f.health))
				}
			})
		})
	}
}

// Draining goes on when the store is back.
func TestDrainWhileTheStoreComesBack(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		f.store.away()
		f.start()
		f.refuse(errInjected, f.queue(f.board(), 1)...)
		synctest.Wait()
		f.Drain()
		f.store.mend()
		f.ended()
		if first, second := <-f.health, <-f.health; first || !second {
			t.Errorf("health %t, then %t", first, second)
		}
	})
}

func TestCancelRefusesWhatIsQueued(t *testing.T) {
	bubble(t, persistence.CommitterConfig{Shards: 2, BatchFrames: 5}, func(t *testing.T, f *fixture) {
		f.store.set(func(ctx context.Context, _ []persistence.Claim) error {
			<-ctx.Done()
			return &persistence.UnavailableError{Err: ctx.Err()}
		}, nil, nil)
		f.start()
		var frames []*frame
		for range 4 {
			frames = append(frames, f.queue(f.board(), 10)...)
		}
		f.pending(frames...)
		f.cancel()
		f.ended()
		f.refuse(context.Canceled, frames...)
		if err := f.trySubmit(newFrame(f.board())); !errors.Is(err, persistence.ErrDraining) {
			t.Errorf("Submit to what will never run again: %v", err)
		}
	})
}

// It does not wait for the pause after a failure to end, nor for the store.
func TestCancelEndsPauses(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		f.store.away()
		f.start()
		frames := f.queue(f.board(), 2)
		f.pending(frames...)
		before := time.Now()
		f.cancel()
		f.ended()
		f.refuse(context.Canceled, frames...)
		if waited := time.Since(before); waited > 0 {
			t.Errorf("Run ended after %v", waited)
		}
	})
}

func TestHealthIsThatOfAllShards(t *testing.T) {
	bubble(t, persistence.CommitterConfig{Shards: 2}, func(t *testing.T, f *fixture) {
		var pings atomic.Int32 // that succeed
		f.store.set(
			func(context.Context, []persistence.Claim) error { return unavailable() }, nil,
			func(context.Context) error {
				if pings.Add(-1) < 0 {
					return unavailable()
				}
				return nil
			})
		first, second := f.board(), f.board()
		f.start()
		f.refuse(errInjected, f.queue(first, 1)...)
		if <-f.health {
			t.Error("healthy, although a shard cannot reach the store")
		}
		f.refuse(errInjected, f.queue(second, 1)...)

		tell := make(chan struct{})
		f.store.set(nil, nil, func(context.Context) error {
			if pings.Add(1) == 1 {
				defer close(tell)
				return nil
			}
			return unavailable()
		})
		pings.Store(0)
		<-tell
		synctest.Wait()
		one, other := f.trySubmit(newFrame(first)), f.trySubmit(newFrame(second))
		if (one == nil) == (other == nil) {
			t.Errorf("one shard of two is back: Submit %v, %v", one, other)
		}
		if len(f.health) > 0 {
			t.Errorf("health %t, although nothing changed", <-f.health)
		}
		f.store.mend()
		if !<-f.health {
			t.Error("not healthy, although all shards are back")
		}
		synctest.Wait()
		f.commit(append(f.queue(first, 1), f.queue(second, 1)...)...)
		if len(f.health) > 0 {
			t.Errorf("health %t, although nothing changed", <-f.health)
		}
	})
}

// A board's frames are one shard's, so that shards do not share boards.
func TestShardsCommitBesideEachOther(t *testing.T) {
	bubble(t, persistence.CommitterConfig{Shards: 2}, func(_ *testing.T, f *fixture) {
		held, free := f.board(), f.board()
		gate := make(chan struct{})
		f.store.set(func(_ context.Context, claims []persistence.Claim) error {
			if (attempt{claims: claims}).claimed(held) {
				<-gate
			}
			return nil
		}, nil, nil)
		f.start()
		waiting := f.queue(held, 2)
		f.pending(waiting...)
		f.commit(f.queue(free, 2)...)
		f.pending(waiting...)
		close(gate)
		f.commit(waiting...)
	})
}
