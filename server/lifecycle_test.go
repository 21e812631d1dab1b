package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

// TestHealthIsSaidUntilTheServerDrains asks while a commit keeps the server from stopping, and then lets it stop while
// somebody watches.
func TestHealthIsSaidUntilTheServerDrains(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	commit := newGate()
	store.holdCommits(commit)
	c := srv.connect(t)
	c.send(chat(board, "held"))
	<-commit.reached
	health := healthv1.NewHealthClient(srv.dial(t))
	var watches []grpc.ServerStreamingClient[healthv1.HealthCheckResponse]
	for _, service := range []string{"", "collaboard.v1.CollaborationService", "collaboard.v1.BoardService"} {
		watch, err := health.Watch(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := watch.Recv(); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Fatalf("service %q: health %v, %v", service, got, err)
		}
		watches = append(watches, watch)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.stop() }()
	for _, watch := range watches {
		got, err := watch.Recv()
		if err == nil && got.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING {
			_, err = watch.Recv()
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("draining, a watch got %v, %v", got, err)
		}
	}
	close(commit.opened)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

// startServer is for tests that say themselves how Serve ends, which the channel tells.
func startServer(t *testing.T, store persistence.Store, cfg server.Config) (net.Listener, context.CancelFunc, <-chan error) {
	t.Helper()
	srv, err := server.New(store, slog.New(slog.NewTextHandler(testWriter{t}, nil)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, lis) }()
	return lis, cancel, ended
}

func TestWhatHasNotEndedByTheDrainDeadlineIsCutOff(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	t.Cleanup(func() { _ = store.Close() })
	lis, cancel, served := startServer(t, store, server.Config{
		DrainTimeout: 10 * time.Millisecond, Commit: persistence.CommitterConfig{CommitTimeout: time.Hour, AttemptTimeout: time.Hour},
	})
	r := &running{addr: lis.Addr().String()}
	r.boards = collaboardv1.NewBoardServiceClient(r.dial(t))
	board := r.createBoard(t)
	commit := newGate()
	store.holdCommits(commit)
	c := r.connect(t)
	c.send(chat(board, "never committed"))
	<-commit.reached
	cancel()
	if err := <-served; !errors.Is(err, server.ErrDrainDeadline) {
		t.Fatalf("served until %v", err)
	}
	if err := c.end(); err == nil {
		t.Fatal("the stream ended with OK")
	}
}

func TestServerStopsWhenItsListenerFails(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	t.Cleanup(func() { _ = store.Close() })
	lis, _, served := startServer(t, store, server.Config{})
	r := &running{addr: lis.Addr().String()}
	c := r.connect(t)
	c.ping()
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); status.Code(err) != codes.Unavailable {
		t.Fatalf("stream ended with %v", err)
	}
	select {
	case err := <-served:
		if !errors.Is(err, net.ErrClosed) {
			t.Fatalf("served until %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Serve does not return")
	}
}

// panickyStore is a store with a defect.
type panickyStore struct{ persistence.Store }

func (panickyStore) Read(context.Context, persistence.ReadParams) ([]persistence.Record, error) {
	panic("a defect")
}

func (panickyStore) ListBoards(context.Context, persistence.BoardID, int) ([]persistence.Board, error) {
	panic("a defect")
}

func TestPanicEndsTheCallAlone(t *testing.T) {
	t.Parallel()
	srv := serve(t, panickyStore{sqliteDatabase(t)(t)}, server.Config{})
	board := srv.createBoard(t)
	srv.connect(t).mustAck(custom(board, 1)) // of an empty log nothing is read
	_, err := srv.boards.ListBoards(t.Context(), &collaboardv1.ListBoardsRequest{})
	if status.Code(err) != codes.Internal || status.Convert(err).Message() != "internal error" {
		t.Errorf("unary call: %v", err)
	}
	stream, err := srv.boards.ReadLog(t.Context(), &collaboardv1.ReadLogRequest{BoardId: board})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Internal || status.Convert(err).Message() != "internal error" {
		t.Errorf("streaming call: %v", err)
	}
	srv.connect(t).ping()
}

// TestClientThatKeepsItsConnectionAliveIsLetTo pings an hour long, as often as grpc lets a client.
func TestClientThatKeepsItsConnectionAliveIsLetTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{})
		srv.dialer = append(srv.dialer, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: time.Second, PermitWithoutStream: true,
		}))
		c := srv.connect(t)
		c.ping()
		pass(time.Hour)
		c.ping()
	})
}

