package board_test

import (
	"sync"
	"testing"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func boardOf(t tb, objects int) *board.Board {
	b := board.New()
	for n := range objects {
		mustSubmit(t, b, create(n))
	}
	return b
}

// A board and its clones are distinct: each belongs to a goroutine of its own. The race detector is the judge.
func TestClonesAreIndependent(t *testing.T) {
	t.Parallel()
	const objects, steps = 500, 300
	b := boardOf(t, objects)
	want := b.Snapshot()
	boards := []*board.Board{b, b.Clone(), b.Clone()}
	boards = append(boards, boards[1].Clone(), b.Clone())
	results := make([]string, len(boards))
	var wg sync.WaitGroup
	for i, own := range boards {
		wg.Go(func() {
			for step := range steps {
				// All take the same steps, each on its own board, now and then on a clone of it.
				if step%10 == 0 {
					own = own.Clone()
				}
				n := step * 7 % objects
				mustSubmit(t, own, move(n, float64(step)), create(objects+step),
					&collaboardv1.ObjectDelete{Id: id(n)},
					updateWith(n, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = new(string) }))
			}
			results[i] = string(own.Snapshot())
		})
	}
	wg.Wait()
	for i, got := range results {
		if got != results[0] || got == string(want) {
			t.Errorf("board %d differs", i)
		}
	}
}

// Decide only reads, batches included, so that a board which is not about to change may be asked by many.
func TestDecideOnlyReads(t *testing.T) {
	t.Parallel()
	b := boardOf(t, 200)
	before := b.Snapshot()
	batch := new(collaboardv1.ObjectBatch)
	for n := range 100 {
		batch.Ops = append(batch.Ops, op(move(n, 1)), op(create(1000+n)), op(&collaboardv1.ObjectDelete{Id: id(n)}))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := b.Decide(frame(batch), next(b)); err != nil {
					t.Error(err)
				}
				for o := range b.Stack() {
					if o.GetX() != 0 {
						t.Error("a dropped change is seen")
					}
				}
			}
		})
	}
	wg.Wait()
	if string(b.Snapshot()) != string(before) {
		t.Error("Decide changed the board")
	}
}
