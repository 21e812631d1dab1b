package server_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func TestFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{Commit: persistence.CommitterConfig{QueueFrames: 4}})
	board := srv.createBoard(t)
	c, other := srv.connect(t), srv.connect(t)
	commit := newGate()
	store.holdCommits(commit)
	for range 4 {
		c.send(chat(board, "fills the queue"))
	}
	c.ping()
	e := wantError(t, other.ask(chat(board, "one too many")), collaboardv1.ErrorCode_RESOURCE_EXHAUSTED)
	if !e.GetRetryable() || e.GetRetryAfter().AsDuration() <= 0 {
		t.Fatalf("%v", e)
	}
	close(commit.opened)
	c.wait("4 acks", func() bool { return len(c.answers) == 5 })
	if seq := other.mustAck(chat(board, "room again")); seq != 5 {
		t.Fatalf("seq %d, want 5", seq)
	}
}

// TestClientThatNeverReadsCostsBoundedMemory floods the server from a client that reads nothing: it is pushed back on,
// and others are not.
func TestClientThatNeverReadsCostsBoundedMemory(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board, quiet := srv.createBoard(t), srv.createBoard(t)
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := collaboardv1.NewCollaborationServiceClient(srv.dial(t)).Collaborate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const size = 8 << 10
	payload := &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "flood", Data: make([]byte, size)}}
	if err := stream.Send(&collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}}); err != nil {
		t.Fatal(err)
	}
	sent := make(chan int, 1)
	go func() {
		n := 0
		for stream.Send(&collaboardv1.Frame{Id: newID(), BoardId: board, Payload: payload}) == nil {
			n++
		}
		sent <- n
	}()
	// The log stops growing when the window is full of answers that are not read.
	other := srv.connect(t)
	head := uint64(0)
	for same := 0; same < 20; {
		for range 20 {
			other.mustAck(chat(quiet, "unharmed"))
		}
		b, err := srv.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: board})
		if err != nil {
			t.Fatal(err)
		}
		if b.GetHeadSeq() == head && head > 0 {
			same++
		} else {
			same, head = 0, b.GetHeadSeq()
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	cancel()
	n := <-sent
	if head > 2000 {
		t.Errorf("%d frames (%d sent) were taken from a client that reads no answers", head, n)
	}
	t.Logf("taken %d of %d frames; heap %d MiB", head, n, m.HeapAlloc>>20)
}

func TestMemberThatStopsReadingMissesNothingAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const n, size = 400, 4 << 10
		srv := serve(t, open(t), server.Config{Room: room.Config{TailBytes: 64 << 10}})
		board := srv.createBoard(t)
		slow, err := collaboardv1.NewCollaborationServiceClient(srv.dial(t)).Collaborate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := slow.Send(&collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}}); err != nil {
			t.Fatal(err)
		}
		for joined := (&collaboardv1.Frame{}); joined.GetBoardJoined() == nil; {
			if joined, err = slow.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		// It reads no more; the others get everything, far beyond the tail and the transport's buffers.
		writer, fast := srv.connect(t), srv.connect(t)
		fast.join(board, nil)
		data := make([]byte, size)
		for range n {
			writer.send(&collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: data}}})
		}
		writer.wait("acks", func() bool { return len(writer.answers) == n })
		wantGapless(t, fast.heard(board, n))
		// It comes back.
		for seq := uint64(1); seq <= n; {
			f, err := slow.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if f.GetSeq() == 0 {
				continue
			}
			if f.GetSeq() != seq {
				t.Fatalf("seq %d, want %d", f.GetSeq(), seq)
			}
			seq++
		}
	})
}

func TestDrainCommitsAndAcksWhatWasReadAndEndsStreamsWithUnavailable(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const n = 50
		store := newFaultyStore(open(t))
		srv := serve(t, store, server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		commit := newGate()
		store.holdCommits(commit)
		for range n {
			c.send(chat(board, "queued"))
		}
		c.ping() // all were read
		stopped := make(chan error, 1)
		go func() { stopped <- srv.stop() }()
		// New streams are not taken while the old ones drain.
		for deadline := time.Now().Add(patience); ; {
			late, err := collaboardv1.NewCollaborationServiceClient(srv.dial(t)).Collaborate(t.Context())
			if err == nil {
				for err == nil {
					_, err = late.Recv()
				}
			}
			if status.Code(err) == codes.Unavailable {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("a stream while draining: %v", err)
			}
		}
		close(commit.opened)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		if err := c.end(); status.Code(err) != codes.Unavailable {
			t.Fatalf("stream ended with %v", err)
		}
		acked := 0
		for _, f := range c.received() {
			if f.GetAck() != nil {
				acked++
			}
		}
		if acked != n {
			t.Fatalf("%d acks, want %d", acked, n)
		}
		again := serve(t, open(t), server.Config{})
		if log := again.readLog(t, board); len(log) != n {
			t.Fatalf("%d frames in the log, want %d", len(log), n)
		}
	})
}

// TestStreamEndsForItsFirstCause drains a stream that its client has half-closed: it is the client that ended it.
func TestStreamEndsForItsFirstCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaultyStore(sqliteDatabase(t)(t))
		srv := serveInMemory(t, store, server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		commit := newGate()
		store.holdCommits(commit)
		id := c.send(chat(board, "the last"))
		if err := c.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- srv.stop() }()
		synctest.Wait() // returns only if a stream that waits for its commits sleeps
		close(commit.opened)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		if err := c.end(); err != nil {
			t.Fatalf("stream ended with %v", err)
		}
		if answer := c.answers[id]; answer.GetAck() == nil {
			t.Fatalf("answer %v", answer)
		}
	})
}

func TestHalfCloseAnswersEverythingAndEndsWithOK(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	c.join(board, nil) // not in flight with the rest: frames that are committed before it would be in its position
	for range 100 {
		c.send(chat(board, "x"))
	}
	if err := c.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	if len(c.answers) != 101 || len(c.events[board]) != 100 {
		t.Fatalf("%d answers, %d events", len(c.answers), len(c.events[board]))
	}
}
