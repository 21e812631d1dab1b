package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

const kills = 20

// editor writes through the SDK as fast as it is acked, and keeps what it was promised.
type editor struct {
	name  string
	conn  *client.Client
	board *client.Board

	mu    sync.Mutex
	acked map[string]client.Position // by frame id
	grew  chan struct{}              // capacity 1
}

func edit(t *testing.T, addr, board, name string) *editor {
	t.Helper()
	c, err := client.Dial(addr, client.WithInsecure(), client.WithUserID(name), client.WithBackoff(5*time.Millisecond, 100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := c.Join(ctx, board)
	if err != nil {
		t.Fatal(err)
	}
	return &editor{name: name, conn: c, board: b, acked: map[string]client.Position{}, grew: make(chan struct{}, 1)}
}

// run submits until stop is closed, with many frames in flight.
func (e *editor) run(t *testing.T, stop <-chan struct{}) {
	var waits sync.WaitGroup
	defer waits.Wait()
	slots := make(chan struct{}, 32)
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case slots <- struct{}{}:
		}
		p, err := e.board.Submit(context.Background(), &collaboardv1.ChatMessage{Text: fmt.Sprintf("%s/%d", e.name, i)})
		if err != nil {
			t.Errorf("%s: submit %d: %v", e.name, i, err)
			return
		}
		waits.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			ack, err := p.Wait(ctx)
			if err != nil {
				t.Errorf("%s: frame %d: %v", e.name, i, err)
				return
			}
			e.mu.Lock()
			e.acked[p.ID()] = ack.Position
			e.mu.Unlock()
			select {
			case e.grew <- struct{}{}:
			default:
			}
		})
	}
}

func (e *editor) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.acked)
}

// waitFor returns when n frames were acked.
func (e *editor) waitFor(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(patience)
	for e.count() < n {
		select {
		case <-e.grew:
		case <-timeout:
			t.Fatalf("%s has %d acks, want %d: it did not carry on", e.name, e.count(), n)
		}
	}
}

// TestTwentyKillsLoseNothingThatWasAcked kills the server under load, again and again. The clients carry on by
// themselves.
func TestTwentyKillsLoseNothingThatWasAcked(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store string) {
		srv := start(t, "127.0.0.1:0", store)
		addr := srv.addr
		board := createBoard(t, addr)
		editors := []*editor{edit(t, addr, board, "ada"), edit(t, addr, board, "bob")}
		stop := make(chan struct{})
		var running sync.WaitGroup
		for _, e := range editors {
			running.Go(func() { e.run(t, stop) })
		}
		for range kills {
			for _, e := range editors { // both have carried on since the last kill
				e.waitFor(t, e.count()+20)
			}
			srv.kill()
			srv = start(t, addr, store)
		}
		for _, e := range editors {
			e.waitFor(t, e.count()+20)
		}
		close(stop)
		running.Wait()
		checkLog(t, addr, board, editors)
	})
}

// TestTerminateUnderLoadAcksWhatItTookAndExitsWithZero stops the server in the middle of many writes.
func TestTerminateUnderLoadAcksWhatItTookAndExitsWithZero(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store string) {
		srv := start(t, "127.0.0.1:0", store)
		addr := srv.addr
		board := createBoard(t, addr)
		// A raw stream shows how it ends; an SDK client beside it carries on with the next server.
		stream, err := collaboardv1.NewCollaborationServiceClient(dial(t, addr)).Collaborate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		acked := map[string]client.Position{}
		loaded := make(chan struct{})
		go func() {
			for {
				f, err := stream.Recv()
				if err != nil {
					ended <- err
					return
				}
				if f.GetAck() != nil {
					acked[f.GetParentId()] = client.Position{Epoch: f.GetAck().GetEpoch(), Seq: f.GetSeq()}
					if len(acked) == 100 {
						close(loaded)
					}
				}
			}
		}()
		go func() {
			for {
				if stream.Send(&collaboardv1.Frame{
					Id: uuid.NewString(), BoardId: board,
					Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "raw"}},
				}) != nil {
					return
				}
			}
		}()
		e := edit(t, addr, board, "ada")
		stop := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() { e.run(t, stop) })
		e.waitFor(t, 50)
		<-loaded

		if err := srv.terminate(); err != nil {
			t.Fatalf("server ended with %v, want exit code 0", err)
		}
		if err := <-ended; status.Code(err) != codes.Unavailable {
			t.Fatalf("stream ended with %v, want UNAVAILABLE", err)
		}
		start(t, addr, store)
		e.waitFor(t, e.count()+50)
		close(stop)
		running.Wait()
		raw := &editor{name: "raw", acked: acked}
		log := readLog(t, addr, board)
		bySeq := map[uint64]string{}
		for _, f := range log {
			bySeq[f.GetSeq()] = f.GetId()
		}
		for _, e := range []*editor{e, raw} {
			for id, at := range e.acked {
				if bySeq[at.Seq] != id {
					t.Fatalf("%s: acked frame %s is not at seq %d", e.name, id, at.Seq)
				}
			}
		}
	})
}

