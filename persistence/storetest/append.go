package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
)

func (create suite) testAppendIsGapless(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 3)
	want := make([][]persistence.Record, len(boards))
	for _, n := range []int{1, 2, 3, 4, 5, 15, 16, 17, 31, 64, 130} {
		noError(t, f.store.Append(f.ctx, claims(boards...), func(locked []persistence.Locked) (exts []persistence.Extension, err error) {
			for i, l := range locked {
				if int(l.Head) != len(want[i]) {
					t.Errorf("head is %d, want %d", l.Head, len(want[i]))
				}
				recs := records(l.Head, n+i, 20)
				want[i] = append(want[i], recs...)
				exts = append(exts, persistence.Extension{Board: l.Board, Records: recs})
			}
			slices.Reverse(exts) // any order
			return exts, nil
		}))
	}
	for i, b := range boards {
		f.checkLog(t, b, want[i])
	}
}

func (create suite) testAppendKeepsEveryBit(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	recs := records(0, 9, 20)
	recs[0].Body = []byte{}
	recs[1].Body = nil
	recs[2].Body = every
	recs[3].Body = slices.Repeat(every, 12)       // beyond what PostgreSQL keeps in the row
	recs[4].Body = slices.Repeat(every, 6*1024)   // 1.5 MiB
	recs[5].Sender = "Zoë 👩‍🚀 \\x00 '\" ?1 $1 %s" //
	recs[5].Kind = math.MaxInt16
	recs[6].Sender = ""
	recs[6].Kind = math.MinInt16
	recs[7].Sender = strings.Repeat("x", 10_000)
	recs[7].Time = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	recs[8].Time = time.Date(2345, 6, 7, 8, 9, 10, 123_456_000, time.UTC)
	b := f.createBoard(t)
	given := slices.Clone(recs)
	given[8].Time = recs[8].Time.Add(789).In(time.FixedZone("somewhere", 3600)) // ns are cut off
	noError(t, f.store.Append(f.ctx, claims(b), func([]persistence.Locked) ([]persistence.Extension, error) {
		return extend(b, given), nil
	}))
	f.checkLog(t, b, recs)
	equal(t, f.look(t, f.store, persistence.Claim{Board: b})[0].Missed, recs)
	for _, r := range f.log(t, f.store, b) {
		if r.Time.Location() != time.UTC {
			t.Errorf("time of %d is in %s, want UTC", r.Seq, r.Time.Location())
		}
	}
}

func (create suite) testAppendMovesTheBoard(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	want := newBoard()
	other := f.board(t, f.createBoard(t))
	noError(t, f.store.CreateBoard(f.ctx, want))
	for range 2 {
		recs := f.add(t, f.store, want.ID, 5)
		want.Head += 5
		want.Objects = 5 // add's
		want.UpdatedAt = recs[4].Time
		equal(t, f.board(t, want.ID), want)
	}
	equal(t, f.board(t, other.ID), other)
}

func (create suite) testFindsInTheOrderOfClaims(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 5)
	for i, b := range boards {
		f.add(t, f.store, b, i+1)
	}
	unknown := newBoardID()
	cs := claims(boards[3], boards[0], unknown, boards[4], boards[1])
	found := f.look(t, f.store, cs...)
	var want []persistence.Locked
	for _, c := range cs {
		l := persistence.Locked{Board: c.Board}
		if c.Board != unknown {
			b := f.board(t, c.Board)
			l.Exists, l.Epoch, l.Head = true, b.Epoch, b.Head
		}
		want = append(want, l)
	}
	equal(t, found, want)
}

