// Package room holds the boards that are in use: the state of each at its head, the tail of its log as encoded frames,
// and its members, who are cursors over the log.
package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
)

var (
	// ErrDeleted is why a room closes when its board was deleted.
	ErrDeleted = errors.New("board was deleted")
	// ErrInvalid is why a room closes when its state turned out not to be of the stored log.
	ErrInvalid = errors.New("board must be loaded again")
)

// Config tunes a Hub; the zero value of a field means its default.
type Config struct {
	TailBytes    int           // most bytes of encoded frames that a room with members keeps in memory; 1 MiB
	PollInterval time.Duration // how often rooms with members look for frames of other servers; 250 ms
	IdleTimeout  time.Duration // how long a room that nobody uses stays loaded; 1 min
	StoreTimeout time.Duration // how long one call of the store may take; 5 s

	SnapshotFrames     int           // how far past its board's newest snapshot a room in use gets another; 4,096 frames
	SnapshotIdleFrames int           // the same of a room that nobody uses; a quarter of it
	SnapshotBytes      int           // or how many bytes of frames past it; 16 MiB
	SnapshotInterval   time.Duration // the shortest time from one snapshot of a board to the next; 250 ms

	SavepointPause time.Duration // how long a board is left alone, for a savepoint to be noted of it; 30 min

	Retain         Retention     // how much of its log a board keeps that does not say so itself; all of it
	RetainInterval time.Duration // how long from one look at what is no longer to be kept to the next; 10 min
	PurgeAfter     time.Duration // how long a deleted board can be brought back; 30 days
}

// Hub finds rooms, loads them, and forgets those that nobody uses. It is safe for concurrent use.
type Hub struct {
	cfg   Config
	store persistence.Store
	log   *slog.Logger

	healthy atomic.Bool

	// mu guards the fields below, and the refs and idleSince of every room. It is acquired before a Room.mu, and
	// never held across a call of the Store.
	mu     sync.Mutex
	rooms  map[persistence.BoardID]*Room
	closed bool
	calls  sync.WaitGroup // of the Store; none begins once closed is set
}

// NewHub returns a hub without rooms. It serves at once; Run keeps it fresh, and Close ends its use of the store.
func NewHub(store persistence.Store, log *slog.Logger, cfg Config) *Hub {
	if cfg.TailBytes <= 0 {
		cfg.TailBytes = 1 << 20
	}
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = 250 * time.Millisecond
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = time.Minute
	}
	if cfg.StoreTimeout <= 0 {
		cfg.StoreTimeout = 5 * time.Second
	}
	if cfg.SnapshotFrames <= 0 {
		cfg.SnapshotFrames = 4096
	}
	if cfg.SnapshotIdleFrames <= 0 {
		cfg.SnapshotIdleFrames = max(1, cfg.SnapshotFrames/4)
	}
	if cfg.SnapshotBytes <= 0 {
		cfg.SnapshotBytes = 16 << 20
	}
	if cfg.SnapshotInterval <= 0 {
		cfg.SnapshotInterval = 250 * time.Millisecond
	}
	if cfg.SavepointPause <= 0 {
		cfg.SavepointPause = 30 * time.Minute
	}
	if cfg.RetainInterval <= 0 {
		cfg.RetainInterval = 10 * time.Minute
	}
	if cfg.PurgeAfter <= 0 {
		cfg.PurgeAfter = 30 * 24 * time.Hour
	}
	h := &Hub{cfg: cfg, store: store, log: log, rooms: map[persistence.BoardID]*Room{}}
	h.healthy.Store(true)
	return h
}

// Run looks for frames that other servers wrote, stores snapshots and savepoints, trims logs, purges deleted boards, and forgets idle
// rooms, until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	var others sync.WaitGroup
	others.Go(func() { h.runSnapshots(ctx) })
	others.Go(func() { h.runRetention(ctx) })
	defer others.Wait()
	tick := time.NewTicker(h.cfg.PollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.evictIdle(time.Now())
			if err := h.poll(ctx); err != nil && ctx.Err() == nil {
				h.log.DebugContext(ctx, "poll of heads failed", "error", err)
			}
		}
	}
}

// Acquire returns the board's room, loading it if need be; every call must be paired with a Release. It fails with a
// *LoadError, of which *persistence.BoardNotFoundError is one cause, or as ctx ended; a room that failed to load is not
// kept.
func (h *Hub) Acquire(ctx context.Context, id persistence.BoardID) (*Room, error) {
	h.mu.Lock()
	r := h.rooms[id]
	mine := r == nil
	if mine {
		r = newRoom(h, id)
		h.rooms[id] = r
	}
	r.refs++
	h.mu.Unlock()

	if mine {
		h.load(ctx, r)
	}
	select {
	case <-r.loaded:
	case <-ctx.Done():
		r.Release()
		return nil, context.Cause(ctx)
	}
	if r.loadErr != nil {
		r.Release()
		return nil, r.loadErr
	}
	return r, nil
}

