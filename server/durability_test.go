package server_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func TestAckAndEventComeOnlyAfterCommit(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		store := newFaultyStore(open(t))
		srv := serve(t, store, server.Config{})
		board := srv.createBoard(t)
		writer, member := srv.connect(t), srv.connect(t)
		writer.join(board, nil)
		member.join(board, nil)

		commit := newGate()
		store.holdCommits(commit)
		id := writer.send(chat(board, "held"))
		<-commit.reached // decided, with its seq, and not yet committed

		// Everything that could show the frame early is asked after this point, and answered.
		writer.ping()
		member.ping()
		late := srv.connect(t)
		if joined := late.join(board, nil); joined.GetPosition().GetSeq() != 0 {
			t.Fatalf("a join during COMMIT is at seq %d", joined.GetPosition().GetSeq())
		}
		for name, c := range map[string]*client{"writer": writer, "member": member, "late": late} {
			for _, f := range c.received() {
				if f.GetParentId() == id || f.GetSeq() > 0 {
					t.Fatalf("%s has %v before COMMIT returned", name, f)
				}
			}
		}

		close(commit.opened)
		if answer := writer.answer(id); answer.GetStatus() != collaboardv1.Status_STATUS_DONE || answer.GetSeq() != 1 {
			t.Fatalf("after COMMIT: %v", answer)
		}
		for _, c := range []*client{writer, member, late} {
			wantGapless(t, c.heard(board, 1))
		}
	})
}

// TestAckWaitsForTheStoresAnswer holds the answer of a COMMIT that has happened: the store's word is what counts.
func TestAckWaitsForTheStoresAnswer(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	c.join(board, nil)
	answer := newGate()
	store.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
		err := store.Store.Append(ctx, claims, decide)
		answer.pass(ctx)
		return err
	})
	id := c.send(chat(board, "committed"))
	<-answer.reached
	c.ping()
	for _, f := range c.received() {
		if f.GetParentId() == id || f.GetSeq() > 0 {
			t.Fatalf("%v before the store answered", f)
		}
	}
	close(answer.opened)
	c.answer(id)
}

func TestMemberHearsItsOwnFrameBeforeTheAck(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	c.join(board, nil)
	var ids []string
	for range 200 {
		ids = append(ids, c.send(chat(board, "x")))
	}
	c.heard(board, 200)
	c.wait("200 acks", func() bool { return len(c.answers) >= 201 })
	wantOwnFramesBeforeAcks(t, c, ids)
}

// wantOwnFramesBeforeAcks fails unless the acks of the requests came after the frames themselves.
func wantOwnFramesBeforeAcks(t *testing.T, c *client, requests []string) {
	t.Helper()
	heard := uint64(0)
	for _, f := range c.received() {
		switch {
		case f.GetStatus() == collaboardv1.Status_STATUS_EVENT && f.GetSeq() > 0:
			heard = f.GetSeq()
		case f.GetAck() != nil && f.GetSeq() > heard && slices.Contains(requests, f.GetParentId()):
			t.Fatalf("ack of seq %d when seq %d was heard last", f.GetSeq(), heard)
		}
	}
}

// rawCodec hands out messages as they are on the wire.
type rawCodec struct{ encoding.CodecV2 }

type rawFrame []byte

func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if raw, ok := v.(*rawFrame); ok {
		*raw = data.Materialize()
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

func TestStoredBytesAreTheBytesDelivered(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		store := open(t)
		srv := serve(t, store, server.Config{})
		board := srv.createBoard(t)
		conn := srv.dial(t, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")})))
		stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&collaboardv1.Frame{
			Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
		}); err != nil {
			t.Fatal(err)
		}
		for joined := (&collaboardv1.Frame{}); joined.GetBoardJoined() == nil; {
			if joined, err = stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		writer := srv.connect(t)
		const n = 50
		for i := range n {
			if i%2 == 0 {
				writer.mustAck(chat(board, fmt.Sprint("message ", i)))
			} else {
				writer.mustAck(create(board, newID()))
			}
		}
		var delivered [][]byte
		for len(delivered) < n {
			var raw rawFrame
			if err := stream.RecvMsg(&raw); err != nil {
				t.Fatal(err)
			}
			frame := &collaboardv1.Frame{}
			if err := proto.Unmarshal(raw, frame); err != nil {
				t.Fatal(err)
			}
			if frame.GetSeq() > 0 && frame.GetStatus() == collaboardv1.Status_STATUS_EVENT {
				delivered = append(delivered, raw)
			}
		}
		records, err := store.Read(t.Context(), persistence.ReadParams{Board: mustBoardID(t, board), Limit: 2 * n})
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != n {
			t.Fatalf("%d frames stored, want %d", len(records), n)
		}
		for i, r := range records {
			if !bytes.Equal(r.Body, delivered[i]) {
				t.Fatalf("seq %d: stored %x, delivered %x", r.Seq, r.Body, delivered[i])
			}
		}
	})
}

