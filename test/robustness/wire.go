package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// manners are how a wire client behaves badly.
type manners struct {
	inFlight int
	twice    bool // sends each frame two times, and after a reconnect all that is not acked two times
	wanders  bool // connects to the one server and to the other in turns, where there are two
	apart    bool // connects to the other one, where there are two
	vanishes int  // ends its connection in the middle of a write, once in so many frames; 0 for never
	naps     int  // stops reading for a while, once in so many frames received; 0 for never
	recalls  int  // sends one again that was acked long ago, once in so many frames; 0 for never
}

// wire is a member that speaks the protocol by itself, so that what is on the wire is recorded, and with worse manners
// than the SDK has: it resends what needs no resending, and leaves in the middle of a frame.
type wire struct {
	user    string
	env     *environment
	manners manners
	rng     *rand.Rand // of the writing goroutine

	vanish atomic.Bool // the next write of its connection ends in the middle

	mu      sync.Mutex
	members int // memberships so far
	stands  map[string]*stand
	outbox  []*outgoing           // in the order of submission
	acked   []*collaboardv1.Frame // of one that recalls
	settled bool                  // nothing more is submitted
	changed chan struct{}

	end  context.CancelCauseFunc
	done sync.WaitGroup

	connects int // of the goroutine that connects
}

// stand is where a wire client stands on a board.
type stand struct {
	member  int // the membership that is asked for, or runs
	live    bool
	epoch   string
	seq     uint64
	known   bool         // whether epoch and seq are
	replica *board.Board // nil until a snapshot began
	drawer  *drawer
}

type outgoing struct {
	frame *collaboardv1.Frame
	sent  bool      // on this connection
	after time.Time // not to be sent again before
	tries int
}

func newWire(ctx context.Context, env *environment, user string, rng *rand.Rand, m manners) *wire {
	w := &wire{
		user: user, env: env, manners: m, rng: rng, stands: map[string]*stand{},
		changed: make(chan struct{}, 1),
	}
	for _, b := range env.boards {
		w.stands[b] = &stand{drawer: &drawer{name: user, rng: rng, steady: env.steady}}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w.end = cancel
	w.done.Go(func() { w.run(ctx) })
	return w
}

func (w *wire) name() string { return w.user }

// run connects again and again.
func (w *wire) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.connect(ctx)
		w.env.rec.Add(history.Event{Kind: history.KindDisconnected, Client: w.user, Note: err.Error()})
		rest(ctx, 20*time.Millisecond)
	}
}

// connect is one connection, from its beginning to its end.
func (w *wire) connect(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	n := 1
	switch w.connects++; {
	case w.manners.wanders:
		n = w.connects
	case w.manners.apart:
		n = 2
	}
	conn, err := grpc.NewClient(w.env.entrance(n), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(w.dial))
	if err != nil {
		return err
	}
	defer conn.Close()
	// A connection that has gone dead without a word is noticed by its pings.
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(metadata.AppendToOutgoingContext(ctx, "user-id", w.user))
	if err != nil {
		return err
	}
	w.mu.Lock()
	for _, s := range w.stands {
		s.live = false
	}
	for _, o := range w.outbox {
		o.sent = false
	}
	w.mu.Unlock()
	w.env.rec.Add(history.Event{Kind: history.KindConnected, Client: w.user})

	heard := make(chan struct{}, 1)
	var both sync.WaitGroup
	defer both.Wait()
	defer cancel(nil)
	both.Go(func() { cancel(w.receive(ctx, stream, heard)) })
	both.Go(func() { cancel(alive(ctx, heard)) })
	err = w.send(ctx, stream)
	cancel(err)
	return context.Cause(ctx)
}

