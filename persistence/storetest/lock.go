package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
)

// hold begins a transaction that holds boards until it is told what to append; done has its result.
func (f *fixture) hold(tb testing.TB, s persistence.Store, boards ...persistence.BoardID) (release chan<- []persistence.Extension, done <-chan error) {
	tb.Helper()
	held, rel, res := make(chan struct{}), make(chan []persistence.Extension), make(chan error, 1)
	go func() {
		res <- s.Append(f.ctx, claims(boards...), func([]persistence.Locked) ([]persistence.Extension, error) {
			close(held)
			return <-rel, nil
		})
	}()
	select {
	case <-held:
	case err := <-res:
		tb.Fatalf("transaction ended before it began: %v", err)
	}
	return rel, res
}

// testLockShowsWhatItWaitedFor: what a transaction finds includes all that was committed until it got the lock, and not
// only until it asked. Whether it has asked when the first commits we cannot know, so it is given more and more time.
func (create suite) testLockShowsWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	other := f.open(t)
	for round := range 20 {
		b := f.createBoard(t)
		recs := records(0, 3, 20)
		release, done := f.hold(t, f.store, b)
		found := make(chan persistence.Locked, 1)
		second := make(chan error, 1)
		go func() {
			second <- other.Append(f.ctx, []persistence.Claim{{Board: b, IDs: idsOf(recs)}}, func(l []persistence.Locked) ([]persistence.Extension, error) {
				found <- l[0]
				return nil, nil
			})
		}()
		time.AfterFunc(time.Duration(round)*time.Millisecond, func() { release <- extend(b, recs) })
		noError(t, receive(t, done))
		noError(t, receive(t, second))
		l := receive(t, found)
		if l.Head != 3 || len(l.Known) != 3 {
			t.Fatalf("found head %d and %d known ids, want 3 and 3", l.Head, len(l.Known))
		}
		equal(t, l.Missed, recs)
	}
}

func (create suite) testNoWait(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	other := f.open(t)
	b := f.createBoard(t)
	release, done := f.hold(t, f.store, b)
	claim := []persistence.Claim{{Board: b, NoWait: true}}
	nothing := func([]persistence.Locked) ([]persistence.Extension, error) { return nil, nil }
	err := other.Append(f.ctx, claim, nothing)
	if _, contended := errors.AsType[*persistence.ContendedError](err); !contended {
		t.Errorf("error is %v, want *ContendedError", err)
	}
	release <- nil
	noError(t, receive(t, done))
	noError(t, other.Append(f.ctx, claim, nothing))
}

func (create suite) testLockHidesBoardsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	other := f.open(t)
	b := f.createBoard(t)
	release, done := f.hold(t, f.store, b)
	deleted := make(chan error, 1)
	go func() { deleted <- other.DeleteBoard(f.ctx, b, now()) }()
	recs := records(0, 1, 20)
	time.AfterFunc(time.Millisecond, func() { release <- extend(b, recs) })
	noError(t, receive(t, done))
	noError(t, receive(t, deleted))
	if l := f.look(t, f.store, claims(b)...)[0]; l.Exists {
		t.Errorf("found %+v, want no board", l)
	}
	_, err := f.store.UndeleteBoard(f.ctx, b)
	noError(t, err)
	f.checkLog(t, b, recs)
}

