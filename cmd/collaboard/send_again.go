package main

import (
	"context"
	"errors"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// sendAgain leaves the lines to the SDK, which sends them until the server has taken each or refused it for good. It
// returns when that is so, or with the reason why it cannot be.
func (c *sendCmd) sendAgain(ctx context.Context, e *endpoint, in *reader, out *answers) error {
	n := &narrator{endpoint: e}
	sdk, err := e.sdk(n, client.WithWindow(c.Window)) //nolint:contextcheck // it lives until Close
	if err != nil {
		return err
	}
	defer sdk.Close()
	if _, err := getBoard(ctx, sdk.Boards(), c.Board); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &submitter{sdk: sdk, submitted: make(chan submission, c.Window)}
	go func() {
		defer close(s.submitted)
		if err := s.submitAll(ctx, in.lines); err != nil {
			cancel(err)
		}
	}()
	for next := range s.submitted {
		out.last = next.line.number
		answer, err := next.answer(ctx)
		if err == nil {
			n.accepted()
			err = out.print(answer)
		} else {
			out.unanswered = append(out.unanswered, next.line)
		}
		if err != nil {
			cancel(err) // the first one counts; the rest of what was submitted is looked at all the same
		}
	}
	return context.Cause(ctx)
}

// submitter hands lines to the SDK.
type submitter struct {
	sdk       *client.Client
	submitted chan submission // in the order of the lines; taken until it is closed
}

// submission is a line and what becomes of it.
type submission struct {
	line    *line
	pending *client.Pending
	refused error // instead of pending: it could never be sent
}

func (s *submitter) submitAll(ctx context.Context, lines <-chan *line) error {
	for {
		var l *line
		select {
		case l = <-lines:
		case <-ctx.Done():
		}
		if l == nil {
			return nil
		}
		pending, err := s.submit(ctx, l.frame)
		if _, refused := errors.AsType[*client.FrameError](err); err != nil && !refused {
			return err
		}
		s.submitted <- submission{l, pending, err}
	}
}

func (s *submitter) submit(ctx context.Context, frame *collaboardv1.Frame) (*client.Pending, error) {
	pending, err := s.sdk.Submit(ctx, frame.GetBoardId(), frame)
	if !errors.Is(err, client.ErrPayload) {
		return pending, err
	}
	// A frame of that id is on its way. Once that is answered, this one is a duplicate like any other.
	if err := s.sdk.Flush(ctx); err != nil {
		if _, refusals := errors.AsType[*client.FlushError](err); !refusals {
			return nil, err
		}
	}
	return s.sdk.Submit(ctx, frame.GetBoardId(), frame)
}

// answer waits for the answer, which is put as the server does.
func (s submission) answer(ctx context.Context) (*collaboardv1.Frame, error) {
	id := s.line.frame.GetId()
	answer := &collaboardv1.Frame{Id: id, ParentId: id, BoardId: s.line.frame.GetBoardId()}
	ack, err := s.wait(ctx)
	if refused, ok := errors.AsType[*client.FrameError](err); ok {
		answer.Status = collaboardv1.Status_STATUS_ERROR
		answer.Payload = &collaboardv1.Frame_Error{Error: &collaboardv1.Error{
			Code: refused.Code, Message: refused.Message, CurrentVersion: refused.CurrentVersion, FieldViolations: refused.Violations,
		}}
		return answer, nil
	}
	if err != nil {
		return nil, err
	}
	answer.Seq = ack.Seq
	answer.Status = collaboardv1.Status_STATUS_DONE
	answer.Payload = &collaboardv1.Frame_Ack{Ack: &collaboardv1.Ack{Epoch: ack.Epoch, Duplicate: ack.Duplicate}}
	return answer, nil
}

func (s submission) wait(ctx context.Context) (client.Ack, error) {
	if s.refused != nil {
		return client.Ack{}, s.refused
	}
	return s.pending.Wait(ctx)
}
