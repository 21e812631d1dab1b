package persistence_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

// An iteration is one frame's way through the queue: Submit, a transaction, Decide, Publish, Done. The store and the
// boards do nothing, so that it is what the committer itself costs. One sender has so many frames in flight.
func BenchmarkCommitter(b *testing.B) {
	for _, tc := range []struct{ boards, inFlight int }{{1, 1}, {1, 256}, {64, 64}, {64, 1024}} {
		b.Run(fmt.Sprintf("boards=%d/in-flight=%d", tc.boards, tc.inFlight), func(b *testing.B) {
			store := &idleStore{heads: map[persistence.BoardID]persistence.Seq{}}
			logs := make([]*idleLog, tc.boards)
			for i := range logs {
				logs[i] = &idleLog{id: persistence.BoardID(uuid.New()), at: persistence.Position{Epoch: epochOfBench}}
			}
			c := persistence.NewCommitter(store, persistence.CommitterConfig{})
			var running sync.WaitGroup
			running.Go(func() {
				if err := c.Run(context.Background()); err != nil {
					b.Error(err)
				}
			})
			window := make(chan struct{}, tc.inFlight)
			done := func(_ persistence.Result, err error) {
				if err != nil {
					b.Error(err)
				}
				<-window
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				log := logs[n%len(logs)]
				sub := &persistence.Submission{Board: log.id, Sender: "ada", Size: 256, Log: log, Done: done}
				binary.BigEndian.PutUint64(sub.ID[:], uint64(n))
				window <- struct{}{}
				if err := c.Submit(sub); err != nil {
					b.Fatal(err)
				}
			}
			for range tc.inFlight { // all are done
				window <- struct{}{}
			}
			c.Drain()
			running.Wait()
			b.ReportMetric(float64(store.frames)/float64(store.commits), "frames/commit")
			if store.frames != b.N {
				b.Errorf("%d frames were committed, of %d", store.frames, b.N)
			}
		})
	}
}

var epochOfBench = persistence.Epoch(uuid.New())

// idleStore keeps nothing but the heads. Of its methods the committer needs no other.
type idleStore struct {
	persistence.Store

	heads           map[persistence.BoardID]persistence.Seq
	locked          []persistence.Locked // made once
	frames, commits int
}

func (s *idleStore) Append(_ context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	s.locked = s.locked[:0]
	for _, c := range claims {
		s.locked = append(s.locked, persistence.Locked{Board: c.Board, Exists: true, Epoch: epochOfBench, Head: s.heads[c.Board]})
	}
	extensions, err := decide(s.locked)
	for _, e := range extensions {
		s.heads[e.Board] += persistence.Seq(len(e.Records))
		s.frames += len(e.Records)
	}
	s.commits++
	return err
}

// idleLog is at a position, and has no state.
type idleLog struct {
	id persistence.BoardID
	at persistence.Position
}

func (l *idleLog) Begin() persistence.Attempt { return &idleAttempt{log: l, at: l.at} }
func (l *idleLog) Invalidate(cause error)     { panic(cause) }

type idleAttempt struct {
	log *idleLog
	at  persistence.Position
}

func (a *idleAttempt) Position() persistence.Position { return a.at }
func (a *idleAttempt) Objects() uint64                { return 0 }
func (a *idleAttempt) Apply(r []persistence.Record) error {
	return fmt.Errorf("%d missed frames", len(r))
}
func (a *idleAttempt) Publish() { a.log.at = a.at }

func (a *idleAttempt) Decide(s *persistence.Submission, at time.Time, records []persistence.Record) ([]persistence.Record, error) {
	a.at.Seq++
	return append(records, persistence.Record{Seq: a.at.Seq, ID: s.ID, Time: at, Sender: s.Sender, Kind: 25}), nil
}
