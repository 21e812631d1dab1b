package web_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// deadLine is a connection that can be lost without a word: nothing comes any more, and what is sent vanishes.
type deadLine struct {
	net.Conn

	dead atomic.Bool
}

func (c *deadLine) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.dead.Load() {
			return n, err
		}
	}
}

func (c *deadLine) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestClientWhoseNetworkIsDeadIsGoneWithin10Seconds of the test's own time, with the defaults, at whatever moment of the pings
// it dies, also when there is always something to send to it.
func TestClientWhoseNetworkIsDeadIsGoneWithin10Seconds(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"idle": 0, "busy": 33 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for after := range 8 {
				synctest.Test(t, func(t *testing.T) {
					ended := make(chan time.Time, 1)
					srv := serveInMemory(t, func(stream grpc.ServerStream) error {
						defer func() { ended <- time.Now() }()
						if every == 0 {
							<-stream.Context().Done()
							return nil
						}
						for tick := time.NewTicker(every); ; {
							select {
							case <-stream.Context().Done():
								return nil
							case <-tick.C:
								if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, 100))); err != nil {
									return err
								}
							}
						}
					})
					line := &deadLine{}
					dial := srv.dial
					srv.dial = func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
						line.Conn, err = dial(ctx, network, addr)
						return line, err
					}
					b := srv.call(t)
					go b.readAll()
					pass(time.Minute + time.Duration(after)*time.Second/2)
					select {
					case <-ended:
						t.Fatal("it is alive")
					default:
					}
					line.dead.Store(true)
					died := time.Now()
					if took := (<-ended).Sub(died); took >= 10*time.Second {
						t.Errorf("after %v", took)
					}
				})
			}
		})
	}
}

// slowLine lets a KiB through sixteen times a second.
type slowLine struct{ net.Conn }

func (c slowLine) Read(p []byte) (int, error) {
	time.Sleep(time.Second / 16) //nolint:forbidigo // in a bubble
	return c.Conn.Read(p[:min(len(p), 1<<10)])
}

// TestSlowClientIsNotTakenForDead has one take longer to get to a ping than it may be silent: while there is ever more to
// send to it, and when there is no more, but the pipe is full.
func TestSlowClientIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	for messages := 50; messages < 54; messages++ { // to end at different moments of the pings
		testSlowClient(t, messages)
	}
}

func testSlowClient(t *testing.T, messages int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const size = 16 << 10
		until := make(chan struct{})
		srv := serveInMemory(t, func(stream grpc.ServerStream) error {
			for range messages {
				if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, size))); err != nil {
					return err
				}
			}
			<-until
			return nil
		})
		dial := srv.dial
		srv.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return slowLine{conn}, err
		}
		b := srv.call(t)
		b.headers()
		for range messages {
			if got := b.message(); got != size {
				t.Fatalf("%d bytes", got)
			}
		}
		close(until)
		b.wantEnd(int(codes.OK))
	})
}

// TestUploadThatNobodyReadsIsBounded counts the bytes that are taken from a client while its call reads nothing.
func TestUploadThatNobodyReadsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const flood = 64 << 20
		began, until := make(chan grpc.ServerStream, 1), make(chan struct{})
		srv := serveInMemory(t, waits(began, nil, until))
		var sent atomic.Int64
		dial := srv.dial
		srv.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &counted{conn, &sent}, err
		}
		b := srv.call(t)
		<-began
		go b.readAll()
		go func() {
			for chunk := message(1 << 20); sent.Load() < flood; {
				if b.ws.Write(b.ctx, 2, chunk) != nil {
					return
				}
			}
		}()
		pass(20 * time.Second)
		// The pump's chunk, the pipe within the process, the native server's window, and what net/http and the libraries buffer.
		if most := int64(256 << 10); sent.Load() > most {
			t.Errorf("%d KiB were taken of an upload that nobody reads", sent.Load()>>10)
		}
		close(until)
		synctest.Wait()
	})
}

// counted counts what is written.
type counted struct {
	net.Conn

	bytes *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// TestQuietClientIsKept has nothing sent for longer than a client may take for what is: the pings must still go out.
func TestQuietClientIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		srv := serveInMemory(t, func(stream grpc.ServerStream) error {
			defer close(ended)
			return echo(stream)
		})
		b := srv.call(t)
		b.send(1)
		b.headers()
		b.message()
		go b.readAll()
		pass(2 * time.Minute)
		select {
		case <-ended:
			t.Error("it is gone")
		default:
		}
		_ = b.ws.CloseNow()
		<-ended
	})
}

// TestCutOffDoesNotWaitForWhoDoesNotRead has the server write to a client that takes nothing when it is cut off.
func TestCutOffDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, func(stream grpc.ServerStream) error {
			for {
				if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, 64<<10))); err != nil {
					return err
				}
			}
		})
		srv.call(t)
		synctest.Wait()
		began := time.Now()
		srv.native.Stop()
		srv.web.Close()
		srv.web.Shutdown()
		if took := time.Since(began); took > time.Second {
			t.Errorf("after %v", took)
		}
	})
}
