package persistence_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collaboard-io/collaboard/persistence"
)

// checkPauses compares the pauses between the attempts with what they are at the most. Half of each is jitter.
func checkPauses(t *testing.T, attempts []attempt, want ...time.Duration) {
	t.Helper()
	if len(attempts) <= len(want) {
		t.Fatalf("%d attempts, want more than %d", len(attempts), len(want))
	}
	for i, longest := range want {
		if pause := attempts[i+1].at.Sub(attempts[i].at); pause < longest/2 || pause > longest {
			t.Errorf("pause %d is %v, want %v at the most, and half of that at the least", i, pause, longest)
		}
	}
}

func TestContendedBoardStallsNoOther(t *testing.T) {
	cfg := persistence.CommitterConfig{RetryMin: 8 * time.Millisecond, RetryMax: 20 * time.Millisecond}
	bubble(t, cfg, func(t *testing.T, f *fixture) {
		a, b, c := f.board(), f.board(), f.board()
		f.store.set(func(context.Context, []persistence.Claim) error {
			f.store.contend(b)
			return unavailable() // a pause for all, which must leave nothing behind
		}, nil, nil)
		f.start()
		f.commit(f.queue(a, 1)...)
		release := f.store.hold()
		held := f.queue(a, 1)
		f.pending(held...)
		stuck := f.queue(b, 2)
		others := append(f.queue(a, 2), f.queue(c, 2)...)
		f.store.contend(b)
		before, seen := time.Now(), len(f.store.log())
		release()
		f.commit(append(others, held...)...)
		f.pending(stuck...)
		stuck = append(stuck, f.queue(b, 2)...)
		f.commit(f.queue(a, 1)...) // alone: it is not the other's turn yet
		f.pending(stuck...)
		if waited := time.Since(before); waited > 0 {
			t.Errorf("the others waited for %v", waited)
		}
		// One transaction for all, one for each, and one for the newest.
		if diff := cmp.Diff([]int{6, 2, 2, 2, 1}, transactions(f.store.log()[seen:])); diff != "" {
			t.Error(diff)
		}

		tried := make(chan struct{}, 10)
		f.store.set(func(context.Context, []persistence.Claim) error {
			tried <- struct{}{}
			return contended()
		}, nil, nil)
		for range 3 {
			<-tried
		}
		f.store.mend()
		f.commit(stuck...)
		again := slices.DeleteFunc(f.store.log(), func(a attempt) bool { return len(a.claims) > 1 || !a.claimed(b) })
		for i, a := range again[1:] {
			if len(a.claims) != 1 || !a.claims[0].NoWait {
				t.Errorf("attempt %d waits for the lock, or others wait with it: %+v", i+1, a.claims)
			}
		}
		checkPauses(t, again, 8*time.Millisecond, 16*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond)

		if len(f.health) > 0 {
			t.Error("the store was said to be away")
		}
	})
}

// The pauses of a contended board begin anew when one of its frames was committed.
func TestContendedPausesBeginAnew(t *testing.T) {
	cfg := persistence.CommitterConfig{BatchFrames: 1, RetryMin: 8 * time.Millisecond}
	bubble(t, cfg, func(t *testing.T, f *fixture) {
		fail := []bool{true, true, true, false, true}
		f.store.set(func(context.Context, []persistence.Claim) error {
			if n := len(f.store.log()); n <= len(fail) && fail[n-1] {
				return contended()
			}
			return nil
		}, nil, nil)
		frames := f.queue(f.board(), 2)
		f.start()
		f.commit(frames...)
		const ms = time.Millisecond
		checkPauses(t, f.store.log(), 8*ms, 16*ms, 32*ms, 0, 8*ms)
	})
}

// A contended board keeps its turn while others fill whole batches.
func TestContendedBoardIsNotForgotten(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchFrames: 2}, func(_ *testing.T, f *fixture) {
		a, b, c := f.board(), f.board(), f.board()
		f.start()
		for _, n := range []int{2, 3} { // up to the limit, and beyond
			f.store.contend(b)
			stuck := f.queue(b, 1)
			f.pending(stuck...)
			release := f.store.hold()
			others := f.queue(c, 1)
			f.pending(others...)
			others = append(others, f.queue(a, n)...)
			others = append(others, f.queue(c, 1)...)
			release()
			f.commit(others...)
			f.commit(stuck...)
		}
	})
}

// A board that stays contended is refused as a whole, and the others go on.
func TestContendedForTooLong(t *testing.T) {
	cfg := persistence.CommitterConfig{CommitTimeout: 5 * time.Second, BatchFrames: 2, QueueFrames: 6, QueueBytes: 6 * 16}
	bubble(t, cfg, func(t *testing.T, f *fixture) {
		b, other := f.board(), f.board()
		f.store.contend(b)
		f.start()
		before := time.Now()
		stuck := f.queue(b, 5) // in more than one batch
		f.commit(f.queue(other, 1)...)
		f.pending(stuck...)
		f.refuse(errInjected, stuck...)
		if waited := time.Since(before); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("refused after %v", waited)
		}
		f.commit(f.queue(other, 1)...)
		f.store.mend()
		f.commit(f.queue(b, 6)...) // as many as the queue may hold
		if len(f.health) > 0 {
			t.Error("the store was said to be away")
		}
	})
}

