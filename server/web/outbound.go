package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// outbound is the client's connection, to write to. Only one goroutine may write.
type outbound struct {
	conn    net.Conn // below ws
	ws      *websocket.Conn
	timeout time.Duration
	slow    time.Duration // a write that takes so long had to wait for the client
	taken   span          // by the client: what a write had to wait for
}

// write sends one message. The client has the timeout to take it, or else its connection is closed.
func (o *outbound) write(ctx context.Context, p []byte) error {
	began := time.Now()
	_ = o.conn.SetWriteDeadline(began.Add(o.timeout))
	err := o.ws.Write(ctx, websocket.MessageBinary, p)
	if err == nil && time.Since(began) >= o.slow {
		o.taken.end()
	}
	_ = o.conn.SetWriteDeadline(time.Time{}) // a ping and the close have deadlines of their own
	return err
}

// block sends headers or trailers, which are told apart by their place. Each is a message of its own: the stock client
// stops parsing a message after one.
func (o *outbound) block(ctx context.Context, header http.Header) error {
	text := bytes.NewBuffer(make([]byte, prefixBytes-1))
	for key, values := range header {
		for _, value := range values {
			fmt.Fprintf(text, "%s: %s\r\n", strings.ToLower(key), value)
		}
	}
	frame := text.Bytes()
	frame[0] = trailerFlag
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-(prefixBytes-1)))
	return o.write(ctx, frame)
}

// span is when something was done last. Any goroutine may ask.
type span struct {
	mu    sync.Mutex
	busy  bool
	ended time.Time
}

func (s *span) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = true
}

func (s *span) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.ended = false, time.Now()
}

// idleSince says whether nothing has been done since then, nor is.
func (s *span) idleSince(then time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.busy && s.ended.Before(then)
}
