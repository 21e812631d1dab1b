package server_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// deaf is a stream whose frames are read when the test says so. What a server sends it meanwhile fills the transport's
// window, and then the server's send loop waits.
type deaf struct {
	t      *testing.T
	conn   *grpc.ClientConn
	stream collaboardv1.CollaborationService_CollaborateClient
}

func (r *running) deaf(t *testing.T) *deaf {
	t.Helper()
	conn := r.dial(t)
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &deaf{t: t, conn: conn, stream: stream}
}

func (d *deaf) send(frames ...*collaboardv1.Frame) {
	d.t.Helper()
	for _, f := range frames {
		if err := d.stream.Send(f); err != nil {
			d.t.Fatal(err)
		}
	}
}

// until reads up to the first frame that matches, which is the last that it returns.
func (d *deaf) until(match func(*collaboardv1.Frame) bool) []*collaboardv1.Frame {
	d.t.Helper()
	var frames []*collaboardv1.Frame
	for {
		f, err := d.stream.Recv()
		if err != nil {
			d.t.Fatal(err)
		}
		if frames = append(frames, f); match(f) {
			return frames
		}
	}
}

// answered matches the end of the answer to the request.
func answered(request *collaboardv1.Frame) func(*collaboardv1.Frame) bool {
	return func(f *collaboardv1.Frame) bool {
		return f.GetParentId() == request.GetId() && f.GetStatus() != collaboardv1.Status_STATUS_ITEM
	}
}

func resume(board string, epoch string, seq uint64) *collaboardv1.Frame {
	f := joinFrame(board)
	f.GetBoardJoin().Position = &collaboardv1.Position{Epoch: epoch, Seq: seq}
	return f
}

// TestRejoinBetweenFramesInFlight has the server's send loop stand still while the stream writes, resumes the board that
// it is a member of, and writes again.
func TestRejoinBetweenFramesInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{MaxBoards: 1})
		board := srv.createBoard(t)
		writer, d := srv.connect(t), srv.deaf(t)
		join := joinFrame(board)
		d.send(join)
		joined := d.until(answered(join))
		epoch := joined[len(joined)-1].GetBoardJoined().GetPosition().GetEpoch()
		for range 10 { // more than the transport takes
			writer.mustAck(custom(board, 100<<10))
		}
		first, again, second := chat(board, "1"), resume(board, epoch, 0), chat(board, "2")
		d.send(first, again, second)
		synctest.Wait()
		frames := d.until(answered(first))
		frames = append(frames, d.until(answered(again))...)
		if members := frames[len(frames)-1].GetBoardJoined().GetMembers(); len(members) != 1 {
			t.Errorf("members %v", members)
		}
		heard := uint64(0)
		for _, f := range d.until(answered(second)) {
			if f.GetStatus() == collaboardv1.Status_STATUS_EVENT && f.GetSeq() > 0 {
				if heard++; f.GetSeq() != heard {
					t.Fatalf("seq %d after the join was answered, want %d", f.GetSeq(), heard)
				}
			}
		}
		if heard != 12 {
			t.Errorf("heard %d frames before the last ack, want 12", heard)
		}
	})
}

// TestEventsFollowTheAnswerToTheirJoin has a join wait behind an ack, and that behind events of another board.
func TestEventsFollowTheAnswerToTheirJoin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{})
		busy, board := srv.createBoard(t), srv.createBoard(t)
		writer, d := srv.connect(t), srv.deaf(t)
		first := joinFrame(busy)
		d.send(first)
		d.until(answered(first))
		for range 10 { // more than the transport takes, and more than a chunk
			writer.mustAck(custom(busy, 100<<10))
		}
		ack, join := chat(busy, "x"), joinFrame(board)
		d.send(ack, join)
		synctest.Wait()
		writer.mustAck(chat(board, "the member is woken"))
		synctest.Wait()
		for _, f := range d.until(answered(join)) {
			if f.GetBoardId() == board && f.GetStatus() == collaboardv1.Status_STATUS_EVENT {
				t.Fatalf("before the join was answered: %v", f)
			}
		}
		d.until(func(f *collaboardv1.Frame) bool { return f.GetBoardId() == board && f.GetSeq() == 1 })
	})
}