func (create suite) testFindsKnownIDs(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 2)
	var recs [2][]persistence.Record
	for i, b := range boards {
		recs[i] = f.add(t, f.store, b, 300)
	}
	candidates := []persistence.FrameID{recs[0][41].ID, newFrameID(), recs[1][7].ID, recs[0][0].ID, recs[0][299].ID, {}}
	found := f.look(t, f.open(t),
		persistence.Claim{Board: boards[1], Applied: 300, IDs: idsOf(recs[1])},
		persistence.Claim{Board: boards[0], Applied: 300, IDs: candidates},
	)
	all := make(map[persistence.FrameID]persistence.Seq)
	for _, r := range recs[1] {
		all[r.ID] = r.Seq
	}
	equal(t, found[0].Known, all)
	// An id is known in its own board only.
	equal(t, found[1].Known, map[persistence.FrameID]persistence.Seq{recs[0][41].ID: 42, recs[0][0].ID: 1, recs[0][299].ID: 300})
}

func (create suite) testFindsMissedFrames(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 3)
	other := f.open(t)
	var want [3][]persistence.Record
	for i, b := range boards {
		want[i] = f.add(t, f.store, b, 10)
	}
	want[0] = append(want[0], f.add(t, other, boards[0], 20)...)
	want[2] = append(want[2], f.add(t, other, boards[2], 1)...)
	found := f.look(t, f.store,
		persistence.Claim{Board: boards[0], Applied: 10},
		persistence.Claim{Board: boards[1], Applied: 10},
		persistence.Claim{Board: boards[2], Applied: 3},
	)
	equal(t, found[0].Missed, want[0][10:])
	equal(t, found[1].Missed, []persistence.Record(nil))
	equal(t, found[2].Missed, want[2][3:])

	for _, ahead := range []persistence.Seq{31, 1 << 62, math.MaxInt64, math.MaxUint64} {
		if l := f.look(t, f.store, persistence.Claim{Board: boards[0], Applied: ahead})[0]; l.Head != 30 || len(l.Missed) > 0 {
			t.Errorf("applied %d: head is %d, and %d frames are missed", ahead, l.Head, len(l.Missed))
		}
	}
}

func (create suite) testMissedBytes(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	want := records(0, 6, persistence.MissedBytes/4)
	noError(t, f.store.Append(f.ctx, claims(b), func([]persistence.Locked) ([]persistence.Extension, error) {
		return extend(b, want), nil
	}))
	for applied, n := range []int{4, 4, 4, 3} {
		l := f.look(t, f.store, persistence.Claim{Board: b, Applied: persistence.Seq(applied)})[0]
		equal(t, l.Missed, want[applied:applied+n])
	}
}

func (create suite) testMissedLimit(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	want := f.add(t, f.store, b, persistence.MissedLimit+3)
	l := f.look(t, f.store, persistence.Claim{Board: b, Applied: 1})[0]
	if l.Head != persistence.MissedLimit+3 {
		t.Errorf("head is %d", l.Head)
	}
	equal(t, l.Missed, want[1:persistence.MissedLimit+1])
}

func (create suite) testFindsNoDeletedBoards(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 2)
	recs := f.add(t, f.store, boards[0], 3)
	noError(t, f.store.DeleteBoard(f.ctx, boards[0], now()))
	cs := []persistence.Claim{
		{Board: boards[0], IDs: idsOf(recs)},
		{Board: newBoardID(), IDs: idsOf(recs)},
	}
	equal(t, f.look(t, f.store, cs...), []persistence.Locked{{Board: cs[0].Board}, {Board: cs[1].Board}})

	for _, c := range cs {
		err := f.store.Append(f.ctx, claims(boards[1], c.Board), func([]persistence.Locked) ([]persistence.Extension, error) {
			return append(extend(boards[1], records(0, 1, 1)), extend(c.Board, records(3, 1, 1))...), nil
		})
		permanent(t, err)
	}
	f.checkLog(t, boards[1], nil)

	_, err := f.store.UndeleteBoard(f.ctx, boards[0])
	noError(t, err)
	f.checkLog(t, boards[0], recs)
	if l := f.look(t, f.store, cs[0])[0]; !l.Exists || len(l.Known) != 3 || len(l.Missed) != 3 {
		t.Errorf("brought back it is %+v", l)
	}
}

