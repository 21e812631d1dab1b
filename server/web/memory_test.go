package web_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/collaboard-io/collaboard/server/web"
)

// serveInMemory is serve for tests in a synctest bubble, where the time is the test's own.
func serveInMemory(t *testing.T, handle func(stream grpc.ServerStream) error) *running {
	t.Helper()
	lis := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	return serveOn(t, lis, &running{addr: "pipe", dial: lis.dial, patience: time.Hour}, web.Config{}, handle)
}

// pass moves the false clock of a synctest bubble, and lets everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble
	synctest.Wait()
}

// memory is a listener of connections within the process. The deadlines of bufconn's are not exact enough for net/http.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	close(m.closed)
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	c := &kernel{Conn: near, pieces: make(chan []byte, 128), closed: make(chan struct{})}
	select {
	case m.conns <- far:
		go c.receive()
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// kernel is the client's end. It takes up to 128 KiB that the client has not read yet, and of what the client sends nothing.
type kernel struct {
	net.Conn

	pieces chan []byte
	closed chan struct{}
	rest   []byte
}

func (c *kernel) receive() {
	defer close(c.pieces)
	for {
		piece := make([]byte, 1<<10)
		n, err := c.Conn.Read(piece)
		if err != nil {
			return
		}
		select {
		case c.pieces <- piece[:n]:
		case <-c.closed:
			return
		}
	}
}

func (c *kernel) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		piece, ok := <-c.pieces
		if !ok {
			return 0, io.EOF
		}
		c.rest = piece
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *kernel) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return c.Conn.Close()
}
