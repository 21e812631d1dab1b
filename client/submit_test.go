package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

func TestFlushWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	board := newBoard(t, c)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	s.store.beforeAppend(func(ctx context.Context) error {
		entered <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	for i := range 10 {
		submit(t, c, board, chat("%d", i))
	}
	flushed := make(chan error, 1)
	go func() { flushed <- c.Flush(testContext(t)) }()
	<-entered
	select {
	case err := <-flushed:
		t.Fatalf("flushed before the commit: %v", err)
	default:
	}
	if s := c.State(); s.Saving != client.InFlight || s.Unsaved != 10 {
		t.Errorf("state is %v", s)
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Flush(short); !errors.Is(err, context.Canceled) {
		t.Errorf("flush without time: %v", err)
	}
	close(release)
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(numbered(10), readLog(t, c, board)); diff != "" {
		t.Error(diff)
	}
	if s := c.State(); s != (client.State{Saving: client.Saved}) {
		t.Errorf("state is %v", s)
	}
}

func TestOrderIsKeptThroughRefusals(t *testing.T) {
	t.Parallel()
	const frames = 400
	for name, tt := range map[string]struct {
		cfg   server.Config
		fault func(*backend, *proxy)
	}{
		"a full queue": {
			cfg: server.Config{Commit: persistence.CommitterConfig{
				QueueFrames: 8, BatchFrames: 4, RetryMax: 2 * time.Millisecond, RetryMin: time.Millisecond,
			}},
			fault: func(*backend, *proxy) {},
		},
		"a database that is away for a while": {
			cfg: server.Config{Commit: persistence.CommitterConfig{
				CommitTimeout: 20 * time.Millisecond, BatchFrames: 16, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
			}},
			fault: func(s *backend, _ *proxy) {
				n := 0
				s.store.beforeAppend(func(context.Context) error {
					if n++; n > 5 && n < 25 {
						return errDown
					}
					return nil
				})
			},
		},
		"a network that breaks as well": {
			cfg: server.Config{Commit: persistence.CommitterConfig{
				QueueFrames: 16, BatchFrames: 8, RetryMax: 2 * time.Millisecond, RetryMin: time.Millisecond,
			}},
			fault: func(s *backend, p *proxy) {
				n := 0
				s.store.beforeAppend(func(context.Context) error {
					if n++; n%10 == 5 {
						p.cut()
					}
					return nil
				})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startBackend(t, tt.cfg)
			direct := dial(t, s.addr)
			boards := []string{newBoard(t, direct), newBoard(t, direct), newBoard(t, direct)}
			p := startProxy(t, s.addr)
			tt.fault(s, p)
			c := dial(t, p.addr())
			for i := range frames {
				for _, board := range boards {
					submit(t, c, board, chat("%d", i))
				}
			}
			flush(t, c)
			for _, board := range boards {
				if diff := cmp.Diff(numbered(frames), readLog(t, direct, board)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestLostAckIsResentAndNotDoubled(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	direct := dial(t, s.addr)
	board := newBoard(t, direct)
	p := startProxy(t, s.addr)
	c := dial(t, p.addr())
	wait(t, submit(t, c, board, chat("0")))

	watch := join(t, direct, board)
	p.mute()
	first, second := submit(t, c, board, chat("1")), submit(t, c, board, chat("2"))
	readFrames(t, watch, 1, 2) // they are in the log, and nobody has told c
	p.cut()
	for seq, pending := range map[uint64]*client.Pending{2: first, 3: second} {
		if ack := wait(t, pending); ack.Seq != seq || !ack.Duplicate {
			t.Errorf("ack %+v, want a duplicate at %d", ack, seq)
		}
	}
	if diff := cmp.Diff(numbered(3), readLog(t, direct, board)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	b := join(t, c, newBoard(t, c))
	object := uuid.NewString()
	create := func() *client.Pending {
		return submit(t, c, b.ID(), &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: object, Kind: "line"}})
	}
	create()
	stale := uint64(7)
	again := create()
	late := submit(t, c, b.ID(), &collaboardv1.ObjectDelete{Id: object, IfVersion: &stale})
	nan := submit(t, c, b.ID(), &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: uuid.NewString()}})
	after := submit(t, c, b.ID(), chat("after"))

	if ack := wait(t, after); ack.Seq != 2 {
		t.Errorf("the frame after the refused ones is at %d", ack.Seq)
	}
	_, err := again.Wait(t.Context())
	if client.Code(err) != collaboardv1.ErrorCode_OBJECT_EXISTS {
		t.Errorf("second create: %v", err)
	}
	var refused *client.FrameError
	if _, err := late.Wait(t.Context()); !errors.As(err, &refused) ||
		refused.Code != collaboardv1.ErrorCode_STALE_UPDATE || refused.CurrentVersion == nil || *refused.CurrentVersion != 1 {
		t.Errorf("stale delete: %v", err)
	}
	if _, err := nan.Wait(t.Context()); !errors.As(err, &refused) || len(refused.Violations) == 0 {
		t.Errorf("an object without a kind: %v", err)
	}
	var report *client.FlushError
	if err := c.Flush(t.Context()); !errors.As(err, &report) || len(report.Refused) != 3 {
		t.Errorf("flush: %v", err)
	}
	flush(t, c) // they were reported
}

func TestSubmitRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	c := dial(t, "127.0.0.1:1")
	for name, tt := range map[string]struct {
		board   string
		payload *collaboardv1.Frame
		want    error
		code    collaboardv1.ErrorCode
	}{
		"an ephemeral payload": {board: someBoard, want: client.ErrPayload, payload: &collaboardv1.Frame{
			Payload: &collaboardv1.Frame_Typing{Typing: &collaboardv1.Typing{}},
		}},
		"no payload":        {board: someBoard, want: client.ErrPayload, payload: &collaboardv1.Frame{}},
		"another board's":   {board: someBoard, want: client.ErrPayload, payload: said(someID, 0)},
		"more than 1 MiB":   {board: someBoard, code: collaboardv1.ErrorCode_TOO_LARGE, payload: large(1 << 20)},
		"no board":          {board: "x", payload: said("", 0)},
		"a board in braces": {board: "{" + someBoard + "}", payload: said("", 0)},
	} {
		_, err := c.Submit(t.Context(), tt.board, tt.payload)
		if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || client.Code(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Submit(t.Context(), someBoard, said(strings.ToUpper(someBoard), 0)); err == nil {
		t.Error("a frame for a board in another spelling was taken")
	}
	submit(t, c, someBoard, said(someBoard, 0))
	if _, err := c.Submit(t.Context(), someBoard, said(someBoard, 0)); !errors.Is(err, client.ErrPayload) {
		t.Errorf("an id that is on its way: %v", err)
	}
}

func large(n int) *collaboardv1.Frame {
	return &collaboardv1.Frame{Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "x", Data: make([]byte, n)}}}
}

// A frame of the largest size goes through, even behind another one, whose id it then carries.
func TestLargestFrame(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	board := newBoard(t, c)
	n := 1<<20 - 110 // less what the frame is besides its data
	for ; n > 0; n-- {
		if _, err := c.Submit(t.Context(), board, large(n)); err == nil {
			break
		}
	}
	last := submit(t, c, board, large(n))
	if _, err := last.Wait(testContext(t)); err != nil && client.Code(err) != collaboardv1.ErrorCode_TOO_LARGE {
		t.Fatal(err) // as an event it may be too large, by what the server sets
	}
	wait(t, submit(t, c, board, large(n-1024)))
}

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	direct := dial(t, s.addr)
	board := newBoard(t, direct)
	for name, tt := range map[string]struct{ frames, bytes int }{
		"frames": {frames: 3, bytes: 1 << 20},
		"bytes":  {frames: 100, bytes: 3 * 1024},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, s.addr)
			p.refuse(true)
			c := dial(t, p.addr(), client.WithOutbox(tt.frames, tt.bytes))
			for range 3 {
				submit(t, c, board, large(800))
			}
			full, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := c.Submit(full, board, large(800)); !errors.Is(err, client.ErrOutboxFull) || !errors.Is(err, context.Canceled) {
				t.Fatalf("submit to a full outbox: %v", err)
			}
			if got := c.State().Unsaved; got != 3 {
				t.Errorf("%d unsaved", got)
			}
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if _, err := c.Submit(testContext(t), board, large(800)); err != nil {
						t.Error(err)
					}
				})
			}
			p.refuse(false)
			wg.Wait()
			flush(t, c)
		})
	}
}

