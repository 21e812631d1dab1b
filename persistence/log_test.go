package persistence_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

// board is a board's log in memory: its state is its position, and which frames it has.
type board struct {
	f  *fixture
	id persistence.BoardID

	at      persistence.Position
	ids     []persistence.FrameID               // published, from the start of the log
	invalid []error                             // what Invalidate was told
	decide  func(*persistence.Submission) error // why a frame is not accepted; may be nil
	apply   func(persistence.Record) error      // why a missed one cannot be applied; may be nil
}

// board creates a board. Those of one test belong to the shards in turn.
func (f *fixture) board() *board {
	f.tb.Helper()
	b := &board{f: f, id: persistence.BoardID(uuid.New()), at: persistence.Position{Epoch: persistence.Epoch(uuid.New())}}
	b.id[15] = byte(f.boards)
	f.boards++
	err := f.store.CreateBoard(context.Background(), persistence.Board{ID: b.id, Name: "b", Epoch: b.at.Epoch})
	if err != nil {
		f.tb.Error(err)
	}
	return b
}

func (b *board) Begin() persistence.Attempt { return &overlay{board: b, at: b.at} }

func (b *board) Invalidate(cause error) { b.invalid = append(b.invalid, cause) }

type overlay struct {
	board *board
	at    persistence.Position
	ids   []persistence.FrameID
}

func (o *overlay) Position() persistence.Position { return o.at }
func (o *overlay) Objects() uint64                { return uint64(o.at.Seq) }

func (o *overlay) Apply(missed []persistence.Record) error {
	for _, r := range missed {
		if o.board.apply != nil {
			if err := o.board.apply(r); err != nil {
				return err
			}
		}
		if r.Seq != o.at.Seq+1 {
			return fmt.Errorf("seq %d follows %d", r.Seq, o.at.Seq)
		}
		o.at.Seq++
		o.ids = append(o.ids, r.ID)
	}
	return nil
}

func (o *overlay) Decide(s *persistence.Submission, at time.Time, records []persistence.Record) ([]persistence.Record, error) {
	before := *o
	o.at.Seq++
	o.ids = append(o.ids, s.ID)
	if o.board.decide != nil { // a panic leaves the overlay as it is: half changed
		if err := o.board.decide(s); err != nil {
			*o = before
			return nil, err
		}
	}
	return append(records, persistence.Record{Seq: o.at.Seq, ID: s.ID, Time: at, Sender: s.Sender, Kind: 25, Body: s.ID[:]}), nil
}

// Publish checks what nobody may see before it is durable.
func (o *overlay) Publish() {
	b := o.board
	boards, err := b.f.store.Boards(context.Background(), b.id)
	if err != nil || len(boards) != 1 || boards[0].Head < o.at.Seq {
		b.f.tb.Errorf("seq %d was published before it was stored: %+v, %v", o.at.Seq, boards, err)
	}
	b.at = o.at
	b.ids = append(b.ids, o.ids...)
}

// frame is a submission and what became of it.
type frame struct {
	*persistence.Submission

	answered chan struct{}
	onDone   func() // may be nil
	answers  atomic.Int32
	result   persistence.Result
	err      error
}

func newFrame(b *board) *frame {
	fr := &frame{answered: make(chan struct{})}
	fr.Submission = &persistence.Submission{
		Board: b.id, ID: persistence.FrameID(uuid.New()), Sender: "ada", Size: 16, Log: b,
		Done: func(r persistence.Result, err error) {
			if fr.answers.Add(1) > 1 {
				return // verify says so
			}
			fr.result, fr.err = r, err
			if err == nil && b.at.Seq < r.Seq {
				b.f.tb.Errorf("acked seq %d before it was published", r.Seq)
			}
			if fr.onDone != nil {
				fr.onDone()
			}
			close(fr.answered)
		},
	}
	return fr
}

// again is a frame that is sent once more, under its id.
func (fr *frame) again(b *board) *frame {
	second := newFrame(b)
	second.ID = fr.ID
	return second
}