// TestPongsOvertakeASnapshot pings in the midst of one.
func TestPongsOvertakeASnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{})
		board := srv.createBoard(t)
		fillBoard(srv.connect(t), board, 8, 200<<10)
		d := srv.deaf(t)
		join := joinFrame(board)
		ping := &collaboardv1.Frame{Id: newID(), Payload: &collaboardv1.Frame_Ping{Ping: &collaboardv1.Ping{}}}
		d.send(join)
		synctest.Wait()
		d.send(ping)
		synctest.Wait()
		frames := d.until(answered(join))
		if !slices.ContainsFunc(frames, answered(ping)) {
			t.Fatal("the pong came after the whole snapshot")
		}
	})
}

// TestCancelEndsTheJoinItNamesAlone cancels one in the midst of its snapshot that another has followed already.
func TestCancelEndsTheJoinItNamesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{})
		board := srv.createBoard(t)
		writer, d := srv.connect(t), srv.deaf(t)
		fillBoard(writer, board, 8, 200<<10)
		first, second := joinFrame(board), joinFrame(board)
		d.send(first, second, &collaboardv1.Frame{ParentId: first.GetId(), Status: collaboardv1.Status_STATUS_CANCEL})
		synctest.Wait()
		frames := d.until(answered(first))
		wantError(t, frames[len(frames)-1], collaboardv1.ErrorCode_CANCELLED)
		frames = d.until(answered(second))
		if joined := frames[len(frames)-1].GetBoardJoined(); len(joined.GetMembers()) != 1 {
			t.Fatalf("members %v", joined)
		}
		writer.mustAck(chat(board, "heard"))
		d.until(func(f *collaboardv1.Frame) bool { return f.GetChatMessage().GetText() == "heard" })
	})
}

// TestCancelledLookHoldsNothing cancels one in the midst of its snapshot. Its room is used on by others.
func TestCancelledLookHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{Room: room.Config{PollInterval: 30 * time.Second}})
		board := srv.createBoard(t)
		fillBoard(srv.connect(t), board, 8, 200<<10)
		d := srv.deaf(t)
		look := joinFrame(board)
		look.GetBoardJoin().SnapshotOnly = true
		d.send(look, &collaboardv1.Frame{ParentId: look.GetId(), Status: collaboardv1.Status_STATUS_CANCEL})
		synctest.Wait()
		frames := d.until(answered(look))
		wantError(t, frames[len(frames)-1], collaboardv1.ErrorCode_CANCELLED)
		member, writer := srv.connect(t), srv.connect(t)
		member.join(board, nil)
		pass(10 * time.Minute) // an idle room would be forgotten
		writer.mustAck(chat(board, "heard at once"))
		synctest.Wait()
		if len(member.heardOf(board)) != 1 {
			t.Fatal("the member's room is not the one that is written to")
		}
	})
}

// TestLookMakesNoMember looks more often than a stream may join, and rejoins at the limit.
func TestLookMakesNoMember(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{MaxBoards: 1})
	board, other := srv.createBoard(t), srv.createBoard(t)
	c, writer := srv.connect(t), srv.connect(t)
	c.join(board, nil)
	for range 2 {
		look := joinFrame(other)
		look.GetBoardJoin().SnapshotOnly = true
		if joined := c.ask(look).GetBoardJoined(); joined == nil || len(joined.GetMembers()) != 0 {
			t.Fatalf("look: %v", joined)
		}
	}
	wantError(t, c.ask(cursor(other, 1)), collaboardv1.ErrorCode_NOT_JOINED)
	writer.mustAck(chat(other, "unheard"))
	if members := c.join(board, nil).GetMembers(); len(members) != 1 {
		t.Fatalf("rejoin: members %v", members)
	}
	writer.mustAck(chat(board, "heard"))
	wantGapless(t, c.heard(board, 1))
	if n := len(c.heardOf(other)); n != 0 {
		t.Fatalf("heard %d frames of a board that was looked at", n)
	}
}

