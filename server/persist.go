package server

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// errShutdown is how streams end when the server is asked to stop.
var errShutdown = status.Error(codes.Unavailable, "the server is shutting down: reconnect and resume")

// persist is the persistence interceptor of the Collaborate stream: the handler behind it gets requests in the order
// in which the client sent them, and by then every durable frame among them is in its board's log, with its seq, or
// has been refused. It reads on while frames are being committed, as far as the window allows, and then leaves the
// rest to HTTP/2 flow control, which pushes back on that one client.
type persist struct {
	door      doorman
	hub       *room.Hub
	committer *persistence.Committer
	validator protovalidate.Validator
	limits    *collaboardv1.Limits
	log       *slog.Logger
	draining  <-chan struct{} // closed when the server is asked to stop
}

func (p *persist) intercept(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if info.FullMethod != collaboardv1.CollaborationService_Collaborate_FullMethodName {
		return handler(srv, ss)
	}
	s := &durableStream{
		ServerStream: ss,
		p:            p,
		sender:       identityFrom(ss.Context()),
		lanes:        map[persistence.BoardID]*lane{},
		readable:     make(chan struct{}, 1),
		space:        make(chan struct{}, 1),
	}
	s.expireAt(s.sender.expires)
	defer s.expireAt(time.Time{})
	// The loop ends with the stream's context, which grpc cancels when the handler has returned.
	go s.readLoop()
	return handler(srv, s)
}

// request is a frame from the client, on its way to its one answer.
type request struct {
	stream  *durableStream
	frame   *collaboardv1.Frame
	kind    persistence.Kind
	size    int
	durable bool // is to be written, and no cancel with the payload of one

	// The fields below are guarded by stream.mu until the handler has the request.
	done   bool
	result persistence.Result // of a durable frame
	until  time.Time          // of a session_renew: when the new token ends
	err    error              // why it was refused
}

// release gives the request's place in the window back: it was answered, or needs no answer. It is called once.
func (r *request) release() {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames--
	s.bytes -= r.size
	signal(s.space)
}

// message is a frame to the client. Only the handler's send loop makes and sends them.
type message struct {
	frame   *collaboardv1.Frame
	answers *request // released once the message was sent; nil for items and events
}

// durableStream is the stream as the handler sees it: RecvMsg takes a **request, SendMsg a *message, a
// *persistence.Record, an encoded frame, or a *request that was committed, which is sent as its ack.
type durableStream struct {
	grpc.ServerStream
	p      *persist
	sender identity

	lanes map[persistence.BoardID]*lane // of the read loop

	readable chan struct{} // capacity 1: the handler may find a request, or the end
	space    chan struct{} // capacity 1: the window may have room

	// mu guards the fields below. It is acquired after no other lock, and never held across a call.
	mu     sync.Mutex
	inbox  []*request // not yet handed to the handler, in the order in which they came
	urgent []*request // the same, of requests that overtake
	ended  error      // why nothing more comes: io.EOF, or a status such as errShutdown
	frames int        // in the window: read and not yet answered
	bytes  int

	expires time.Time   // when the sender's token ends; never, where zero
	expiry  *time.Timer // ends the stream then
}

// lane is what is known of one stream's durable frames to one board.
type lane struct {
	lastID   persistence.FrameID     // of the newest
	last     *persistence.Submission // the newest that was submitted; nil for none
	refused  bool                    // the newest was refused for now before it was submitted
	inFlight atomic.Int32            // submitted and not yet done
}

// maxLanes is how many boards a stream's order of frames is remembered for, when none has a frame in flight.
const maxLanes = 1024

func (s *durableStream) RecvMsg(m any) error {
	out, ok := m.(**request)
	if !ok {
		return fmt.Errorf("receive into %T", m)
	}
	draining := s.p.draining
	for {
		req, err := s.next()
		if req != nil && req.err == nil {
			req.err = s.validate(req)
		}
		if req != nil || err != nil {
			*out = req
			return err
		}
		select {
		case <-s.readable:
		case <-draining:
			s.end(errShutdown)
			draining = nil // from now on, what was read is waited for
		case <-s.Context().Done():
			return status.FromContextError(s.Context().Err()).Err()
		}
	}
}

func (s *durableStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	switch m := m.(type) {
	case *request:
		m.release()
	case *message:
		if m.answers != nil {
			m.answers.release()
		}
	}
	return err
}

