package web_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/collaboard-io/collaboard/server/web"
)

// contentBytes is about what a small frame has.
const contentBytes = 300

// An iteration is a message from a client to the native server, which sends it back: over a WebSocket, and over native
// gRPC, to see what the bridge adds. The client is in the process.
func BenchmarkEcho(b *testing.B) {
	for _, way := range []struct {
		name string
		open func(b *testing.B, srv *running) (send func(), receive func() (messages int))
	}{
		{"websocket", openWebSocket},
		{"native", openNative},
	} {
		for _, inFlight := range []int{1, 256} {
			b.Run(fmt.Sprintf("%s/in-flight=%d", way.name, inFlight), func(b *testing.B) {
				lis, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				r := &running{addr: lis.Addr().String(), dial: (&net.Dialer{}).DialContext, patience: time.Hour}
				send, receive := way.open(b, serveOn(b, lis, r, web.Config{}, echo))
				window := make(chan struct{}, inFlight)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for n := receive(); n > 0; n = receive() {
						for range n {
							<-window
						}
					}
				}()
				await := func() {
					select {
					case window <- struct{}{}:
					case <-ended:
						b.Fatal("the call has ended")
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					await()
					send()
				}
				for range inFlight { // all are back
					await()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

func openWebSocket(b *testing.B, srv *running) (send func(), receive func() int) {
	b.Helper()
	client := srv.call(b)
	client.ctx = context.WithoutCancel(client.ctx) // with a context that may end, the library's client costs as much as the bridge
	request := message(contentBytes)
	client.write(request)
	client.headers() // come with the first answer
	if n := client.message(); n != contentBytes {
		b.Fatalf("%d bytes", n)
	}
	// An answer is gRPC's flag and length and the message, without the byte that a request begins with.
	answerBytes, rest, chunk := len(request)-1, 0, make([]byte, 64<<10)
	return func() { client.write(request) }, func() int {
		for rest < answerBytes {
			_, r, err := client.ws.Reader(client.ctx)
			for err == nil {
				var n int
				n, err = r.Read(chunk)
				rest += n
			}
			if err != io.EOF { //nolint:errorlint // Read returns it as it is
				return 0
			}
		}
		messages := rest / answerBytes
		rest %= answerBytes
		return messages
	}
}

func openNative(b *testing.B, srv *running) (send func(), receive func() int) {
	b.Helper()
	conn, err := grpc.NewClient(srv.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(func() {
		cancel()
		_ = conn.Close()
	})
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Service/Method")
	if err != nil {
		b.Fatal(err)
	}
	request, answer := wrapperspb.Bytes(make([]byte, contentBytes)), &wrapperspb.BytesValue{}
	send = func() {
		if err := stream.SendMsg(request); err != nil {
			b.Fatal(err)
		}
	}
	return send, func() int {
		if err := stream.RecvMsg(answer); err != nil {
			return 0
		}
		return 1
	}
}
