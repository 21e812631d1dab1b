package server_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// TestBoardsAsTheyWereAreBounded: eight calls may have one in memory. Who comes later waits for its turn, which comes at the
// latest when those who do not read what they asked for have used up their time.
func TestBoardsAsTheyWereAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		for range 4 { // more than the transport takes
			c.drawMany(board, 1000)
		}
		req := &collaboardv1.GetSnapshotRequest{BoardId: board, AtSeq: 4}
		var streams []collaboardv1.BoardService_GetSnapshotClient
		for range 8 {
			stream, err := collaboardv1.NewBoardServiceClient(srv.dial(t)).GetSnapshot(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, stream)
		}
		synctest.Wait()
		began, answered := time.Now(), make(chan error, 3)
		go func() {
			_, err := srv.snapshot(t, board, 1)
			answered <- err
		}()
		go func() {
			_, err := srv.boards.RestoreBoard(t.Context(), &collaboardv1.RestoreBoardRequest{
				BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: 4},
			})
			answered <- err
		}()
		go func() {
			_, err := srv.boards.RevertFrame(t.Context(), &collaboardv1.RevertFrameRequest{BoardId: board, Seq: 4})
			answered <- err
		}()
		c.mustAck(chat(board, "nobody else is held up"))
		for range 3 {
			if err := <-answered; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("they waited for %v", took)
		}
		for _, stream := range streams {
			var err error
			for err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("a call that was not read ended with %v", err)
			}
		}
	})
}

// TestRestoresAtOnce: each brings the board to its moment, exactly, one behind the other.
func TestRestoresAtOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		objects := c.drawMany(board, 50)
		for i, object := range objects {
			c.mustAck(move(board, object, float64(i)))
		}
		type restore struct{ at, end uint64 }
		var calls errgroup.Group
		done := make(chan restore, 40)
		for caller := range 4 {
			boards := collaboardv1.NewBoardServiceClient(srv.dial(t))
			calls.Go(func() error {
				for n := range 10 {
					at := uint64(1 + (7*n+13*caller)%len(objects))
					resp, err := boards.RestoreBoard(t.Context(), &collaboardv1.RestoreBoardRequest{
						BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: at},
					})
					if err != nil {
						return fmt.Errorf("restore seq %d: %w", at, err)
					}
					done <- restore{at, resp.GetPosition().GetSeq()}
				}
				return nil
			})
		}
		for i := range 50 {
			c.mustAck(move(board, objects[i], -float64(i)))
		}
		if err := calls.Wait(); err != nil {
			t.Fatal(err)
		}
		close(done)
		log := srv.readLog(t, board)
		for r := range done {
			wantSeen(t, log, r.end, r.at)
		}
	})
}
