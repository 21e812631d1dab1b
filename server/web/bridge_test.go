package web_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/collaboard-io/collaboard/server/web"
)

func TestCallOverAWebSocket(t *testing.T) {
	t.Parallel()
	b := serve(t, web.Config{}, echo).call(t)
	b.send(3)
	if got := b.headers().Get("Content-Type"); got != "application/grpc-web+proto" {
		t.Errorf("content-type %q", got)
	}
	if got := b.message(); got != 3 {
		t.Errorf("%d bytes", got)
	}
	b.send(1 << 20) // far above the library's limit, and the windows
	if got := b.message(); got != 1<<20 {
		t.Errorf("%d bytes", got)
	}
	b.write(append(message(7), message(8)[1:]...)) // as our own client sends what is small
	if got, then := b.message(), b.message(); got != 7 || then != 8 {
		t.Errorf("%d and %d bytes", got, then)
	}
	b.halfClose()
	b.wantEnd(0)
}

func TestStatusReachesTheClient(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{}, func(grpc.ServerStream) error {
		return status.Error(codes.FailedPrecondition, "50 % – no")
	})
	got := srv.call(t).end()
	if got.Get("Grpc-Status") != "9" || got.Get("Grpc-Message") != "50 %25 %E2%80%93 no" {
		t.Errorf("trailers %v", got)
	}
}

func TestMetadataPassesThrough(t *testing.T) {
	t.Parallel()
	headers := make(chan metadata.MD, 1)
	srv := serve(t, web.Config{}, func(stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		headers <- md
		return nil
	})
	own := "user-id: ada\r\ndisplay-name: Ada%20L\r\ncolor: #1e90ff\r\nauthorization: Bearer x\r\nthing-bin: AAEC\r\n"
	forged := "Host: evil\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTE: gzip\r\nX-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n" +
		"Forwarded: for=1.2.3.4\r\nVia: x\r\nProxy-Authorization: x\r\nCookie: x\r\nOrigin: http://x\r\nContent-Length: 7\r\ngrpc-encoding: gzip\r\n"
	srv.call(t, own+forged).wantEnd(0)
	md := await(t, "call", headers)
	for key, want := range map[string]string{
		"user-id": "ada", "display-name": "Ada%20L", "color": "#1e90ff", "authorization": "Bearer x", "thing-bin": "\x00\x01\x02",
	} {
		if got := md.Get(key); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
		delete(md, key)
	}
	for _, key := range []string{":authority", "content-type", "user-agent", "te"} {
		delete(md, key)
	}
	if len(md) > 0 {
		t.Errorf("also passed: %v", md)
	}
}

func TestTimeoutPassesThrough(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{}, func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	})
	srv.call(t, "grpc-timeout: 1m").wantEnd(int(codes.DeadlineExceeded))
}

