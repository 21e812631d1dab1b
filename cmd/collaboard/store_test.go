package main

import (
	"context"
	wire "encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A PostgreSQL without TLS refuses that first. It is not why it refuses the user.
func TestPostgresRefuses(t *testing.T) {
	t.Parallel()
	for code, message := range map[string]string{
		"28P01": `password authentication failed for user "me"`,
		"3D000": `database "db" does not exist`,
	} {
		addr := servePostgres(t, code, message)
		_, stderr := command(t, "serve", "--addr", "127.0.0.1:0", "--store", "postgres://me:pa55word@"+addr+"/db").run(1)
		want := "collaboard: cannot open the store postgres://me:xxxxx@" + addr + "/db: FATAL: " + message + " (SQLSTATE " + code + ")\n"
		if stderr != want {
			t.Errorf("complained %q, want %q", stderr, want)
		}
	}
}

// servePostgres answers every client as a PostgreSQL that has no TLS, and does not want it.
func servePostgres(t *testing.T, code, message string) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				refuseStartup(conn, code, message)
			})
		}
	})
	t.Cleanup(func() {
		lis.Close()
		serving.Wait()
	})
	return lis.Addr().String()
}

func refuseStartup(conn net.Conn, code, message string) {
	const sslRequest = 80877103
	for {
		var head [8]byte // length, and what it is
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		if wire.BigEndian.Uint32(head[4:]) == sslRequest {
			if _, err := conn.Write([]byte("N")); err != nil {
				return
			}
			continue
		}
		body := "SFATAL\x00VFATAL\x00C" + code + "\x00M" + message + "\x00\x00"
		answer := append([]byte("E"), wire.BigEndian.AppendUint32(nil, uint32(4+len(body)))...)
		_, _ = conn.Write(append(answer, body...))
		_, _ = io.CopyN(io.Discard, conn, int64(wire.BigEndian.Uint32(head[:4]))-8)
		return
	}
}

func TestInnermost(t *testing.T) {
	t.Parallel()
	first, last := errors.New("first"), errors.New("last")
	for want, err := range map[string]error{
		"last":  errors.Join(first, &net.OpError{Op: "dial", Err: last}),
		"first": errors.Join(first, nil),
	} {
		if got := innermost(err); got.Error() != want {
			t.Errorf("innermost of %q is %q, want %q", strings.ReplaceAll(err.Error(), "\n", ", "), got, want)
		}
	}
	if got := innermost(context.Canceled); !errors.Is(got, context.Canceled) {
		t.Errorf("innermost of one is %q", got)
	}
}