// testConcurrentAppends: two stores, many goroutines, each transaction on some boards in any order. None fails: that
// they take their locks in one order leaves no deadlock to be broken.
func (create suite) testConcurrentAppends(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	const goroutines, rounds, nboards = 12, 25, 6
	boards := f.createBoards(t, nboards)
	stores := []persistence.Store{f.store, f.open(t)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := make(map[persistence.BoardID]map[persistence.FrameID]bool)
	for _, b := range boards {
		sent[b] = make(map[persistence.FrameID]bool)
	}
	errs := make(chan error, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			s := stores[g%len(stores)]
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				cs := claims(boards...)
				rng.Shuffle(len(cs), func(i, k int) { cs[i], cs[k] = cs[k], cs[i] })
				cs = cs[:1+rng.IntN(4)]
				err := s.Append(f.ctx, cs, func(locked []persistence.Locked) (exts []persistence.Extension, err error) {
					for _, l := range locked {
						recs := records(l.Head, 1+rng.IntN(5), 20)
						mu.Lock()
						for _, r := range recs {
							sent[l.Board][r.ID] = true
						}
						mu.Unlock()
						exts = append(exts, persistence.Extension{Board: l.Board, Records: recs})
					}
					return exts, nil
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	for _, b := range boards {
		log := f.log(t, f.store, b)
		checkGapless(t, log)
		for _, r := range log {
			if !sent[b][r.ID] {
				t.Fatalf("frame %s is in the log of %s and was never sent to it", r.ID, b)
			}
		}
		if head := f.board(t, b).Head; int(head) != len(log) {
			t.Errorf("head is %d, and the log has %d frames", head, len(log))
		}
	}
}

func (create suite) testCancelBefore(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for name, call := range map[string]func() error{
		"Append": func() error {
			return f.store.Append(ctx, claims(b), func(l []persistence.Locked) ([]persistence.Extension, error) {
				return extend(b, records(l[0].Head, 1, 1)), nil
			})
		},
		"Read":       func() error { _, err := f.store.Read(ctx, persistence.ReadParams{Board: b, Limit: 1}); return err },
		"Boards":     func() error { _, err := f.store.Boards(ctx, b); return err },
		"ListBoards": func() error { _, err := f.store.ListBoards(ctx, persistence.BoardID{}, 1); return err },
		"Create":     func() error { return f.store.CreateBoard(ctx, newBoard()) },
		"Change":     func() error { _, err := f.store.ChangeBoard(ctx, b, persistence.BoardChange{}, now()); return err },
		"Delete":     func() error { return f.store.DeleteBoard(ctx, b, now()) },
		"Undelete":   func() error { _, err := f.store.UndeleteBoard(ctx, b); return err },
		"Ping":       func() error { return f.store.Ping(ctx) },
	} {
		t.Log(name)
		failsWith[*persistence.UnavailableError](t, call())
	}
	f.checkLog(t, b, nil)
	equal(t, f.board(t, b).Name, "a board")
}

func (create suite) testCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	other := f.open(t)
	b := f.createBoard(t)
	for range 10 {
		release, done := f.hold(t, f.store, b)
		ctx, cancel := context.WithTimeout(f.ctx, 3*time.Millisecond)
		for _, s := range []persistence.Store{f.store, other} {
			err := s.Append(ctx, claims(b), func(l []persistence.Locked) ([]persistence.Extension, error) {
				t.Error("decide was called while another transaction holds the board")
				return nil, nil
			})
			failsWith[*persistence.UnavailableError](t, err)
		}
		cancel()
		release <- nil
		noError(t, receive(t, done))
	}
	want := append(f.add(t, f.store, b, 1), f.add(t, other, b, 1)...)
	f.checkLog(t, b, want)
}

func (create suite) testCancelInDecide(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	for range 40 {
		ctx, cancel := context.WithCancel(f.ctx)
		err := f.store.Append(ctx, claims(b), func(l []persistence.Locked) ([]persistence.Extension, error) {
			cancel()
			return extend(b, records(l[0].Head, 100, 20)), nil
		})
		failsWith[*persistence.UnavailableError](t, err)
	}
	f.checkLog(t, b, nil)
	f.checkLog(t, b, f.add(t, f.store, b, 100))
}

// testCancelAnywhere cancels transactions later and later, from before they begin until after they are done. Each is in
// the log as a whole or not at all, whatever it said; and if it said nothing, it is.
func (create suite) testCancelAnywhere(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	const step, inARow, most = 20 * time.Microsecond, 10, 1500
	boards := f.createBoards(t, 2)
	f.add(t, f.store, boards[0], 3) // so that there is something to catch up with
	type attempt struct {
		recs [2][]persistence.Record
		err  error
	}
	var attempts []attempt
	var delay time.Duration
	done, applied := 0, persistence.Seq(0)
	for done < inARow && len(attempts) < most {
		var a attempt
		ctx, cancel := context.WithTimeout(f.ctx, delay)
		delay += delay/100 + step // whatever the speed of the machine, it is passed
		cs := []persistence.Claim{
			{Board: boards[0], Applied: applied, IDs: []persistence.FrameID{newFrameID()}},
			{Board: boards[1], Applied: 1 << 40},
		}
		a.err = f.store.Append(ctx, cs, func(locked []persistence.Locked) (exts []persistence.Extension, err error) {
			applied = locked[0].Head - 3
			for k, l := range locked {
				a.recs[k] = records(l.Head, 30, 200)
				exts = append(exts, extend(l.Board, a.recs[k])...)
			}
			return exts, nil
		})
		cancel()
		done++
		if a.err != nil {
			failsWith[*persistence.UnavailableError](t, a.err)
			done = 0
		}
		attempts = append(attempts, a)
	}
	if done < inARow {
		t.Fatalf("no transaction was let through in %d", most)
	}
	t.Logf("%d transactions", len(attempts))

	there := make(map[persistence.FrameID]persistence.Seq)
	for _, b := range boards {
		log := f.log(t, f.store, b)
		checkGapless(t, log)
		for _, r := range log {
			there[r.ID] = r.Seq
		}
	}
	for i, a := range attempts {
		n, found := 0, 0
		for _, recs := range a.recs {
			for _, r := range recs {
				n++
				if there[r.ID] == r.Seq {
					found++
				}
			}
		}
		if found != 0 && found != n {
			t.Errorf("transaction %d: %d of %d frames are in the log", i, found, n)
		}
		if a.err == nil && found == 0 {
			t.Errorf("transaction %d was acknowledged and is not in the log", i)
		}
	}
}