func TestBadClientsAreTold(t *testing.T) {
	t.Parallel()
	const ok = plainHeaders
	for _, test := range []struct {
		name string
		kind websocket.MessageType
		sent []string
		want codes.Code
	}{
		{"nothing", websocket.MessageBinary, nil, codes.DeadlineExceeded},
		{"text headers", websocket.MessageText, []string{ok}, codes.InvalidArgument},
		{"no content-type", websocket.MessageBinary, []string{"user-id: ada\r\n"}, codes.InvalidArgument},
		{"other content-type", websocket.MessageBinary, []string{"content-type: application/grpc-web-text\r\n"}, codes.InvalidArgument},
		{"no header", websocket.MessageBinary, []string{ok + "nonsense\r\n"}, codes.InvalidArgument},
		{"pseudo header", websocket.MessageBinary, []string{ok + ":path: /x\r\n"}, codes.InvalidArgument},
		{"control character", websocket.MessageBinary, []string{ok + "a: b\x00\r\n"}, codes.InvalidArgument},
		{"timeout", websocket.MessageBinary, []string{ok + "grpc-timeout: 5 minutes\r\n"}, codes.InvalidArgument},
		{"binary", websocket.MessageBinary, []string{ok + "a-bin: %\r\n"}, codes.InvalidArgument},
		{"long", websocket.MessageBinary, []string{ok + "a: " + strings.Repeat("b", 65<<10)}, codes.ResourceExhausted},
		{"empty message", websocket.MessageBinary, []string{ok, ""}, codes.InvalidArgument},
		{"unknown kind", websocket.MessageBinary, []string{ok, "\x02"}, codes.InvalidArgument},
		{"long end", websocket.MessageBinary, []string{ok, "\x01\x00"}, codes.InvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := web.Config{}
			if test.sent == nil {
				cfg.HeaderTimeout = 50 * time.Millisecond
			}
			b := serve(t, cfg, echo).open(t, nil)
			for _, message := range test.sent {
				if err := b.ws.Write(b.ctx, test.kind, []byte(message)); err != nil {
					t.Fatal(err)
				}
			}
			b.wantEnd(int(test.want))
		})
	}
	t.Run("text message", func(t *testing.T) {
		t.Parallel()
		b := serve(t, web.Config{}, echo).call(t)
		if err := b.ws.Write(b.ctx, websocket.MessageText, message(1)); err != nil {
			t.Fatal(err)
		}
		b.wantEnd(int(codes.InvalidArgument))
	})
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{AllowedOrigins: []string{"https://boards.example"}}, echo)
	for origin, want := range map[string]int{
		"": 403, "null": 403, "http://evil.example": 403, "http://x" + srv.addr: 403, "http://" + srv.addr + ".evil.example": 403, "://": 403,
		"https://boards.example.evil": 403, "http://boards.example": 403,
		"http://" + srv.addr: 101, "https://boards.example": 101,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, res, err := websocket.Dial(t.Context(), "ws://"+srv.addr+"/a.B/C", &websocket.DialOptions{ //nolint:bodyclose // the library has read it
			Subprotocols: []string{"grpc-websockets"}, HTTPHeader: header,
		})
		if res == nil || res.StatusCode != want {
			t.Errorf("origin %q gives %v, %v, want %d", origin, res, err, want)
		}
		if ws != nil {
			_ = ws.CloseNow()
		}
	}
	if _, res, err := websocket.Dial(t.Context(), "ws://"+srv.addr+"/a.B/C", &websocket.DialOptions{ //nolint:bodyclose // the library has read it
		HTTPHeader: http.Header{"Origin": {"http://" + srv.addr}},
	}); res == nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("no subprotocol gives %v, %v", res, err)
	}
}

// waits is a handler that lasts until its call is cancelled, or until the test says so.
func waits(began chan<- grpc.ServerStream, ended chan<- error, until <-chan struct{}) func(grpc.ServerStream) error {
	return func(stream grpc.ServerStream) error {
		began <- stream
		select {
		case <-stream.Context().Done():
			ended <- stream.Context().Err()
			return nil
		case <-until:
			return status.Error(codes.Unavailable, "stopping")
		}
	}
}

func TestClientThatClosesCancels(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(b *browser){
		"close":            func(b *browser) { _ = b.ws.Close(websocket.StatusNormalClosure, "") },
		"cut":              func(b *browser) { _ = b.ws.CloseNow() },
		"after half-close": func(b *browser) { b.halfClose(); _ = b.ws.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began, ended := make(chan grpc.ServerStream, 1), make(chan error, 1)
			b := serve(t, web.Config{}, waits(began, ended, nil)).call(t)
			await(t, "call", began)
			leave(b)
			_ = await(t, "end of the call", ended)
		})
	}
}

func TestShutdownTellsEverybody(t *testing.T) {
	t.Parallel()
	began, until := make(chan grpc.ServerStream, 1), make(chan struct{})
	srv := serve(t, web.Config{}, waits(began, nil, until))
	early := srv.open(t, nil) // has not said yet what it wants
	busy := srv.call(t)
	await(t, "call", began)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		close(until)
		srv.stop()
	}()
	early.wantEnd(int(codes.Unavailable))
	busy.wantEnd(int(codes.Unavailable))
	await(t, "end of the server", stopped)
}

