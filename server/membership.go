package server

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

var (
	errNotJoined = &board.Error{Code: collaboardv1.ErrorCode_NOT_JOINED, Message: "join the board first"}
	errCancelled = &board.Error{Code: collaboardv1.ErrorCode_CANCELLED, Message: "cancelled by the client"}
	errTooMany   = &board.Error{Code: collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, Message: "too many boards on one stream"}
	// errReload ends a stream when one of its boards must be loaded anew: its client comes back with its positions.
	errReload = status.Error(codes.Unavailable, "a board was reloaded: reconnect and resume")
)

const (
	// readRetry is how long a member waits whose room could not be read.
	readRetry = 250 * time.Millisecond

	// ephemeralPause is how long a member waits for more ephemeral frames after some were sent, for each member of the room,
	// and maxEphemeralPause for all of them. In a room of hundreds a frame comes every millisecond, and a message, a system
	// call and a wake-up for each would cost more than everything else; the pause bounds how many there are in a second,
	// however many members there are. Alone with a few others nobody notices it.
	ephemeralPause    = 150 * time.Microsecond
	maxEphemeralPause = 50 * time.Millisecond
)

// membership is a board that a session has joined, or a look at one.
type membership struct {
	room    *room.Room
	sub     *room.Subscription // nil for a look
	request *request           // the board_join; nil once it is answered
	joined  room.Joined        // its answer, until then

	dirty atomic.Bool // there may be something to send

	// The fields below are guarded by session.mu.
	joining   bool // the join is not answered yet
	cancelled bool // it is to be answered with CANCELLED
	released  bool

	// The fields below belong to the send loop.
	failing     bool      // the room cannot be read at the moment
	retryAt     time.Time // while failing: not before this is it read again
	ephemeralAt time.Time // not before this are ephemeral frames sent alone
}

// behind says whether the member still has to be sent the frame at seq, and can be. The send loop calls it.
func (m *membership) behind(seq persistence.Seq) bool {
	return !m.joining && !m.failing && m.sub.Cursor() < seq
}

// join makes a membership that the send loop answers: with the snapshot, if there must be one, and then the events.
func (s *session) join(ctx context.Context, req *request) {
	if err := s.tryJoin(ctx, req); err != nil {
		s.refuse(req, err)
	}
}

func (s *session) tryJoin(ctx context.Context, req *request) error {
	id, err := persistence.ParseBoardID(req.frame.GetBoardId())
	if err != nil {
		return invalid("board_id", "must be a UUID")
	}
	from, err := positionOf(req.frame.GetBoardJoin().GetPosition())
	if err != nil {
		return err
	}
	s.mu.Lock()
	old, count := s.members[id], len(s.members)
	s.mu.Unlock()
	look := req.frame.GetBoardJoin().GetSnapshotOnly()
	if !look && old == nil && count >= int(s.limits.GetMaxBoards()) {
		return errTooMany
	}
	r, err := s.hub.Acquire(ctx, id)
	if err != nil {
		return err
	}
	m := &membership{room: r, request: req, joining: true}
	if err := s.enter(ctx, m, from, look, old); err != nil {
		r.Release()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case look, s.members == nil: // the stream broke meanwhile
		m.release()
	default:
		s.members[id] = m
	}
	s.joins[strings.ToLower(req.frame.GetId())] = m
	s.answerLocked(answer{join: m})
	return nil
}

// enter brings the room up to date and takes the snapshot or the place in it.
func (s *session) enter(ctx context.Context, m *membership, from *persistence.Position, look bool, old *membership) error {
	// What any server acked before the join is in it. While the database is away, what this server knows must do, unless
	// the client knows more.
	err := m.room.Refresh(ctx)
	var unavailable *persistence.UnavailableError
	if err != nil && !errors.As(err, &unavailable) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if look {
		m.joined, err = m.room.Look()
		return err
	}
	if old != nil {
		s.leave(old)
	}
	stale := err
	m.sub, m.joined, err = m.room.Join(room.Joining{
		Conn:  s.conn,
		From:  from,
		Stale: stale,
		Member: &collaboardv1.Member{
			ConnectionId: s.conn.String(), UserId: s.who.user, DisplayName: s.who.name, Color: s.who.color,
			Role: collaboardv1.Role_ROLE_EDITOR,
		},
		Wake: func() {
			m.dirty.Store(true)
			signal(s.wake)
		},
	})
	return err
}

