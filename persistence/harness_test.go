package persistence_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

var errInjected = errors.New("injected")

func unavailable() error { return &persistence.UnavailableError{Err: errInjected} }
func contended() error   { return &persistence.ContendedError{Err: errInjected} }

// faulty is a real store whose calls a test may hold or fail.
type faulty struct {
	persistence.Store

	mu       sync.Mutex
	attempts []attempt
	before   func(ctx context.Context, claims []persistence.Claim) error // what happens in place of a transaction, if not nil
	after    func() error                                                // what is said of one that was committed
	ping     func(context.Context) error
	tamper   func(*persistence.Locked) // with what a transaction finds
}

// attempt is one call of Append.
type attempt struct {
	at     time.Time
	claims []persistence.Claim
}

func (a attempt) frames() (n int) {
	for _, c := range a.claims {
		n += len(c.IDs)
	}
	return n
}

func (a attempt) claimed(b *board) bool {
	return slices.ContainsFunc(a.claims, func(c persistence.Claim) bool { return c.Board == b.id })
}

func (s *faulty) Append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	s.mu.Lock()
	s.attempts = append(s.attempts, attempt{time.Now(), claims})
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, claims); err != nil {
			return err
		}
	}
	s.mu.Lock()
	after, tamper := s.after, s.tamper
	s.mu.Unlock()
	err := s.Store.Append(ctx, claims, func(locked []persistence.Locked) ([]persistence.Extension, error) {
		for i := range locked {
			if tamper != nil {
				tamper(&locked[i])
			}
		}
		return decide(locked)
	})
	if err != nil {
		return err
	}
	if after != nil {
		return after()
	}
	return nil
}

func (s *faulty) Ping(ctx context.Context) error {
	s.mu.Lock()
	ping := s.ping
	s.mu.Unlock()
	if ping != nil {
		if err := ping(ctx); err != nil {
			return err
		}
	}
	return s.Store.Ping(ctx)
}

// set changes what happens to calls; nil for nothing.
func (s *faulty) set(before func(context.Context, []persistence.Claim) error, after func() error, ping func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.ping = before, after, ping
}

// mend ends all faults.
func (s *faulty) mend() { s.set(nil, nil, nil) }

// away makes the store fail as if it could not be reached.
func (s *faulty) away() {
	s.set(func(context.Context, []persistence.Claim) error { return unavailable() }, nil,
		func(context.Context) error { return unavailable() })
}

// contend makes every transaction fail that the board is in.
func (s *faulty) contend(b *board) {
	s.set(func(_ context.Context, claims []persistence.Claim) error {
		if (attempt{claims: claims}).claimed(b) {
			return contended()
		}
		return nil
	}, nil, nil)
}

// hold makes transactions wait until they are released.
func (s *faulty) hold() (release func()) {
	gate := make(chan struct{})
	s.set(func(context.Context, []persistence.Claim) error {
		<-gate
		return nil
	}, nil, nil)
	return func() { close(gate) }
}

func (s *faulty) log() []attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// fixture is a committer over a real store, in a bubble with a clock of its own: what takes no time there waits for no
// timer, and a test that waits for what never comes fails at once.
type fixture struct {
	*persistence.Committer

	tb     testing.TB
	store  *faulty
	health chan bool // what OnHealth was told
	cancel context.CancelFunc
	ran    chan error

	boards int

	mu     sync.Mutex // held across Submit, so that sent has its order
	sent   []*frame
	failed []int // frames of each failed attempt, as OnError was told
}

// bubble runs the test with a committer that does not run yet. However the test ends, the committer then drains, and
// what must hold of any frame is checked.
func bubble(t *testing.T, cfg persistence.CommitterConfig, test func(*testing.T, *fixture)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		f := &fixture{tb: t, store: &faulty{Store: store}, health: make(chan bool, 10), ran: make(chan error, 1)}
		cfg.OnHealth = func(healthy bool, _ error) { f.health <- healthy }
		cfg.OnError = func(_ error, _, frames int) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failed = append(f.failed, frames)
		}
		f.Committer = persistence.NewCommitter(f.store, cfg)
		defer func() {
			if f.cancel == nil {
				f.start()
			}
			f.Drain()
			f.ended()
			f.cancel()
			f.verify()
		}()
		test(t, f)
	})
}