func TestPayloadMayBeChangedAfterSubmit(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	board := newBoard(t, c)
	msg := chat("0")
	submit(t, c, board, msg)
	msg.Text = "changed"
	flush(t, c)
	if diff := cmp.Diff(numbered(1), readLog(t, c, board)); diff != "" {
		t.Error(diff)
	}
}

func TestIDOfTheApplicationIsKept(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	board := newBoard(t, c)
	f := said(board, 0)
	first := wait(t, submit(t, c, board, f))
	second := wait(t, submit(t, c, board, f))
	if first.Duplicate || !second.Duplicate || first.Position != second.Position {
		t.Errorf("%+v, then %+v", first, second)
	}
}

// After a refusal nothing is sent until everything in flight is answered, and the server's wait is over; then all that is
// left is sent again, in order, and what was submitted meanwhile after it. Other boards do not wait.
func TestResendAfterARefusal(t *testing.T) {
	t.Parallel()
	const pause = 50 * time.Millisecond
	received, submitted := make(chan struct{}), make(chan struct{})
	addr := startScript(t, func(c *conversation) error {
		c.welcome()
		receive := func(n int) (frames []*collaboardv1.Frame) {
			for range n {
				f, err := c.expect(isDurable)
				if err != nil {
					t.Error(err)
					return make([]*collaboardv1.Frame, n)
				}
				frames = append(frames, f)
			}
			return frames
		}
		refuse := func(f *collaboardv1.Frame, after time.Duration) {
			c.send(&collaboardv1.Frame{
				ParentId: f.GetId(), BoardId: someBoard, Status: collaboardv1.Status_STATUS_ERROR,
				Payload: &collaboardv1.Frame_Error{Error: &collaboardv1.Error{Retryable: true, RetryAfter: durationpb.New(after)}},
			})
		}
		sent := receive(3)
		close(received)
		refuse(sent[0], pause)
		c.send(acked(receive(1)[0], client.Position{Epoch: otherEpoch, Seq: 1})) // of the other board
		<-submitted
		refuse(sent[1], time.Hour) // because of the first
		began := time.Now()
		c.send(acked(sent[2], client.Position{Epoch: someEpoch, Seq: 1})) // it had arrived before, say
		after := ""
		again := receive(3)
		for i, f := range again {
			if got := f.GetChatMessage().GetText(); got != []string{"0", "1", "3"}[i] || f.GetAfterId() != after {
				t.Errorf("%d: %q after %q, want it after %q", i, got, f.GetAfterId(), after)
			}
			after = f.GetId()
		}
		if waited := time.Since(began); waited < pause {
			t.Errorf("sent again after %v", waited)
		}
		for i, f := range again {
			c.send(acked(f, client.Position{Epoch: someEpoch, Seq: uint64(i) + 2}))
		}
		_, err := c.Recv()
		return err
	})
	c := dial(t, addr)
	for i := range 3 {
		submit(t, c, someBoard, chat("%d", i))
	}
	<-received
	wait(t, submit(t, c, someID, chat("x"))) // by now the refusal is known
	submit(t, c, someBoard, chat("3"))
	close(submitted)
	flush(t, c)
}