// alive ends when nothing was heard for a while: the sending side sends a ping often enough.
func alive(ctx context.Context, heard <-chan struct{}) error {
	for {
		select {
		case <-heard:
		case <-time.After(3 * time.Second):
			return errors.New("nothing was heard for 3 s")
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *wire) send(ctx context.Context, stream grpc.BidiStreamingClient[collaboardv1.Frame, collaboardv1.Frame]) error {
	for _, id := range w.env.boards {
		if err := stream.Send(w.join(id)); err != nil {
			return err
		}
	}
	ping := time.NewTicker(500 * time.Millisecond)
	defer ping.Stop()
	for {
		due, wake := w.due()
		for _, f := range due {
			times := 1
			if w.manners.twice {
				times = 2
			}
			for n := range times {
				if n > 0 {
					w.env.rec.Add(history.Event{Kind: history.KindResend, Client: w.user, Board: f.GetBoardId(), Frame: f.GetId()})
				}
				if w.manners.vanishes > 0 && w.rng.IntN(w.manners.vanishes) == 0 {
					w.vanish.Store(true)
				}
				if err := stream.Send(f); err != nil {
					return err
				}
			}
		}
		if len(due) > 0 {
			continue
		}
		var writing <-chan time.Time
		if w.room() {
			writing = time.After(w.env.pace/2 + rand.N(w.env.pace+1))
		}
		select {
		case <-writing:
			w.submit()
			if f := w.recall(); f != nil {
				if err := stream.Send(f); err != nil {
					return err
				}
			}
		case <-w.changed:
		case <-time.After(wake):
		case <-ping.C:
			if err := stream.Send(&collaboardv1.Frame{Id: uuid.NewString(), Payload: &collaboardv1.Frame_Ping{Ping: &collaboardv1.Ping{}}}); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// join begins a membership: from where it stands, or with a snapshot.
func (w *wire) join(id string) *collaboardv1.Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stands[id]
	w.members++
	s.member = w.members
	e := history.Event{Kind: history.KindJoin, Client: w.user, Board: id, Member: s.member}
	join := &collaboardv1.BoardJoin{}
	if s.known {
		join.Position = &collaboardv1.Position{Epoch: s.epoch, Seq: s.seq}
		e.Epoch, e.Seq = s.epoch, s.seq
	}
	w.env.rec.Add(e)
	return &collaboardv1.Frame{Id: uuid.NewString(), BoardId: id, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: join}}
}

// room tells whether another frame may be submitted.
func (w *wire) room() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.settled && len(w.outbox) < w.manners.inFlight
}

func (w *wire) submit() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.settled {
		return
	}
	id := w.env.boards[w.rng.IntN(len(w.env.boards))]
	f := w.stands[id].drawer.next(id)
	w.env.rec.Add(history.Event{Kind: history.KindSubmit, Client: w.user, Board: id, Frame: f.GetId(), Content: history.Content(f)})
	w.outbox = append(w.outbox, &outgoing{frame: f})
}

// recall returns an old frame to send again, now and then.
func (w *wire) recall() *collaboardv1.Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.acked) == 0 || w.rng.IntN(w.manners.recalls) > 0 {
		return nil
	}
	f := w.acked[w.rng.IntN(len(w.acked))]
	w.env.rec.Add(history.Event{Kind: history.KindResend, Client: w.user, Board: f.GetBoardId(), Frame: f.GetId()})
	return f
}

// due returns the frames to send now, and how long until there may be others.
func (w *wire) due() (frames []*collaboardv1.Frame, wake time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wake = time.Minute
	for _, o := range w.outbox {
		if o.sent {
			continue
		}
		if d := time.Until(o.after); d > 0 {
			wake = min(wake, d)
			continue
		}
		if o.tries++; o.tries > 1 {
			w.env.rec.Add(history.Event{Kind: history.KindResend, Client: w.user, Board: o.frame.GetBoardId(), Frame: o.frame.GetId()})
		}
		o.sent = true
		frames = append(frames, o.frame)
	}
	return frames, wake
}

