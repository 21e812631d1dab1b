package storetest

import (
	"bytes"
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
	size := 0
	for _, r := range log {
		if r.Seq > p.After && (p.Before == 0 || r.Seq < p.Before) &&
			(len(p.Kinds) == 0 || slices.Contains(p.Kinds, r.Kind)) &&
			(p.Sender == "" || p.Sender == r.Sender) && bytes.Contains(r.Body, p.Containing) {
			want = append(want, r)
			size += len(r.Body)
			if len(want) == p.Limit || p.MaxBytes > 0 && size >= p.MaxBytes {
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
							p.Before = from
						} else {
							p.After = from
						}
						f.checkRead(t, log, p)
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

// checkRead reads, and compares with what Read means.
func (f *fixture) checkRead(t *testing.T, log []persistence.Record, p persistence.ReadParams) {
	t.Helper()
	got, err := f.store.Read(f.ctx, p)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	if want := model(log, p); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", p)
		equal(t, got, want)
	}
}

// testReadFilters has every filter with every other one, in ranges with two ends. The bodies that are looked for have
// every byte in them, and stand at a body's beginning, in its middle, and at its end.
func (create suite) testReadFilters(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	needle := make([]byte, 256)
	for i := range needle {
		needle[i] = byte(i)
	}
	var log []persistence.Record
	noError(t, f.store.Append(f.ctx, claims(b), func(l []persistence.Locked) ([]persistence.Extension, error) {
		log = records(l[0].Head, 60, 40)
		for i, place := range []int{0, 20, len(log[0].Body)} {
			for at := i; at < len(log); at += 7 {
				log[at].Body = slices.Insert(log[at].Body, place, needle...)
			}
		}
		log[50].Sender = "Ünïcødé 'quoted'"
		return extend(b, log), nil
	}))
	for _, ends := range [][2]persistence.Seq{{0, 0}, {9, 41}, {9, 11}, {9, 10}, {30, 20}, {55, 1000}, {59, math.MaxUint64}, {0, 1}} {
		for _, backward := range []bool{false, true} {
			for _, kinds := range [][]persistence.Kind{nil, {1, 3}} {
				for _, sender := range []string{"", "user-3", log[50].Sender, "user-", "nobody"} {
					for _, containing := range [][]byte{nil, needle, needle[:1], append([]byte{255}, needle...)} {
						p := persistence.ReadParams{
							Board: b, After: ends[0], Before: ends[1], Backward: backward, Limit: 1000,
							Kinds: kinds, Sender: sender, Containing: containing,
						}
						f.checkRead(t, log, p)
						p.Limit, p.MaxBytes = 2, 700
						f.checkRead(t, log, p)
					}
				}
			}
		}
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