// load loads the room for all who wait for it, so it does not end with the caller's context; each read has its own limit.
func (h *Hub) load(ctx context.Context, r *Room) {
	r.loadErr = &LoadError{Board: r.id, Err: errors.New("panic")} // unless it returns
	defer func() {
		if r.loadErr != nil {
			h.forget(r)
		}
		close(r.loaded)
	}()
	err := r.load(context.WithoutCancel(ctx))
	if err == nil {
		r.loadErr = nil
		return
	}
	r.loadErr = &LoadError{Board: r.id, Err: err}
	var notFound *persistence.BoardNotFoundError
	var unavailable *persistence.UnavailableError
	if !errors.As(err, &notFound) && !errors.As(err, &unavailable) {
		h.log.ErrorContext(ctx, "board cannot be loaded", "board", r.id, "error", err) // clients are told to come back
	}
}

// LoadError means that there is no state of a board: the store could not be asked, or the log in it does not fold. What
// has no state is not written to, and not shown either: an empty board in its place would be taken for what is stored.
type LoadError struct {
	Board persistence.BoardID
	Err   error
}

func (e *LoadError) Error() string { return fmt.Sprintf("load board %s: %v", e.Board, e.Err) }
func (e *LoadError) Unwrap() error { return e.Err }

// Find returns the board's room if it is loaded, nil otherwise. It is for telling members of something; the room may
// be forgotten at any time.
func (h *Hub) Find(id persistence.BoardID) *Room {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.rooms[id]; r != nil && r.isLoaded() {
		return r
	}
	return nil
}

// SetHealthy tells every member whether durable frames are taken, and every later joiner.
func (h *Hub) SetHealthy(healthy bool) {
	h.healthy.Store(healthy) // before the rooms are locked: who joins behind the announcement has it in the answer
	h.mu.Lock()
	rooms := h.loadedLocked()
	h.mu.Unlock()
	for _, r := range rooms {
		r.announceStatus(healthy)
	}
}

// Close waits for the calls of the Store that are under way, and lets no more begin: what asks for one fails as if the
// Store could not be reached. Streams that have ended may leave some behind.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.calls.Wait()
}

// begin counts a call of the Store, which must end with calls.Done.
func (h *Hub) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return &persistence.UnavailableError{Err: errClosed}
	}
	h.calls.Add(1)
	return nil
}

var errClosed = errors.New("hub is closed")

func (h *Hub) forget(r *Room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r.id] == r {
		delete(h.rooms, r.id)
	}
}

func (h *Hub) evictIdle(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, r := range h.rooms {
		if r.refs == 0 && now.Sub(r.idleSince) >= h.cfg.IdleTimeout {
			delete(h.rooms, id)
		}
	}
}

func (h *Hub) loadedLocked() []*Room {
	rooms := make([]*Room, 0, len(h.rooms))
	for _, r := range h.rooms {
		if r.isLoaded() {
			rooms = append(rooms, r)
		}
	}
	return rooms
}

// poll asks the store for the heads of the rooms with members, in one query, and follows those that moved.
func (h *Hub) poll(ctx context.Context) error {
	h.mu.Lock()
	rooms := h.loadedLocked()
	h.mu.Unlock()
	before := map[persistence.BoardID]watched{}
	ids := make([]persistence.BoardID, 0, len(rooms))
	for _, r := range rooms {
		if at, members := r.watch(); members > 0 {
			ids = append(ids, r.id)
			before[r.id] = watched{room: r, at: at}
		}
	}
	var failed error
	for chunk := range slices.Chunk(ids, 1000) {
		boards, err := h.boards(ctx, chunk...)
		if err != nil {
			return err
		}
		found := map[persistence.BoardID]bool{}
		for _, b := range boards {
			found[b.ID] = true
			w := before[b.ID]
			failed = errors.Join(failed, w.room.follow(ctx, b, w.at))
		}
		for _, id := range chunk {
			if !found[id] {
				before[id].room.close(ErrDeleted)
			}
		}
	}
	return failed
}

// watched is a room and where it stood before the store was asked: what it learnt since is not in the answer.
type watched struct {
	room *Room
	at   persistence.Position
}

func (h *Hub) boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	if err := h.begin(); err != nil {
		return nil, err
	}
	defer h.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	return h.store.Boards(ctx, ids...)
}

func (h *Hub) board(ctx context.Context, id persistence.BoardID) (persistence.Board, error) {
	boards, err := h.boards(ctx, id)
	if err != nil {
		return persistence.Board{}, err
	}
	if len(boards) == 0 {
		return persistence.Board{}, &persistence.BoardNotFoundError{Board: id}
	}
	return boards[0], nil
}

func (h *Hub) read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	if err := h.begin(); err != nil {
		return nil, err
	}
	defer h.calls.Done()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	return h.store.Read(ctx, p)
}
