package server_test

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

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// patience is how long a test waits for an event that must come. It is no measure of speed: only a test that fails
// waits for so long.
const patience = 10 * time.Second

func TestMain(m *testing.M) { pgtest.Main(m) }

// database is a database that can be opened more than once.
type database func(t *testing.T) persistence.Store

func sqliteDatabase(t *testing.T) database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collaboard.db")
	return func(t *testing.T) persistence.Store {
		t.Helper()
		store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

func postgresDatabase(t *testing.T) database {
	t.Helper()
	url := pgtest.Database(t)
	return func(t *testing.T) persistence.Store {
		t.Helper()
		store, err := postgres.Open(t.Context(), url, postgres.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

// onBothStores runs the test over both engines.
func onBothStores(t *testing.T, test func(t *testing.T, open database)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteDatabase(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgresDatabase(t))
	})
}

// running is a server on loopback, or in memory.
type running struct {
	addr   string
	dialer []grpc.DialOption
	stop   func() error // drains; may be called more than once
	boards collaboardv1.BoardServiceClient
}

// serve starts a server over the store, which it closes when it has stopped, at the latest at the test's end.
func serve(t *testing.T, store persistence.Store, cfg server.Config) *running {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, lis, &running{addr: lis.Addr().String()}, store, cfg)
}

// serveInMemory is serve for tests in a synctest bubble: there the time is the test's own, and synctest.Wait returns
// when the server has done all that it can.
func serveInMemory(t *testing.T, store persistence.Store, cfg server.Config) *running {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
	return serveOn(t, lis, &running{
		addr: "passthrough:///bufconn", dialer: []grpc.DialOption{grpc.WithContextDialer(dial)},
	}, store, cfg)
}

func serveOn(t *testing.T, lis net.Listener, r *running, store persistence.Store, cfg server.Config) *running {
	t.Helper()
	srv, err := server.New(store, slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, lis) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		err := <-served
		if closeErr := store.Close(); closeErr != nil {
			t.Errorf("close store: %v", closeErr)
		}
		return err
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
	r.boards = collaboardv1.NewBoardServiceClient(r.dial(t))
	return r
}

func (r *running) dial(t *testing.T, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	opts = append(opts, r.dialer...)
	conn, err := grpc.NewClient(r.addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *running) createBoard(t *testing.T) string {
	t.Helper()
	b, err := r.boards.CreateBoard(t.Context(), &collaboardv1.CreateBoardRequest{Name: t.Name()[:min(len(t.Name()), 200)]})
	if err != nil {
		t.Fatal(err)
	}
	return b.GetId()
}

// testWriter keeps the server's log with the test's own.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// client is a stream whose frames are read at once and kept, so that a test can wait for any of them.
type client struct {
	t      *testing.T
	stream collaboardv1.CollaborationService_CollaborateClient
	cancel context.CancelFunc

	mu      sync.Mutex
	changed chan struct{} // closed when something was received
	all     []*collaboardv1.Frame
	answers map[string]*collaboardv1.Frame   // DONE and ERROR, by the id of the request
	events  map[string][]*collaboardv1.Frame // with a seq, by board
	ended   error                            // io.EOF is the end with OK
}

func (r *running) connect(t *testing.T, md ...string) *client {
	t.Helper()
	return connectOn(t, r.dial(t), md...)
}

func connectOn(t *testing.T, conn *grpc.ClientConn, md ...string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), md...))
	t.Cleanup(cancel)
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{
		t: t, stream: stream, cancel: cancel, changed: make(chan struct{}),
		answers: map[string]*collaboardv1.Frame{}, events: map[string][]*collaboardv1.Frame{},
	}
	go c.receive()
	return c
}