func TestUnavailableStoreIsTriedAgain(t *testing.T) {
	cfg := persistence.CommitterConfig{RetryMin: 8 * time.Millisecond, RetryMax: 20 * time.Millisecond}
	bubble(t, cfg, func(t *testing.T, f *fixture) {
		b := f.board()
		for range 2 { // the pauses begin anew
			seen, left := len(f.store.log()), 4
			f.store.set(func(context.Context, []persistence.Claim) error {
				if left--; left >= 0 {
					return unavailable()
				}
				return nil
			}, nil, nil)
			frames := append(f.queue(b, 2), f.queue(f.board(), 1)...)
			if f.cancel == nil {
				f.start()
			}
			f.commit(frames...)
			if left != -1 {
				t.Errorf("%d attempts after the last that failed", -left)
			}
			checkPauses(t, f.store.log()[seen:], 8*time.Millisecond, 16*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond)
		}
		if len(f.health) > 0 {
			t.Error("the store was said to be away")
		}
	})
}

// A transaction that hangs is given up, and tried again.
func TestAttemptIsBoundedInTime(t *testing.T) {
	bubble(t, persistence.CommitterConfig{AttemptTimeout: 3 * time.Second}, func(t *testing.T, f *fixture) {
		f.store.set(func(ctx context.Context, _ []persistence.Claim) error {
			<-ctx.Done()
			f.store.mend()
			return ctx.Err() //nolint:wrapcheck // as a careless store would
		}, nil, nil)
		before := time.Now()
		f.start()
		f.commit(f.queue(f.board(), 1)...)
		if waited := time.Since(before); waited < 3*time.Second || waited > 4*time.Second {
			t.Errorf("committed after %v", waited)
		}
	})
}

func TestStoreAwayForTooLong(t *testing.T) {
	cfg := persistence.CommitterConfig{CommitTimeout: 5 * time.Second, QueueFrames: 6, QueueBytes: 6 * 16}
	bubble(t, cfg, func(t *testing.T, f *fixture) {
		a, b, c := f.board(), f.board(), f.board()
		pings := make(chan time.Time, 10)
		ping := func(context.Context) error {
			pings <- time.Now()
			return unavailable()
		}
		f.store.set(func(context.Context, []persistence.Claim) error { return unavailable() }, nil, ping)
		f.start()
		before := time.Now()
		frames := append(f.queue(a, 2), f.queue(b, 2)...)
		f.pending(frames...)
		<-time.After(4 * time.Second)
		f.pending(frames...)
		frames = append(frames, f.queue(c, 2)...) // they have to go with the others
		f.refuse(errInjected, frames...)
		if waited := time.Since(before); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("refused after %v", waited)
		}
		if <-f.health {
			t.Error("healthy, although the store is away")
		}
		synctest.Wait()
		err := f.trySubmit(newFrame(a))
		if _, ok := err.(*persistence.RefusedError); !ok || !errors.Is(err, errInjected) { //nolint:errorlint // never wrapped
			t.Errorf("Submit: %v", err)
		}

		// The first ping that succeeds ends it, nothing else.
		f.store.set(nil, nil, ping)
		attempts := len(f.store.log())
		times := []attempt{f.store.log()[attempts-1], {at: <-pings}, {at: <-pings}}
		checkPauses(t, times, time.Second, time.Second)
		f.pending()
		if err := f.trySubmit(newFrame(a)); err == nil || len(f.health) > 0 || len(f.store.log()) > attempts {
			t.Errorf("Submit: %v; %d changes of health; %d attempts", err, len(f.health), len(f.store.log())-attempts)
		}
		f.store.mend()
		if !<-f.health {
			t.Error("not healthy, although the store is back")
		}
		f.commit(append(f.queue(a, 3), f.queue(c, 3)...)...) // as many as the queue may hold
	})
}

// A ping that hangs is given up, too.
func TestPingIsBoundedInTime(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(_ *testing.T, f *fixture) {
		f.store.set(
			func(context.Context, []persistence.Claim) error { return unavailable() }, nil,
			func(ctx context.Context) error {
				<-ctx.Done()
				f.store.mend()
				return ctx.Err() //nolint:wrapcheck // as a careless store would
			})
		f.start()
		f.refuse(errInjected, f.queue(f.board(), 1)...)
		if first, second := <-f.health, <-f.health; first || !second {
			f.tb.Errorf("health %t, then %t", first, second)
		}
		f.commit(f.queue(f.board(), 1)...)
	})
}