func (s *durableStream) next() (*request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.urgent) > 0 && s.urgent[0].done:
		req := s.urgent[0]
		s.urgent = s.urgent[1:]
		return req, nil
	case len(s.inbox) > 0 && s.inbox[0].done:
		req := s.inbox[0]
		s.inbox[0] = nil
		s.inbox = s.inbox[1:]
		return req, nil
	case len(s.inbox)+len(s.urgent) == 0:
		return nil, s.ended
	default:
		return nil, nil //nolint:nilnil // neither a request nor the end yet
	}
}

// end lets the handler have what was read, and then the cause. The first cause stays.
func (s *durableStream) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = cause
	}
	signal(s.readable)
}

func (s *durableStream) readLoop() {
	for s.waitForSpace() {
		var in received
		err := s.ServerStream.RecvMsg(&in)
		switch {
		case err != nil: // io.EOF, or a status
			s.end(err)
			return
		case in.err != nil:
			s.p.log.Debug("no frame", "error", in.err)
			s.end(in.err)
			return
		}
		s.admit(&in)
	}
}

func (s *durableStream) waitForSpace() bool {
	for {
		s.mu.Lock()
		free := s.frames < int(s.p.limits.GetMaxInFlightFrames()) && s.bytes < int(s.p.limits.GetMaxInFlightBytes())
		s.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-s.space:
		case <-s.Context().Done():
			return false
		}
	}
}

// admit puts the frame into the window, and submits it when it is durable.
func (s *durableStream) admit(in *received) {
	kind := persistence.KindOf(in.frame)
	req := &request{
		stream: s, frame: in.frame, kind: kind, size: in.size, durable: isDurable(kind) && isRequest(in.frame),
	}
	if !s.enqueue(req) {
		return
	}
	if err := s.take(req); err != nil || !req.durable {
		s.resolve(req, persistence.Result{}, err)
	}
}

// take checks the frame, and submits it when it is durable. A panic is this one frame's.
func (s *durableStream) take(req *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(s.p.log, "read loop", p)
		}
	}()
	if req.durable {
		return s.submit(req)
	}
	if err := s.check(req); err != nil {
		return err
	}
	if renewal := req.frame.GetSessionRenew(); renewal != nil && isRequest(req.frame) {
		req.until, err = s.renew(renewal.GetToken())
	}
	return err
}

// enqueue reports false when the server is stopping: it is then as if the frame had not been read.
func (s *durableStream) enqueue(req *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false
	}
	s.frames++
	s.bytes += req.size
	if req.frame.GetPing() != nil {
		s.urgent = append(s.urgent, req)
	} else {
		s.inbox = append(s.inbox, req)
	}
	return true
}

// submit hands a durable frame to the committer, or says why not.
func (s *durableStream) submit(req *request) error {
	frame := req.frame
	id, err := persistence.ParseFrameID(frame.GetId())
	if err != nil {
		return invalid("id", "a durable frame needs a UUID")
	}
	boardID, err := persistence.ParseBoardID(frame.GetBoardId())
	if err != nil {
		return invalid("board_id", "must be a UUID")
	}
	l := s.lane(boardID)
	after, err := l.follow(id, frame.GetAfterId())
	if err != nil {
		return err
	}
	if err := s.check(req); err != nil {
		return err
	}
	r, err := s.p.hub.Acquire(s.Context(), boardID)
	if err != nil {
		// A stream that ended may have more to read, and the room may be found for that: it must not overtake this one.
		l.refused = classify(err).retry > 0 || s.Context().Err() != nil
		return fmt.Errorf("board %s: %w", boardID, err)
	}
	if batch := frame.GetObjectBatch(); batch != nil {
		batch.RestoredSeq, batch.RevertedSeq = 0, 0
	}
	sub := &persistence.Submission{
		Board: boardID, ID: id, Sender: s.sender.user, Name: s.sender.name, Frame: frame, Size: req.size, Log: r, After: after,
		Done: func(result persistence.Result, err error) {
			l.inFlight.Add(-1)
			r.Release()
			s.resolve(req, result, err)
		},
	}
	l.inFlight.Add(1)
	if err := s.p.committer.Submit(sub); err != nil {
		l.inFlight.Add(-1)
		r.Release()
		l.refused = true
		return err
	}
	l.last = sub
	return nil
}

