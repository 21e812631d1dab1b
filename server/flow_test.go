package server_test

import (
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
// and others are not. In a bubble, where the flood stands still when nothing can happen any more. It is not parallel to
// others, whose memory would count as its own.
func TestClientThatNeverReadsCostsBoundedMemory(t *testing.T) {
	const (
		size   = 64 << 10
		window = 1 << 20
		flood  = 128 << 20 // what the client would send
		most   = flood / 10
	)
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{InFlightBytes: window})
		board, quiet := srv.createBoard(t), srv.createBoard(t)
		d := srv.deaf(t)
		join := joinFrame(board)
		d.send(join)
		d.until(answered(join))
		before := liveHeap()
		frame := custom(board, size)
		ended := make(chan error, 1)
		go func() {
			var err error
			for n := 0; n < flood && err == nil; n += size {
				frame.Id = newID()
				err = d.stream.Send(frame)
			}
			ended <- err
		}()
		synctest.Wait()
		grown := liveHeap() - before
		select {
		case err := <-ended:
			t.Fatalf("the client was not pushed back on: %v", err)
		default:
		}
		b, err := srv.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: board})
		if err != nil {
			t.Fatal(err)
		}
		// The window is of frames that are not answered; answered are those whose answers the transport has taken, with
		// the events before them: at most its own window of events, and one chunk of them.
		const transport, chunk = 64 << 10, 256 << 10
		if took := b.GetHeadSeq() * size; took == 0 || took > window+2*transport+chunk+2*size {
			t.Errorf("%d KiB were taken from a client that reads nothing", took>>10)
		}
		t.Logf("%d KiB taken, heap grown by %d KiB", b.GetHeadSeq()*size>>10, grown>>10)
		if grown > most {
			t.Errorf("the heap has grown by %d KiB, of %d KiB sent", grown>>10, flood>>10)
		}
		srv.connect(t).mustAck(chat(quiet, "unharmed"))
	})
}

// liveHeap is the size of what is reachable, in bytes.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
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
