package server_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// blackHole is a proxy whose network can die: packets vanish in both directions, and nobody is told.
type blackHole struct {
	net.Listener

	target string
	dead   atomic.Bool
}

func newBlackHole(t *testing.T, target string) *blackHole {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &blackHole{Listener: lis, target: target}
	var serving sync.WaitGroup
	stop := make(chan struct{})
	serving.Go(func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			serving.Go(func() { h.pass(far, near) })
			serving.Go(func() { h.pass(near, far) })
			serving.Go(func() {
				<-stop
				_ = near.Close()
				_ = far.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = lis.Close()
		close(stop)
		serving.Wait()
	})
	return h
}

// pass reads on when the network is dead, as the kernels do on whose side a packet is lost. An end is lost, too.
func (h *blackHole) pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil && !h.dead.Load() {
			_ = to.Close()
		}
		if err != nil {
			return
		}
		if !h.dead.Load() {
			_, _ = to.Write(buf[:n])
		}
	}
}

// TestMemberWhoseNetworkDiesLeaves has the packets of a client vanish, natively and of a browser, on a board where nothing
// happens, and on one where something always does.
func TestMemberWhoseNetworkDiesLeaves(t *testing.T) {
	t.Parallel()
	for name, join := range map[string]func(*testing.T, *running, string){
		"native": func(t *testing.T, through *running, board string) {
			t.Helper()
			through.connect(t, "user-id", "lost").join(board, nil)
		},
		"browser": func(t *testing.T, through *running, board string) {
			t.Helper()
			b, frame := through.browse(t, "user-id: lost\r\n"), joinFrame(board)
			b.send(frame)
			b.until(answered(frame))
			go b.drink()
		},
	} {
		for _, busy := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " busy", false: " idle"}[busy], func(t *testing.T) {
				t.Parallel()
				srv := serve(t, sqliteDatabase(t)(t), server.Config{PingInterval: time.Second, PingTimeout: 3 * time.Second})
				board := srv.createBoard(t)
				observer := srv.connect(t)
				observer.join(board, nil)
				hole := newBlackHole(t, srv.addr)
				join(t, &running{addr: hole.Addr().String()}, board)
				observer.find("coming", func(f *collaboardv1.Frame) bool { return f.GetMemberJoined().GetMember().GetUserId() == "lost" })
				hole.dead.Store(true)
				left := make(chan struct{})
				var moving sync.WaitGroup
				if busy {
					mover := srv.connect(t)
					mover.join(board, nil)
					moving.Go(func() {
						for tick := time.NewTicker(20 * time.Millisecond); ; {
							select {
							case <-tick.C:
								mover.send(cursor(board, 1))
							case <-left:
								return
							}
						}
					})
				}
				observer.find("leaving", func(f *collaboardv1.Frame) bool { return f.GetMemberLeft().GetMember().GetUserId() == "lost" })
				close(left)
				moving.Wait()
			})
		}
	}
}

// TestOnePersonTwiceIsTwoMembers has one leave, and the other stay.
func TestOnePersonTwiceIsTwoMembers(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	who := []string{"user-id", "ada", "display-name", "Ada", "color", "#1e90ff"}
	first, second := srv.connect(t, who...), srv.connect(t, who...)
	first.join(board, nil)
	members := second.join(board, nil).GetMembers()
	if len(members) != 2 || members[0].GetConnectionId() != connectionOf(first) || members[1].GetConnectionId() != connectionOf(second) {
		t.Fatalf("members %v", members)
	}
	for _, m := range members {
		if m.GetUserId() != "ada" || m.GetDisplayName() != "Ada" || m.GetColor() != "#1e90ff" {
			t.Fatalf("member %v", m)
		}
	}
	second.send(cursor(board, 1))
	moved := first.find("cursor", func(f *collaboardv1.Frame) bool { return f.GetCursorMove() != nil })
	if moved.GetConnectionId() != connectionOf(second) {
		t.Fatalf("moved %v", moved)
	}
	second.cancel()
	left := first.find("leaving", func(f *collaboardv1.Frame) bool { return f.GetMemberLeft() != nil })
	if left.GetMemberLeft().GetMember().GetConnectionId() != connectionOf(second) {
		t.Fatalf("left %v", left)
	}
	if members := srv.connect(t).join(board, nil).GetMembers(); len(members) != 2 || members[0].GetConnectionId() != connectionOf(first) {
		t.Fatalf("members %v", members)
	}
}
