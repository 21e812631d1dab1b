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

// transactions are the attempts as frames in each.
func transactions(attempts []attempt) (frames []int) {
	for _, a := range attempts {
		frames = append(frames, a.frames())
	}
	return frames
}

func (f *fixture) full(b *board) {
	f.tb.Helper()
	err := f.trySubmit(newFrame(b))
	if _, ok := err.(*persistence.QueueFullError); !ok { //nolint:errorlint // never wrapped
		f.tb.Errorf("Submit to a full queue: %v", err)
	}
}

func TestQueueIsBoundedInFrames(t *testing.T) {
	bubble(t, persistence.CommitterConfig{QueueFrames: 10, BatchFrames: 4}, func(_ *testing.T, f *fixture) {
		a, b := f.board(), f.board()
		release := f.store.hold()
		f.start()
		for range 2 { // as much as before is free again
			frames := append(f.queue(a, 6), f.queue(b, 4)...)
			f.full(a)
			f.pending(frames...)
			f.full(b) // what is being committed counts
			release()
			f.commit(frames...)
			release = f.store.hold()
		}
		release()
	})
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	bubble(t, persistence.CommitterConfig{QueueBytes: 100}, func(_ *testing.T, f *fixture) {
		b := f.board()
		sized := func(size int) *frame {
			fr := newFrame(b)
			fr.Size = size
			return fr
		}
		release := f.store.hold()
		f.start()
		for range 2 {
			frames := []*frame{sized(60), sized(40)}
			f.submit(frames...)
			f.pending(frames...)
			f.full(b)
			release()
			f.commit(frames...)

			release = f.store.hold()
			frames = []*frame{sized(101)} // more than may be queued, but alone
			f.submit(frames...)
			f.full(b)
			release()
			f.commit(frames...)

			release = f.store.hold()
			frames = []*frame{sized(60)}
			f.submit(frames...)
			if err := f.trySubmit(sized(41)); err == nil {
				f.tb.Error("one byte too many was queued")
			}
			release()
			f.commit(frames...)
			release = f.store.hold()
		}
		release()
	})
}

// Whoever is told what became of a frame can send the next, however it ended.
func TestSpaceIsFreeWhenTheSenderHears(t *testing.T) {
	t.Parallel()
	errRule := errors.New("against the rules")
	for _, test := range []struct {
		name    string
		prepare func(*fixture, *board)
	}{
		{"committed", func(*fixture, *board) {}},
		{"not accepted", func(_ *fixture, b *board) { b.decide = func(*persistence.Submission) error { return errRule } }},
		{"contended", func(f *fixture, b *board) { f.store.contend(b) }},
		{"store fails", func(f *fixture, _ *board) {
			f.store.set(func(context.Context, []persistence.Claim) error { return errInjected }, nil, nil)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := persistence.CommitterConfig{QueueFrames: 1, QueueBytes: 16}
			bubble(t, cfg, func(_ *testing.T, f *fixture) {
				b := f.board()
				test.prepare(f, b)
				first, second := newFrame(b), newFrame(b)
				first.onDone = func() { f.submit(second) }
				f.submit(first)
				f.start()
				<-first.answered
				<-second.answered
			})
		})
	}
}

// While one transaction runs the next group fills.
func TestGroupsFillWhileATransactionRuns(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		release := f.store.hold()
		f.start()
		frames := f.queue(f.board(), 1)
		f.pending(frames...)
		for range 10 {
			frames = append(frames, f.queue(f.board(), 3)...)
		}
		frames = append(frames, f.queue(frames[0].Log.(*board), 3)...)
		f.pending(frames...)
		before := time.Now()
		release()
		f.commit(frames...)
		if waited := time.Since(before); waited > 0 {
			t.Errorf("it waited for %v", waited)
		}
		if diff := cmp.Diff([]int{1, 33}, transactions(f.store.log())); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBatchIsBoundedInFrames(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchFrames: 4}, func(t *testing.T, f *fixture) {
		var frames []*frame
		for range 3 {
			frames = append(frames, f.queue(f.board(), 6)...)
		}
		f.start()
		f.commit(frames...)
		if diff := cmp.Diff([]int{4, 4, 4, 4, 2}, transactions(f.store.log())); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBatchIsBoundedInBytes(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchBytes: 100}, func(t *testing.T, f *fixture) {
		a, b := f.board(), f.board()
		var frames []*frame
		for _, size := range []int{50, 50, 1, 100, 99, 1, 500, 60, 41, 1} {
			fr := newFrame(a)
			fr.Size = size
			frames = append(frames, fr)
		}
		frames = append(frames, newFrame(b)) // whose turn is the second, and which leaves no byte of it
		frames[10].Size = 100
		f.submit(frames...)
		f.start()
		f.commit(frames...)
		if diff := cmp.Diff([]int{2, 1, 1, 1, 2, 1, 1, 2}, transactions(f.store.log())); diff != "" {
			t.Error(diff)
		}
	})
}

// turn is the number of the first transaction with a frame of the board, from 0.
func (f *fixture) turn(b *board) int {
	return slices.IndexFunc(f.store.log(), func(a attempt) bool { return a.claimed(b) })
}

func TestLongQueueDoesNotStarveOthers(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchFrames: 10}, func(t *testing.T, f *fixture) {
		long, short := f.board(), f.board()
		frames := f.queue(long, 100)
		frames = append(frames, f.queue(short, 5)...)
		f.start()
		f.commit(frames...)
		if turn := f.turn(short); turn != 1 {
			t.Errorf("its turn came in transaction %d", turn)
		}
	})
}

// A batch that others fill to the last frame puts nobody back.
func TestFullBatchesDoNotStarveOthers(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchFrames: 1}, func(t *testing.T, f *fixture) {
		busy := []*board{f.board(), f.board()}
		starved := f.board()
		// Each frame is followed by the next of its board, until there have been many transactions.
		var follow func(b *board) *frame
		follow = func(b *board) *frame {
			fr := newFrame(b)
			fr.onDone = func() {
				if len(f.store.log()) < 20 {
					f.submit(follow(b))
				}
			}
			return fr
		}
		f.submit(follow(busy[0]), newFrame(starved), follow(busy[1]))
		f.start()
		synctest.Wait()
		if turn := f.turn(starved); turn != 1 {
			t.Errorf("its turn came in transaction %d", turn)
		}
	})
}

// Frames that are expensive to decide do not hold up others for longer than a transaction may take to decide, nor do
// they hold their boards' locks for longer.
func TestTransactionIsBoundedInTimeSpentDeciding(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchTime: 250 * time.Millisecond}, func(t *testing.T, f *fixture) {
		a, b, c := f.board(), f.board(), f.board()
		slow := func(*persistence.Submission) error {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // moves the clock of the bubble
			return nil
		}
		a.decide, b.decide = slow, slow
		first := append(f.queue(a, 7), f.queue(b, 7)...)
		cheap := f.queue(c, 1)
		f.start()
		f.commit(append(first, cheap...)...)
		if n := len(f.store.log()); n < 5 || n > 7 {
			t.Errorf("%d transactions for 14 frames, of which three fit into one", n)
		}
		if diff := cmp.Diff(ids(first[:7]...), a.ids); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(ids(first[7:]...), b.ids); diff != "" {
			t.Error(diff)
		}
	})
}