// positionOf returns nil for no position.
func positionOf(p *collaboardv1.Position) (*persistence.Position, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // no position is no error
	}
	at := &persistence.Position{Seq: persistence.Seq(p.GetSeq())}
	if p.GetEpoch() == "" && p.GetSeq() == 0 {
		return at, nil
	}
	epoch, err := persistence.ParseEpoch(p.GetEpoch())
	if err != nil {
		return nil, invalid("board_join.position.epoch", "must be a UUID")
	}
	at.Epoch = epoch
	return at, nil
}

func (s *session) part(req *request) {
	id, _ := persistence.ParseBoardID(req.frame.GetBoardId()) // no board has the zero id
	s.mu.Lock()
	m := s.members[id]
	s.mu.Unlock()
	if m == nil {
		s.refuse(req, errNotJoined)
		return
	}
	s.leave(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answerLocked(answer{message: &message{answers: req, frame: &collaboardv1.Frame{
		ParentId: req.frame.GetId(),
		BoardId:  req.frame.GetBoardId(),
		Status:   collaboardv1.Status_STATUS_DONE,
		Payload:  &collaboardv1.Frame_BoardParted{BoardParted: &collaboardv1.BoardParted{}},
	}}})
}

// cancel ends the answer to a join. Every other request is answered at once, or cannot be stopped.
func (s *session) cancel(requestID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.joins[strings.ToLower(requestID)]; m != nil {
		m.cancelled = true
	}
}

// leave ends a membership. A join of it that is not answered yet will be, as it was.
func (s *session) leave(m *membership) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked(m)
}

func (s *session) leaveLocked(m *membership) {
	if s.members[m.room.ID()] == m {
		delete(s.members, m.room.ID())
	}
	m.release()
}

// leaveAll ends the session's memberships, and those that would follow.
func (s *session) leaveAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		m.release()
	}
	s.throttle.Stop()
	s.members = nil
}

// expel ends everything that the session is sent but for answers to what was done: it has no right to more.
func (s *session) expel() {
	s.leaveAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.joins {
		m.cancelled = true
	}
}

// release gives up the place in the room, and the room, once. The caller holds session.mu.
func (m *membership) release() {
	if m.released {
		return
	}
	m.released = true
	if m.sub != nil {
		m.sub.Leave()
	}
	m.room.Release()
}

// serveJoin streams the snapshot, where there is one, and the answer. Only pongs go out between its chunks.
func (s *session) serveJoin(m *membership) error {
	position := &collaboardv1.Position{Epoch: m.joined.Position.Epoch.String(), Seq: uint64(m.joined.Position.Seq)}
	frame := func(st collaboardv1.Status) *collaboardv1.Frame {
		return &collaboardv1.Frame{ParentId: m.request.frame.GetId(), BoardId: m.request.frame.GetBoardId(), Status: st}
	}
	mode := collaboardv1.Mode_MODE_RESUMED
	if m.joined.Snapshot != nil {
		mode = collaboardv1.Mode_MODE_SNAPSHOT
		for chunk := range m.joined.Snapshot.Chunks(position.GetEpoch()) {
			if s.isCancelled(m) {
				break
			}
			item := frame(collaboardv1.Status_STATUS_ITEM)
			item.Payload = &collaboardv1.Frame_BoardSnapshot{BoardSnapshot: chunk}
			if err := s.stream.SendMsg(&message{frame: item}); err != nil {
				return err
			}
			if _, err := s.sendPongs(); err != nil {
				return err
			}
		}
		m.joined.Snapshot = nil
	}
	if s.joinServed(m) {
		return s.stream.SendMsg(s.refusal(m.request, errCancelled))
	}
	done := frame(collaboardv1.Status_STATUS_DONE)
	done.Payload = &collaboardv1.Frame_BoardJoined{BoardJoined: &collaboardv1.BoardJoined{
		Position: position, Mode: mode, Reason: m.joined.Reason, Members: m.joined.Members,
		Role: collaboardv1.Role_ROLE_EDITOR, Writable: m.joined.Writable,
	}}
	if chain := m.joined.Chain; chain != (board.Chain{}) {
		done.GetBoardJoined().Chain = chain[:]
	}
	answer := &message{frame: done, answers: m.request}
	m.request, m.joined = nil, room.Joined{} // the membership may last for days
	return s.stream.SendMsg(answer)
}

