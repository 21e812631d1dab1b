package server_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// wires are the connections beneath a client, which can be cut.
type wires struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (w *wires) option() grpc.DialOption { return grpc.WithContextDialer(w.dial) }

func (w *wires) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

// cut breaks the connections there are.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}

func connectionOf(c *client) string {
	c.t.Helper()
	return c.find("welcome", func(f *collaboardv1.Frame) bool { return f.GetSessionWelcome() != nil }).GetSessionWelcome().GetConnectionId()
}

// TestEndOfAnOldStreamHarmsNotTheOneThatReplacedIt: a user has come back, and only then the server hears of the end of
// the stream of before, which is a member of the same board and has a frame in flight.
func TestEndOfAnOldStreamHarmsNotTheOneThatReplacedIt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*client, *wires){
		"cancelled":   func(old *client, _ *wires) { old.cancel() },
		"half-closed": func(old *client, _ *wires) { _ = old.stream.CloseSend() },
		"cut":         func(_ *client, w *wires) { w.cut() },
		"refused":     func(old *client, _ *wires) { _ = old.stream.SendMsg([]byte{0xff, 0xff, 0xff}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStores(t, func(t *testing.T, open database) {
				store := newFaultyStore(open(t))
				srv := serve(t, store, server.Config{})
				board := srv.createBoard(t)
				watch := srv.connect(t, "user-id", "watch")
				epoch := watch.join(board, nil).GetPosition().GetEpoch()

				w := &wires{}
				old := connectOn(t, srv.dial(t, w.option(), sendsBytes()), "user-id", "ada")
				old.join(board, nil)
				old.mustAck(chat(board, "1"))
				commit := newGate()
				store.holdCommits(commit)
				inFlight := chat(board, "2")
				old.send(inFlight)
				<-commit.reached

				ada := srv.connect(t, "user-id", "ada")
				if joined := ada.join(board, &collaboardv1.Position{Epoch: epoch}); joined.GetMode() != collaboardv1.Mode_MODE_RESUMED {
					t.Fatalf("%v", joined)
				}
				again := ada.send(inFlight) // of which she had no ack
				ada.ping()
				before, now := connectionOf(old), connectionOf(ada)
				end(old, w)
				close(commit.opened)
				left := func(f *collaboardv1.Frame) bool { return f.GetMemberLeft() != nil }
				for _, c := range []*client{watch, ada} {
					if f := c.find("who left", left); f.GetMemberLeft().GetMember().GetConnectionId() != before {
						t.Errorf("left: %v", f)
					}
				}

				if answer := ada.answer(again); answer.GetSeq() != 2 {
					t.Errorf("resent: %v", answer)
				}
				ada.mustAck(chat(board, "3"))
				watch.mustAck(chat(board, "4"))
				for _, c := range []*client{watch, ada} {
					wantGapless(t, c.heard(board, 4))
				}
				ada.send(cursor(board, 7))
				watch.find("ada's cursor", func(f *collaboardv1.Frame) bool {
					return f.GetCursorMove().GetX() == 7 && f.GetConnectionId() == now
				})
				var members []string
				for _, m := range srv.connect(t, "user-id", "late").join(board, nil).GetMembers() {
					members = append(members, m.GetUserId())
				}
				if len(members) != 3 || members[0] != "watch" || members[1] != "ada" || members[2] != "late" {
					t.Errorf("members %v", members)
				}
				for _, f := range watch.received() {
					if left(f) && f.GetMemberLeft().GetMember().GetConnectionId() == now {
						t.Error("the new stream was taken for gone")
					}
				}
			})
		})
	}
}
