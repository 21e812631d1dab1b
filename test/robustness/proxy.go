package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// commitDone is how PostgreSQL answers COMMIT: CommandComplete, with its length and its tag. The statement itself cannot
// be seen on the wire, since it is prepared.
var commitDone = []byte("C\x00\x00\x00\x0bCOMMIT\x00")

// proxy is a TCP proxy that breaks what passes through it. Its methods are safe for concurrent use.
type proxy struct {
	lis    net.Listener
	target string

	mu      sync.Mutex
	pairs   map[*pair]struct{}
	delay   time.Duration
	open    chan struct{} // closed while bytes are passed on
	commits int           // how many answers to COMMIT are still to be lost
	lost    int           // how many were

	running sync.WaitGroup
}

// pair is one connection of a client and the one to the target that belongs to it.
type pair struct {
	client, server net.Conn
	closed         chan struct{}
	close          func()
}

// newProxy listens on a free port of 127.0.0.1. It must be closed.
func newProxy(target string) (*proxy, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{lis: lis, target: target, pairs: map[*pair]struct{}{}, open: make(chan struct{})}
	close(p.open)
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.lis.Addr().String() }

// cut resets every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.close()
	}
}

// slow delays all that is passed on from now on, in either direction.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// stall keeps connections open and passes nothing on, until flow.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// loseCommits cuts the connections of the next n transactions between the database's commit and its answer.
func (p *proxy) loseCommits(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commits = n
}

// lostCommits is how many answers to COMMIT were lost so far.
func (p *proxy) lostCommits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *proxy) close() error {
	err := p.lis.Close()
	p.flow()
	p.cut()
	p.running.Wait()
	return err
}

func (p *proxy) accept() {
	for {
		client, err := p.lis.Accept()
		if err != nil {
			p.cut() // what was accepted while it was closed
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	c := &pair{client: client, server: server, closed: make(chan struct{})}
	c.close = sync.OnceFunc(func() {
		close(c.closed)
		reset(client)
		reset(server)
	})
	p.mu.Lock()
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { p.copy(c, server, client, false) })
	both.Go(func() { p.copy(c, client, server, true) })
	both.Wait()
	c.close()
}

// copy passes on what from sends, until one of the two ends. answers is the direction from the target.
func (p *proxy) copy(c *pair, to, from net.Conn, answers bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if answers && p.losesCommit(buf[:n]) {
				c.close()
				return
			}
			if !p.pass(c) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				c.close()
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
				_ = tcp.CloseWrite()
				return
			}
			c.close()
			return
		}
	}
}

// pass waits until bytes may be passed on, and is false when the connection was cut meanwhile.
func (p *proxy) pass(c *pair) bool {
	p.mu.Lock()
	open, delay := p.open, p.delay
	p.mu.Unlock()
	select {
	case <-open:
	case <-c.closed:
		return false
	}
	if delay == 0 {
		return true
	}
	select {
	case <-time.After(delay):
		return true
	case <-c.closed:
		return false
	}
}

func (p *proxy) losesCommit(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.commits == 0 || !bytes.Contains(b, commitDone) {
		return false
	}
	p.commits--
	p.lost++
	return true
}

// reset closes a connection so that the other side is told at once, and what was not sent is lost.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
