package web_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/collaboard-io/collaboard/server/web"
)

func TestSplitSortsByTheFirstBytes(t *testing.T) {
	t.Parallel()
	lis := bufconn.Listen(1 << 10)
	split := web.NewSplit(lis)
	served := make(chan error, 1)
	go func() { served <- split.Serve() }()
	for text, side := range map[string]net.Listener{
		"PRI * HTTP/2.0\r\n": split.HTTP2, "POST / HTTP/1.1\r\n": split.HTTP1, "PUT / HTTP/1.1\r\n": split.HTTP1, "pri *": split.HTTP1,
	} {
		out, err := lis.Dial()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for b := range strings.SplitSeq(text, "") { // however it comes
				_, _ = out.Write([]byte(b))
			}
			_ = out.Close()
		}()
		in, err := side.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
		_ = in.Close()
	}
	split.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	for _, side := range []net.Listener{split.HTTP1, split.HTTP2} {
		if _, err := side.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepts, with %v", err)
		}
	}
}

func TestSilentConnectionIsClosed(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]bool{"in time": false, "with the listener": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lis := bufconn.Listen(1 << 10)
				split := web.NewSplit(lis)
				served := make(chan error, 1)
				go func() { served <- split.Serve() }()
				conn, err := lis.Dial()
				if err != nil {
					t.Fatal(err)
				}
				_, _ = conn.Write([]byte("PR"))
				synctest.Wait()
				began := time.Now()
				if stop {
					split.Close()
				}
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					t.Error("it is answered")
				}
				if took := time.Since(began); stop && took > 0 || !stop && took != 10*time.Second {
					t.Errorf("closed after %v", took)
				}
				split.Close()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
