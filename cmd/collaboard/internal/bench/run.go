package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Kind is what the frames carry.
type Kind string

// The kinds.
const (
	Custom       Kind = "custom"
	ObjectUpdate Kind = "object_update" // of one object for each client
	Chat         Kind = "chat"
)

// Config says what to do. Every field but those that say so must be set.
type Config struct {
	Clients     int // that send; client i to board i modulo Boards
	InFlight    int // frames that each client has sent and that are not answered, at most
	Boards      int
	Subscribers int  // members of each board that only listen; may be 0
	Stalled     int  // members of each board that join and then read nothing; may be 0
	Decode      bool // whether those that listen decode what they get, as an application must
	Kind        Kind
	Payload     int           // bytes
	Rate        float64       // frames a second of all clients together; 0 for as many as get answered
	Cursors     float64       // cursor moves a second of each client that sends, which is a member then; 0 for none
	WarmUp      time.Duration // not measured; may be 0
	Duration    time.Duration
	Keep        bool // whether to leave the boards behind

	// Progress is called every half second with what was counted so far; may be nil.
	Progress func(elapsed time.Duration, acks, deliveries int64)
}

// Dial returns a new connection to the server.
type Dial func(opts ...grpc.DialOption) (*grpc.ClientConn, error)

const (
	connecting     = 16               // streams opened at a time
	drainTimeout   = 15 * time.Second // for the answers that are outstanding at the end
	cleanUpTimeout = 30 * time.Second
	progressEvery  = 500 * time.Millisecond
)

// Run makes boards, drives them, deletes them, and returns what it measured. Errors of calls are grpc's.
func Run(ctx context.Context, cfg Config, dial Dial) (_ *Report, err error) {
	control, err := dial()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	api := collaboardv1.NewBoardServiceClient(control)
	r := &run{cfg: cfg, dial: dial, recorders: newRecorders()}
	if !cfg.Keep {
		defer func() { err = errors.Join(err, r.deleteBoards(ctx, api)) }()
	}
	if err := r.createBoards(ctx, api); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.disconnect()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	measured := period{from: start.Add(cfg.WarmUp), to: start.Add(cfg.WarmUp + cfg.Duration)}
	if err := r.drive(ctx, start, measured); err != nil {
		return nil, err
	}
	return r.report(), nil
}

// run is one measurement.
type run struct {
	cfg         Config
	dial        Dial
	recorders   recorders
	boards      []string
	writers     []*writer
	subscribers []*subscriber // first those that listen
}

func (r *run) createBoards(ctx context.Context, api collaboardv1.BoardServiceClient) error {
	for i := range r.cfg.Boards {
		name := fmt.Sprintf("bench %s, %d", time.Now().UTC().Format(time.DateTime), i)
		board, err := api.CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: name}, grpc.WaitForReady(i > 0))
		if err != nil {
			return err
		}
		r.boards = append(r.boards, board.GetId())
	}
	return nil
}

// deleteBoards works when ctx has ended, too.
func (r *run) deleteBoards(ctx context.Context, api collaboardv1.BoardServiceClient) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	var failed error
	for _, id := range r.boards {
		_, err := api.DeleteBoard(ctx, &collaboardv1.DeleteBoardRequest{BoardId: id})
		if err != nil && status.Code(err) != codes.NotFound && failed == nil {
			failed = err
		}
	}
	return failed
}

