package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

var errRule = errors.New("against the rules")

// unless accepts all frames but these.
func unless(refused ...*frame) func(*persistence.Submission) error {
	return func(s *persistence.Submission) error {
		if slices.ContainsFunc(refused, func(fr *frame) bool { return fr.ID == s.ID }) {
			return errRule
		}
		return nil
	}
}

// elsewhere appends n frames to the board as another server would.
func (f *fixture) elsewhere(b *board, n int) (ids []persistence.FrameID) {
	f.tb.Helper()
	err := f.store.Store.Append(context.Background(), []persistence.Claim{{Board: b.id, Applied: 1 << 60}},
		func(locked []persistence.Locked) ([]persistence.Extension, error) {
			var records []persistence.Record
			for i := range n {
				id := persistence.FrameID(uuid.New())
				ids = append(ids, id)
				records = append(records, persistence.Record{
					Seq: locked[0].Head + 1 + persistence.Seq(i), ID: id, Time: time.Now(), Kind: 25, Body: id[:],
				})
			}
			return []persistence.Extension{{Board: b.id, Records: records}}, nil
		})
	if err != nil {
		f.tb.Error(err)
	}
	return ids
}

func ids(frames ...*frame) (ids []persistence.FrameID) {
	for _, fr := range frames {
		ids = append(ids, fr.ID)
	}
	return ids
}

func TestMissedFramesArePublished(t *testing.T) {
	t.Parallel()
	for missed, transactions := range map[int]int{3: 1, 2*persistence.MissedLimit + 1: 3} {
		t.Run(fmt.Sprint(missed), func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
				b, other, stale := f.board(), f.board(), f.board()
				want := f.elsewhere(b, missed)
				alsoWant := f.elsewhere(other, 3)
				stale.at.Seq = 7
				frames, others, refused := f.queue(b, 2), f.queue(other, 2), f.queue(stale, 1)
				f.start()
				f.commit(frames...)
				f.commit(others...)
				f.refuse(persistence.ErrStaleLog, refused...)
				if stale.at.Seq != 7 || len(stale.invalid) != 1 {
					t.Errorf("the stale one is at %d, and was invalidated %d times", stale.at.Seq, len(stale.invalid))
				}
				for i, fr := range frames {
					if want := persistence.Seq(missed + 1 + i); fr.result.Seq != want || fr.result.Epoch != b.at.Epoch || fr.result.Duplicate {
						t.Errorf("frame %d: %+v, want seq %d", i, fr.result, want)
					}
				}
				if !slices.Equal(b.ids, append(want, ids(frames...)...)) {
					t.Errorf("%d frames were published, want the %d of the log in its order", len(b.ids), missed+2)
				}
				if diff := cmp.Diff(append(alsoWant, ids(others...)...), other.ids); diff != "" {
					t.Error(diff)
				}
				if got := len(f.store.log()); got != transactions {
					t.Errorf("%d transactions, want %d", got, transactions)
				}
				if len(f.failed) > 0 {
					t.Error("catching up was said to be an error")
				}
			})
		})
	}
}

// Missed frames are published also when nothing is added to them.
func TestMissedFramesArePublishedWithoutOwn(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		b := f.board()
		want := f.elsewhere(b, 3)
		fr := newFrame(b)
		b.decide = unless(fr)
		f.submit(fr)
		f.start()
		if <-fr.answered; !errors.Is(fr.err, errRule) {
			t.Errorf("answer %v", fr.err)
		}
		if diff := cmp.Diff(want, b.ids); diff != "" {
			t.Error(diff)
		}
	})
}

// The commit was done, and its answer lost: it is as if nothing had happened.
func TestUnknownOutcome(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		a, b := f.board(), f.board()
		lost := 2
		f.store.set(nil, func() error {
			if lost--; lost >= 0 {
				return unavailable()
			}
			return nil
		}, nil)
		frames := append(f.queue(a, 3), f.queue(b, 1)...)
		f.start()
		f.commit(frames...)
		for i, fr := range frames {
			if want := persistence.Seq(i%3 + 1); fr.result.Seq != want || fr.result.Duplicate {
				t.Errorf("frame %d: %+v, want seq %d, and no duplicate", i, fr.result, want)
			}
		}
		if diff := cmp.Diff([]int{4, 4, 4}, transactions(f.store.log())); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{4, 4}, f.failed); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(ids(frames[:3]...), a.ids); diff != "" {
			t.Error(diff)
		}
	})
}