func (f *fixture) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() { f.ran <- f.Run(ctx) }()
}

// ended waits for Run.
func (f *fixture) ended() {
	f.tb.Helper()
	err := <-f.ran
	if err != nil {
		f.tb.Errorf("Run: %v", err)
	}
	f.ran <- err
}

// verify checks what holds of every frame whatever happened: it was answered once, is in the log once if it was acked
// and not at all if it was refused, and the frames of a board are in the order of Submit.
func (f *fixture) verify() {
	f.tb.Helper()
	where := map[persistence.BoardID]map[persistence.FrameID]persistence.Seq{}
	last := map[persistence.BoardID]persistence.Seq{}
	acked := map[persistence.FrameID]bool{}
	for _, fr := range f.sent {
		acked[fr.ID] = acked[fr.ID] || fr.err == nil
	}
	for i, fr := range f.sent {
		if where[fr.Board] == nil {
			where[fr.Board] = f.stored(fr.Board)
		}
		seq := where[fr.Board][fr.ID]
		switch {
		case fr.answers.Load() != 1:
			f.tb.Errorf("frame %d was answered %d times", i, fr.answers.Load())
		case fr.err == nil && (seq != fr.result.Seq || seq == 0):
			f.tb.Errorf("frame %d was acked at seq %d, and is stored at %d", i, fr.result.Seq, seq)
		case fr.err != nil && !acked[fr.ID] && seq != 0:
			f.tb.Errorf("frame %d is stored at seq %d, although it was refused: %v", i, seq, fr.err)
		case fr.err == nil && !fr.result.Duplicate && seq <= last[fr.Board]:
			f.tb.Errorf("frame %d is at seq %d, behind a later one", i, seq)
		case fr.err == nil && !fr.result.Duplicate:
			last[fr.Board] = seq
		}
	}
}

// stored reads a board's log.
func (f *fixture) stored(id persistence.BoardID) map[persistence.FrameID]persistence.Seq {
	f.tb.Helper()
	records, err := f.store.Read(context.Background(), persistence.ReadParams{Board: id, Limit: 1 << 20})
	if _, gone := errors.AsType[*persistence.BoardNotFoundError](err); err != nil && !gone {
		f.tb.Error(err)
	}
	seqs := map[persistence.FrameID]persistence.Seq{}
	for _, r := range records {
		seqs[r.ID] = r.Seq
	}
	return seqs
}

func (f *fixture) trySubmit(fr *frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.Submit(fr.Submission)
	if err == nil {
		f.sent = append(f.sent, fr)
	}
	return err
}

func (f *fixture) submit(frames ...*frame) {
	f.tb.Helper()
	for _, fr := range frames {
		if err := f.trySubmit(fr); err != nil {
			f.tb.Errorf("Submit: %v", err)
			close(fr.answered)
		}
	}
}

// queue submits n new frames of the board.
func (f *fixture) queue(b *board, n int) (frames []*frame) {
	f.tb.Helper()
	for range n {
		frames = append(frames, newFrame(b))
	}
	f.submit(frames...)
	return frames
}

// commit waits until the frames are in the log.
func (f *fixture) commit(frames ...*frame) {
	f.tb.Helper()
	for i, fr := range frames {
		if <-fr.answered; fr.err != nil {
			f.tb.Errorf("frame %d of %d was not committed: %v", i, len(frames), fr.err)
		}
	}
}

// refuse waits until the frames are refused for now, for the reason.
func (f *fixture) refuse(reason error, frames ...*frame) {
	f.tb.Helper()
	for i, fr := range frames {
		<-fr.answered
		if _, ok := fr.err.(*persistence.RefusedError); !ok || !errors.Is(fr.err, reason) { //nolint:errorlint // never wrapped
			f.tb.Errorf("frame %d of %d: %v, want a refusal because of %v", i, len(frames), fr.err, reason)
		}
	}
}

// pending checks that none of the frames is answered, once nothing moves any more.
func (f *fixture) pending(frames ...*frame) {
	f.tb.Helper()
	synctest.Wait()
	for i, fr := range frames {
		if fr.answers.Load() > 0 {
			f.tb.Errorf("frame %d of %d was answered: %v, %v", i, len(frames), fr.result, fr.err)
		}
	}
}