// lane finds or makes the board's lane. When there are too many, those go that have nothing in flight, of which there
// is at most a window: a frame that follows one which is forgotten is refused for now, as if that one had been.
func (s *durableStream) lane(id persistence.BoardID) *lane {
	if l := s.lanes[id]; l != nil {
		return l
	}
	if len(s.lanes) >= maxLanes {
		maps.DeleteFunc(s.lanes, func(_ persistence.BoardID, l *lane) bool { return l.inFlight.Load() == 0 })
	}
	l := &lane{}
	s.lanes[id] = l
	return l
}

// follow makes id the lane's newest frame. It returns the submission that must be committed before it, where afterID
// asks for that, or why the frame must be refused.
func (l *lane) follow(id persistence.FrameID, afterID string) (*persistence.Submission, error) {
	before := l.lastID
	l.lastID = id
	if afterID == "" {
		l.refused, l.last = false, nil
		return nil, nil //nolint:nilnil // no predecessor is no error
	}
	if after, err := persistence.ParseFrameID(afterID); err != nil {
		return nil, invalid("after_id", "must be a UUID")
	} else if l.refused || after != before {
		return nil, &persistence.RefusedError{Err: persistence.ErrPredecessorRefused}
	}
	return l.last, nil
}

// check says whether the frame is one that the server may work on at all.
func (s *durableStream) check(req *request) error {
	frame := req.frame
	if limit := s.p.limits.GetMaxFrameBytes(); uint64(req.size) > limit {
		return &board.Error{
			Code:    collaboardv1.ErrorCode_TOO_LARGE,
			Message: fmt.Sprintf("the frame has %d bytes, %d are allowed", req.size, limit),
		}
	}
	if frame.GetStatus() == collaboardv1.Status_STATUS_CANCEL {
		if _, err := persistence.ParseFrameID(frame.GetParentId()); err != nil {
			return invalid("parent_id", "must name the request to cancel")
		}
		return nil
	}
	if !isRequest(frame) {
		return invalid("status", "a client sends requests and cancels only")
	}
	if req.kind == 0 {
		return invalid("payload", "a request needs one")
	}
	if isFromServer(req.kind) {
		return invalid("payload", "only the server sends this one")
	}
	if frame.GetId() == "" && !isEphemeral(req.kind) {
		return invalid("id", "must be a UUID")
	}
	if frame.GetBoardId() == "" && frame.GetPing() == nil && frame.GetSessionRenew() == nil {
		return invalid("board_id", "must be a UUID")
	}
	if isDurable(req.kind) {
		// The payload's rules are checked by hand when the board decides: interpreting them here, too, was a fifth of
		// what a frame costs.
		if frame.GetParentId() != "" {
			if _, err := persistence.ParseFrameID(frame.GetParentId()); err != nil {
				return invalid("parent_id", "must be a UUID")
			}
		}
	}
	return nil
}

// validate checks the rules of a payload that is not durable. It is for the handler's goroutine: interpreting them takes
// so much stack that the read loop, which waits deeper within grpc, would keep twice as much for as long as the stream.
func (s *durableStream) validate(req *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(s.p.log, "validate", p)
		}
	}()
	if req.durable || req.frame.GetStatus() == collaboardv1.Status_STATUS_CANCEL {
		return nil
	}
	if err := s.p.validator.Validate(req.frame); err != nil {
		return violations(err)
	}
	return nil
}

func (s *durableStream) resolve(req *request, result persistence.Result, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req.done, req.result, req.err = true, result, err
	s.signalLocked()
}

func (s *durableStream) signalLocked() {
	if (len(s.urgent) > 0 && s.urgent[0].done) || (len(s.inbox) > 0 && s.inbox[0].done) {
		signal(s.readable)
	}
}

func isRequest(frame *collaboardv1.Frame) bool {
	st := frame.GetStatus()
	return st == collaboardv1.Status_STATUS_REQUEST || st == collaboardv1.Status_STATUS_UNSPECIFIED
}

// The payloads of Frame are numbered by lane: control from 10, durable from 20, ephemeral from 40, the server's from 60.
func isDurable(k persistence.Kind) bool    { return k >= 20 && k < 40 }
func isEphemeral(k persistence.Kind) bool  { return k >= 40 && k < 60 }
func isFromServer(k persistence.Kind) bool { return k >= 60 }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