// connect makes the clients: those that listen first, so that they miss nothing.
func (r *run) connect(ctx context.Context) error {
	r.subscribers = make([]*subscriber, r.cfg.Boards*(r.cfg.Subscribers+r.cfg.Stalled))
	r.writers = make([]*writer, r.cfg.Clients)
	var g errgroup.Group
	g.SetLimit(connecting)
	for i := range r.subscribers {
		g.Go(func() (err error) {
			r.subscribers[i], err = newSubscriber(ctx, r.dial, r.boards[i%len(r.boards)], r.cfg.Decode, r.recorders.of(i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range r.writers {
		g.Go(func() (err error) {
			r.writers[i], err = newWriter(ctx, r.cfg, r.dial, i, r.boards[i%len(r.boards)], r.recorders.of(i))
			return err
		})
	}
	return g.Wait()
}

func (r *run) disconnect() {
	for _, w := range r.writers {
		if w != nil {
			w.close()
		}
	}
	for _, s := range r.subscribers {
		if s != nil {
			s.close()
		}
	}
}

// drive lets the clients work until the end of the period, and waits for the answers that are outstanding.
func (r *run) drive(ctx context.Context, start time.Time, measured period) error {
	g, ctx := errgroup.WithContext(ctx)
	// Receiving ends with the connection. The first failure, or the end, thus ends all.
	stop := context.AfterFunc(ctx, r.disconnect)
	defer stop()

	interval := time.Duration(0)
	if r.cfg.Rate > 0 {
		interval = time.Duration(math.Round(float64(r.cfg.Clients) / r.cfg.Rate * float64(time.Second)))
	}
	var writing sync.WaitGroup
	for i, w := range r.writers {
		// Spread over the interval, so that the clients do not send in step.
		first := start.Add(interval * time.Duration(i) / time.Duration(len(r.writers)))
		writing.Add(2)
		g.Go(func() error {
			defer writing.Done()
			return w.send(ctx, first, interval, measured.to)
		})
		g.Go(func() error {
			defer writing.Done()
			return w.receiveAll(measured)
		})
		if r.cfg.Cursors > 0 {
			writing.Add(1)
			g.Go(func() error {
				defer writing.Done()
				every := time.Duration(float64(time.Second) / r.cfg.Cursors)
				return w.sendCursors(ctx, start.Add(every*time.Duration(i)/time.Duration(len(r.writers))), every, measured.to)
			})
		}
	}
	done := make(chan struct{})
	for _, s := range r.subscribers[:r.cfg.Boards*r.cfg.Subscribers] {
		g.Go(func() error {
			err := s.receiveAll(measured)
			select {
			case <-done: // with which its connection was closed
				return nil
			default:
				return err
			}
		})
	}
	g.Go(func() error {
		writing.Wait()
		close(done)
		r.disconnect()
		return nil
	})
	g.Go(func() error { return r.watch(done, start, measured.to.Add(drainTimeout)) })
	return g.Wait()
}

// watch reports progress until the writers are done, which they must be by the deadline.
func (r *run) watch(done <-chan struct{}, start, deadline time.Time) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case now := <-tick.C:
			if now.After(deadline) {
				return fmt.Errorf("the server has not answered all frames %s after the last", drainTimeout)
			}
			if r.cfg.Progress != nil {
				acks, deliveries := r.recorders.counts()
				r.cfg.Progress(now.Sub(start), acks, deliveries)
			}
		}
	}
}

func (r *run) report() *Report {
	cfg, sum := r.cfg, r.recorders.sum()
	report := &Report{
		Clients: cfg.Clients, InFlight: cfg.InFlight, Boards: cfg.Boards, Subscribers: cfg.Subscribers, Stalled: cfg.Stalled,
		Kind: cfg.Kind, Payload: cfg.Payload, Seconds: cfg.Duration.Seconds(), TargetRate: cfg.Rate,
		Acks: newRate(sum.acks, cfg.Duration.Seconds()),
	}
	if cfg.Subscribers > 0 || cfg.Cursors > 0 {
		deliveries := newRate(sum.deliveries, cfg.Duration.Seconds())
		report.Deliveries = &deliveries
	}
	if cfg.Cursors > 0 {
		cursors := newRate(sum.cursors, cfg.Duration.Seconds())
		report.Cursors = &cursors
	}
	for code, n := range sum.errors {
		if report.Errors == nil {
			report.Errors = map[string]int64{}
		}
		report.Errors[code.String()] = n
	}
	for _, w := range r.writers {
		report.Unsent += w.unsent
	}
	return report
}
