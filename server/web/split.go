package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// preface is how every HTTP/2 connection begins that was not agreed upon before, and no HTTP/1 request does.
	preface = "PRI "
	// sniffTimeout is how long a connection may say nothing before it is closed.
	sniffTimeout = 10 * time.Second
	// acceptPause is the wait after a connection could not be taken, most often for want of file descriptors.
	acceptPause = 50 * time.Millisecond
)

// Split takes connections from one listener and sorts them by how they begin.
type Split struct {
	// HTTP2 has the connections that begin with the preface of HTTP/2, as those of native gRPC do. HTTP1 has all others.
	HTTP2, HTTP1 net.Listener

	lis          net.Listener
	http2, http1 *side
	closing      atomic.Bool
}

// NewSplit returns a Split of lis, which it closes when it is closed. It takes nothing before Serve.
func NewSplit(lis net.Listener) *Split {
	http2, http1 := newSide(lis.Addr()), newSide(lis.Addr())
	return &Split{HTTP2: http2, HTTP1: http1, lis: lis, http2: http2, http1: http1}
}

// Close closes the listener. Serve then returns nil, and both sides accept no more. What they accepted goes on.
func (s *Split) Close() {
	s.closing.Store(true)
	_ = s.lis.Close()
}

// Serve sorts connections until Close, or until the listener fails. When it returns it holds none any more.
func (s *Split) Serve() error {
	ctx, cancel := context.WithCancel(context.Background())
	var sniffs sync.WaitGroup
	defer func() {
		cancel()
		_ = s.http2.Close()
		_ = s.http1.Close()
		sniffs.Wait()
	}()
	for {
		conn, err := s.lis.Accept()
		if err == nil {
			sniffs.Go(func() { s.sort(ctx, conn) })
			continue
		}
		if temporary, ok := errors.AsType[interface {
			error
			Temporary() bool
		}](err); ok && temporary.Temporary() {
			<-time.After(acceptPause)
			continue
		}
		if s.closing.Load() {
			return nil
		}
		return fmt.Errorf("accept: %w", err)
	}
}

// sort reads how the connection begins, and gives it to who serves such.
func (s *Split) sort(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	begin := make([]byte, len(preface))
	_ = conn.SetReadDeadline(time.Now().Add(sniffTimeout))
	_, err := io.ReadFull(conn, begin)
	if !stop() || err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	to := s.http1
	if string(begin) == preface {
		to = s.http2
	}
	to.give(&sniffed{Conn: conn, begin: begin})
}

// sniffed is a connection whose first bytes were read already.
type sniffed struct {
	net.Conn
	begin []byte
}

func (c *sniffed) Read(p []byte) (int, error) {
	if len(c.begin) > 0 {
		n := copy(p, c.begin)
		c.begin = c.begin[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// side is a listener of connections that are given to it.
type side struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newSide(addr net.Addr) *side {
	return &side{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *side) give(conn net.Conn) {
	select {
	case l.conns <- conn:
	case <-l.closed:
		_ = conn.Close()
	}
}

func (l *side) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *side) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *side) Addr() net.Addr { return l.addr }