// TestJoinOfAStreamThatBrokeMeanwhile holds what the join asks of the store until the stream is gone.
func TestJoinOfAStreamThatBrokeMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &heldBoards{Store: sqliteDatabase(t)(t), hold: make(chan struct{})}
		srv := serveInMemory(t, store, server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.join(board, nil)
		store.on.Store(true)
		c.send(joinFrame(board))
		synctest.Wait()
		c.cancel()
		synctest.Wait()
		store.on.Store(false)
		close(store.hold)
		synctest.Wait()
		if members := srv.connect(t).join(board, nil).GetMembers(); len(members) != 1 {
			t.Fatalf("members %v", members)
		}
	})
}

// heldBoards is a store whose Boards waits for hold, whatever its context says, or for its context alone.
type heldBoards struct {
	persistence.Store

	on, hangs atomic.Bool
	hold      chan struct{}
}

func (s *heldBoards) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	switch {
	case s.on.Load():
		<-s.hold
	case s.hangs.Load():
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Boards(ctx, ids...)
}

// TestJoinWhileTheStoreHangs gets what the server knows, once the store has had its time.
func TestJoinWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &heldBoards{Store: sqliteDatabase(t)(t)}
		srv := serveInMemory(t, store, server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.join(board, nil)
		c.mustAck(chat(board, "x"))
		store.hangs.Store(true)
		if seq := srv.connect(t).join(board, nil).GetPosition().GetSeq(); seq != 1 {
			t.Fatalf("joined at %d", seq)
		}
		store.hangs.Store(false)
	})
}

// TestRefreshThatFailsForGoodRefusesTheJoin has a store with a defect.
func TestRefreshThatFailsForGoodRefusesTheJoin(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	c.join(board, nil)
	store.fail(errInjected)
	if e := wantError(t, c.ask(joinFrame(board)), collaboardv1.ErrorCode_INTERNAL); e.GetRetryable() || e.GetMessage() != "internal error" {
		t.Fatalf("%v", e)
	}
	store.repair()
}

// TestPositionWithoutEpochIsTheBeginning resumes from before the first frame of whatever log there is.
func TestPositionWithoutEpochIsTheBeginning(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	answer := c.ask(chat(board, "x"))
	joined := c.join(board, &collaboardv1.Position{})
	if joined.GetMode() != collaboardv1.Mode_MODE_RESUMED || joined.GetPosition().GetEpoch() != answer.GetAck().GetEpoch() {
		t.Fatalf("%v, acked %v", joined, answer)
	}
	wantGapless(t, c.heard(board, 1))
}

// TestStreamWhoseBoardMustBeLoadedAnewComesBack has the stored log turn out to be another, or to be cut off in front.
func TestStreamWhoseBoardMustBeLoadedAnewComesBack(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*alteredStore){
		"epoch":   func(s *alteredStore) { s.otherEpoch.Store(true) },
		"trimmed": func(s *alteredStore) { s.trimmed.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &alteredStore{Store: sqliteDatabase(t)(t)}
				srv := serveInMemory(t, store, server.Config{Room: room.Config{TailBytes: 1}})
				board := srv.createBoard(t)
				writer, d := srv.connect(t), srv.deaf(t)
				join := joinFrame(board)
				d.send(join)
				d.until(answered(join))
				for range 10 { // more than the transport takes
					writer.mustAck(custom(board, 100<<10))
				}
				spoil(store)
				pass(time.Second)
				for {
					if _, err := d.stream.Recv(); err != nil {
						if status.Code(err) != codes.Unavailable {
							t.Fatalf("stream ended with %v", err)
						}
						return
					}
				}
			})
		})
	}
}

// alteredStore is a store whose logs can turn into others.
type alteredStore struct {
	persistence.Store

	otherEpoch, trimmed atomic.Bool
}

func (s *alteredStore) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	boards, err := s.Store.Boards(ctx, ids...)
	for i := range boards {
		if s.otherEpoch.Load() {
			boards[i].Epoch = persistence.Epoch{1}
		}
	}
	return boards, err
}

func (s *alteredStore) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	if s.trimmed.Load() {
		return nil, &persistence.TrimmedError{Board: p.Board, First: 100}
	}
	return s.Store.Read(ctx, p)
}
