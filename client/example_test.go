package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/server"
)

func Example() {
	ctx := context.Background()
	addr, boardID, stop := exampleServer()
	defer stop()

	c, err := client.Dial(addr, client.WithInsecure(), client.WithUserID("ada"))
	if err != nil {
		panic(err)
	}
	defer c.Close()

	b, err := c.Join(ctx, boardID)
	if err != nil {
		panic(err)
	}
	if _, err := b.Submit(ctx, &collaboardv1.ChatMessage{Text: "hello"}); err != nil {
		panic(err)
	}
	if err := c.Flush(ctx); err != nil {
		panic(err)
	}
	for frame, err := range b.Frames(ctx) {
		if err != nil {
			panic(err)
		}
		fmt.Println(frame.GetSeq(), frame.GetFrom(), frame.GetChatMessage().GetText())
		break
	}
	fmt.Println(c.State())
	// Output:
	// 1 ada hello
	// saved
}

// A change that is refused for good says why; those after it go on.
func ExamplePending_Wait() {
	ctx := context.Background()
	addr, boardID, stop := exampleServer()
	defer stop()
	c, err := client.Dial(addr, client.WithInsecure())
	if err != nil {
		panic(err)
	}
	defer c.Close()

	const note = "018f0000-0000-7000-8000-000000000001"
	for _, change := range []proto.Message{
		&collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: note, Kind: "sticky_note"}},
		&collaboardv1.ObjectUpdate{Id: note, X: proto.Float64(100)},
		&collaboardv1.ObjectUpdate{Id: note, X: proto.Float64(50), IfVersion: proto.Uint64(1)},
		&collaboardv1.ObjectDelete{Id: note},
	} {
		p, err := c.Submit(ctx, boardID, change)
		if err != nil {
			panic(err)
		}
		ack, err := p.Wait(ctx)
		var refused *client.FrameError
		switch {
		case errors.As(err, &refused) && refused.Code == collaboardv1.ErrorCode_STALE_UPDATE:
			fmt.Println("refused: the object is at version", *refused.CurrentVersion)
		case err != nil:
			panic(err)
		default:
			fmt.Println("durable at seq", ack.Seq)
		}
	}
	// Output:
	// durable at seq 1
	// durable at seq 2
	// refused: the object is at version 2
	// durable at seq 3
}

// The replica has everything that was acked, and does not change under the application's hands.
func ExampleBoard_Replica() {
	ctx := context.Background()
	addr, boardID, stop := exampleServer()
	defer stop()
	c, err := client.Dial(addr, client.WithInsecure())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	b, err := c.Join(ctx, boardID)
	if err != nil {
		panic(err)
	}
	for _, kind := range []string{"rectangle", "arrow"} {
		object := &collaboardv1.Object{Id: exampleID(kind), Kind: kind}
		if _, err := b.Submit(ctx, &collaboardv1.ObjectCreate{Object: object}); err != nil {
			panic(err)
		}
	}
	if err := c.Flush(ctx); err != nil {
		panic(err)
	}
	for object := range b.Replica().Stack() {
		fmt.Println(object.GetKind(), object.GetZIndex())
	}
	// Output:
	// rectangle a0
	// arrow a1
}

// A reader that is told of a resync makes anew what it made of the log.
func ExampleBoard_Frames() {
	ctx := context.Background()
	addr, boardID, stop := exampleServer()
	defer stop()
	c, err := client.Dial(addr, client.WithInsecure())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if _, err := c.Submit(ctx, boardID, &collaboardv1.ChatMessage{Text: "hello"}); err != nil {
		panic(err)
	}
	if err := c.Flush(ctx); err != nil {
		panic(err)
	}

	kept := client.Position{Epoch: "018f0000-0000-7000-8000-0000000000ff", Seq: 40} // before a backup was restored
	b, err := c.Join(ctx, boardID, client.From(kept))
	if err != nil {
		panic(err)
	}
	for frame, err := range b.Frames(ctx) {
		var resync *client.ResyncError
		switch {
		case errors.As(err, &resync):
			fmt.Println("start again at seq", resync.To.Seq, "because", resync.Reason)
			b.Leave()
		case err != nil:
			fmt.Println("the end:", err)
		default:
			fmt.Println(frame.GetSeq())
		}
	}
	// Output:
	// start again at seq 1 because SNAPSHOT_REASON_EPOCH_CHANGED
	// the end: left the board
}

func exampleID(kind string) string {
	return map[string]string{
		"rectangle": "018f0000-0000-7000-8000-000000000001",
		"arrow":     "018f0000-0000-7000-8000-000000000002",
	}[kind]
}

// exampleServer starts a server with one board.
func exampleServer() (addr, boardID string, stop func()) {
	dir, err := os.MkdirTemp("", "collaboard-example-")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	store, err := sqlite.Open(ctx, filepath.Join(dir, "boards.db"), sqlite.Config{})
	if err != nil {
		panic(err)
	}
	srv, err := server.New(store, slog.New(slog.DiscardHandler), server.Config{})
	if err != nil {
		panic(err)
	}
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, lis) }()
	addr = lis.Addr().String()

	c, err := client.Dial(addr, client.WithInsecure())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	b, err := c.Boards().CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: "example"})
	if err != nil {
		panic(err)
	}
	return addr, b.GetId(), func() {
		cancel()
		if err := errors.Join(<-served, store.Close(), os.RemoveAll(dir)); err != nil {
			panic(err)
		}
	}
}
