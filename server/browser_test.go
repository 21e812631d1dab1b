package server_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// browser is a client that speaks gRPC-Web over a WebSocket.
type browser struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // of the test
	ws   *websocket.Conn
	rest []byte
}

func (r *running) browse(t *testing.T, headers string) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, "ws://"+r.addr+collaboardv1.CollaborationService_Collaborate_FullMethodName, &websocket.DialOptions{ //nolint:bodyclose // it has none
		Subprotocols: []string{"grpc-websockets"}, HTTPHeader: http.Header{"Origin": {"http://" + r.addr}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(-1)
	b := &browser{t: t, ctx: ctx, ws: ws}
	b.write([]byte("content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n" + headers))
	if block, _ := b.next(); !block {
		t.Fatal("no headers")
	}
	return b
}

func (b *browser) write(p []byte) {
	b.t.Helper()
	if err := b.ws.Write(b.ctx, websocket.MessageBinary, p); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) send(frame *collaboardv1.Frame) {
	b.t.Helper()
	body, err := proto.Marshal(frame)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(append(append([]byte{0, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(body)))...), body...))
}

// next returns the next frame of gRPC-Web, and whether it is headers or trailers.
func (b *browser) next() (block bool, payload []byte) {
	b.t.Helper()
	for len(b.rest) < 5 || len(b.rest) < 5+int(binary.BigEndian.Uint32(b.rest[1:])) {
		_, p, err := b.ws.Read(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		b.rest = append(b.rest, p...)
	}
	n := 5 + int(binary.BigEndian.Uint32(b.rest[1:]))
	block, payload = b.rest[0]&0x80 != 0, b.rest[5:n]
	b.rest = b.rest[n:]
	return block, payload
}

// until reads up to a frame that matches.
func (b *browser) until(match func(*collaboardv1.Frame) bool) *collaboardv1.Frame {
	b.t.Helper()
	for {
		block, payload := b.next()
		var frame collaboardv1.Frame
		if err := proto.Unmarshal(payload, &frame); err != nil || block {
			b.t.Fatalf("got %q, %v", payload, err)
		}
		if match(&frame) {
			return &frame
		}
	}
}

// wantEnd reads up to the trailers, and the close.
func (b *browser) wantEnd(status int) {
	b.t.Helper()
	block, text := b.next()
	for !block {
		block, text = b.next()
	}
	if !strings.Contains(string(text), fmt.Sprintf("grpc-status: %d\r\n", status)) {
		b.t.Errorf("ended with %q, want status %d", text, status)
	}
	if _, _, err := b.ws.Read(b.ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		b.t.Errorf("closed with %v", err)
	}
}

func TestBrowsersAndNativeClientsShareAPortAndABoard(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	native := srv.connect(t)
	native.join(board, nil)
	b := srv.browse(t, "user-id: ada\r\ndisplay-name: Ada%20L\r\ncolor: #1e90ff\r\n")
	welcome := b.until(func(f *collaboardv1.Frame) bool { return f.GetSessionWelcome() != nil }).GetSessionWelcome()
	if welcome.GetUserId() != "ada" {
		t.Errorf("welcome %v", welcome)
	}
	join := &collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
	}
	b.send(join)
	b.until(answered(join))
	came := native.find("coming of the browser", func(f *collaboardv1.Frame) bool { return f.GetMemberJoined().GetMember().GetUserId() == "ada" })
	if m := came.GetMemberJoined().GetMember(); m.GetDisplayName() != "Ada L" || m.GetColor() != "#1e90ff" {
		t.Errorf("member %v", m)
	}
	large := custom(board, 512<<10) // far above what a WebSocket takes by default
	b.send(large)
	if ack := b.until(answered(large)); ack.GetSeq() != 1 {
		t.Fatalf("answer %v", ack)
	}
	if events := native.heard(board, 1); events[0].GetFrom() != "ada" {
		t.Errorf("from %q", events[0].GetFrom())
	}
	tooLarge := custom(board, 2<<20)
	b.send(tooLarge)
	wantError(t, b.until(answered(tooLarge)), collaboardv1.ErrorCode_TOO_LARGE)
	native.mustAck(chat(board, "hello"))
	b.until(func(f *collaboardv1.Frame) bool { return f.GetChatMessage().GetText() == "hello" && f.GetSeq() == 2 })
	b.write([]byte{1})
	b.wantEnd(0)
}

func TestDrainEndsTheStreamsOfBrowsersWithUnavailable(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	b := srv.browse(t, "")
	stopped := make(chan error, 1)
	go func() { stopped <- srv.stop() }()
	b.wantEnd(14)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// drink reads until the connection ends, and so answers pings.
func (b *browser) drink() {
	for {
		if _, _, err := b.ws.Read(b.ctx); err != nil {
			return
		}
	}
}
