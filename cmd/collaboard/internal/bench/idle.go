package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// IdleConfig says how many streams to hold. Every field must be set.
type IdleConfig struct {
	Streams       int
	PerConnection int
	Boards        int // over which the streams are spread
}

// Idle opens streams that join and then do nothing, calls ready once all have joined, and holds them until ctx ends. The
// boards are deleted then.
func Idle(ctx context.Context, cfg IdleConfig, dial Dial, ready func() error) (err error) {
	control, err := dial()
	if err != nil {
		return err
	}
	defer control.Close()
	api := collaboardv1.NewBoardServiceClient(control)
	boards := make([]string, cfg.Boards)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		for _, id := range boards {
			if id != "" {
				_, failed := api.DeleteBoard(ctx, &collaboardv1.DeleteBoardRequest{BoardId: id})
				err = errors.Join(err, failed)
			}
		}
	}()
	for i := range boards {
		board, err := api.CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: fmt.Sprintf("bench idle, %d", i)}, grpc.WaitForReady(i > 0))
		if err != nil {
			return err
		}
		boards[i] = board.GetId()
	}

	streams := make([]*stream, cfg.Streams)
	defer func() {
		for _, s := range streams {
			if s != nil {
				s.close()
			}
		}
	}()
	conns := make([]sharedConn, (cfg.Streams-1)/cfg.PerConnection+1)
	var opening errgroup.Group
	opening.SetLimit(connecting)
	for i := range streams {
		opening.Go(func() (err error) {
			if streams[i], err = openStream(ctx, conns[i/cfg.PerConnection].dial(dial)); err != nil {
				return err
			}
			return streams[i].join(boards[i%len(boards)])
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	held, ctx := errgroup.WithContext(ctx)
	for _, s := range streams {
		held.Go(func() error { return s.drain(ctx) })
	}
	held.Go(func() error {
		if err := settle(ctx); err != nil {
			return nil //nolint:nilerr // it is over
		}
		if err := ready(); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	return held.Wait()
}

// drain takes what the stream is sent, such as who else came and went, until ctx ends.
func (s *stream) drain(ctx context.Context) error {
	err := s.receive()
	for err == nil {
		err = s.receive()
	}
	if ctx.Err() != nil {
		err = nil
	}
	return err
}

// settle waits until what the joins brought about is over.
func settle(ctx context.Context) error { return sleepUntil(ctx, time.Now().Add(2*time.Second)) }

// sharedConn is a connection of several streams.
type sharedConn struct {
	once sync.Once
	conn *grpc.ClientConn
	err  error
}

func (c *sharedConn) dial(dial Dial) Dial {
	return func(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
		c.once.Do(func() { c.conn, c.err = dial(opts...) })
		return c.conn, c.err
	}
}
