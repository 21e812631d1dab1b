package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// FillConfig says what board to make. Every field must be set.
type FillConfig struct {
	Objects  int   // on the board
	Frames   int   // in its log, those that make the objects among them; the others change the objects in turn
	Payload  int   // bytes that a change sets
	Lengths  []int // of the log, at which it is measured what the next frames cost
	Measured int   // frames, after each of Lengths
}

// Filled is the board, and what it cost.
type Filled struct {
	Board   string  `json:"board"`
	Objects int     `json:"objects"`
	Frames  int     `json:"frames"`
	Seconds float64 `json:"seconds"`
	Costs   []Cost  `json:"costs"`
}

// Cost is the time that a frame took where the log was so long, with as many on their way as the server takes.
type Cost struct {
	Length       int     `json:"length"`
	Microseconds float64 `json:"microseconds"`
}

const (
	fillClients  = 8
	fillInFlight = 128
	batchObjects = 100 // made by one frame
)

// Fill makes the board and leaves it behind.
func Fill(ctx context.Context, cfg FillConfig, dial Dial) (*Filled, error) {
	control, err := dial()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	board, err := collaboardv1.NewBoardServiceClient(control).CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: "bench fill"})
	if err != nil {
		return nil, err
	}
	f := &filling{cfg: cfg, board: board.GetId(), reached: make([]atomic.Int64, 2*len(cfg.Lengths))}
	g, ctx := errgroup.WithContext(ctx)
	for n := range fillClients {
		s, err := openStream(ctx, dial)
		if err != nil {
			return nil, err
		}
		defer s.close() //nolint:revive // all are held to the end
		if n == 0 {
			if err := f.makeObjects(s); err != nil {
				return nil, err
			}
		}
		g.Go(func() error { return f.client(ctx, n, s) })
	}
	begin := time.Now()
	if err := g.Wait(); err != nil {
		return nil, err
	}
	filled := &Filled{Board: f.board, Objects: cfg.Objects, Frames: cfg.Frames, Seconds: time.Since(begin).Seconds()}
	for i, length := range cfg.Lengths {
		took := time.Duration(f.reached[2*i+1].Load() - f.reached[2*i].Load())
		filled.Costs = append(filled.Costs, Cost{length, float64(took.Microseconds()) / float64(cfg.Measured)})
	}
	return filled, nil
}

// filling is a Fill under way.
type filling struct {
	cfg     FillConfig
	board   string
	objects []string
	sent    atomic.Int64   // frames, of all clients
	acked   atomic.Int64   // the same
	reached []atomic.Int64 // when acked was at the n-th of Lengths, and Measured frames behind it, in nanoseconds
}

func (f *filling) makeObjects(s *stream) error {
	for len(f.objects) < f.cfg.Objects {
		batch := &collaboardv1.ObjectBatch{}
		for range min(batchObjects, f.cfg.Objects-len(f.objects)) {
			id := uuid.NewString()
			f.objects = append(f.objects, id)
			batch.Ops = append(batch.Ops, &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{
				Create: objectCreate(f.board, id).GetObjectCreate(),
			}})
		}
		f.sent.Add(1)
		f.acked.Add(1)
		err := s.request(&collaboardv1.Frame{
			Id: uuid.NewString(), BoardId: f.board, Status: collaboardv1.Status_STATUS_REQUEST,
			Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// client sends its share of the frames and awaits their acks.
func (f *filling) client(ctx context.Context, number int, s *stream) error {
	object := strings.Repeat("!", len(frameID{}))
	frames, err := newTemplate(payload(ObjectUpdate, f.board, object, f.cfg.Payload))
	if err != nil {
		return err
	}
	at := strings.Index(string(frames.encoded), object)
	window := make(chan struct{}, fillInFlight)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for n := f.sent.Add(1); n <= int64(f.cfg.Frames); n = f.sent.Add(1) {
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			frame := outgoing(append([]byte(nil), frames.encoded...))
			id := newFrameID(time.Now(), uint16(number), uint64(n))
			copy(frame[frames.id:], id[:])
			copy(frame[at:], f.objects[int(n)%len(f.objects)])
			if err := s.SendMsg(frame); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		return s.CloseSend()
	})
	g.Go(func() error {
		for {
			switch err := s.receive(); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			case s.in.status == collaboardv1.Status_STATUS_ERROR:
				return fmt.Errorf("the server refused a frame with %s", s.in.err)
			case s.in.status == collaboardv1.Status_STATUS_DONE:
				f.count()
				<-window
			}
		}
	})
	return g.Wait()
}

func (f *filling) count() {
	n := int(f.acked.Add(1))
	for i, length := range f.cfg.Lengths {
		switch n {
		case length:
			f.reached[2*i].Store(time.Now().UnixNano())
		case length + f.cfg.Measured:
			f.reached[2*i+1].Store(time.Now().UnixNano())
		}
	}
}
