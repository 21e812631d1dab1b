package storetest

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
)

// model is what Read means.
func model(log []persistence.Record, p persistence.ReadParams) (want []persistence.Record) {
	log = slices.Clone(log)
	if p.Backward {
		slices.Reverse(log)
	}
	bytes := 0
	for _, r := range log {
		in := r.Seq > p.After
		if p.Backward {
			in = p.Before == 0 || r.Seq < p.Before
		}
		if in && (len(p.Kinds) == 0 || slices.Contains(p.Kinds, r.Kind)) {
			want = append(want, r)
			bytes += len(r.Body)
			if len(want) == p.Limit || p.MaxBytes > 0 && bytes >= p.MaxBytes {
				break
			}
		}
	}
	return want
}

func (create suite) testReadRanges(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	f.add(t, f.store, f.createBoard(t), 50) // its neighbours
	log := f.add(t, f.store, b, 40)
	f.add(t, f.store, f.createBoard(t), 50)
	for _, from := range []persistence.Seq{0, 1, 2, 17, 39, 40, 41, 1000, math.MaxInt64, math.MaxUint64} {
		for _, backward := range []bool{false, true} {
			for _, limit := range []int{1, 7, 40, 1000} {
				for _, maxBytes := range []int{0, 1, 22, 100, 1 << 30} {
					for _, kinds := range [][]persistence.Kind{nil, {3}, {0, 1, 2, 4}, {99}, {-1, math.MaxInt16, 2}} {
						p := persistence.ReadParams{Board: b, Backward: backward, Limit: limit, MaxBytes: maxBytes, Kinds: kinds}
						if backward {
							p.Before, p.After = from, 12345 // ignored
						} else {
							p.After = from
						}
						got, err := f.store.Read(f.ctx, p)
						if err != nil {
							t.Fatalf("%+v: %v", p, err)
						}
						if want := model(log, p); !reflect.DeepEqual(got, want) {
							t.Errorf("%+v", p)
							equal(t, got, want)
						}
					}
				}
			}
		}
	}
	for _, limit := range []int{0, -1} {
		_, err := f.store.Read(f.ctx, persistence.ReadParams{Board: b, Limit: limit})
		permanent(t, err)
	}
}

func (create suite) testReadPages(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	log := f.add(t, f.store, b, 100)
	var forward, backward []persistence.Record
	p := persistence.ReadParams{Board: b, Limit: 7}
	for {
		page, err := f.store.Read(f.ctx, p)
		noError(t, err)
		if len(page) == 0 {
			break
		}
		forward = append(forward, page...)
		p.After = page[len(page)-1].Seq
	}
	equal(t, forward, log)

	p = persistence.ReadParams{Board: b, Limit: 1000, MaxBytes: 100, Backward: true}
	for {
		page, err := f.store.Read(f.ctx, p)
		noError(t, err)
		backward = append(backward, page...)
		if p.Before = page[len(page)-1].Seq; p.Before == 1 { // 0 would be from the head again
			break
		}
	}
	slices.Reverse(backward)
	equal(t, backward, log)
}

func (create suite) testReadTrimmed(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	log := f.add(t, f.store, b, 20)
	f.beginLog(t, f.store, b, 8)
	if first := f.board(t, b).First; first != 8 {
		t.Fatalf("first is %d after the log was trimmed, want 8", first)
	}
	backwards := func() {
		t.Helper()
		got, err := f.store.Read(f.ctx, persistence.ReadParams{Board: b, Backward: true, Limit: 100})
		noError(t, err)
		slices.Reverse(got)
		equal(t, got, log[7:])
		got, err = f.store.Read(f.ctx, persistence.ReadParams{Board: b, Backward: true, Before: 8, Limit: 100})
		noError(t, err)
		equal(t, got, []persistence.Record(nil))
	}
	backwards()
	for _, after := range []persistence.Seq{0, 1, 6} { // whether the frames are gone already or not
		if after == 6 {
			equal(t, f.removeTrimmed(t, f.store, b, 100), 7)
		}
		for _, kinds := range [][]persistence.Kind{nil, {3}, {99}} {
			_, err := f.store.Read(f.ctx, persistence.ReadParams{Board: b, After: after, Limit: 5, MaxBytes: 50, Kinds: kinds})
			equal(t, *errorAs[*persistence.TrimmedError](t, err), persistence.TrimmedError{Board: b, First: 8})
		}
	}
	got, err := f.store.Read(f.ctx, persistence.ReadParams{Board: b, After: 7, Limit: 100})
	noError(t, err)
	equal(t, got, log[7:])
	backwards()
}

func (create suite) testReadNoBoard(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	deleted := f.createBoard(t)
	f.add(t, f.store, deleted, 3)
	noError(t, f.store.DeleteBoard(f.ctx, deleted, now()))
	for _, b := range []persistence.BoardID{deleted, newBoardID(), {}} {
		for _, backward := range []bool{false, true} {
			_, err := f.store.Read(f.ctx, persistence.ReadParams{Board: b, Limit: 1, Backward: backward})
			equal(t, *errorAs[*persistence.BoardNotFoundError](t, err), persistence.BoardNotFoundError{Board: b})
		}
	}
}

// testReadIsTheCallers: bodies are kept for as long as somebody wants to send them, so each has bytes of its own.
func (create suite) testReadIsTheCallers(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	log := f.add(t, f.store, b, 50)
	got := f.log(t, f.store, b)
	missed := f.look(t, f.store, persistence.Claim{Board: b})[0].Missed
	for range 3 {
		f.add(t, f.store, b, 50)
		f.log(t, f.store, b)
	}
	equal(t, got, log)
	equal(t, missed, log)
	for i := range got {
		clear(got[i].Body[:cap(got[i].Body)])
	}
	equal(t, missed, log)
}
