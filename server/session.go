package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// session is one client's stream: a receive loop that acts on requests, and a send loop that alone sends. What is to
// be sent is answers, whose number the window bounds, and what the memberships' cursors find in their rooms.
type session struct {
	hub      *room.Hub
	limits   *collaboardv1.Limits
	log      *slog.Logger
	version  string
	throttle *room.Throttle

	stream grpc.ServerStream
	conn   uuid.UUID
	who    identity

	wake chan struct{} // capacity 1: the send loop may find something

	// mu guards the fields below. It is acquired before Hub.mu, Throttle.mu and Room.mu, and never held across a send or a call
	// of the Store.
	mu      sync.Mutex
	answers []answer // in the order in which they are to be sent
	pongs   []*message
	members map[persistence.BoardID]*membership // nil once the session is over
	joins   map[string]*membership              // whose join is not answered yet, by its request's id
	ended   error                               // why the receive loop ended
}

var ghostKind = persistence.KindNamed("object_drag") //nolint:gochecknoglobals // never written

// answer is what a request is answered with: a message, an ack, or all that a join is.
type answer struct {
	message *message
	join    *membership

	acked *request
	board persistence.BoardID // of acked: a member is sent its own frame first
}

// run serves the stream until the client is done, or gone, or the server stops.
func (s *session) run(ctx context.Context) error {
	defer s.leaveAll()
	welcome := &collaboardv1.Frame{
		Status: collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_SessionWelcome{SessionWelcome: &collaboardv1.SessionWelcome{
			ConnectionId: s.conn.String(), UserId: s.who.user, ServerVersion: s.version, Limits: s.limits, ExpiresAt: timeProto(s.who.expires),
		}},
	}
	if err := s.stream.SendMsg(&message{frame: welcome}); err != nil {
		return err
	}
	// The loop ends with the stream's context, which grpc cancels when the handler has returned.
	go s.receiveLoop(ctx)
	return s.sendLoop(ctx)
}

func (s *session) receiveLoop(ctx context.Context) {
	err := s.receive(ctx)
	if errors.Is(err, errTokenEnded) {
		s.expel()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
	signal(s.wake)
}

func (s *session) receive(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(s.log, "receive loop", p)
		}
	}()
	for {
		var req *request
		if err := s.stream.RecvMsg(&req); err != nil {
			return err
		}
		s.handle(ctx, req)
	}
}

func (s *session) handle(ctx context.Context, req *request) {
	frame := req.frame
	switch {
	case req.err != nil:
		s.refuse(req, req.err)
	case frame.GetStatus() == collaboardv1.Status_STATUS_CANCEL:
		s.cancel(frame.GetParentId())
		req.release()
	case req.durable:
		s.acknowledge(req)
	case frame.GetPing() != nil:
		s.pong(req)
	case frame.GetSessionRenew() != nil:
		s.renewed(req)
	case frame.GetBoardJoin() != nil:
		s.join(ctx, req)
	case frame.GetBoardPart() != nil:
		s.part(req)
	default:
		s.relay(req)
	}
}

func (s *session) acknowledge(req *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _ := persistence.ParseBoardID(req.frame.GetBoardId()) // it was committed to this board
	if m := s.members[id]; m != nil {                         // the gesture has come to its end, and its ghost must not come after it
		s.throttle.Drop(m.sub, ghostKind)
	}
	s.answerLocked(answer{acked: req, board: id})
}

