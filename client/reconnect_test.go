package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

func TestReconnectResumesWithoutGapOrDouble(t *testing.T) {
	t.Parallel()
	const rounds, each = 10, 30
	s := startBackend(t, server.Config{})
	direct := dial(t, s.addr)
	board := newBoard(t, direct)
	p := startProxy(t, s.addr)
	c := dial(t, p.addr())
	b := join(t, c, board)
	for round := range rounds {
		for i := range each {
			submit(t, direct, board, chat("%d", i))
		}
		p.cut() // while the events come in
		readFrames(t, b, uint64(round*each), each/2)
		p.cut()
		readFrames(t, b, uint64(round*each+each/2), each/2)
	}
	flush(t, direct)
	if st := b.Status(); st.Position.Seq != rounds*each || st.Desyncs != 0 {
		t.Errorf("status %+v", st)
	}
	if got := b.Replica().Seq(); got != rounds*each {
		t.Errorf("replica at %d", got)
	}
}

func TestServerRestartIsSurvived(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	b := join(t, c, newBoard(t, c))
	for i := range 100 {
		p := submit(t, c, b.ID(), chat("%d", i))
		if i%25 == 20 {
			s.stop() // with frames in flight
			s.start()
			wait(t, p)
		}
	}
	flush(t, c)
	readFrames(t, b, 0, 100)
	if diff := cmp.Diff(numbered(100), readLog(t, c, b.ID())); diff != "" {
		t.Error(diff)
	}
}

// The server learns of the end of the old connection only after the client has come back.
func TestLateCloseOfAnOldConnectionDisturbsNobody(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	direct := dial(t, s.addr)
	board := newBoard(t, direct)
	p := startProxy(t, s.addr)
	c := dial(t, p.addr(), client.WithUserID("ada"), client.WithHeartbeat(50*time.Millisecond, 50*time.Millisecond))
	watch := join(t, direct, board)
	b := join(t, c, board)
	submit(t, c, board, chat("0"))
	flush(t, c)

	old := p.pipes() // not open for the proxy any more: it will not cut them
	for _, pp := range old {
		pp.outlive() // although the client will give it up
	}
	isJoin := func(f *collaboardv1.Frame) bool { return f.GetMemberJoined().GetMember().GetUserId() == "ada" }
	event(t, watch, isJoin)
	event(t, watch, isJoin)
	for _, pp := range old {
		pp.close()
	}
	event(t, watch, func(f *collaboardv1.Frame) bool { return f.GetMemberLeft().GetMember().GetUserId() == "ada" })

	submit(t, direct, board, chat("1"))
	readFrames(t, b, 0, 2)
	if ack := wait(t, submit(t, c, board, chat("2"))); ack.Seq != 3 {
		t.Errorf("ack at %d", ack.Seq)
	}
	if !b.Status().Live {
		t.Error("the board is not live")
	}
	event(t, b, func(f *collaboardv1.Frame) bool { return f.GetMemberLeft() != nil })
	if got := len(b.Members()); got != 2 {
		t.Errorf("%d members", got)
	}
}

// A network that swallows everything is noticed, and left for another connection.
func TestDeadNetworkIsNoticed(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	direct := dial(t, s.addr)
	board := newBoard(t, direct)
	p := startProxy(t, s.addr)
	c := dial(t, p.addr(), client.WithHeartbeat(30*time.Millisecond, 30*time.Millisecond))
	b := join(t, c, board)
	awaitState(t, c, client.State{Saving: client.Saved})
	p.mute()
	awaitState(t, c, client.State{Saving: client.Offline})
	awaitState(t, c, client.State{Saving: client.Saved})
	submit(t, direct, board, chat("0"))
	readFrames(t, b, 0, 1)
}