func (create suite) testAppendOfNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	called := false
	noError(t, f.store.Append(f.ctx, nil, func(l []persistence.Locked) ([]persistence.Extension, error) {
		called = true
		return nil, nil
	}))
	if !called {
		t.Error("decide was not called")
	}
	b := f.createBoard(t)
	want := f.board(t, b)
	f.look(t, f.store, claims(b)...)
	equal(t, f.board(t, b), want)
}

func (create suite) testRefusesClaimsTwice(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	permanent(t, f.store.Append(f.ctx, claims(b, f.createBoard(t), b), func([]persistence.Locked) ([]persistence.Extension, error) {
		t.Error("decide was called")
		return nil, nil
	}))
}

func (create suite) testRefusesBadExtensions(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 3)
	recs := f.add(t, f.store, boards[0], 2)
	for name, bad := range map[string][]persistence.Extension{
		"a gap before":  extend(boards[0], records(3, 1, 1)),
		"an overlap":    extend(boards[0], records(1, 1, 1)),
		"a gap within":  extend(boards[0], append(records(2, 1, 1), records(4, 1, 1)...)),
		"no records":    extend(boards[0], nil),
		"not claimed":   extend(boards[2], records(0, 1, 1)),
		"a board twice": append(extend(boards[0], records(2, 1, 1)), extend(boards[0], records(3, 1, 1))...),
	} {
		err := f.store.Append(f.ctx, claims(boards[0], boards[1]), func([]persistence.Locked) ([]persistence.Extension, error) {
			return append(extend(boards[1], records(0, 1, 1)), bad...), nil
		})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		permanent(t, err)
	}
	f.checkLog(t, boards[0], recs)
	f.checkLog(t, boards[1], nil)
	f.checkLog(t, boards[2], nil)
}

func (create suite) testRefusesDuplicateIDs(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	boards := f.createBoards(t, 2)
	recs := f.add(t, f.store, boards[0], 40)
	again := records(40, 3, 20)
	again[1].ID = recs[7].ID
	twice := records(40, 20, 20)
	twice[18].ID = twice[2].ID
	for _, bad := range [][]persistence.Record{again, twice} {
		err := f.store.Append(f.ctx, claims(boards...), func([]persistence.Locked) ([]persistence.Extension, error) {
			return append(extend(boards[1], records(0, 30, 20)), extend(boards[0], bad)...), nil
		})
		permanent(t, err)
		f.checkLog(t, boards[0], recs)
		f.checkLog(t, boards[1], nil)
	}
	// In another board it is another frame.
	same := records(0, 40, 20)
	for i := range same {
		same[i].ID = recs[i].ID
	}
	noError(t, f.store.Append(f.ctx, claims(boards[1]), func([]persistence.Locked) ([]persistence.Extension, error) {
		return extend(boards[1], same), nil
	}))
	f.checkLog(t, boards[1], same)
}

func (create suite) testRollsBackOnErrorOfDecide(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	want := f.add(t, f.store, b, 3)
	refusal := fmt.Errorf("wrapped: %w", errors.New("no"))
	for range 40 { // more than there are connections
		err := f.store.Append(f.ctx, claims(b), func(l []persistence.Locked) ([]persistence.Extension, error) {
			return extend(b, records(l[0].Head, 1, 1)), refusal
		})
		if err != refusal { //nolint:errorlint // as it is
			t.Fatalf("error is %v, want decide's own", err)
		}
	}
	f.checkLog(t, b, want)
	want = append(want, f.add(t, f.store, b, 1)...)
	f.checkLog(t, b, want)
}

func (create suite) testRollsBackOnPanicOfDecide(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	b := f.createBoard(t)
	for range 40 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = f.store.Append(f.ctx, claims(b), func([]persistence.Locked) ([]persistence.Extension, error) { panic("no") })
		}()
	}
	f.checkLog(t, b, f.add(t, f.open(t), b, 1))
	f.add(t, f.store, b, 1)
}
