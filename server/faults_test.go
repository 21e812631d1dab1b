package server_test

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
)

// faultyStore is a real store whose commits can be held or made to fail. The rest is the store's own.
type faultyStore struct {
	persistence.Store

	reads atomic.Int64 // of logs

	mu     sync.Mutex
	append func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error
	failed error // of every call while set
	unread error // of reads of logs while set
	onRead func(persistence.ReadParams)
}

var errInjected = errors.New("secret text of the database")

func newFaultyStore(inner persistence.Store) *faultyStore {
	return &faultyStore{Store: inner, append: inner.Append}
}

func (s *faultyStore) Append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	s.mu.Lock()
	do, failed := s.append, s.failed
	s.mu.Unlock()
	if failed != nil {
		return failed
	}
	return do(ctx, claims, decide)
}

func (s *faultyStore) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	s.reads.Add(1)
	s.mu.Lock()
	err, onRead := cmp.Or(s.failed, s.unread), s.onRead
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	records, err := s.Store.Read(ctx, p)
	if onRead != nil {
		onRead(p)
	}
	runtime.KeepAlive(records) // what was read is there when the read is watched
	return records, err
}

func (s *faultyStore) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	return s.Store.Boards(ctx, ids...)
}

func (s *faultyStore) Ping(ctx context.Context) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.Ping(ctx)
}

func (s *faultyStore) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// breakDown makes every call fail as if the database were away.
func (s *faultyStore) breakDown() { s.fail(&persistence.UnavailableError{Err: errInjected}) }

func (s *faultyStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// failReads makes reads of logs alone fail, until it is given nil.
func (s *faultyStore) failReads(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = err
}

// watchReads has do called after each read of a log.
func (s *faultyStore) watchReads(do func(persistence.ReadParams)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRead = do
}

func (s *faultyStore) repair() { s.fail(nil) }

// setAppend replaces what Append does; it is given the real one.
func (s *faultyStore) setAppend(do func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append = do
}

// gate holds whoever passes until it is opened.
type gate struct {
	reached chan struct{} // one value for each that came
	opened  chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan struct{}, 1000), opened: make(chan struct{})} }

func (g *gate) pass(ctx context.Context) {
	g.reached <- struct{}{}
	select {
	case <-g.opened:
	case <-ctx.Done():
	}
}

// holdCommits lets transactions decide, and holds them before anything is written.
func (s *faultyStore) holdCommits(g *gate) {
	s.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
		return s.Store.Append(ctx, claims, func(locked []persistence.Locked) ([]persistence.Extension, error) {
			extensions, err := decide(locked)
			g.pass(ctx)
			return extensions, err
		})
	})
}

func mustBoardID(t *testing.T, s string) persistence.BoardID {
	t.Helper()
	id, err := persistence.ParseBoardID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