func TestLostCommitAnswerGivesOneAckAndOneFrame(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		store := newFaultyStore(open(t))
		srv := serve(t, store, server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.join(board, nil)
		var lost atomic.Int32
		store.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
			err := store.Store.Append(ctx, claims, decide)
			if err == nil && lost.Add(1) <= 3 {
				return &persistence.UnavailableError{Err: errInjected}
			}
			return err
		})
		first := c.ask(chat(board, "first"))
		second := c.ask(chat(board, "second"))
		if first.GetSeq() != 1 || second.GetSeq() != 2 || first.GetAck().GetDuplicate() {
			t.Fatalf("answers %v, %v", first, second)
		}
		wantGapless(t, c.heard(board, 2))
		if log := srv.readLog(t, board); len(log) != 2 {
			t.Fatalf("%d frames in the log, want 2", len(log))
		}
		if lost.Load() < 3 {
			t.Fatal("no answer was lost")
		}
	})
}

func TestStoreThatFailsForAWhileOnlyDelaysTheAck(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	c.join(board, nil)
	tried := make(chan struct{}, 1000)
	store.setAppend(func(context.Context, []persistence.Claim, persistence.DecideFunc) error {
		tried <- struct{}{}
		return &persistence.UnavailableError{Err: errInjected}
	})
	id := c.send(chat(board, "late"))
	for range 3 {
		<-tried
	}
	c.ping()
	for _, f := range c.received() {
		if f.GetParentId() == id || f.GetSeq() > 0 {
			t.Fatalf("%v while the store fails", f)
		}
	}
	store.setAppend(store.Store.Append)
	if answer := c.answer(id); answer.GetStatus() != collaboardv1.Status_STATUS_DONE || answer.GetSeq() != 1 {
		t.Fatalf("when the store is back: %v", answer)
	}
}

func TestStoreOutageRefusesWritesAndEndsByItself(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		store := newFaultyStore(open(t))
		srv := serve(t, store, server.Config{Commit: persistence.CommitterConfig{
			CommitTimeout: 50 * time.Millisecond, RetryMax: 20 * time.Millisecond,
		}})
		board := srv.createBoard(t)
		c, other := srv.connect(t), srv.connect(t)
		c.join(board, nil)
		other.join(board, nil)
		c.mustAck(chat(board, "before"))

		store.breakDown()
		refused := c.ask(chat(board, "during"))
		e := wantError(t, refused, collaboardv1.ErrorCode_UNAVAILABLE)
		if !e.GetRetryable() || e.GetRetryAfter().AsDuration() <= 0 {
			t.Fatalf("not retryable: %v", e)
		}
		if strings.Contains(refused.String(), errInjected.Error()) {
			t.Fatalf("text of the database reached a client: %v", refused)
		}
		other.find("board_status: read-only", func(f *collaboardv1.Frame) bool {
			return f.GetBoardStatus() != nil && !f.GetBoardStatus().GetWritable() && f.GetBoardStatus().GetReason() != ""
		})
		// Live boards go on: joins and cursors.
		late := srv.connect(t)
		if joined := late.join(board, nil); joined.GetWritable() || joined.GetPosition().GetSeq() != 1 {
			t.Fatalf("join during the outage: %v", joined)
		}
		c.send(&collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{X: 1}}})
		other.find("cursor during the outage", func(f *collaboardv1.Frame) bool { return f.GetCursorMove() != nil })
		// A board that cannot be loaded is not written to.
		wantError(t, c.ask(chat(newID(), "unknown")), collaboardv1.ErrorCode_UNAVAILABLE)

		store.repair()
		other.find("board_status: writable", func(f *collaboardv1.Frame) bool { return f.GetBoardStatus().GetWritable() })
		resent := other.ask(&collaboardv1.Frame{Id: refused.GetParentId(), BoardId: board, Payload: chat(board, "during").GetPayload()})
		if resent.GetStatus() != collaboardv1.Status_STATUS_DONE {
			t.Fatalf("after the outage: %v", resent)
		}
		log := srv.readLog(t, board)
		wantGapless(t, log)
		if len(log) != 2 {
			t.Fatalf("%d frames in the log, want 2", len(log))
		}
		sameFrames(t, other.heard(board, 2), log)
	})
}

// TestMemberThatCannotReadHoldsUpNoAck lets reads of the log fail, of which a member has need that fell behind the tail.
func TestMemberThatCannotReadHoldsUpNoAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaultyStore(sqliteDatabase(t)(t))
		srv := serveInMemory(t, store, server.Config{Room: room.Config{TailBytes: 1}})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.join(board, nil)
		commit := newGate()
		store.holdCommits(commit)
		write := func(n int) (ids []string) {
			for range n {
				ids = append(ids, c.send(chat(board, "x")))
			}
			return ids
		}
		ids := write(1)
		<-commit.reached
		ids = append(ids, write(10)...) // one group, of which the tail keeps one frame
		synctest.Wait()
		store.failReads(&persistence.UnavailableError{Err: errInjected})
		close(commit.opened)
		for _, id := range ids {
			if answer := c.answer(id); answer.GetAck() == nil {
				t.Fatalf("refused: %v", answer)
			}
		}
		pass(time.Second)
		if heard := len(c.heardOf(board)); heard > 1 {
			t.Fatalf("heard %d frames that could not be read", heard)
		}
		store.failReads(nil)
		wantGapless(t, c.heard(board, len(ids)))
		// From here on, its own frames come before their acks again.
		last := write(200)
		c.answer(last[len(last)-1])
		wantOwnFramesBeforeAcks(t, c, last)
	})
}