// Heartbeats keep an idle connection, although it is silent for much longer than the timeout.
func TestIdleConnectionIsKept(t *testing.T) {
	t.Parallel()
	welcomes := make(chan struct{}, 100)
	pings := make(chan struct{}, 100)
	addr := startScript(t, func(c *conversation) error {
		welcomes <- struct{}{}
		c.welcome()
		for {
			f, err := c.Recv()
			if err != nil {
				return err
			}
			if f.GetPing() != nil {
				pings <- struct{}{}
				c.send(&collaboardv1.Frame{
					ParentId: f.GetId(), Status: collaboardv1.Status_STATUS_DONE,
					Payload: &collaboardv1.Frame_Pong{Pong: &collaboardv1.Pong{}},
				})
			}
		}
	})
	c := dial(t, addr, client.WithHeartbeat(5*time.Millisecond, 10*time.Second))
	submit(t, c, someBoard, chat("never answered"))
	for range 20 {
		<-pings
	}
	if n := len(welcomes); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestStateFollowsTheConnection(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	p := startProxy(t, s.addr)
	p.refuse(true)
	c := dial(t, p.addr())
	board := newBoard(t, dial(t, s.addr))
	if got := c.State(); got != (client.State{Saving: client.Offline}) {
		t.Errorf("at first: %v", got)
	}
	submit(t, c, board, chat("0"))
	if got := c.State(); got != (client.State{Saving: client.Offline, Unsaved: 1}) {
		t.Errorf("after a submit without a network: %v", got)
	}
	p.refuse(false)
	awaitState(t, c, client.State{Saving: client.Saved})
	for i := range 50 {
		pending := submit(t, c, board, chat("%d", i))
		wait(t, pending)
		if got := c.State(); got != (client.State{Saving: client.Saved}) {
			t.Fatalf("after the ack: %v", got)
		}
	}
	p.refuse(true)
	p.cut()
	awaitState(t, c, client.State{Saving: client.Offline})
	submit(t, c, board, chat("x"))
	submit(t, c, board, chat("y"))
	awaitState(t, c, client.State{Saving: client.Offline, Unsaved: 2})
	p.refuse(false)
	awaitState(t, c, client.State{Saving: client.Saved})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	awaitState(t, c, client.State{Saving: client.Closed})
}

func TestStateWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	board := newBoard(t, c)
	wait(t, submit(t, c, board, chat("0")))
	release := make(chan struct{})
	s.store.beforeAppend(func(context.Context) error { <-release; return nil })
	submit(t, c, board, chat("1"))
	awaitState(t, c, client.State{Saving: client.InFlight, Unsaved: 1})
	close(release)
	awaitState(t, c, client.State{Saving: client.Saved})
}

// The pauses grow while no connection works, up to the limit, and begin anew after one that has answered something. A
// welcome alone is not enough.
func TestBackoffResetsAfterAConnectionThatWorked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const shortest, longest = time.Second, 64 * time.Second
		type attempt struct {
			at    time.Time
			serve chan func(*conversation) error
		}
		attempts := make(chan attempt)
		lis := bufconn.Listen(1 << 20)
		srv := grpc.NewServer()
		collaboardv1.RegisterCollaborationServiceServer(srv, &script{serve: func(c *conversation) error {
			a := attempt{at: time.Now(), serve: make(chan func(*conversation) error)}
			attempts <- a
			return (<-a.serve)(c)
		}})
		go srv.Serve(lis) //nolint:errcheck // stopped below
		defer srv.Stop()
		c, err := client.Dial("passthrough:///bufconn", client.WithInsecure(), client.WithBackoff(shortest, longest),
			client.WithDialOptions(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return lis.DialContext(ctx)
			})))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Submit(t.Context(), someBoard, chat("0")); err != nil {
			t.Fatal(err)
		}

		ended := time.Now()
		next := func(serve func(*conversation) error) time.Duration {
			a := <-attempts
			pause := a.at.Sub(ended)
			a.serve <- serve
			synctest.Wait()
			ended = time.Now()
			return pause
		}
		broken := func(c *conversation) error {
			c.welcome()
			return status.Error(codes.Unavailable, "injected")
		}
		works := func(c *conversation) error {
			c.welcome()
			f, err := c.expect(isDurable)
			if err == nil {
				c.send(&collaboardv1.Frame{
					ParentId: f.GetId(), Status: collaboardv1.Status_STATUS_ERROR,
					Payload: &collaboardv1.Frame_Error{Error: &collaboardv1.Error{Retryable: true}},
				})
			}
			return status.Error(codes.Unavailable, "injected")
		}
		next(broken)
		var grown time.Duration
		limit := shortest
		for range 30 {
			pause := next(broken)
			if pause > limit {
				t.Errorf("pause of %v, at most %v is allowed", pause, limit)
			}
			limit = min(2*limit, longest)
			grown = max(grown, pause)
		}
		if grown < 4*shortest {
			t.Errorf("30 failures, and no pause was longer than %v", grown)
		}
		next(works)
		if pause := next(broken); pause > shortest {
			t.Errorf("pause of %v after a connection that worked", pause)
		}
	})
}

