package server_test

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

func TestBadFramesAreRefusedAndTheStreamGoesOn(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	with := func(change func(*collaboardv1.Frame)) *collaboardv1.Frame {
		f := create(board, newID())
		change(f)
		return f
	}
	invalid := collaboardv1.ErrorCode_INVALID_FRAME
	for name, bad := range map[string]struct {
		frame *collaboardv1.Frame
		code  collaboardv1.ErrorCode
	}{
		"frame id":      {with(func(f *collaboardv1.Frame) { f.Id = "not-a-uuid" }), invalid},
		"board id":      {with(func(f *collaboardv1.Frame) { f.BoardId = "board" }), invalid},
		"object id":     {with(func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.Id = "1" }), invalid},
		"NaN":           {with(func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.X = math.NaN() }), invalid},
		"infinity":      {with(func(f *collaboardv1.Frame) { f.GetObjectCreate().Object.Height = math.Inf(-1) }), invalid},
		"no object":     {with(func(f *collaboardv1.Frame) { f.GetObjectCreate().Object = nil }), invalid},
		"no payload":    {with(func(f *collaboardv1.Frame) { f.Payload = nil }), invalid},
		"status":        {with(func(f *collaboardv1.Frame) { f.Status = collaboardv1.Status_STATUS_EVENT }), invalid},
		"after_id":      {with(func(f *collaboardv1.Frame) { f.AfterId = "x" }), invalid},
		"parent_id":     {with(func(f *collaboardv1.Frame) { f.ParentId = "x" }), invalid},
		"board of part": {with(func(f *collaboardv1.Frame) { f.BoardId, f.Payload = "", &collaboardv1.Frame_BoardPart{} }), invalid},
		"no frame id":   {with(func(f *collaboardv1.Frame) { f.Id, f.Payload = "", &collaboardv1.Frame_BoardJoin{} }), invalid},
		"what to cancel": {with(func(f *collaboardv1.Frame) {
			f.Status, f.Payload = collaboardv1.Status_STATUS_CANCEL, nil
		}), invalid},
		"position without epoch": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{Position: &collaboardv1.Position{Seq: 3}}}
		}), invalid},
		"ephemeral NaN": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{X: math.NaN()}}
		}), invalid},
		"ephemeral over the frame limit": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_ObjectDrag{ObjectDrag: &collaboardv1.ObjectDrag{Ops: []*collaboardv1.ObjectOp{
				{Op: &collaboardv1.ObjectOp_Create{Create: &collaboardv1.ObjectCreate{
					Object: &collaboardv1.Object{Id: newID(), Kind: strings.Repeat("x", 1<<20)},
				}}},
			}}}
		}), collaboardv1.ErrorCode_TOO_LARGE},
		"server's":      {with(func(f *collaboardv1.Frame) { f.Payload = &collaboardv1.Frame_Pong{} }), invalid},
		"unknown board": {chat(newID(), "x"), collaboardv1.ErrorCode_BOARD_NOT_FOUND},
		"empty chat":    {chat(board, ""), invalid},
		"huge chat":     {chat(board, strings.Repeat("x", 20_000)), invalid},
		"over the frame limit": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: make([]byte, 1<<20)}}
		}), collaboardv1.ErrorCode_TOO_LARGE},
		"never created": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: &collaboardv1.ObjectDelete{Id: newID()}}
		}), collaboardv1.ErrorCode_OBJECT_NOT_FOUND},
		"cursor before join": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{}}
		}), collaboardv1.ErrorCode_NOT_JOINED},
		"part before join": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_BoardPart{BoardPart: &collaboardv1.BoardPart{}}
		}), collaboardv1.ErrorCode_NOT_JOINED},
		"join of nothing": {with(func(f *collaboardv1.Frame) {
			f.BoardId = newID()
			f.Payload = &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}
		}), collaboardv1.ErrorCode_BOARD_NOT_FOUND},
		"epoch": {with(func(f *collaboardv1.Frame) {
			f.Payload = &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{Position: &collaboardv1.Position{Epoch: "e", Seq: 3}}}
		}), invalid},
	} {
		if bad.frame.GetId() == "" {
			if err := c.stream.Send(bad.frame); err != nil {
				t.Fatal(err)
			}
		} else {
			c.send(bad.frame)
		}
		answer := c.answer(bad.frame.GetId())
		if e := answer.GetError(); e.GetCode() != bad.code || e.GetRetryable() || e.GetMessage() == "" {
			t.Errorf("%s: %v, want %v", name, answer, bad.code)
		}
	}
	refused := c.ask(chat(board, ""))
	if v := refused.GetError().GetFieldViolations(); len(v) != 1 || v[0].GetField() != "chat_message.text" || v[0].GetDescription() == "" {
		t.Errorf("violations %v", v)
	}
	if log := srv.readLog(t, board); len(log) != 0 {
		t.Fatalf("stored: %v", log)
	}
	if seq := c.mustAck(chat(board, "still here")); seq != 1 {
		t.Fatalf("seq %d, want 1", seq)
	}
}

