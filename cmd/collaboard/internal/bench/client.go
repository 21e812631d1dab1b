package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// stream is a Collaborate stream on a connection of its own.
type stream struct {
	grpc.ClientStream
	conn *grpc.ClientConn
	in   incoming
}

// openStream connects and waits for the welcome.
func openStream(ctx context.Context, dial Dial) (*stream, error) {
	conn, err := dial(
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec())),
		grpc.WithDisableRetry(),
		// Fixed windows spare the pings that grpc otherwise measures with.
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<20),
	)
	if err != nil {
		return nil, err
	}
	s := &stream{conn: conn}
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	s.ClientStream, err = conn.NewStream(ctx, desc, collaboardv1.CollaborationService_Collaborate_FullMethodName)
	if err == nil {
		err = s.receive()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func (s *stream) receive() error { return s.RecvMsg(&s.in) }

func (s *stream) close() { _ = s.conn.Close() }

// join makes the stream's client a member of the board, from the beginning of its log.
func (s *stream) join(board string) error {
	return s.request(&collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: board, Status: collaboardv1.Status_STATUS_REQUEST,
		Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{Position: &collaboardv1.Position{}}},
	})
}

// request sends a frame and waits for the end of its answer. Nothing else may be in flight.
func (s *stream) request(frame *collaboardv1.Frame) error {
	if err := s.SendMsg(frame); err != nil && !errors.Is(err, io.EOF) { // after which receive says why
		return err
	}
	for {
		if err := s.receive(); err != nil {
			return err
		}
		switch {
		case string(s.in.parent[:]) != frame.GetId():
		case s.in.status == collaboardv1.Status_STATUS_DONE:
			return nil
		case s.in.status == collaboardv1.Status_STATUS_ERROR:
			return fmt.Errorf("the server refused a frame with %s", s.in.err)
		}
	}
}

// slot is a frame in flight.
type slot struct {
	frame outgoing
	id    frameID
	at    time.Time // when it was, or should have been, sent
}

// writer is a client that sends.
type writer struct {
	*stream
	number int
	board  string
	frames template
	to     *recorder

	sending sync.Mutex // held by who sends a frame
	senders int        // that are not done; guarded by sending

	// free and flight together hold window slots. A slot is free until it is filled and in flight until it is
	// answered; answers come in the order of the requests.
	free   chan *slot
	flight chan *slot

	unsent int64 // frames that were due at the end and had not been sent
}

// newWriter connects a client, and lets it make the object that it will change, if it will.
func newWriter(ctx context.Context, cfg Config, dial Dial, number int, board string, to *recorder) (_ *writer, err error) {
	w := &writer{number: number, board: board, senders: 1, to: to, free: make(chan *slot, cfg.InFlight), flight: make(chan *slot, cfg.InFlight)}
	if w.stream, err = openStream(ctx, dial); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	object := uuid.NewString()
	if cfg.Kind == ObjectUpdate {
		if err := w.request(objectCreate(board, object)); err != nil {
			return nil, err
		}
	}
	if cfg.Cursors > 0 {
		if err := w.join(board); err != nil {
			return nil, err
		}
		w.senders++
	}
	if w.frames, err = newTemplate(payload(cfg.Kind, board, object, cfg.Payload)); err != nil {
		return nil, err
	}
	for range cfg.InFlight {
		w.free <- &slot{frame: append(outgoing(nil), w.frames.encoded...)}
	}
	return w, nil
}