// joinServed lets the member have events, unless the join was cancelled.
func (s *session) joinServed(m *membership) (cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.joins, strings.ToLower(m.request.frame.GetId()))
	m.joining = false
	m.dirty.Store(true)
	if m.cancelled {
		s.leaveLocked(m)
	}
	return m.cancelled
}

func (s *session) isCancelled(m *membership) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.cancelled
}

// serve sends one chunk of what a member is due. It says whether it sent anything, and when it is to be called again if not
// before; zero for not.
func (s *session) serve(ctx context.Context, m *membership) (sent bool, again time.Time, err error) {
	if m.failing && time.Now().Before(m.retryAt) {
		m.dirty.Store(true)
		return false, m.retryAt, nil
	}
	records, err := m.sub.Next(ctx)
	if err != nil {
		err = s.cannotRead(m, err)
		return false, m.retryAt, err
	}
	m.failing = false
	for i := range records {
		if err := s.stream.SendMsg(&records[i]); err != nil {
			return false, again, err
		}
	}
	if len(records) > 0 {
		m.dirty.Store(true) // there may be more, and ephemerals after it
		m.ephemeralAt = time.Time{}
		return true, again, nil
	}
	return s.sendEphemerals(m)
}

// sendEphemerals sends what members say beside the log, in one go with frames that were just sent, or else not before the
// pause is over.
func (s *session) sendEphemerals(m *membership) (sent bool, again time.Time, err error) {
	now := time.Now()
	if now.Before(m.ephemeralAt) {
		m.dirty.Store(true)
		return false, m.ephemeralAt, nil
	}
	bodies, members := m.sub.Ephemerals()
	for _, body := range bodies {
		if err := s.stream.SendMsg(encoded(body)); err != nil {
			return false, again, err
		}
	}
	if len(bodies) > 0 {
		m.ephemeralAt = now.Add(pauseOf(members))
	}
	return len(bodies) > 0, again, nil
}

// pauseOf is how long a member of a room of so many waits for more ephemeral frames.
func pauseOf(members int) time.Duration {
	return min(time.Duration(members)*ephemeralPause, maxEphemeralPause)
}

// cannotRead decides what a member whose room cannot be read is told: that its board is gone, or to come back, or
// nothing, when the read may succeed later.
func (s *session) cannotRead(m *membership, err error) error {
	var trimmed *persistence.TrimmedError
	switch {
	case errors.Is(err, room.ErrDeleted):
		s.leave(m)
		return s.stream.SendMsg(&message{frame: &collaboardv1.Frame{
			BoardId: m.room.ID().String(),
			Status:  collaboardv1.Status_STATUS_EVENT,
			Payload: &collaboardv1.Frame_BoardDeleted{BoardDeleted: &collaboardv1.BoardDeleted{}},
		}})
	case errors.Is(err, room.ErrInvalid), errors.As(err, &trimmed):
		return errReload
	default:
		if !m.failing {
			s.log.Warn("member waits for the store", "board", m.room.ID(), "seq", m.sub.Cursor(), "error", err)
		}
		m.failing = true
		m.retryAt = time.Now().Add(readRetry)
		m.dirty.Store(true)
		return nil
	}
}
