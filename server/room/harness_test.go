package room_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/server/room"
)

// watchedStore is a real store whose reads of logs are counted, whose boards and snapshots can be made to look different,
// and whose snapshots can fail.
type watchedStore struct {
	persistence.Store

	mu            sync.Mutex
	reads         int
	first         persistence.Seq                                  // before all frames that were read
	puts          int                                              // of snapshots, also those that failed
	alter         func(*persistence.Board)                         // of what Boards returns, when not nil
	alterSnapshot func(*persistence.Snapshot) error                // of what ReadSnapshot returns, when not nil
	failPut       func(context.Context, persistence.BoardID) error // of PutSnapshot and PutSavepoint, when not nil
}

func (s *watchedStore) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	s.mu.Lock()
	s.reads++
	s.first = min(s.first, p.After)
	s.mu.Unlock()
	return s.Store.Read(ctx, p)
}

func (s *watchedStore) ReadSnapshot(ctx context.Context, id persistence.BoardID, upTo persistence.Seq) (*persistence.Snapshot, error) {
	snap, err := s.Store.ReadSnapshot(ctx, id, upTo)
	s.mu.Lock()
	defer s.mu.Unlock()
	if snap != nil && s.alterSnapshot != nil {
		err = s.alterSnapshot(snap)
	}
	return snap, err
}

func (s *watchedStore) PutSnapshot(ctx context.Context, snap persistence.Snapshot) error {
	s.mu.Lock()
	s.puts++
	fail := s.failPut
	s.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, snap.Board); err != nil {
			return err
		}
	}
	return s.Store.PutSnapshot(ctx, snap)
}

func (s *watchedStore) PutSavepoint(ctx context.Context, p persistence.Savepoint) (persistence.Savepoint, error) {
	s.mu.Lock()
	fail := s.failPut
	s.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, p.Board); err != nil {
			return p, err
		}
	}
	return s.Store.PutSavepoint(ctx, p)
}

// set changes what the store does.
func (s *watchedStore) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *watchedStore) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	boards, err := s.Store.Boards(ctx, ids...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range boards {
		if s.alter != nil {
			s.alter(&boards[i])
		}
	}
	return boards, err
}

// readsOf is how often do reads a log.
func (s *watchedStore) readsOf(do func()) int {
	s.mu.Lock()
	before := s.reads
	s.mu.Unlock()
	do()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads - before
}

// world is a hub over a store with one board.
type world struct {
	t     testing.TB
	store *watchedStore
	hub   *room.Hub
	log   *warnings
	id    persistence.BoardID
	epoch persistence.Epoch
	at    time.Time // of frames that are written
}

func newWorld(t testing.TB, cfg room.Config) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "room.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	w := &world{t: t, store: &watchedStore{Store: store}, log: &warnings{}, id: persistence.BoardID(uuid.New()), epoch: persistence.Epoch(uuid.New()), at: time.Unix(1, 0).UTC()}
	if err := store.CreateBoard(t.Context(), persistence.Board{ID: w.id, Epoch: w.epoch, Name: "b", First: 1}); err != nil {
		t.Fatal(err)
	}
	w.hub = w.newHub(cfg)
	return w
}

// newHub is that of another server on the same store.
func (w *world) newHub(cfg room.Config) *room.Hub {
	return room.NewHub(w.store, slog.New(w.log), cfg)
}

// warnings is a log that keeps the messages of warnings, and worse.
type warnings struct {
	slog.Handler

	mu       sync.Mutex
	messages []string
}

func (*warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, r.Message)
	return nil
}

// take returns the messages since it was last called.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.messages
	w.messages = nil
	return taken
}

func (w *world) acquire(h *room.Hub) *room.Room {
	w.t.Helper()
	r, err := h.Acquire(w.t.Context(), w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// write does what a committer does with one frame of about size bytes.
func (w *world) write(r *room.Room, size int) {
	w.t.Helper()
	a := w.append(r, custom(size))
	a.Publish()
}

// draw is write with n objects.
func (w *world) draw(r *room.Room, n int) {
	w.t.Helper()
	for range n {
		w.append(r, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: uuid.NewString(), Kind: "line"},
		}}}).Publish()
	}
}

func custom(size int) *collaboardv1.Frame {
	return &collaboardv1.Frame{Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: make([]byte, size)}}}
}

// append is write without the last step.
func (w *world) append(r *room.Room, req *collaboardv1.Frame) persistence.Attempt {
	w.t.Helper()
	a := r.Begin()
	record := w.decide(a, req)
	claim := persistence.Claim{Board: w.id, Applied: record.Seq - 1, IDs: []persistence.FrameID{record.ID}}
	err := w.store.Append(w.t.Context(), []persistence.Claim{claim}, func([]persistence.Locked) ([]persistence.Extension, error) {
		return []persistence.Extension{{Board: w.id, Records: []persistence.Record{record}}}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) decide(a persistence.Attempt, req *collaboardv1.Frame) persistence.Record {
	w.t.Helper()
	id := persistence.FrameID(uuid.New())
	req.Id, req.BoardId = id.String(), w.id.String()
	records, err := a.Decide(&persistence.Submission{Board: w.id, ID: id, Sender: "ada", Frame: req}, w.at, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return records[0]
}

// member is a subscription and how often it was woken.
type member struct {
	*room.Subscription

	t        testing.TB
	throttle *room.Throttle
	wakes    int // guarded by the room: Wake is called under its lock
}

func (w *world) join(r *room.Room, from *persistence.Position) (*member, room.Joined) {
	w.t.Helper()
	m := &member{t: w.t, throttle: room.NewThrottle(1 << 20)}
	conn := uuid.New()
	s, joined, err := r.Join(room.Joining{
		Conn: conn, From: from, Member: &collaboardv1.Member{ConnectionId: conn.String()}, Wake: func() { m.wakes++ },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	m.Subscription = s
	return m, joined
}

// catchUp reads to the head and returns the seqs, one slice for each call of Next.
func (m *member) catchUp() [][]persistence.Seq {
	m.t.Helper()
	var chunks [][]persistence.Seq
	for {
		records, err := m.Next(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		if len(records) == 0 {
			return chunks
		}
		var seqs []persistence.Seq
		for _, r := range records {
			seqs = append(seqs, r.Seq)
		}
		chunks = append(chunks, seqs)
	}
}

// Relay has no limit that matters.
func (m *member) Relay(frame *collaboardv1.Frame) { m.throttle.Relay(m.Subscription, frame) }

// heard takes the ephemeral frames that may be sent now.
func (m *member) heard() []*collaboardv1.Frame {
	m.t.Helper()
	var frames []*collaboardv1.Frame
	bodies, _ := m.Ephemerals()
	for _, body := range bodies {
		f := &collaboardv1.Frame{}
		if err := proto.Unmarshal(body, f); err != nil {
			m.t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

func wantChunks(t *testing.T, got [][]persistence.Seq, want ...[]persistence.Seq) {
	t.Helper()
	if !slices.EqualFunc(got, want, slices.Equal[[]persistence.Seq]) {
		t.Fatalf("read %v, want %v", got, want)
	}
}
