package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// errEnded is a stream that the server was done with before we were.
var errEnded = status.Error(codes.Unavailable, "the server ended the stream")

// sendOnce sends the lines, whatever they are, on one stream. It returns when all of them are answered, or with the
// reason why the stream ended before.
func (c *sendCmd) sendOnce(ctx context.Context, e *endpoint, in *reader, out *answers) error {
	conn, err := e.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(ctx)
	if err != nil {
		return err
	}
	welcome, err := stream.Recv()
	if err != nil {
		return err
	}
	s := &sender{
		stream: stream, window: make(chan struct{}, c.Window), out: out, maxBytes: board.MaxFrameBytes,
	}
	if n := welcome.GetSessionWelcome().GetLimits().GetMaxFrameBytes(); n > 0 {
		s.maxBytes = int(min(n, board.MaxFrameBytes))
	}
	var sending sync.WaitGroup
	var failed error
	sending.Go(func() {
		if failed = s.sendAll(ctx, in.lines); failed != nil {
			cancel()
		}
	})
	err = s.receiveAll()
	cancel()
	sending.Wait()
	s.finish()
	if failed != nil {
		return failed
	}
	return err
}

// sender sends lines and prints their answers.
type sender struct {
	stream   collaboardv1.CollaborationService_CollaborateClient
	maxBytes int           // of a frame
	window   chan struct{} // holds one value for each line in pending

	// mu guards what is below. It is held while answers are printed, which is what the next line waits for anyway.
	mu      sync.Mutex
	pending []*line // in the order in which they were sent; those whose answer has not been printed
	out     *answers
}

// sendAll returns early when the stream breaks: the receiving side is told why.
func (s *sender) sendAll(ctx context.Context, lines <-chan *line) error {
	for {
		select {
		case s.window <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		var l *line
		select {
		case l = <-lines:
		case <-ctx.Done():
			return nil
		}
		if l == nil {
			return s.stream.CloseSend()
		}
		fits, err := s.enter(l)
		if err != nil {
			return err
		}
		if fits && s.stream.Send(l.frame) != nil {
			return nil //nolint:nilerr // see above
		}
	}
}

// enter puts l among those that are sent, and says whether it is to be: the transport would take the stream down for a
// frame that is too large for it.
func (s *sender) enter(l *line) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.last = l.number
	size := proto.Size(l.frame)
	if size > s.maxBytes {
		l.answer = tooLarge(l.frame, size, s.maxBytes)
	}
	if l.answer != nil || l.isAnswered() {
		s.pending = append(s.pending, l)
	} else {
		<-s.window
	}
	return l.answer == nil, s.printAnswered()
}

// tooLarge is what the server would answer.
func tooLarge(frame *collaboardv1.Frame, size, limit int) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: frame.GetId(), ParentId: frame.GetId(), BoardId: frame.GetBoardId(), Status: collaboardv1.Status_STATUS_ERROR,
		Payload: &collaboardv1.Frame_Error{Error: &collaboardv1.Error{
			Code:    collaboardv1.ErrorCode_TOO_LARGE,
			Message: fmt.Sprintf("the frame has %d bytes, %d are allowed", size, limit),
		}},
	}
}

// receiveAll returns nil when the server has ended the stream and nothing is left to be answered.
func (s *sender) receiveAll() error {
	for {
		frame, err := s.stream.Recv()
		if err != nil {
			s.mu.Lock()
			left := len(s.pending)
			s.mu.Unlock()
			switch {
			case errors.Is(err, io.EOF) && left == 0:
				return nil
			case errors.Is(err, io.EOF):
				return errEnded
			default:
				return err
			}
		}
		switch frame.GetStatus() { //nolint:exhaustive // the others are no answers
		case collaboardv1.Status_STATUS_DONE, collaboardv1.Status_STATUS_ERROR:
			if err := s.answer(frame); err != nil {
				return err
			}
		}
	}
}

// answer notes an answer, and prints those whose turn it is.
func (s *sender) answer(frame *collaboardv1.Frame) error {
	if frame.GetId() == "" {
		frame.Id = frame.GetParentId()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.pending, func(l *line) bool { return l.answer == nil && l.frame.GetId() == frame.GetParentId() })
	if i < 0 { // of a frame that is only answered when it is refused
		return s.out.print(frame)
	}
	s.pending[i].answer = frame
	return s.printAnswered()
}

func (s *sender) printAnswered() error {
	for len(s.pending) > 0 && s.pending[0].answer != nil {
		if err := s.out.print(s.pending[0].answer); err != nil {
			return err
		}
		s.pending = s.pending[1:]
		<-s.window
	}
	return nil
}

// finish prints, after the stream has ended, the answers that waited for their turn, and notes which lines have none.
func (s *sender) finish() {
	for _, l := range s.pending {
		if l.answer == nil {
			s.out.unanswered = append(s.out.unanswered, l)
		} else if s.out.print(l.answer) != nil {
			return
		}
	}
}
