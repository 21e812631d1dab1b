package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/server"
)

// fuzzed is one server for all inputs of a fuzz target.
func fuzzed(f *testing.F) (conn *grpc.ClientConn, board string) {
	f.Helper()
	store, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "fuzz.db"), sqlite.Config{})
	if err != nil {
		f.Fatal(err)
	}
	srv, err := server.New(store, slog.New(slog.DiscardHandler), server.Config{})
	if err != nil {
		f.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, lis) }()
	conn, err = grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{encoding.GetCodecV2("proto")})))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-served; err != nil {
			f.Error(err)
		}
		_ = store.Close()
	})
	b, err := collaboardv1.NewBoardServiceClient(conn).CreateBoard(f.Context(), &collaboardv1.CreateBoardRequest{Name: "fuzz"})
	if err != nil {
		f.Fatal(err)
	}
	return conn, b.GetId()
}

// exchange sends the messages on a stream of their own, and says how the stream ended: nil is OK.
func exchange(t *testing.T, conn *grpc.ClientConn, messages ...[]byte) error {
	t.Helper()
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(t.Context())
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := stream.SendMsg(m); err != nil {
			break // Recv says why
		}
	}
	_ = stream.CloseSend()
	for {
		if _, err := stream.Recv(); err == io.EOF { //nolint:errorlint // Recv returns it as it is
			return nil
		} else if err != nil {
			return err
		}
	}
}

func marshal(tb testing.TB, frame *collaboardv1.Frame) []byte {
	tb.Helper()
	b, err := proto.Marshal(frame)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// FuzzFrame sends anything as a message: the stream ends with OK, or as a client's mistake, and the server lives on
// with a log that can be folded.
func FuzzFrame(f *testing.F) {
	conn, board := fuzzed(f)
	for _, frame := range []*collaboardv1.Frame{
		chat(board, "x"), create(board, newID()), cursor(board, 1),
		{},
		{Id: "x", ParentId: "y", Status: 99},
		{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}},
		{Id: newID(), ParentId: newID(), Status: collaboardv1.Status_STATUS_CANCEL},
		{Id: newID(), BoardId: board, ParentId: newID(), Status: collaboardv1.Status_STATUS_CANCEL, Payload: chat(board, "x").GetPayload()},
		{Id: newID(), BoardId: board, AfterId: newID(), Payload: chat(board, "x").GetPayload()},
		{Id: newID(), Payload: &collaboardv1.Frame_Ping{Ping: &collaboardv1.Ping{}}},
	} {
		f.Add(marshal(f, frame))
	}
	join := &collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}}
	f.Fuzz(func(t *testing.T, message []byte) {
		switch err := exchange(t, conn, marshal(t, join), message, message); status.Code(err) {
		case codes.OK, codes.InvalidArgument, codes.ResourceExhausted:
		default:
			t.Fatalf("stream ended with %v", err)
		}
		stream, err := collaboardv1.NewBoardServiceClient(conn).GetSnapshot(t.Context(), &collaboardv1.GetSnapshotRequest{BoardId: board})
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := stream.Recv(); err == io.EOF { //nolint:errorlint // Recv returns it as it is
				return
			} else if err != nil {
				t.Fatalf("the log cannot be folded: %v", err)
			}
		}
	})
}

// FuzzPosition joins from any position: it is resumed, or gets a snapshot, or a typed refusal.
func FuzzPosition(f *testing.F) {
	conn, board := fuzzed(f)
	f.Add("", uint64(0))
	f.Add("", uint64(1))
	f.Add(newID(), uint64(0))
	f.Add(newID(), ^uint64(0))
	f.Add("\xff", uint64(1)<<63)
	f.Fuzz(func(t *testing.T, epoch string, seq uint64) {
		join := &collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{
			BoardJoin: &collaboardv1.BoardJoin{Position: &collaboardv1.Position{Epoch: epoch, Seq: seq}},
		}}
		message, err := proto.Marshal(join)
		if err != nil {
			t.Skip("not a string that protobuf can carry")
		}
		if err := exchange(t, conn, message); err != nil {
			t.Fatalf("stream ended with %v", err)
		}
	})
}