// TestLargestFrame is one byte over, and then not: only what is wrong with it beside its size is found then.
func TestLargestFrame(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	for size, want := range map[int]collaboardv1.ErrorCode{
		limit: collaboardv1.ErrorCode_INVALID_FRAME, limit + 1: collaboardv1.ErrorCode_TOO_LARGE,
	} {
		f := chat(board, strings.Repeat("x", limit-200))
		f.GetChatMessage().Text += strings.Repeat("x", size-proto.Size(f))
		if n := proto.Size(f); n != size {
			t.Fatalf("%d bytes, want %d", n, size)
		}
		wantError(t, c.ask(f), want)
	}
}

// TestCancelCarriesAnyPayload: what a cancel carries is not looked at, and not answered.
func TestCancelCarriesAnyPayload(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	for _, f := range []*collaboardv1.Frame{chat(board, "x"), joinFrame(board), cursor(board, 1)} {
		f.ParentId, f.Status = newID(), collaboardv1.Status_STATUS_CANCEL
		c.send(f)
	}
	if seq := c.mustAck(chat(board, "not held up")); seq != 1 {
		t.Fatalf("seq %d, want 1", seq)
	}
	if n := len(c.answers); n != 1 {
		t.Fatalf("%d answers, want 1", n)
	}
}

func TestServerStampsSenderSeqAndTime(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t, "user-id", "ada", "display-name", "Ada L.")
	forged := chat(board, "x")
	forged.GetChatMessage().SenderName = "somebody else"
	forged.From, forged.Seq, forged.ParentId = "somebody else", 99, newID()
	if seq := c.mustAck(forged); seq != 1 {
		t.Fatalf("seq %d", seq)
	}
	f := srv.readLog(t, board)[0]
	if f.GetFrom() != "ada" || f.GetSeq() != 1 || f.GetParentId() != "" || f.GetTime().AsTime().IsZero() || f.GetStatus() != collaboardv1.Status_STATUS_EVENT ||
		f.GetChatMessage().GetSenderName() != "Ada L." {
		t.Fatalf("stored %v", f)
	}
}

// bytesCodec sends bytes as they are.
type bytesCodec struct{ encoding.CodecV2 }

func (c bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func sendsBytes() grpc.DialOption {
	return grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{encoding.GetCodecV2("proto")}))
}

func (r *running) sendBytes(t *testing.T, b []byte) error {
	t.Helper()
	conn := r.dial(t, sendsBytes())
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(t.Context())
	if err != nil {
		return err
	}
	if err := stream.SendMsg(b); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestUndecodableBytesEndTheStreamWithAStatus(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	err := srv.sendBytes(t, []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	if status.Code(err) != codes.InvalidArgument {
		t.Fatalf("got %v, want INVALID_ARGUMENT", err)
	}
	board := srv.createBoard(t)
	if seq := srv.connect(t).mustAck(chat(board, "alive")); seq != 1 {
		t.Fatal(seq)
	}
}

// tripwireStore panics when it is next asked for a board.
type tripwireStore struct {
	persistence.Store

	armed atomic.Bool
}

func (s *tripwireStore) Boards(ctx context.Context, ids ...persistence.BoardID) ([]persistence.Board, error) {
	if s.armed.CompareAndSwap(true, false) {
		panic("a defect")
	}
	return s.Store.Boards(ctx, ids...)
}

// TestPanicIsTheFailureOfOneRequest meets a defect in each of a stream's loops: others do not notice, and the board can
// be used again.
func TestPanicIsTheFailureOfOneRequest(t *testing.T) {
	t.Parallel()
	store := &tripwireStore{Store: sqliteDatabase(t)(t)}
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	other := srv.connect(t)
	other.ping()
	c := srv.connect(t)
	c.ping()

	store.armed.Store(true)
	wantError(t, c.ask(chat(board, "met by the read loop")), collaboardv1.ErrorCode_INTERNAL)
	c.mustAck(chat(board, "the stream goes on"))

	store.armed.Store(true)
	c.send(joinFrame(board))
	if code := status.Code(c.end()); code != codes.Internal {
		t.Fatalf("stream ended with %v", code)
	}
	other.join(board, nil)
	other.mustAck(chat(board, "as if nothing had been"))
	if log := srv.readLog(t, board); len(log) != 2 {
		t.Fatalf("log %v", log)
	}
}