func TestResubmissionHasItsFirstSeq(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		b := f.board()
		f.start()
		frames := f.queue(b, 3)
		f.commit(frames...)
		again := []*frame{frames[1].again(b), frames[0].again(b)}
		f.submit(again...)
		f.commit(again...)
		if again[0].result != (persistence.Result{Position: frames[1].result.Position, Duplicate: true}) ||
			again[1].result != (persistence.Result{Position: frames[0].result.Position, Duplicate: true}) {
			t.Errorf("answers %+v, %+v", again[0].result, again[1].result)
		}
		if diff := cmp.Diff(ids(frames...), b.ids); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSameIDTwiceInOneTransaction(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		b := f.board()
		known, twice := newFrame(b), newFrame(b)
		known.ID = f.elsewhere(b, 1)[0]
		frames := []*frame{known, twice, newFrame(b), twice.again(b), newFrame(b)}
		f.submit(frames...)
		f.start()
		f.commit(frames...)
		var seqs []persistence.Seq
		for i, fr := range frames {
			seqs = append(seqs, fr.result.Seq)
			if duplicate := i == 0 || i == 3; fr.result.Duplicate != duplicate {
				t.Errorf("frame %d: %+v", i, fr.result)
			}
		}
		if diff := cmp.Diff([]persistence.Seq{1, 2, 3, 2, 4}, seqs); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{5}, transactions(f.store.log())); diff != "" {
			t.Error(diff)
		}
	})
}

// What was in the log before a frame was submitted is a duplicate, however often the store failed, and nothing else is.
func TestDuplicateIsKnownInSpiteOfFailures(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*faulty){
		"before": func(s *faulty) {
			s.set(func(context.Context, []persistence.Claim) error {
				s.mend()
				return unavailable()
			}, nil, nil)
		},
		"after": func(s *faulty) {
			s.set(nil, func() error {
				s.mend()
				return unavailable()
			}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
				b := f.board()
				known, twice := newFrame(b), newFrame(b)
				known.ID = f.elsewhere(b, 1)[0]
				frames := []*frame{known, twice, twice.again(b)}
				fail(f.store)
				f.submit(frames...)
				f.start()
				f.commit(frames...)
				for i, duplicate := range []bool{true, false, true} {
					if got := frames[i].result.Duplicate; got != duplicate {
						t.Errorf("frame %d: duplicate %t", i, got)
					}
				}
			})
		})
	}
}

func TestMissingBoardsAreTheirOwnTrouble(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		good, deleted := f.board(), f.board()
		unknown := &board{f: f, id: persistence.BoardID(uuid.New())}
		if err := f.store.DeleteBoard(t.Context(), deleted.id, time.Now()); err != nil {
			t.Fatal(err)
		}
		missing := append(f.queue(deleted, 2), f.queue(unknown, 2)...)
		frames := f.queue(good, 2)
		f.start()
		f.commit(frames...)
		for _, fr := range missing {
			<-fr.answered
			if err, ok := fr.err.(*persistence.BoardNotFoundError); !ok || err.Board != fr.Board { //nolint:errorlint // never wrapped
				t.Errorf("answer %v", fr.err)
			}
		}
		if got := len(f.store.log()); got != 1 {
			t.Errorf("%d transactions", got)
		}
	})
}

func TestStaleLogIsInvalidated(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*board){
		"another epoch":   func(b *board) { b.at.Epoch = persistence.Epoch(uuid.New()) },
		"a head too high": func(b *board) { b.at.Seq += 2 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
				fresh, other := f.board(), f.board()
				stale := &board{f: f, id: fresh.id, at: fresh.at}
				f.elsewhere(stale, 1)
				spoil(stale)
				before := stale.at
				refused := chain(stale, nil, 3)
				f.submit(refused...)
				frames := f.queue(other, 2)
				f.start()
				f.commit(frames...)
				f.refuse(persistence.ErrStaleLog, refused...)
				if len(stale.invalid) != 1 || !errors.Is(stale.invalid[0], persistence.ErrStaleLog) || stale.at != before {
					t.Errorf("invalidated %v, at %v, want once, and nothing changed", stale.invalid, stale.at)
				}
				if got := len(f.store.log()); got != 1 {
					t.Errorf("%d transactions", got)
				}
				next := chain(fresh, refused[2], 1)
				f.submit(next...)
				f.refuse(persistence.ErrPredecessorRefused, next...)
				f.commit(f.queue(fresh, 1)...)
			})
		})
	}
}

