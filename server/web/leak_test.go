package web_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/collaboard-io/collaboard/server/web"
)

// census is how much there is of what a connection must not leave behind.
type census struct{ goroutines, descriptors int }

func takeCensus(t *testing.T) census {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return census{runtime.NumGoroutine(), len(descriptors)}
}

// TestBadConnectionsLeaveNothingBehind is not parallel to others, whose goroutines would count as its own.
func TestBadConnectionsLeaveNothingBehind(t *testing.T) {
	srv := serve(t, web.Config{HeaderTimeout: 100 * time.Millisecond}, echo)
	raw := func(text string) {
		conn, err := net.Dial("tcp", srv.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	upgrade := fmt.Sprintf("GET /a.B/C HTTP/1.1\r\nHost: %s\r\nOrigin: http://%[1]s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: grpc-websockets\r\n\r\n", srv.addr)
	ways := []func(){
		func() { raw("") },
		func() { raw("PR") },
		func() { raw("PRI * HTTP/2.0\r\n") },
		func() { raw("GET / HTTP/1.1\r\nHost: ") },
		func() { raw("nonsense\r\n\r\n") },
		func() { raw(upgrade) },
		func() { raw(upgrade + "\x82\xff\xff") },
		func() { srv.open(t, nil).wantEnd(int(codes.DeadlineExceeded)) }, // says nothing
		func() {
			b := srv.open(t, nil)
			if err := b.ws.Write(b.ctx, websocket.MessageText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			b.wantEnd(int(codes.InvalidArgument))
		},
		func() { b := srv.call(t); b.send(1); _ = b.ws.CloseNow() },
	}
	before := takeCensus(t)
	for range 20 {
		for _, way := range ways {
			way()
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		now := takeCensus(t)
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("before %+v, now %+v\n%s", before, now, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// TestShutdownWaitsForTheLastCall has a client that reads nothing any more, the close neither, for which a bridge waits 5 s.
// It is not parallel to others, whose calls would count as its own.
func TestShutdownWaitsForTheLastCall(t *testing.T) {
	began, until := make(chan grpc.ServerStream, 1), make(chan struct{})
	srv := serve(t, web.Config{}, waits(began, nil, until))
	srv.call(t)
	_ = await(t, "call", began)
	close(until)
	srv.stop()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	// Not ServeHTTP, which has said that it is done a moment before it returns.
	if bytes.Contains(stacks, []byte("web.(*Server).serveWebSocket")) {
		t.Errorf("a call has not ended:\n%s", stacks)
	}
}