// pass moves the false clock of a synctest bubble, and lets everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble
	synctest.Wait()
}

// TestEveryUseOfARoomIsGivenBack finds by the reads of its log that a room was forgotten.
func TestEveryUseOfARoomIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaultyStore(sqliteDatabase(t)(t))
		srv := serveInMemory(t, store, server.Config{Commit: persistence.CommitterConfig{QueueFrames: 1, CommitTimeout: time.Second}})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.mustAck(chat(board, "there is a log"))
		pass(10 * time.Minute)
		look := func() *collaboardv1.Frame {
			f := joinFrame(board)
			f.GetBoardJoin().SnapshotOnly = true
			return f
		}
		for name, use := range map[string]func(){
			"a write": func() { c.mustAck(chat(board, "x")) },
			"a refused write": func() {
				c.ask(&collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_ObjectDelete{ObjectDelete: &collaboardv1.ObjectDelete{Id: newID()}}})
			},
			"a full queue": func() {
				commit := newGate()
				store.holdCommits(commit)
				other := c.send(chat(srv.createBoard(t), "fills it"))
				<-commit.reached
				refused := c.send(chat(board, "x"))
				synctest.Wait()
				close(commit.opened)
				c.answer(other)
				wantError(t, c.answer(refused), collaboardv1.ErrorCode_RESOURCE_EXHAUSTED)
			},
			"a look": func() { c.ask(look()) },
			"a membership": func() {
				c.join(board, nil)
				c.join(board, nil)
				c.ask(partFrame(board))
			},
			"a stream": func() {
				gone := srv.connect(t)
				gone.join(board, nil)
				gone.cancel()
			},
			"a write that was refused in an outage": func() {
				c.ask(look()) // it is loaded
				store.breakDown()
				wantError(t, c.ask(chat(board, "x")), collaboardv1.ErrorCode_UNAVAILABLE)
				store.repair()
				pass(time.Minute)
			},
			"a write that could never be stored": func() {
				store.setAppend(func(context.Context, []persistence.Claim, persistence.DecideFunc) error { return errInjected })
				wantError(t, c.ask(chat(board, "x")), collaboardv1.ErrorCode_INTERNAL)
				store.setAppend(store.Store.Append)
			},
			"a load that failed": func() {
				store.failReads(errInjected)
				wantError(t, c.ask(joinFrame(board)), collaboardv1.ErrorCode_UNAVAILABLE)
				wantError(t, c.ask(chat(board, "x")), collaboardv1.ErrorCode_UNAVAILABLE)
				store.failReads(nil)
			},
			"a member who could not read and left": func() {
				gone := srv.connect(t)
				gone.join(board, nil)
				store.failReads(errInjected)
				c.mustAck(chat(board, "x"))
				synctest.Wait()
				gone.cancel()
				synctest.Wait()
				store.failReads(nil)
			},
			"a refused join": func() {
				c.ask(look()) // it is loaded
				store.fail(errInjected)
				wantError(t, c.ask(joinFrame(board)), collaboardv1.ErrorCode_INTERNAL)
				store.repair()
			},
		} {
			use()
			pass(10 * time.Minute)
			before := store.reads.Load()
			c.ask(look())
			if store.reads.Load() == before {
				t.Errorf("the room is still there after %s", name)
			}
			pass(10 * time.Minute)
		}
	})
}