func (s *session) refuse(req *request, err error) {
	refusal := s.refusal(req, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answerLocked(answer{message: refusal})
}

func (s *session) refusal(req *request, err error) *message {
	e := frameError(err)
	if e.GetCode() == collaboardv1.ErrorCode_INTERNAL {
		s.log.Error("frame failed", "board", req.frame.GetBoardId(), "frame", req.frame.GetId(), "error", err)
	} else {
		s.log.Debug("frame refused", "board", req.frame.GetBoardId(), "frame", req.frame.GetId(), "error", err)
	}
	return &message{answers: req, frame: &collaboardv1.Frame{
		ParentId: req.frame.GetId(),
		BoardId:  req.frame.GetBoardId(),
		Status:   collaboardv1.Status_STATUS_ERROR,
		Payload:  &collaboardv1.Frame_Error{Error: e},
	}}
}

func (s *session) pong(req *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pongs = append(s.pongs, &message{answers: req, frame: &collaboardv1.Frame{
		ParentId: req.frame.GetId(),
		Status:   collaboardv1.Status_STATUS_DONE,
		Payload:  &collaboardv1.Frame_Pong{Pong: &collaboardv1.Pong{}},
	}})
	signal(s.wake)
}

func (s *session) relay(req *request) {
	id, err := persistence.ParseBoardID(req.frame.GetBoardId())
	if err != nil {
		s.refuse(req, invalid("board_id", "must be a UUID"))
		return
	}
	s.mu.Lock()
	m := s.members[id]
	s.mu.Unlock()
	if m == nil {
		s.refuse(req, errNotJoined)
		return
	}
	event := req.frame
	event.BoardId, event.ParentId, event.AfterId, event.Seq, event.Chain = id.String(), "", "", 0, nil
	event.From, event.ConnectionId, event.Time = s.who.user, s.conn.String(), timestamppb.Now()
	event.Status = collaboardv1.Status_STATUS_EVENT
	s.throttle.Relay(m.sub, event)
	req.release()
}

func (s *session) answerLocked(a answer) {
	s.answers = append(s.answers, a)
	signal(s.wake)
}

// sendLoop sends until the stream breaks, or everything was sent after the receive loop has ended.
func (s *session) sendLoop(ctx context.Context) error {
	for {
		sent, again, err := s.sendAll(ctx)
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		if done, err := s.finished(); done {
			return err
		}
		if err := s.sleep(ctx, again); err != nil {
			return err
		}
	}
}

// finished says whether everything was sent that ever will be, and how the stream ends then.
func (s *session) finished() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil || len(s.answers)+len(s.pongs) > 0 {
		return false, nil
	}
	return true, endStatus(s.ended)
}

// sendAll sends what there is: the answers that are due, and one chunk from each member's room, so that no board
// starves another. It says whether it sent anything, and when there may be more although nothing wakes the loop.
func (s *session) sendAll(ctx context.Context) (sent bool, again time.Time, err error) {
	if sent, err = s.sendAnswers(); err != nil {
		return false, again, err
	}
	s.mu.Lock()
	var dirty []*membership
	for _, m := range s.members {
		if !m.joining && m.dirty.Swap(false) {
			dirty = append(dirty, m)
		}
	}
	s.mu.Unlock()
	for _, m := range dirty {
		more, at, err := s.serve(ctx, m)
		if err != nil {
			return false, again, err
		}
		sent = sent || more
		if !at.IsZero() && (again.IsZero() || at.Before(again)) {
			again = at
		}
	}
	return sent, again, nil
}

// sendAnswers sends the pongs, and then the other answers that are due.
func (s *session) sendAnswers() (sent bool, err error) {
	if sent, err = s.sendPongs(); err != nil {
		return false, err
	}
	due := s.takeDue()
	for _, a := range due {
		switch {
		case a.acked != nil:
			err = s.stream.SendMsg(a.acked)
		case a.join != nil:
			err = s.serveJoin(a.join)
		default:
			err = s.stream.SendMsg(a.message)
		}
		if err != nil {
			return false, err
		}
	}
	return sent || len(due) > 0, nil
}

func (s *session) sendPongs() (sent bool, err error) {
	s.mu.Lock()
	pongs := s.pongs
	s.pongs = nil
	s.mu.Unlock()
	for _, msg := range pongs {
		if err := s.stream.SendMsg(msg); err != nil {
			return false, err
		}
	}
	return len(pongs) > 0, nil
}

// takeDue takes the answers that may be sent: up to the first whose sender is a member that has not been sent the
// frame yet, or to a join, after which that is to be asked again. A member whose room cannot be read at the moment
// does not hold them up.
func (s *session) takeDue() []answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.answers {
		if m := s.members[a.board]; m != nil && a.acked != nil && m.behind(a.acked.result.Seq) {
			break
		}
		n++
		if a.join != nil {
			break
		}
	}
	due := s.answers[:n:n]
	s.answers = s.answers[n:]
	return due
}

func (s *session) sleep(ctx context.Context, until time.Time) error {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-s.wake:
	case <-timer:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	return nil
}

// endStatus is how the stream ends when the receive loop ended: OK when the client is done, or as the cause, a status,
// says.
func endStatus(cause error) error {
	if errors.Is(cause, io.EOF) {
		return nil
	}
	return cause
}
