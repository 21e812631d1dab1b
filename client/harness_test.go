package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/server"
)

// TestMain ignores what a library of grpc-web's begins with the process, and never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/desertbit/timer.timerRoutine"))
}

// backend is a real server on a real store, which can be stopped and started again on the same address.
type backend struct {
	t     *testing.T
	cfg   server.Config
	store *faultyStore
	addr  string
	stop  func()
}

func startBackend(t *testing.T, cfg server.Config) *backend {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "boards.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &backend{t: t, cfg: cfg, store: &faultyStore{Store: store}, addr: "127.0.0.1:0"}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *backend) start() {
	b.t.Helper()
	srv, err := server.New(b.store, slog.New(slog.DiscardHandler), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	var listen net.ListenConfig
	lis, err := listen.Listen(b.t.Context(), "tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.addr = lis.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, lis) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			b.t.Errorf("serve: %v", err)
		}
	})
}

// faultyStore is a store on whose appends something can happen first.
type faultyStore struct {
	persistence.Store

	mu     sync.Mutex
	before func(context.Context) error
}

func (s *faultyStore) beforeAppend(fn func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fn
}

func (s *faultyStore) Append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	return s.Store.Append(ctx, claims, decide)
}

var errDown = &persistence.UnavailableError{Err: errors.New("injected")}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("the test takes too long"))
	t.Cleanup(cancel)
	return ctx
}