func TestCallThatIsCutOffIsTold(t *testing.T) {
	t.Parallel()
	began, ended := make(chan grpc.ServerStream, 1), make(chan error, 1)
	srv := serve(t, web.Config{}, waits(began, ended, nil))
	b := srv.call(t)
	stream := await(t, "call", began)
	if err := stream.SendMsg(wrapperspb.Bytes(nil)); err != nil {
		t.Fatal(err)
	}
	b.headers()
	b.message()
	go srv.native.Stop()
	b.wantEnd(int(codes.Unavailable))
	_ = await(t, "end of the call", ended)
}

// The native server ends a call while its client still sends: the client is told how, and nothing else.
func TestEarlyEndIsTold(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{}, func(stream grpc.ServerStream) error {
		if err := stream.RecvMsg(&wrapperspb.BytesValue{}); err != nil {
			return err
		}
		return status.Error(codes.PermissionDenied, "no")
	})
	for range 20 {
		b := srv.call(t)
		for range 8 {
			b.send(30 << 10)
		}
		b.wantEnd(int(codes.PermissionDenied))
	}
}

func TestClientThatStopsReadingIsClosedAndHarmsNobody(t *testing.T) {
	var sent atomic.Int64
	ended := make(chan struct{})
	srv := serve(t, web.Config{WriteTimeout: 500 * time.Millisecond}, func(stream grpc.ServerStream) error {
		if md, _ := metadata.FromIncomingContext(stream.Context()); md.Get("flood") == nil {
			return echo(stream)
		}
		defer close(ended)
		for {
			if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, 64<<10))); err != nil {
				return err
			}
			sent.Add(64 << 10)
		}
	})
	other := srv.call(t)
	srv.call(t, "flood: 1") // and never reads
	for range 100 {
		other.send(1)
	}
	other.headers()
	for range 100 {
		other.message()
	}
	await(t, "end of the call", ended)
	if sent.Load() > 32<<20 { // what the kernel buffers, mostly
		t.Errorf("%d bytes were sent to who does not read", sent.Load())
	}
	other.halfClose()
	other.wantEnd(0)
}

func TestUploadThatNobodyReadsIsPushedBackOn(t *testing.T) {
	began, ended := make(chan grpc.ServerStream, 1), make(chan error, 1)
	// Only a ping that cannot be sent tells that the client is gone: what it sends is not read.
	cfg := web.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}
	b := serve(t, cfg, waits(began, ended, nil)).call(t)
	await(t, "call", began)
	before := heap()
	var sent int
	for chunk := message(256 << 10); sent < 200<<20; sent += len(chunk) {
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		err := b.ws.Write(ctx, websocket.MessageBinary, chunk)
		cancel()
		if err != nil {
			break
		}
	}
	if grown := heap() - before; sent > 64<<20 || grown > 8<<20 {
		t.Errorf("%d MiB could be sent, and the heap has grown by %d MiB", sent>>20, grown>>20)
	}
	_ = await(t, "end of the call", ended)
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestClientThatAnswersNoPingIsClosed(t *testing.T) {
	t.Parallel()
	began, ended := make(chan grpc.ServerStream, 1), make(chan error, 1)
	cfg := web.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 50 * time.Millisecond}
	serve(t, cfg, waits(began, ended, nil)).call(t) // does not read, and so does not answer
	_ = await(t, "end of the call", ended)
}

func TestClientWhoseAnswersNobodyReadsIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const messages = 16
		read, received := make(chan struct{}), make(chan error, 1)
		pings := make(chan struct{}, 1000)
		srv := serveInMemory(t, func(stream grpc.ServerStream) error {
			<-read
			for range messages {
				if err := stream.RecvMsg(&wrapperspb.BytesValue{}); err != nil {
					received <- err
					return err
				}
			}
			received <- nil
			return nil
		})
		b := srv.open(t, &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
			pings <- struct{}{}
			return false // it could not be sent
		}})
		b.write([]byte(plainHeaders))
		go func() {
			for range messages {
				b.send(64 << 10) // more than the windows
			}
		}()
		ended := make(chan http.Header, 1)
		go func() { ended <- b.end() }()
		for range 6 {
			<-pings
		}
		close(read)
		if err := <-received; err != nil {
			t.Error(err)
		}
		if got := <-ended; got.Get("Grpc-Status") != "0" {
			t.Errorf("ended with %v", got)
		}
	})
}