// send sends frames until the end of the period, each as soon as there is room in the window, or if interval is not 0
// on a schedule that starts at first.
func (w *writer) send(ctx context.Context, first time.Time, interval time.Duration, end time.Time) error {
	defer close(w.flight)
	for n := 0; ; n++ {
		at := first.Add(time.Duration(n) * interval)
		if interval > 0 {
			if !at.Before(end) {
				break
			}
			if err := sleepUntil(ctx, at); err != nil {
				return err
			}
		}
		var s *slot
		select {
		case s = <-w.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now := time.Now()
		if !now.Before(end) {
			if interval > 0 {
				w.unsent = int64(end.Sub(at)/interval) + 1
			}
			break
		}
		if interval == 0 {
			at = now
		}
		s.at, s.id = at, newFrameID(at, uint16(w.number), uint64(n))
		copy(s.frame[w.frames.id:], s.id[:])
		w.flight <- s // has room: there are no more slots
		if err := w.sendFrame(s.frame); err != nil {
			if errors.Is(err, io.EOF) {
				return nil // receiveAll is told why
			}
			return err
		}
	}
	return w.doneSending()
}

func (w *writer) sendFrame(frame any) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	return w.SendMsg(frame)
}

// doneSending is called by each of the senders, and the last closes the stream's way to the server.
func (w *writer) doneSending() error {
	w.sending.Lock()
	defer w.sending.Unlock()
	if w.senders--; w.senders > 0 {
		return nil
	}
	return w.CloseSend()
}

// sendCursors moves the client's cursor on a schedule, until the end of the period.
func (w *writer) sendCursors(ctx context.Context, first time.Time, interval time.Duration, end time.Time) error {
	for at := first; at.Before(end); at = at.Add(interval) {
		if err := sleepUntil(ctx, at); err != nil {
			return err
		}
		if err := w.sendFrame(cursorMove(w.board, at)); errors.Is(err, io.EOF) {
			return nil // receiveAll is told why
		} else if err != nil {
			return err
		}
	}
	return w.doneSending()
}

// receiveAll takes the answers, until the stream ends.
func (w *writer) receiveAll(measured period) error {
	for {
		switch err := w.receive(); {
		case errors.Is(err, io.EOF):
			if left := len(w.flight); left > 0 {
				return fmt.Errorf("the server ended a stream with frames that it had not answered: %d", left)
			}
			return nil
		case err != nil:
			return err
		case w.in.status == collaboardv1.Status_STATUS_EVENT:
			w.event(measured)
			continue
		case w.in.status != collaboardv1.Status_STATUS_DONE && w.in.status != collaboardv1.Status_STATUS_ERROR:
			continue
		}
		now := time.Now()
		s := <-w.flight
		if s == nil || s.id != w.in.parent {
			return errors.New("the server did not answer in the order of the requests")
		}
		if measured.has(now) {
			if w.in.status == collaboardv1.Status_STATUS_DONE {
				w.to.ack(now.Sub(s.at))
			} else {
				w.to.refusal(w.in.err)
			}
		}
		w.free <- s
	}
}

// event counts what a writer is sent as a member.
func (w *writer) event(measured period) {
	now := time.Now()
	switch {
	case !measured.has(now):
	case w.in.seq > 0:
		w.to.delivery(time.Duration(now.UnixNano() - w.in.id.time()))
	case w.in.cursor > 0:
		w.to.cursor(time.Duration(now.UnixMicro()-int64(w.in.cursor)) * time.Microsecond)
	}
}

// subscriber is a client that listens.
type subscriber struct {
	*stream
	to   *recorder
	last uint64
}

func newSubscriber(ctx context.Context, dial Dial, board string, decode bool, to *recorder) (*subscriber, error) {
	s := &subscriber{to: to}
	var err error
	if s.stream, err = openStream(ctx, dial); err != nil {
		return nil, err
	}
	s.in.decode = decode
	if err := s.join(board); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// receiveAll takes frames until the stream ends, which it does not do by itself.
func (s *subscriber) receiveAll(measured period) error {
	for {
		if err := s.receive(); err != nil {
			return err
		}
		if s.in.seq == 0 {
			continue
		}
		now := time.Now()
		if s.in.seq != s.last+1 {
			return fmt.Errorf("a member was sent seq %d after %d", s.in.seq, s.last)
		}
		s.last = s.in.seq
		if measured.has(now) {
			s.to.delivery(time.Duration(now.UnixNano() - s.in.id.time()))
		}
	}
}

// sleepUntil returns at about the time, or with the cause when ctx ends.
func sleepUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
