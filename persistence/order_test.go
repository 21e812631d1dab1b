package persistence_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/collaboard-io/collaboard/persistence"
)

// chain makes n frames, each of which follows the one before it; the first follows after, if not nil.
func chain(b *board, after *frame, n int) (frames []*frame) {
	for range n {
		fr := newFrame(b)
		if after != nil {
			fr.After = after.Submission
		}
		frames = append(frames, fr)
		after = fr
	}
	return frames
}

func TestFollowersOfACommittedFrameAreCommitted(t *testing.T) {
	bubble(t, persistence.CommitterConfig{BatchFrames: 2}, func(t *testing.T, f *fixture) {
		b := f.board()
		frames := chain(b, nil, 5)
		f.submit(frames...)
		f.start()
		f.commit(frames...)
		next := chain(b, frames[4], 2)
		f.submit(next...)
		f.commit(next...)
		if diff := cmp.Diff(ids(append(frames, next...)...), b.ids); diff != "" {
			t.Error(diff)
		}
	})
}

// A frame that was refused for good is answered: what follows it needs not wait for it.
func TestFollowersOfAnUnacceptableFrameAreCommitted(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 10} { // in another transaction, and in the same
		t.Run("", func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{BatchFrames: limit}, func(t *testing.T, f *fixture) {
				b := f.board()
				frames := chain(b, nil, 3)
				b.decide = unless(frames[0])
				f.submit(frames...)
				f.start()
				f.commit(frames[1:]...)
				if !errors.Is(frames[0].err, errRule) {
					t.Errorf("answer %v", frames[0].err)
				}
				next := chain(b, frames[0], 1)
				f.submit(next...)
				f.commit(next...)
			})
		})
	}
}

// Only the frames behind one that was refused for now are refused with it, however late they come, and until the
// first of them is sent again.
func TestFollowersOfARefusedFrameAreRefused(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fixture, *board){
		"contended for too long": func(f *fixture, b *board) { f.store.contend(b) },
		"store away":             func(f *fixture, _ *board) { f.store.away() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{BatchFrames: 2}, func(t *testing.T, f *fixture) {
				b := f.board()
				fail(f, b)
				frames := chain(b, nil, 3)
				f.submit(frames...)
				f.start()
				f.refuse(errInjected, frames...)
				f.pending()
				f.store.mend()
				for len(f.health) == 1 {
					<-time.After(time.Second) // until it is back
				}

				release := f.store.hold()
				late := chain(b, frames[2], 4) // in more than one transaction
				innocent := newFrame(b)
				f.submit(late...)
				f.submit(innocent)
				release()
				f.refuse(persistence.ErrPredecessorRefused, late...)
				f.commit(innocent)
				again := frames[0].again(b)
				f.submit(append([]*frame{again}, chain(b, again, 2)...)...)
				f.commit(again)
			})
		})
	}
}

// A frame that is in the log already is acked, whatever was to be before it.
func TestKnownFrameNeedsNoPredecessor(t *testing.T) {
	bubble(t, persistence.CommitterConfig{CommitTimeout: time.Second}, func(_ *testing.T, f *fixture) {
		b := f.board()
		f.start()
		known := f.queue(b, 1)
		f.commit(known...)
		f.store.contend(b)
		refused := f.queue(b, 1)
		f.refuse(errInjected, refused...)
		f.store.mend()
		again := known[0].again(b)
		again.After = refused[0].Submission
		next := chain(b, again, 1)
		f.submit(again)
		f.submit(next...)
		f.commit(again, next[0])
	})
}

// A refusal that was decided in a transaction which then failed does not count: the next one decides anew.
func TestRefusalIsDecidedAnew(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(_ *testing.T, f *fixture) {
		fresh := f.board()
		stale := &board{f: f, id: fresh.id}
		frames := chain(fresh, nil, 2)
		frames[0].Log, frames[1].Log = stale, stale
		held, gate := make(chan struct{}), make(chan struct{})
		f.store.set(nil, func() error {
			f.store.mend()
			close(held)
			<-gate
			return unavailable()
		}, nil)
		f.submit(frames...)
		f.start()
		<-held
		frames = append(frames, chain(fresh, frames[1], 1)...) // by now the board was loaded anew
		f.submit(frames[2])
		close(gate)
		f.commit(frames...)
	})
}

// Each submission names the one before it, but none may keep all of them.
func TestPredecessorsAreForgotten(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		b := f.board()
		f.start()
		var chained []weak.Pointer[persistence.Submission]
		var last *persistence.Submission
		for range 5 {
			done := make(chan error, 1)
			s := newFrame(b).Submission
			s.After, s.Done = last, func(_ persistence.Result, err error) { done <- err }
			if err := f.Submit(s); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if s.Frame != nil || s.Log != nil {
				t.Error("who follows a submission keeps its frame, and its board")
			}
			chained = append(chained, weak.Make(s))
			last = s
		}
		synctest.Wait()
		runtime.GC()
		for i, p := range chained[:4] {
			if p.Value() != nil {
				t.Errorf("submission %d of 5 is still in memory", i)
			}
		}
		runtime.KeepAlive(last)
	})
}

// While a group is taken apart a frame may have to wait: those behind it wait, too.
func TestOrderIsKeptWhileAGroupIsTakenApart(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func() error{"contended": contended, "unavailable": unavailable} {
		t.Run(name, func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
				b := f.board()
				frames := f.queue(b, 5)
				f.store.set(func(_ context.Context, claims []persistence.Claim) error {
					if len(claims[0].IDs) > 1 {
						return errInjected // as if any of them were poison
					}
					if claims[0].IDs[0] == frames[1].ID {
						f.store.mend()
						return fault()
					}
					return nil
				}, nil, nil)
				f.start()
				f.commit(frames...)
				if diff := cmp.Diff(ids(frames...), b.ids); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
