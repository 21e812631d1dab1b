package server_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// mostGrowth is how many bytes the heap may have grown by after ten thousand joins, or two thousand streams: maps and
// pools that have found their size, and the noise of what else the process does. A kibibyte a join would be 10 MiB.
const mostGrowth = 2 << 20

// census is how much there is of what a leak would make more of.
type census struct {
	goroutines int
	heap       int64
}

func takeCensus() census { return census{runtime.NumGoroutine(), liveHeap()} }

// wantAsBefore waits until there are no more goroutines than before, and then no more memory.
func wantAsBefore(t *testing.T, before census) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		now := takeCensus()
		if now.goroutines <= before.goroutines && now.heap <= before.heap+mostGrowth {
			t.Logf("%d goroutines before, %d now; the heap has grown by %d KiB", before.goroutines, now.goroutines, (now.heap-before.heap)>>10)
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d goroutines before, %d now; the heap has grown by %d KiB\n%s", before.goroutines, now.goroutines,
				(now.heap-before.heap)>>10, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// serveQuietly is serve without a log of every stream, which would be memory of the test's own.
func serveQuietly(t *testing.T) *running {
	t.Helper()
	store := postgresDatabase(t)(t)
	lis, stop, served := startServer(t, store, server.Config{Room: room.Config{IdleTimeout: 1}})
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-served, store.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &running{addr: lis.Addr().String()}
	r.boards = collaboardv1.NewBoardServiceClient(r.dial(t))
	return r
}

// TestTenThousandJoinsLeaveNothingBehind parts from every board again, all on one stream, and beside a member who stays.
// It is not parallel to others, whose memory would count as its own.
func TestTenThousandJoinsLeaveNothingBehind(t *testing.T) {
	const boards, batch, joins = 8, 100, 10_000
	srv := serveQuietly(t)
	var ids []string
	for range boards {
		ids = append(ids, srv.createBoard(t))
	}
	stays, comes := srv.deaf(t), srv.deaf(t)
	join := joinFrame(ids[0])
	stays.send(join)
	stays.until(answered(join))
	var reads sync.WaitGroup
	reads.Go(func() {
		for {
			if _, err := stays.stream.Recv(); err != nil {
				return
			}
		}
	})
	t.Cleanup(reads.Wait)
	joinAndPart := func(n int) {
		for range n / batch {
			var last *collaboardv1.Frame
			for i := range batch {
				last = partFrame(ids[i%boards])
				comes.send(joinFrame(ids[i%boards]), cursor(ids[i%boards], 1), last)
			}
			comes.until(answered(last))
		}
	}
	joinAndPart(joins / 10) // pools and maps find their size
	before := takeCensus()
	joinAndPart(joins)
	wantAsBefore(t, before)
}

// TestTwoThousandStreamsLeaveNothingBehind ends each in one of the ways there are, with a frame in flight and as a member
// of a board. It is not parallel to others, whose memory would count as its own.
func TestTwoThousandStreamsLeaveNothingBehind(t *testing.T) {
	const streams = 2_000
	srv := serveQuietly(t)
	board := srv.createBoard(t)
	conn := srv.dial(t, sendsBytes())
	ways := []struct {
		want codes.Code
		end  func(stream collaboardv1.CollaborationService_CollaborateClient, cancel func(), w *wires)
	}{
		{codes.OK, func(stream collaboardv1.CollaborationService_CollaborateClient, _ func(), _ *wires) {
			_ = stream.CloseSend()
		}},
		{codes.Canceled, func(_ collaboardv1.CollaborationService_CollaborateClient, cancel func(), _ *wires) { cancel() }},
		{codes.Unavailable, func(_ collaboardv1.CollaborationService_CollaborateClient, _ func(), w *wires) { w.cut() }},
		{codes.InvalidArgument, func(stream collaboardv1.CollaborationService_CollaborateClient, _ func(), _ *wires) {
			_ = stream.SendMsg([]byte{0xff, 0xff, 0xff})
		}},
	}
	run := func(n int) {
		for i := range n {
			way := ways[i%len(ways)]
			on, w := conn, &wires{}
			if way.want == codes.Unavailable { // it has a connection of its own
				var err error
				if on, err = grpc.NewClient(srv.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), w.option()); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := collaboardv1.NewCollaborationServiceClient(on).Collaborate(ctx)
			if err != nil {
				t.Fatal(err)
			}
			d := &deaf{t: t, stream: stream}
			join := joinFrame(board)
			d.send(join)
			d.until(answered(join))
			d.send(chat(board, "in flight"))
			way.end(stream, cancel, w)
			for err == nil {
				_, err = stream.Recv()
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if status.Code(err) != way.want {
				t.Fatalf("a stream that should end with %v ended with %v", way.want, err)
			}
			cancel()
			if on != conn {
				_ = on.Close()
			}
		}
	}
	run(streams / 10)
	before := takeCensus()
	run(streams)
	wantAsBefore(t, before)
	if members := srv.connect(t).join(board, nil).GetMembers(); len(members) != 1 {
		t.Errorf("members %v", members)
	}
}