func TestConnectionsThatAreRefusedForGood(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			streams := make(chan struct{}, 100)
			addr := startScript(t, func(*conversation) error {
				streams <- struct{}{}
				return status.Error(code, "injected")
			})
			c := dial(t, addr)
			p := submit(t, c, someBoard, chat("0"))
			isIt := func(err error) bool {
				var refused *client.ConnectionError
				return errors.As(err, &refused) && refused.Code == code && status.Code(err) == code
			}
			if _, err := p.Wait(testContext(t)); !isIt(err) {
				t.Errorf("wait: %v", err)
			}
			if _, err := c.Join(testContext(t), someBoard); !isIt(err) {
				t.Errorf("join: %v", err)
			}
			if _, err := c.Submit(testContext(t), someBoard, chat("0")); !isIt(err) {
				t.Errorf("submit: %v", err)
			}
			if err := c.Flush(testContext(t)); !isIt(err) || !isIt(c.Err()) {
				t.Errorf("flush: %v, and then %v", err, c.Err())
			}
			awaitState(t, c, client.State{Saving: client.Closed})
			if n := len(streams); n != 1 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

// Who has been welcomed takes a refusal for that of a proxy in between.
func TestRefusalOfAClientThatWasWelcomedIsNotTheEnd(t *testing.T) {
	t.Parallel()
	n := 0
	addr := startScript(t, func(c *conversation) error {
		n++ // one stream at a time
		switch n {
		case 1:
			c.welcome()
			_, err := c.expect(isDurable)
			return errors.Join(err, status.Error(codes.Unavailable, "injected"))
		case 2:
			return status.Error(codes.PermissionDenied, "injected")
		case 3:
			return status.Error(codes.Unimplemented, "injected")
		}
		c.welcome()
		f, err := c.expect(isDurable)
		if err == nil {
			c.send(acked(f, client.Position{Epoch: someEpoch, Seq: 1}))
			_, err = c.Recv()
		}
		return err
	})
	c := dial(t, addr)
	wait(t, submit(t, c, someBoard, chat("0")))
}

// A token that expires ends a connection, and the next one has another.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	n := 0
	addr := startScript(t, func(c *conversation) error {
		n++ // one stream at a time
		if want := fmt.Sprintf("Bearer token-%d", n); metadataOf(c, "authorization") != want {
			return status.Errorf(codes.Unauthenticated, "not %s", want)
		}
		c.welcome()
		f, err := c.expect(isDurable)
		if err != nil {
			return err
		}
		if n < 3 {
			return status.Error(codes.Unauthenticated, "expired")
		}
		c.send(acked(f, client.Position{Epoch: someEpoch, Seq: 1}))
		_, err = c.Recv()
		return err
	})
	tokens := 0
	c := dial(t, addr, client.WithTokenSource(func(context.Context) (string, error) {
		tokens++
		return fmt.Sprintf("token-%d", tokens), nil
	}))
	wait(t, submit(t, c, someBoard, chat("0")))
}

func TestCloseEndsEverythingAtAnyTime(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last of all
	silent := startScript(t, func(c *conversation) error { <-c.Context().Done(); return nil })
	for name, target := range map[string]string{
		"nobody listens": "127.0.0.1:1",
		"no welcome":     silent,
	} {
		c := dial(t, target, client.WithOutbox(1, 1))
		p := submit(t, c, someBoard, chat("0"))
		errs := make(chan error, 5)
		go func() { _, err := c.Submit(testContext(t), someBoard, chat("1")); errs <- err }()
		go func() { _, err := c.Join(testContext(t), someBoard); errs <- err }()
		go func() { errs <- c.Flush(testContext(t)) }()
		go func() { _, err := p.Wait(testContext(t)); errs <- err }()
		go func() {
			for range c.StateChanges(testContext(t)) {
			}
			errs <- client.ErrClosed
		}()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range 5 {
			if err := <-errs; !errors.Is(err, client.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}

	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	b := join(t, c, newBoard(t, c))
	read := make(chan error, 1)
	go func() {
		for _, err := range b.Frames(t.Context()) {
			read <- err
		}
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, client.ErrClosed) {
		t.Errorf("frames end with %v", err)
	}
	if !errors.Is(b.Err(), client.ErrClosed) {
		t.Errorf("the board ends with %v", b.Err())
	}
	s.stop()
}

func TestDialRefusesURLs(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"http://127.0.0.1:8080", "https://boards.example.com"} {
		if c, err := client.Dial(target); err == nil {
			_ = c.Close()
			t.Errorf("%s was taken", target)
		}
	}
}
