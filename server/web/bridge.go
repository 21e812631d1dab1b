package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc/codes"
)

const (
	subprotocol = "grpc-websockets"
	// maxHeaderBytes is the largest first message, as large as a native client's headers may be.
	maxHeaderBytes = 64 << 10
	// prefixBytes stand before a message: a byte of the subprotocol, and gRPC's flag and length.
	prefixBytes = 1 + 5
	chunkBytes  = 32 << 10
	trailerFlag = 0x80
	// sendBuffer is how much the kernel is asked to take of what the client has not taken yet; Linux takes twice as much. A
	// ping waits behind it: that of a client that takes 26 KiB a second is answered in time, whatever is on its way to it.
	sendBuffer = 64 << 10
)

// connKey is of a request's connection, in its context.
type connKey struct{}

// bridge is one call over a WebSocket. It has a connection of its own to the native server, so that it gets the same
// flow control as a native client, and takes nobody else's.
type bridge struct {
	*Server
	in  *inbound
	ws  *websocket.Conn
	out *outbound
}

var errSilent = errors.New("no sign of life since a ping")

func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if !s.isAllowed(r) {
		http.Error(w, "this origin is not allowed", http.StatusForbidden)
		return
	}
	if !slices.Contains(strings.FieldsFunc(r.Header.Get("Sec-WebSocket-Protocol"), func(r rune) bool { return r == ',' || r == ' ' }), subprotocol) {
		http.Error(w, "the subprotocol must be "+subprotocol, http.StatusBadRequest)
		return
	}
	in := newInbound()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, InsecureSkipVerify: true, // the origin was checked above
		OnPongReceived: func(context.Context, []byte) { in.taking.end() }, // also of a ping that is not waited for any more
	})
	if err != nil {
		return // it has answered
	}
	ws.SetReadLimit(int64(s.cfg.MaxMessageBytes) + prefixBytes)
	conn := r.Context().Value(connKey{}).(net.Conn) //nolint:forcetypeassert // set in New
	if sniffed, ok := conn.(*sniffed); ok {
		if tcp, ok := sniffed.Conn.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer)
		}
	}
	// The server cuts everything off.
	stop := context.AfterFunc(r.Context(), func() { _ = conn.Close() })
	defer stop()
	in.ws = ws
	b := &bridge{
		Server: s, ws: ws, in: in, out: &outbound{conn: conn, ws: ws, timeout: s.cfg.WriteTimeout, slow: s.cfg.PingTimeout / 10},
	}
	b.serve(r)
}

// serve makes the call, and tells the client how it ended, unless the client is gone.
func (b *bridge) serve(r *http.Request) {
	// One that can end would cost the WebSocket several allocations with every read and write. They end with the connection.
	conn := context.WithoutCancel(r.Context())
	call, cancel := context.WithCancelCause(r.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if err := b.in.pump(conn); err != nil {
			cancel(err)
		}
	})
	tasks.Go(func() {
		b.keepAlive(r.Context(), call, func() {
			cancel(errSilent)
			_ = b.ws.CloseNow()
		})
	})
	err := b.exchange(conn, call, r)
	if cause := context.Cause(call); cause != nil {
		err = cause
	}
	cancel(nil)
	b.in.stop()
	if told := (*refusal)(nil); errors.As(err, &told) {
		err = b.out.block(conn, end(told.code, told.message))
	}
	if err == nil {
		_ = b.ws.Close(websocket.StatusNormalClosure, "") // waits for the client's, but not for ever
	}
	_ = b.ws.CloseNow()
	tasks.Wait()
}

// exchange waits for the first message, makes the call, and sends on what it answers. An error that is a refusal is still
// to be told to the client.
func (b *bridge) exchange(conn, call context.Context, r *http.Request) error {
	header, err := b.firstMessage(call)
	if err != nil {
		return err
	}
	target := "http://native" + r.URL.EscapedPath()
	req, err := http.NewRequestWithContext(call, http.MethodPost, target, b.in.body) //nolint:gosec // the host is always the native server
	if err != nil {
		return invalid("the path must be that of a method")
	}
	req.Header = header
	to, err := b.transport.NewClientConn(call, "http", "native:80")
	if err != nil {
		return &refusal{codes.Unavailable, "the server is stopping"}
	}
	defer to.Close()
	res, err := native{to}.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	res.Header.Set("Content-Type", "application/grpc-web+proto")
	if err := b.out.block(conn, res.Header); err != nil {
		return err
	}
	chunk := make([]byte, chunkBytes)
	for {
		n, err := res.Body.Read(chunk)
		if n > 0 {
			if err := b.out.write(conn, chunk[:n]); err != nil {
				return err
			}
		}
		if err != nil { // the end, of whatever kind: see native
			break
		}
	}
	if context.Cause(call) != nil {
		return context.Cause(call) // the end that came was of our own making
	}
	return b.out.block(conn, res.Trailer)
}

func (b *bridge) firstMessage(call context.Context) (http.Header, error) {
	deadline := time.NewTimer(b.cfg.HeaderTimeout)
	defer deadline.Stop()
	select {
	case first := <-b.in.first:
		header, err := parseHeader(first)
		if err != nil {
			return nil, err
		}
		return callHeader(header)
	case <-deadline.C:
		return nil, &refusal{codes.DeadlineExceeded, "no headers came"}
	case <-b.draining:
		return nil, &refusal{codes.Unavailable, "the server is stopping"}
	case <-call.Done():
		return nil, context.Cause(call)
	}
}

// keepAlive pings the client, and says when it must be gone: nothing has come from it since a ping. That something could be
// sent is no sign of life: the kernel takes it for a client that is long gone, and on a busy board there is always something.
// A ping does not wait for the answer to the one before: a client that is slow gets to each after a while, one after the other.
func (b *bridge) keepAlive(conn, call context.Context, gone func()) {
	ticks := time.NewTicker(b.cfg.PingInterval)
	defer ticks.Stop()
	var pings sync.WaitGroup // no more than go into the timeout
	defer pings.Wait()
	for {
		select {
		case <-ticks.C:
			pings.Go(func() {
				if !b.answers(conn) && call.Err() == nil {
					gone()
				}
			})
		case <-call.Done():
			return
		}
	}
}

// answers says whether the client answers a ping, or gives another sign of life, as to take what a write had to wait for, or
// could not: while nobody reads what it sends. The ping does not end with the call: one that is broken off while it is being sent closes the WebSocket.
func (b *bridge) answers(conn context.Context) bool {
	sent := time.Now()
	wait, cancel := context.WithTimeout(conn, b.cfg.PingTimeout)
	defer cancel()
	err := b.ws.Ping(wait)
	late := errors.Is(err, context.DeadlineExceeded) // or impossible
	return err == nil || late && (!b.in.silentSince(sent) || !b.out.taken.idleSince(sent))
}