// dial returns a client with short pauses, which is closed at the end of the test.
func dial(t *testing.T, target string, opts ...client.Option) *client.Client {
	t.Helper()
	opts = append([]client.Option{client.WithInsecure(), client.WithBackoff(time.Millisecond, 50*time.Millisecond)}, opts...)
	c, err := client.Dial(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if broken := c.CheckInvariants(); len(broken) > 0 {
			t.Errorf("does not hold: %q", broken)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newBoard(t *testing.T, c *client.Client) string {
	t.Helper()
	b, err := c.Boards().CreateBoard(testContext(t), &collaboardv1.CreateBoardRequest{Name: t.Name()[:min(len(t.Name()), 200)]})
	if err != nil {
		t.Fatal(err)
	}
	return b.GetId()
}

func join(t *testing.T, c *client.Client, id string, opts ...client.JoinOption) *client.Board {
	t.Helper()
	b, err := c.Join(testContext(t), id, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func submit(t *testing.T, c *client.Client, board string, payload proto.Message) *client.Pending {
	t.Helper()
	p, err := c.Submit(testContext(t), board, payload)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wait(t *testing.T, p *client.Pending) client.Ack {
	t.Helper()
	ack, err := p.Wait(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func flush(t *testing.T, c *client.Client) {
	t.Helper()
	if err := c.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func chat(format string, args ...any) *collaboardv1.ChatMessage {
	return &collaboardv1.ChatMessage{Text: fmt.Sprintf(format, args...)}
}

// readLog returns the texts of a board's chat, as the store has them.
func readLog(t *testing.T, c *client.Client, board string) []string {
	t.Helper()
	stream, err := c.Boards().ReadLog(testContext(t), &collaboardv1.ReadLogRequest{BoardId: board})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, f.GetChatMessage().GetText())
	}
}

func numbered(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%d", i)
	}
	return texts
}

// readFrames reads n frames and fails if a seq is not the one after the one before.
func readFrames(t *testing.T, b *client.Board, after uint64, n int) {
	t.Helper()
	read := uint64(0)
	for f, err := range b.Frames(testContext(t)) {
		if err != nil {
			t.Fatalf("after %d frames: %v", read, err)
		}
		if read++; f.GetSeq() != after+read {
			t.Fatalf("seq %d where %d should be", f.GetSeq(), after+read)
		}
		if read == uint64(n) {
			break
		}
	}
}

// awaitState returns when the client is in a state.
func awaitState(t *testing.T, c *client.Client, want client.State) {
	t.Helper()
	var seen []client.State
	for s := range c.StateChanges(testContext(t)) {
		if s == want {
			return
		}
		seen = append(seen, s)
	}
	t.Fatalf("never %v, but %v", want, seen)
}

// event reads ephemeral events until one satisfies want.
func event(t *testing.T, b *client.Board, want func(*collaboardv1.Frame) bool) *collaboardv1.Frame {
	t.Helper()
	var seen []*collaboardv1.Frame
	var end error
	for f, err := range b.Ephemeral(testContext(t)) {
		if err == nil && want(f) {
			return f
		}
		seen, end = append(seen, f), err
	}
	t.Fatalf("%v, after %v", end, seen) // here, because of Helper
	return nil
}

// proxy stands between clients and a server, and does to their connections what networks do.
type proxy struct {
	t      *testing.T
	lis    net.Listener
	target string
	conns  sync.WaitGroup

	mu       sync.Mutex
	refusing bool
	open     map[*pipe]bool
	dialed   int
}

// pipe is one connection through the proxy.
type pipe struct {
	client, server net.Conn

	mu   sync.Mutex
	cond sync.Cond
	mute bool // nothing goes from the server to the client
	keep bool // nothing goes from the client to the server, not even the end
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	var listen net.ListenConfig
	lis, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, lis: lis, target: target, open: map[*pipe]bool{}}
	p.conns.Go(p.accept)
	t.Cleanup(func() {
		_ = lis.Close()
		p.cut()
		p.conns.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.lis.Addr().String() }

func (p *proxy) accept() {
	for {
		conn, err := p.lis.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.dialed++
		refusing := p.refusing
		p.mu.Unlock()
		upstream, err := net.Dial("tcp", p.target)
		if err != nil || refusing {
			_ = conn.Close()
			if err == nil {
				_ = upstream.Close()
			}
			continue
		}
		pp := &pipe{client: conn, server: upstream}
		pp.cond.L = &pp.mu
		p.mu.Lock()
		p.open[pp] = true
		p.mu.Unlock()
		p.conns.Go(func() {
			_, _ = io.Copy(keepable{upstream, pp}, conn)
			pp.mu.Lock()
			keep := pp.keep
			pp.mu.Unlock()
			if !keep {
				pp.close()
			}
		})
		p.conns.Go(func() { _, _ = io.Copy(muteable{conn, pp}, upstream); pp.close() })
	}
}

type keepable struct {
	net.Conn

	p *pipe
}

func (k keepable) Write(b []byte) (int, error) {
	k.p.mu.Lock()
	keep := k.p.keep
	k.p.mu.Unlock()
	if keep {
		return len(b), nil
	}
	return k.Conn.Write(b)
}

type muteable struct {
	net.Conn

	p *pipe
}

func (m muteable) Write(b []byte) (int, error) {
	m.p.mu.Lock()
	for m.p.mute {
		m.p.cond.Wait()
	}
	m.p.mu.Unlock()
	return m.Conn.Write(b)
}

func (p *pipe) setMute(mute bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = mute
	p.cond.Broadcast()
}

// outlive lets nothing through any more, and keeps the connection open to the server until close.
func (p *pipe) outlive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute, p.keep = true, true
}

func (p *pipe) close() {
	_ = p.client.Close()
	_ = p.server.Close()
	p.setMute(false)
}

// cut breaks every connection.
func (p *proxy) cut() {
	for _, pp := range p.pipes() {
		pp.close()
	}
}

func (p *proxy) pipes() []*pipe {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*pipe
	for pp := range p.open {
		all = append(all, pp)
	}
	clear(p.open)
	return all
}

// mute lets nothing through any more from the server, on the connections there are.
func (p *proxy) mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pp := range p.open {
		pp.setMute(true)
	}
}

// refuse makes the proxy take no connection, or take them again.
func (p *proxy) refuse(refusing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refusing
}

// script is a server that does what a test says.
type script struct {
	collaboardv1.UnimplementedCollaborationServiceServer

	serve func(*conversation) error
}

func (s *script) Collaborate(stream collaboardv1.CollaborationService_CollaborateServer) error {
	return s.serve(&conversation{stream})
}

type conversation struct {
	collaboardv1.CollaborationService_CollaborateServer
}

func (c *conversation) send(frames ...*collaboardv1.Frame) {
	for _, f := range frames {
		_ = c.Send(f) // the next receive will say that the stream is broken
	}
}

func (c *conversation) welcome() {
	c.send(&collaboardv1.Frame{Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_SessionWelcome{
		SessionWelcome: &collaboardv1.SessionWelcome{ConnectionId: "c", UserId: "u"},
	}})
}

// expect receives until a frame has what want looks for.
func (c *conversation) expect(want func(*collaboardv1.Frame) bool) (*collaboardv1.Frame, error) {
	for {
		f, err := c.Recv()
		if err != nil || want(f) {
			return f, err
		}
	}
}

func (c *conversation) expectJoin() (*collaboardv1.Frame, error) {
	return c.expect(func(f *collaboardv1.Frame) bool { return f.GetBoardJoin() != nil })
}

func isDurable(f *collaboardv1.Frame) bool { return f.GetChatMessage() != nil }

func (c *conversation) resume(join *collaboardv1.Frame, at client.Position) {
	c.send(joined(join, at, collaboardv1.Mode_MODE_RESUMED))
}

func (c *conversation) snapshot(join *collaboardv1.Frame, at client.Position) {
	c.send(&collaboardv1.Frame{
		ParentId: join.GetId(), BoardId: join.GetBoardId(), Status: collaboardv1.Status_STATUS_ITEM,
		Payload: &collaboardv1.Frame_BoardSnapshot{BoardSnapshot: &collaboardv1.BoardSnapshot{
			Position: &collaboardv1.Position{Epoch: at.Epoch, Seq: at.Seq}, Last: true,
		}},
	}, joined(join, at, collaboardv1.Mode_MODE_SNAPSHOT))
}

func joined(join *collaboardv1.Frame, at client.Position, mode collaboardv1.Mode) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		ParentId: join.GetId(), BoardId: join.GetBoardId(), Status: collaboardv1.Status_STATUS_DONE,
		Payload: &collaboardv1.Frame_BoardJoined{BoardJoined: &collaboardv1.BoardJoined{
			Position: &collaboardv1.Position{Epoch: at.Epoch, Seq: at.Seq}, Mode: mode, Writable: true,
		}},
	}
}

func said(board string, seq uint64) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: someID, BoardId: board, Seq: seq, Status: collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: chat("%d", seq)},
	}
}

func acked(req *collaboardv1.Frame, at client.Position) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		ParentId: req.GetId(), BoardId: req.GetBoardId(), Seq: at.Seq, Status: collaboardv1.Status_STATUS_DONE,
		Payload: &collaboardv1.Frame_Ack{Ack: &collaboardv1.Ack{Epoch: at.Epoch}},
	}
}

const (
	someBoard  = "018f0000-0000-7000-8000-00000000000b"
	someID     = "018f0000-0000-7000-8000-00000000000d"
	someEpoch  = "018f0000-0000-7000-8000-0000000000e1"
	otherEpoch = "018f0000-0000-7000-8000-0000000000e2"
)

// startScript serves the script over TCP.
func startScript(t *testing.T, serve func(*conversation) error) (addr string) {
	t.Helper()
	return startScripts(t, serve, collaboardv1.UnimplementedBoardServiceServer{})
}

func startScripts(t *testing.T, serve func(*conversation) error, boards collaboardv1.BoardServiceServer) (addr string) {
	t.Helper()
	var listen net.ListenConfig
	lis, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	collaboardv1.RegisterCollaborationServiceServer(srv, &script{serve: serve})
	collaboardv1.RegisterBoardServiceServer(srv, boards)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}