// A state that cannot take in what it missed would fail every frame from then on.
func TestLogThatCannotFollowIsInvalidated(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		b, other := f.board(), f.board()
		f.elsewhere(b, 3)
		b.apply = func(r persistence.Record) error {
			if r.Seq == 2 {
				return errInjected
			}
			return nil
		}
		refused, frames := f.queue(b, 2), f.queue(other, 2)
		f.start()
		f.commit(frames...)
		f.refuse(persistence.ErrStaleLog, refused...)
		if len(b.invalid) != 1 || !errors.Is(b.invalid[0], errInjected) || len(b.ids) > 0 {
			t.Errorf("invalidated %v, %d frames were published", b.invalid, len(b.ids))
		}
		if got := len(f.store.log()); got != 1 {
			t.Errorf("%d transactions", got)
		}
	})
}

// Of several logs for one board the newest counts.
// A log that lacks frames before its head cannot be caught up with, however often it is tried.
func TestLogWithAHoleIsInvalidated(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		a, b := f.board(), f.board()
		f.store.tamper = func(l *persistence.Locked) {
			if l.Board == b.id {
				l.Head += 3
			}
		}
		frames, others := f.queue(b, 2), f.queue(a, 2)
		f.start()
		f.refuse(persistence.ErrStaleLog, frames...)
		f.commit(others...)
		if len(b.invalid) != 1 {
			t.Errorf("invalidated %d times", len(b.invalid))
		}
	})
}

func TestNewestLogDecides(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		fresh := f.board()
		stale := &board{f: f, id: fresh.id}
		frames := []*frame{newFrame(fresh), newFrame(fresh)}
		frames[0].Log = stale
		f.submit(frames...)
		f.start()
		f.commit(frames...)
		if diff := cmp.Diff(ids(frames...), fresh.ids); diff != "" || len(stale.invalid) > 0 {
			t.Error(diff, stale.invalid)
		}
	})
}

// A panic may leave the overlay half changed: nobody sees that, and nothing is decided upon it.
func TestPanicFailsOneFrame(t *testing.T) {
	t.Parallel()
	for _, culprit := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(culprit), func(t *testing.T) {
			bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
				a, b := f.board(), f.board()
				frames := append(f.queue(a, 3), f.queue(b, 3)...)
				a.decide = func(s *persistence.Submission) error {
					if s.ID == frames[culprit].ID {
						panic("injected panic")
					}
					return nil
				}
				f.start()
				f.commit(slices.Delete(slices.Clone(frames), culprit, culprit+1)...)
				<-frames[culprit].answered
				if err := frames[culprit].err; err == nil || !strings.Contains(err.Error(), "injected panic") {
					t.Errorf("answer %v", err)
				}
				f.commit(f.queue(a, 1)...)
			})
		})
	}
}

// poison fails every transaction with the frame in it, for a reason that no retry mends.
func (s *faulty) poison(poison ...*frame) {
	s.set(func(_ context.Context, claims []persistence.Claim) error {
		for _, c := range claims {
			for _, fr := range poison {
				if slices.Contains(c.IDs, fr.ID) {
					return errInjected
				}
			}
		}
		return nil
	}, nil, nil)
}

func TestPoisonFrameIsTheOnlyOneRefused(t *testing.T) {
	bubble(t, persistence.CommitterConfig{}, func(t *testing.T, f *fixture) {
		var frames []*frame
		for range 3 {
			frames = append(frames, chain(f.board(), nil, 5)...)
		}
		poison := frames[7]
		f.store.poison(poison)
		f.submit(frames...)
		f.start()
		for _, fr := range frames {
			<-fr.answered
			if fr == poison && !errors.Is(fr.err, errInjected) {
				t.Errorf("poison: %v, %v", fr.result, fr.err)
			}
			if fr != poison && fr.err != nil {
				t.Errorf("innocent frame: %v", fr.err)
			}
		}
	})
}