func (w *wire) receive(ctx context.Context, stream grpc.BidiStreamingClient[collaboardv1.Frame, collaboardv1.Frame], heard chan<- struct{}) error {
	for n := 1; ; n++ {
		f, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := w.take(f); err != nil {
			return err
		}
		if w.manners.naps > 0 && n%w.manners.naps == 0 {
			rest(ctx, 100*time.Millisecond)
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	}
}

func (w *wire) take(f *collaboardv1.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stands[f.GetBoardId()]
	switch p := f.GetPayload().(type) {
	case *collaboardv1.Frame_Ack:
		e := history.Event{Kind: history.KindAck, Epoch: p.Ack.GetEpoch(), Seq: f.GetSeq(), Duplicate: p.Ack.GetDuplicate()}
		if s != nil && s.live && !w.env.short {
			e.Member = s.member
		}
		w.answered(f, e)
	case *collaboardv1.Frame_Error:
		return w.refused(f, p.Error)
	case *collaboardv1.Frame_BoardSnapshot:
		if s.replica == nil || !s.live && s.replica.Seq() != p.BoardSnapshot.GetPosition().GetSeq() {
			s.replica = board.New()
		}
		s.replica.Load(p.BoardSnapshot)
	case *collaboardv1.Frame_BoardJoined:
		at := p.BoardJoined.GetPosition()
		s.live, s.known, s.epoch, s.seq = true, true, at.GetEpoch(), at.GetSeq()
		w.env.rec.Add(joined(w.user, f.GetBoardId(), s.member, p.BoardJoined))
		w.env.tally.raise(w.user+"/"+f.GetBoardId(), s.seq)
	default:
		if f.GetStatus() != collaboardv1.Status_STATUS_EVENT || f.GetSeq() == 0 {
			return nil
		}
		w.env.rec.Add(delivered(w.user, f.GetBoardId(), s.member, f))
		s.seq = f.GetSeq()
		if s.replica != nil {
			s.replica.Apply(f)
		}
		w.env.tally.raise(w.user+"/"+f.GetBoardId(), s.seq)
	}
	return nil
}

// answered ends a frame, unless it had an answer already: a frame that was sent twice gets two.
func (w *wire) answered(f *collaboardv1.Frame, e history.Event) {
	e.Client, e.Board, e.Frame = w.user, f.GetBoardId(), f.GetParentId()
	w.env.rec.Add(e)
	i := slices.IndexFunc(w.outbox, func(o *outgoing) bool { return o.frame.GetId() == f.GetParentId() })
	if i < 0 {
		return
	}
	if e.Kind == history.KindAck && w.manners.recalls > 0 {
		w.acked = append(w.acked, w.outbox[i].frame)
	}
	w.outbox = slices.Delete(w.outbox, i, i+1)
	w.env.tally.add(w.user, 1)
	w.ring()
}

func (w *wire) refused(f *collaboardv1.Frame, e *collaboardv1.Error) error {
	i := slices.IndexFunc(w.outbox, func(o *outgoing) bool { return o.frame.GetId() == f.GetParentId() })
	refusal := history.Event{
		Kind: history.KindRefused, Client: w.user, Board: f.GetBoardId(), Frame: f.GetParentId(), Code: e.GetCode().String(), Retryable: e.GetRetryable(),
	}
	switch {
	case i < 0 && e.GetRetryable():
		if !w.stands[f.GetBoardId()].live {
			return errors.New("join refused: " + e.GetMessage()) // connecting again tries again
		}
	case i < 0:
	case e.GetRetryable():
		w.env.rec.Add(refusal)
		w.outbox[i].sent = false
		w.outbox[i].after = time.Now().Add(max(e.GetRetryAfter().AsDuration(), 10*time.Millisecond))
		w.ring()
	default:
		w.answered(f, refusal)
	}
	return nil
}

func (w *wire) ring() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *wire) settle(ctx context.Context) error {
	w.mu.Lock()
	w.settled = true
	// Each frame that leaves the outbox counts.
	last := w.env.tally.get(w.user) + uint64(len(w.outbox))
	w.mu.Unlock()
	return w.env.tally.wait(ctx, w.user, last)
}

func (w *wire) replicas() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.stands {
		if s.replica != nil {
			w.env.rec.Add(history.Event{
				Kind: history.KindReplica, Client: w.user, Board: id, Seq: s.replica.Seq(), Digest: history.Digest(s.replica.Snapshot()),
			})
		}
	}
}

func (w *wire) close() error {
	w.end(errors.New("the run has ended"))
	w.done.Wait()
	return nil
}

// dial makes connections that can be made to vanish.
func (w *wire) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.vanish.Store(false)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &vanishing{Conn: conn, now: &w.vanish}, nil
}

// vanishing is a connection whose client goes away in the middle of a write when now is set.
type vanishing struct {
	net.Conn

	now *atomic.Bool
}

func (v *vanishing) Write(b []byte) (int, error) {
	if !v.now.CompareAndSwap(true, false) {
		return v.Conn.Write(b)
	}
	n, err := v.Conn.Write(b[:len(b)/2])
	reset(v.Conn)
	if err == nil {
		err = net.ErrClosed
	}
	return n, err
}

func joined(user, board string, member int, j *collaboardv1.BoardJoined) history.Event {
	e := history.Event{
		Kind: history.KindJoined, Client: user, Board: board, Member: member, Writable: j.GetWritable(),
		Epoch: j.GetPosition().GetEpoch(), Seq: j.GetPosition().GetSeq(), Mode: "RESUMED",
	}
	if j.GetMode() == collaboardv1.Mode_MODE_SNAPSHOT {
		e.Mode = "SNAPSHOT"
	}
	e.Reason = reasonOf(j.GetReason())
	return e
}

func reasonOf(r collaboardv1.SnapshotReason) string {
	if r == collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(r.String(), "SNAPSHOT_REASON_")
}
