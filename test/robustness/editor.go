package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// member is a client that writes to the run's boards, and hears what is written there.
type member interface {
	// name counts its acks in the run's tally, and name+"/"+board how far it has heard.
	name() string
	// settle stops writing, and returns once all that was submitted is acked, or refused for good.
	settle(ctx context.Context) error
	// replicas notes its copies of the boards. It follows settle.
	replicas()
	// close ends it, also in the middle of everything.
	close() error
}

// editor is a member on the Go SDK, which reconnects, resumes and resends by itself.
type editor struct {
	user   string
	rec    *history.Writer
	tally  *tally
	conn   *client.Client
	boards map[string]*client.Board

	stop    context.CancelFunc // ends writing
	end     context.CancelFunc // ends reading, too
	writing sync.WaitGroup
	reading sync.WaitGroup
	waiting sync.WaitGroup
}

// newEditor joins the boards, which must be empty still: nobody may write until every editor has joined. ctx is that of
// its whole life.
func newEditor(ctx context.Context, env *environment, user string) (*editor, error) {
	conn, err := client.Dial(env.front.addr(), client.WithInsecure(), client.WithUserID(user), //nolint:contextcheck // ends with Close
		client.WithBackoff(5*time.Millisecond, 200*time.Millisecond), client.WithHeartbeat(500*time.Millisecond, 2*time.Second),
		client.WithLogger(slog.New(&connections{rec: env.rec, user: user})))
	if err != nil {
		return nil, err
	}
	e := &editor{user: user, rec: env.rec, tally: env.tally, conn: conn, boards: map[string]*client.Board{}, stop: func() {}, end: func() {}}
	for i, id := range env.boards {
		e.rec.Add(history.Event{Kind: history.KindJoin, Client: user, Board: id, Member: i + 1})
		joining, cancel := context.WithTimeout(ctx, patience)
		b, err := conn.Join(joining, id)
		cancel()
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		e.boards[id] = b
		s := b.Status()
		e.rec.Add(history.Event{
			Kind: history.KindJoined, Client: user, Board: id, Member: i + 1, Mode: "SNAPSHOT", Epoch: s.Position.Epoch,
			Seq: s.Position.Seq, Writable: s.Writable,
		})
	}
	return e, nil
}

// start begins to read and to write.
func (e *editor) start(ctx context.Context, env *environment, rng *rand.Rand, inFlight int) {
	life, end := context.WithCancel(ctx)
	write, stop := context.WithCancel(life)
	e.stop, e.end = stop, end
	for i, id := range env.boards {
		e.reading.Go(func() { e.read(life, e.boards[id], i+1) })
	}
	e.writing.Go(func() { e.write(life, write, env, rng, inFlight) })
}

func (e *editor) name() string { return e.user }

// write submits until writing ends; answers are waited for until life does.
func (e *editor) write(life, ctx context.Context, env *environment, rng *rand.Rand, inFlight int) {
	drawers := map[string]*drawer{}
	for _, b := range env.boards {
		drawers[b] = &drawer{name: e.user, rng: rng, steady: env.steady}
	}
	slots := make(chan struct{}, inFlight)
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		board := env.boards[rng.IntN(len(env.boards))]
		f := drawers[board].next(board)
		e.rec.Add(history.Event{
			Kind: history.KindSubmit, Client: e.user, Board: board, Frame: f.GetId(), Content: history.Content(f), Chained: true,
		})
		p, err := e.conn.Submit(life, board, f)
		if err != nil {
			return // closed
		}
		e.waiting.Go(func() {
			defer func() { <-slots }()
			e.wait(life, p, board)
		})
		rest(ctx, env.pace)
	}
}

func (e *editor) wait(ctx context.Context, p *client.Pending, board string) {
	ack, err := p.Wait(ctx)
	if err == nil {
		e.rec.Add(history.Event{
			Kind: history.KindAck, Client: e.user, Board: board, Frame: p.ID(), Epoch: ack.Epoch, Seq: ack.Seq, Duplicate: ack.Duplicate,
		})
	} else if refusal, ok := errors.AsType[*client.FrameError](err); ok {
		e.rec.Add(history.Event{Kind: history.KindRefused, Client: e.user, Board: board, Frame: p.ID(), Code: refusal.Code.String()})
	} else {
		return
	}
	e.tally.add(e.user, 1)
}

func (e *editor) read(ctx context.Context, b *client.Board, member int) {
	for f, err := range b.Frames(ctx) {
		resync, resynced := errors.AsType[*client.ResyncError](err)
		switch {
		case resynced: // as may be where the log is trimmed
			e.rec.Add(history.Event{Kind: history.KindParted, Client: e.user, Board: b.ID(), Member: member})
			member += len(e.boards) // another of its own
			e.rec.Add(history.Event{
				Kind: history.KindJoin, Client: e.user, Board: b.ID(), Member: member, Epoch: resync.From.Epoch, Seq: resync.From.Seq,
			})
			e.rec.Add(history.Event{
				Kind: history.KindJoined, Client: e.user, Board: b.ID(), Member: member, Mode: "SNAPSHOT", Reason: reasonOf(resync.Reason),
				Note: err.Error(), Epoch: resync.To.Epoch, Seq: resync.To.Seq,
			})
			e.tally.raise(e.user+"/"+b.ID(), resync.To.Seq)
		case err != nil:
			return
		default:
			e.rec.Add(delivered(e.user, b.ID(), member, f))
			e.tally.raise(e.user+"/"+b.ID(), f.GetSeq())
		}
	}
}

func (e *editor) settle(ctx context.Context) error {
	e.stop()
	e.writing.Wait()
	for {
		err := e.conn.Flush(ctx)
		if _, refusals := errors.AsType[*client.FlushError](err); refusals {
			continue // they were recorded one by one
		}
		if err == nil {
			e.waiting.Wait()
		}
		return err
	}
}

func (e *editor) replicas() {
	for id, b := range e.boards {
		if r := b.Replica(); r != nil {
			e.rec.Add(history.Event{
				Kind: history.KindReplica, Client: e.user, Board: id, Seq: r.Seq(), Digest: history.Digest(r.Snapshot()),
			})
		}
	}
}

func (e *editor) close() error {
	e.stop()
	e.end()
	err := e.conn.Close()
	e.writing.Wait()
	e.waiting.Wait()
	e.reading.Wait()
	return err
}

func delivered(user, board string, n int, f *collaboardv1.Frame) history.Event {
	return history.Event{
		Kind: history.KindDelivered, Client: user, Board: board, Member: n, Frame: f.GetId(), Seq: f.GetSeq(),
		Digest: history.Digest(history.Encode(f)),
	}
}

// rest is a pause of about d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d/2 + rand.N(d)):
	case <-ctx.Done():
	}
}
