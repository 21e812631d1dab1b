package room_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

func TestTailHoldsTheNewestFramesUpToItsLimit(t *testing.T) {
	t.Parallel()
	const size = 1000 // and about a hundred bytes around it
	w := newWorld(t, room.Config{TailBytes: 4 * size})
	r := w.acquire(w.hub)
	first, _ := w.join(r, nil)
	for range 20 {
		w.write(r, size)
	}
	for seq := persistence.Seq(0); seq <= 20; seq++ {
		m, _ := w.join(r, &persistence.Position{Epoch: w.epoch, Seq: seq})
		var chunks [][]persistence.Seq
		reads := w.store.readsOf(func() { chunks = m.catchUp() })
		if want := seq < 17; (reads == 1) != want {
			t.Errorf("after %d: %d reads of the store", seq, reads)
		}
		if got := slices.Concat(chunks...); len(got) != 20-int(seq) || (len(got) > 0 && got[0] != seq+1) {
			t.Errorf("after %d: %v", seq, got)
		}
		m.Leave()
	}
	// What is over the limit alone is kept as long as it is the newest.
	first.catchUp()
	w.write(r, 8*size)
	if reads := w.store.readsOf(func() { wantChunks(t, first.catchUp(), []persistence.Seq{21}) }); reads != 0 {
		t.Errorf("%d reads of the store for the newest frame", reads)
	}
}

// TestChunkIsBounded reads what was written in one group, from memory and from the store.
func TestChunkIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{TailBytes: 1 << 30})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	for _, size := range []int{100 << 10, 100 << 10, 100 << 10, 500 << 10, 1} {
		w.write(r, size)
	}
	wantChunks(t, m.catchUp(), []persistence.Seq{1, 2}, []persistence.Seq{3}, []persistence.Seq{4}, []persistence.Seq{5})
}

func TestRoomWithoutMembersKeepsNoTail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	for seq := range persistence.Seq(3) {
		m, _ := w.join(r, nil)
		w.write(r, 1) // it begins a tail
		m.Leave()
		m, _ = w.join(r, &persistence.Position{Epoch: w.epoch, Seq: 2 * seq})
		if reads := w.store.readsOf(func() { m.catchUp() }); reads != 1 {
			t.Errorf("round %d: %d reads of the store, want 1", seq, reads)
		}
		m.Leave()
		w.write(r, 1) // it does not, and the next is not to be joined to an older tail
	}
	late, _ := w.join(r, &persistence.Position{Epoch: w.epoch, Seq: 5})
	if reads := w.store.readsOf(func() { late.catchUp() }); reads != 1 {
		t.Errorf("%d reads of the store for what was written while nobody was there, want 1", reads)
	}
	last, _ := w.join(r, &persistence.Position{})
	if got := slices.Concat(last.catchUp()...); len(got) != 6 {
		t.Fatalf("read %v", got)
	}
}

func TestJoinSaysWhyAPositionIsNotResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	for r, i := w.acquire(w.hub), 0; i < 5; i++ {
		w.write(r, 1)
	}
	w.beginLog(3)
	other := w.newHub(room.Config{})
	r := w.acquire(other)
	for _, test := range []struct {
		from persistence.Position
		want collaboardv1.SnapshotReason
	}{
		{persistence.Position{Epoch: w.epoch, Seq: 5}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED},
		{persistence.Position{Epoch: w.epoch, Seq: 2}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED},
		{persistence.Position{Epoch: w.epoch, Seq: 1}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED},
		{persistence.Position{}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED},
		{persistence.Position{Epoch: w.epoch, Seq: 6}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_POSITION_AHEAD},
		{persistence.Position{Epoch: persistence.Epoch(uuid.New()), Seq: 2}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED},
		{persistence.Position{Epoch: persistence.Epoch(uuid.New())}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED},
	} {
		m, joined := w.join(r, &test.from)
		resumed := test.want == collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED
		if joined.Reason != test.want || resumed != (joined.Snapshot == nil) || (!resumed && joined.Position.Seq != 5) {
			t.Errorf("from %v: %v, at %v", test.from, joined.Reason, joined.Position)
		}
		if want := joined.Position.Seq; m.Cursor() != want {
			t.Errorf("from %v: cursor %d, want %d", test.from, m.Cursor(), want)
		}
	}
}

// TestPublishOfKnownFrames has the same frames come from the committer and from the store, in both orders.
func TestPublishOfKnownFrames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	other := w.acquire(w.newHub(room.Config{}))
	w.write(other, 1)

	a := r.Begin() // and before it adds to the log, seq 1 is read from the store
	records, err := w.store.Read(t.Context(), persistence.ReadParams{Board: w.id, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Apply(records); err != nil {
		t.Fatal(err)
	}
	late := r.Begin()
	if err := late.Apply(records); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.decide(a, custom(1))
	a.Publish()    // seqs 1 and 2, of which the room has 1
	late.Publish() // seq 1, which it has
	if got := r.Position().Seq; got != 2 {
		t.Fatalf("room at %d, want 2", got)
	}
	wantChunks(t, m.catchUp(), []persistence.Seq{1, 2})
}

// TestAttemptIsInvisibleUntilPublished decides on a clone.
func TestAttemptIsInvisibleUntilPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	before := m.wakes
	a := w.append(r, custom(1))
	if got := r.Position().Seq; got != 0 || m.wakes != before {
		t.Fatalf("room at %d, %d wakes", got, m.wakes-before)
	}
	look, err := r.Look()
	if err != nil {
		t.Fatal(err)
	}
	a.Publish()
	if m.wakes == before {
		t.Error("the member was not woken")
	}
	w.write(r, 1)
	if got := look.Snapshot.Seq(); got != 0 || look.Position.Seq != 0 {
		t.Errorf("snapshot at %d, said to be at %d, want 0", got, look.Position.Seq)
	}
}

func TestGapInTheLogIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{TailBytes: 1})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	empty := w.acquire(w.newHub(room.Config{}))
	for range 3 {
		w.write(r, 1)
	}
	records, err := w.store.Read(t.Context(), persistence.ReadParams{Board: w.id, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	moved := records[0]
	moved.Body = records[1].Body
	for name, log := range map[string][]persistence.Record{"gap": {records[0], records[2]}, "another frame's body": {moved}} {
		if err := empty.Begin().Apply(log); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
	w.store.Store = gappy{w.store.Store}
	if records, err := m.Next(t.Context()); err == nil || m.Cursor() != 0 {
		t.Errorf("a member was given %d records, is at %d", len(records), m.Cursor())
	}
	if _, err := w.newHub(room.Config{}).Acquire(t.Context(), w.id); err == nil {
		t.Error("a room was loaded from a log with a gap")
	}
}

// gappy is a store that has lost the first frame of each log.
type gappy struct{ persistence.Store }

func (s gappy) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	records, err := s.Store.Read(ctx, p)
	return slices.DeleteFunc(records, func(r persistence.Record) bool { return r.Seq == 1 }), err
}
