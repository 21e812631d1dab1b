package persistence_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

// countingLog accepts every frame; its state is its position.
type countingLog struct{ at persistence.Position }

func (l *countingLog) Begin() persistence.Attempt { return &countingAttempt{log: l, at: l.at} }

func (l *countingLog) Invalidate(error) {}

type countingAttempt struct {
	log *countingLog
	at  persistence.Position
}

func (a *countingAttempt) Position() persistence.Position { return a.at }
func (a *countingAttempt) Objects() uint64                { return 0 }
func (a *countingAttempt) Publish()                       { a.log.at = a.at }

func (a *countingAttempt) Apply(missed []persistence.Record) error {
	a.at.Seq = missed[len(missed)-1].Seq
	return nil
}

func (a *countingAttempt) Decide(s *persistence.Submission, at time.Time) (persistence.Record, error) {
	a.at.Seq++
	return persistence.Record{Seq: a.at.Seq, ID: s.ID, Time: at, Sender: s.Sender, Kind: 25, Body: s.ID[:]}, nil
}

// poisoned is a real store that fails every transaction with the poison in it, for a reason that no retry mends.
type poisoned struct {
	persistence.Store

	poison persistence.FrameID
}

var errPoison = errors.New("injected: this frame cannot be stored")

func (p *poisoned) Append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	for _, c := range claims {
		if slices.Contains(c.IDs, p.poison) {
			return errPoison
		}
	}
	return p.Store.Append(ctx, claims, decide)
}

func TestPoisonFrameIsTheOnlyOneRefused(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "poison.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	poison := persistence.FrameID(uuid.New())
	committer := persistence.NewCommitter(&poisoned{Store: store, poison: poison}, persistence.CommitterConfig{})

	const boards, each = 3, 5
	type answer struct {
		id     persistence.FrameID
		result persistence.Result
		err    error
	}
	answers := make(chan answer, boards*each)
	want := map[persistence.FrameID]persistence.Seq{}
	// Everything is queued before the committer runs, so that it is one group.
	for b := range boards {
		id, epoch := persistence.BoardID(uuid.New()), persistence.Epoch(uuid.New())
		if err := store.CreateBoard(t.Context(), persistence.Board{ID: id, Name: "b", Epoch: epoch}); err != nil {
			t.Fatal(err)
		}
		log := &countingLog{at: persistence.Position{Epoch: epoch}}
		seq := persistence.Seq(0)
		for i := range each {
			frame := persistence.FrameID(uuid.New())
			if b == 1 && i == 2 {
				frame = poison
			} else {
				seq++
				want[frame] = seq
			}
			if err := committer.Submit(&persistence.Submission{
				Board: id, ID: frame, Sender: "s", Size: 16, Log: log,
				Done: func(r persistence.Result, err error) { answers <- answer{frame, r, err} },
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	committer.Drain()
	if err := committer.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(answers)
	answered := 0
	for a := range answers {
		answered++
		switch {
		case a.id == poison && !errors.Is(a.err, errPoison):
			t.Errorf("poison: %v, %v", a.result, a.err)
		case a.id != poison && (a.err != nil || a.result.Seq != want[a.id]):
			t.Errorf("innocent frame: seq %d, want %d, %v", a.result.Seq, want[a.id], a.err)
		}
	}
	if answered != boards*each {
		t.Fatalf("%d answers to %d frames", answered, boards*each)
	}
}
