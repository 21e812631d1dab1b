package web_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/collaboard-io/collaboard/server/web"
)

// patience is how long a test waits for an event that must come.
const patience = 10 * time.Second

// TestMain ignores what a library of grpc-web's begins with the process, and never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/desertbit/timer.timerRoutine"))
}

// running is a native server whose calls are all the test's own, with the way in for browsers before it.
type running struct {
	addr     string
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	patience time.Duration
	native   *grpc.Server
	web      *web.Server
	stop     func()
}

func serve(t *testing.T, cfg web.Config, handle func(stream grpc.ServerStream) error) *running {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, lis, &running{addr: lis.Addr().String(), dial: (&net.Dialer{}).DialContext, patience: 3 * patience}, cfg, handle)
}

// maxStreams is how many calls the native server takes on one connection.
const maxStreams = 100

func serveOn(t testing.TB, lis net.Listener, r *running, cfg web.Config, handle func(stream grpc.ServerStream) error) *running {
	t.Helper()
	r.web = web.New(slog.New(slog.DiscardHandler), cfg)
	r.native = grpc.NewServer(
		grpc.InitialWindowSize(64<<10), grpc.InitialConnWindowSize(64<<10), grpc.WaitForHandlers(true), grpc.MaxConcurrentStreams(maxStreams),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return handle(stream) }))
	split := web.NewSplit(lis)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := split.Serve(); err != nil {
			t.Error(err)
		}
	})
	tasks.Go(func() {
		if err := r.web.Serve(split.HTTP1); err != nil {
			t.Error(err)
		}
	})
	for _, lis := range []net.Listener{split.HTTP2, r.web.Native()} {
		tasks.Go(func() { _ = r.native.Serve(lis) })
	}
	r.stop = sync.OnceFunc(func() {
		split.Close()
		r.web.Drain()
		r.native.GracefulStop()
		r.web.Shutdown()
		tasks.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

func echo(stream grpc.ServerStream) error {
	for {
		var m wrapperspb.BytesValue
		if err := stream.RecvMsg(&m); err != nil {
			return nil //nolint:nilerr // the end
		}
		if err := stream.SendMsg(&m); err != nil {
			return err
		}
	}
}

const plainHeaders = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n"

// browser is a client of the subprotocol.
type browser struct {
	t    testing.TB
	ctx  context.Context //nolint:containedctx // of the test
	ws   *websocket.Conn
	rest []byte // received, and not taken yet
	quit context.CancelFunc
}

// open connects, and sends nothing yet.
func (r *running) open(t testing.TB, opts *websocket.DialOptions) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	t.Cleanup(cancel)
	if opts == nil {
		opts = &websocket.DialOptions{}
	}
	transport := &http.Transport{DialContext: r.dial}
	t.Cleanup(transport.CloseIdleConnections)
	opts.HTTPClient, opts.Subprotocols = &http.Client{Transport: transport}, []string{"grpc-websockets"}
	if opts.HTTPHeader == nil {
		opts.HTTPHeader = http.Header{"Origin": {"http://" + r.addr}}
	}
	ws, _, err := websocket.Dial(ctx, "ws://"+r.addr+"/test.Service/Method", opts) //nolint:bodyclose // it has none
	if err != nil {
		t.Fatal(err)
	}
	if ws.Subprotocol() != "grpc-websockets" {
		t.Fatalf("subprotocol %q", ws.Subprotocol())
	}
	ws.SetReadLimit(-1)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &browser{t: t, ctx: ctx, ws: ws, quit: cancel}
}

func (r *running) call(t testing.TB, headers ...string) *browser {
	t.Helper()
	b := r.open(t, nil)
	b.write([]byte(plainHeaders + strings.Join(append(headers, ""), "\r\n")))
	return b
}

func (b *browser) write(p []byte) {
	b.t.Helper()
	if err := b.ws.Write(b.ctx, websocket.MessageBinary, p); err != nil {
		b.t.Fatal(err)
	}
}

func message(size int) []byte {
	payload, err := proto.Marshal(wrapperspb.Bytes(make([]byte, size)))
	if err != nil {
		panic(err)
	}
	p := append([]byte{0, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))...)
	return append(p, payload...)
}

func (b *browser) send(size int) { b.t.Helper(); b.write(message(size)) }

func (b *browser) halfClose() { b.t.Helper(); b.write([]byte{1}) }

// next returns the next frame, and whether it is one of headers or trailers.
func (b *browser) next() (block bool, payload []byte, err error) {
	for {
		if len(b.rest) >= 5 {
			n := 5 + int(binary.BigEndian.Uint32(b.rest[1:]))
			if len(b.rest) >= n {
				block, payload = b.rest[0]&0x80 != 0, b.rest[5:n]
				b.rest = b.rest[n:]
				return block, payload, nil
			}
		}
		_, p, err := b.ws.Read(b.ctx)
		if err != nil {
			return false, nil, err
		}
		b.rest = append(bytes.Clone(b.rest), p...)
	}
}

func (b *browser) headers() http.Header {
	b.t.Helper()
	block, text, err := b.next()
	if err != nil || !block {
		b.t.Fatalf("no headers or trailers: %q, %v", text, err)
	}
	header := http.Header{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\r\n"), "\r\n") {
		key, value, _ := strings.Cut(line, ": ")
		header.Add(key, value)
	}
	return header
}

// message returns the size of the next message's content.
func (b *browser) message() int {
	b.t.Helper()
	block, payload, err := b.next()
	var m wrapperspb.BytesValue
	if err == nil {
		err = proto.Unmarshal(payload, &m)
	}
	if err != nil || block {
		b.t.Fatalf("no message: %q, %v", payload, err)
	}
	return len(m.GetValue())
}

// end reads to the end, which must be trailers and a normal closure, and returns the trailers.
func (b *browser) end() http.Header {
	b.t.Helper()
	var last http.Header
	for {
		block, text, err := b.next()
		if err != nil {
			if last == nil || last.Get("Grpc-Status") == "" || websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				b.t.Fatalf("ended without a status: %v, %v", last, err)
			}
			return last
		}
		if block {
			last = http.Header{}
			for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\r\n"), "\r\n") {
				key, value, _ := strings.Cut(line, ": ")
				last.Add(key, value)
			}
		}
	}
}

func (b *browser) wantEnd(status int) {
	b.t.Helper()
	if got := b.end(); got.Get("Grpc-Status") != fmt.Sprint(status) {
		b.t.Errorf("ended with %v, want status %d", got, status)
	}
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// readAll reads until the connection ends, and so answers pings.
func (b *browser) readAll() {
	for {
		if _, _, err := b.ws.Read(b.ctx); err != nil {
			return
		}
	}
}