// TestTwoServerProcessesOnOneDatabase has clients of both write to the same board at once.
func TestTwoServerProcessesOnOneDatabase(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store string) {
		a, b := start(t, "127.0.0.1:0", store), start(t, "127.0.0.1:0", store)
		board := createBoard(t, a.addr)
		editors := []*editor{edit(t, a.addr, board, "ada"), edit(t, b.addr, board, "bob")}
		stop := make(chan struct{})
		var running sync.WaitGroup
		for _, e := range editors {
			running.Go(func() { e.run(t, stop) })
		}
		for _, e := range editors {
			e.waitFor(t, 300)
		}
		close(stop)
		running.Wait()
		checkLog(t, a.addr, board, editors)
	})
}

// checkLog fails unless the log is gapless, has each id once and every acked frame at its seq, and keeps each editor's
// order; and unless each editor's replica has come to its head.
func checkLog(t *testing.T, addr, board string, editors []*editor) {
	t.Helper()
	log := readLog(t, addr, board)
	seqs := map[string]uint64{}
	next := map[string]int{}
	for i, f := range log {
		if want := uint64(i + 1); f.GetSeq() != want {
			t.Fatalf("seq %d where %d should be", f.GetSeq(), want)
		}
		if first, twice := seqs[f.GetId()]; twice {
			t.Fatalf("frame %s is at seq %d and at %d", f.GetId(), first, f.GetSeq())
		}
		seqs[f.GetId()] = f.GetSeq()
		if want := fmt.Sprintf("%s/%d", f.GetFrom(), next[f.GetFrom()]); f.GetChatMessage().GetText() != want {
			t.Fatalf("seq %d is %q, want %q", f.GetSeq(), f.GetChatMessage().GetText(), want)
		}
		next[f.GetFrom()]++
	}
	total := 0
	for _, e := range editors {
		total += len(e.acked)
		for id, at := range e.acked {
			if seqs[id] != at.Seq {
				t.Fatalf("%s: frame %s was acked at seq %d, and is at %d", e.name, id, at.Seq, seqs[id])
			}
		}
	}
	if total != len(log) {
		t.Fatalf("%d frames in the log, %d were acked, and nothing is in flight", len(log), total)
	}
	t.Logf("%d frames, every one acked", total)
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func createBoard(t *testing.T, addr string) string {
	t.Helper()
	b, err := collaboardv1.NewBoardServiceClient(dial(t, addr)).CreateBoard(t.Context(), &collaboardv1.CreateBoardRequest{Name: "crash"})
	if err != nil {
		t.Fatal(err)
	}
	return b.GetId()
}

func readLog(t *testing.T, addr, board string) []*collaboardv1.Frame {
	t.Helper()
	stream, err := collaboardv1.NewBoardServiceClient(dial(t, addr)).ReadLog(t.Context(), &collaboardv1.ReadLogRequest{BoardId: board})
	if err != nil {
		t.Fatal(err)
	}
	var log []*collaboardv1.Frame
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return log
		}
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, f)
	}
}