func (c *client) receive() {
	for {
		frame, err := c.stream.Recv()
		c.mu.Lock()
		switch {
		case err != nil:
			c.ended = err
		case frame.GetStatus() == collaboardv1.Status_STATUS_DONE || frame.GetStatus() == collaboardv1.Status_STATUS_ERROR:
			if first := c.answers[frame.GetParentId()]; first != nil && frame.GetParentId() != "" {
				c.t.Errorf("second answer to one request: %v after %v", frame, first)
			}
			c.answers[frame.GetParentId()] = frame
		case frame.GetSeq() > 0:
			c.events[frame.GetBoardId()] = append(c.events[frame.GetBoardId()], frame)
		}
		if err == nil {
			c.all = append(c.all, frame)
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait returns when done, which is called with mu held, says so.
func (c *client) wait(what string, done func() bool) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		ok, changed, ended := done(), c.changed, c.ended
		c.mu.Unlock()
		if ok {
			return
		}
		if ended != nil {
			c.t.Fatalf("stream ended while waiting for %s: %v", what, ended)
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("no %s", what)
		}
	}
}

// send gives the frame an id if it has none, and returns it.
func (c *client) send(frame *collaboardv1.Frame) string {
	c.t.Helper()
	if frame.GetId() == "" {
		frame.Id = uuid.NewString()
	}
	if err := c.stream.Send(frame); err != nil {
		c.t.Fatalf("send: %v", err)
	}
	return frame.GetId()
}

func (c *client) answer(id string) *collaboardv1.Frame {
	c.t.Helper()
	var frame *collaboardv1.Frame
	c.wait("answer to "+id, func() bool {
		frame = c.answers[id]
		return frame != nil
	})
	return frame
}

func (c *client) ask(frame *collaboardv1.Frame) *collaboardv1.Frame {
	c.t.Helper()
	return c.answer(c.send(frame))
}

// mustAck sends a durable frame and returns its seq.
func (c *client) mustAck(frame *collaboardv1.Frame) uint64 {
	c.t.Helper()
	answer := c.ask(frame)
	if answer.GetStatus() != collaboardv1.Status_STATUS_DONE {
		c.t.Fatalf("refused: %v", answer)
	}
	return answer.GetSeq()
}

func (c *client) join(board string, from *collaboardv1.Position) *collaboardv1.BoardJoined {
	c.t.Helper()
	answer := c.ask(&collaboardv1.Frame{
		BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{Position: from}},
	})
	if answer.GetBoardJoined() == nil {
		c.t.Fatalf("join refused: %v", answer)
	}
	return answer.GetBoardJoined()
}

// heard waits for n logged events of the board and returns those there are.
func (c *client) heard(board string, n int) []*collaboardv1.Frame {
	c.t.Helper()
	var events []*collaboardv1.Frame
	c.wait(fmt.Sprintf("%d events", n), func() bool {
		events = c.events[board]
		return len(events) >= n
	})
	return events
}

// heardOf returns the logged events of the board that came so far.
func (c *client) heardOf(board string) []*collaboardv1.Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[board]
}

// find waits for a frame that matches.
func (c *client) find(what string, match func(*collaboardv1.Frame) bool) *collaboardv1.Frame {
	c.t.Helper()
	var found *collaboardv1.Frame
	next := 0
	c.wait(what, func() bool {
		for ; next < len(c.all) && found == nil; next++ {
			if match(c.all[next]) {
				found = c.all[next]
			}
		}
		return found != nil
	})
	return found
}

// received returns what came so far.
func (c *client) received() []*collaboardv1.Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// end waits for the end of the stream: nil is OK.
func (c *client) end() error {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		ended, changed := c.ended, c.changed
		c.mu.Unlock()
		switch {
		case ended == nil:
		case errors.Is(ended, io.EOF):
			return nil
		default:
			return ended
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatal("the stream does not end")
		}
	}
}

// ping returns when the server has read everything that was sent before, though not answered it.
func (c *client) ping() {
	c.t.Helper()
	answer := c.ask(&collaboardv1.Frame{Payload: &collaboardv1.Frame_Ping{Ping: &collaboardv1.Ping{}}})
	if answer.GetPong() == nil {
		c.t.Fatalf("no pong: %v", answer)
	}
}

func chat(board, text string) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: board,
		Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: text}},
	}
}

func create(board, object string) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: board,
		Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: object, Kind: "rectangle", X: 1, Y: 2, Width: 3, Height: 4},
		}},
	}
}

func custom(board string, size int) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: board,
		Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: make([]byte, size)}},
	}
}

// wantGapless fails unless the frames have the seqs 1, 2, 3 ….
func wantGapless(t *testing.T, frames []*collaboardv1.Frame) {
	t.Helper()
	for i, f := range frames {
		if want := uint64(i + 1); f.GetSeq() != want {
			t.Fatalf("event %d has seq %d, want %d", i, f.GetSeq(), want)
		}
	}
}

func wantError(t *testing.T, answer *collaboardv1.Frame, code collaboardv1.ErrorCode) *collaboardv1.Error {
	t.Helper()
	if answer.GetStatus() != collaboardv1.Status_STATUS_ERROR || answer.GetError().GetCode() != code {
		t.Fatalf("got %v, want an ERROR %v", answer, code)
	}
	return answer.GetError()
}

// readLog reads the whole log.
func (r *running) readLog(t *testing.T, board string) []*collaboardv1.Frame {
	t.Helper()
	stream, err := r.boards.ReadLog(t.Context(), &collaboardv1.ReadLogRequest{BoardId: board})
	if err != nil {
		t.Fatal(err)
	}
	var frames []*collaboardv1.Frame
	for {
		frame, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // Recv returns it as it is
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}

func sameFrames(t *testing.T, got, want []*collaboardv1.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if !proto.Equal(got[i], want[i]) {
			t.Fatalf("frame %d is %v, want %v", i, got[i], want[i])
		}
	}
}
