package server_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// ephemerals is one of each payload that is relayed.
func ephemerals(board string) []*collaboardv1.Frame {
	return []*collaboardv1.Frame{
		cursor(board, 1),
		{BoardId: board, Payload: &collaboardv1.Frame_Selection{Selection: &collaboardv1.Selection{ObjectIds: []string{newID()}}}},
		{BoardId: board, Payload: &collaboardv1.Frame_Viewport{Viewport: &collaboardv1.Viewport{Width: 1, Height: 1, Zoom: 1}}},
		ghost(board, 1),
		{BoardId: board, Payload: &collaboardv1.Frame_Typing{Typing: &collaboardv1.Typing{}}},
		{BoardId: board, Payload: &collaboardv1.Frame_CustomSignal{CustomSignal: &collaboardv1.CustomSignal{Type: "t", Data: []byte("x")}}},
	}
}

func ghost(board string, x float64) *collaboardv1.Frame {
	return &collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_ObjectDrag{ObjectDrag: &collaboardv1.ObjectDrag{
		Ops: []*collaboardv1.ObjectOp{{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: newID(), X: &x}}}},
	}}}
}

// TestEphemeralFramesOfEveryKindAreRelayedAndNeverStored looks into the log, as every client can.
func TestEphemeralFramesOfEveryKindAreRelayedAndNeverStored(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		ada, bob := srv.connect(t), srv.connect(t)
		ada.join(board, nil)
		bob.join(board, nil)
		sent := ephemerals(board)
		for _, f := range sent {
			ada.send(f)
		}
		ada.mustAck(chat(board, "stored"))
		bob.heard(board, 1)
		bob.wait("every kind", func() bool {
			relayed := 0
			for _, f := range bob.all {
				if f.GetConnectionId() != "" && f.GetSeq() == 0 {
					relayed++
				}
			}
			return relayed == len(sent)
		})
		if log := srv.readLog(t, board); len(log) != 1 || log[0].GetChatMessage() == nil {
			t.Fatalf("stored: %v", log)
		}
	})
}

// TestSlowMemberGetsTheNewestBehindTheLog has a member that stands still while others write, and move: it is sent one
// frame of each kind, and none before what was in the log when it was sent.
func TestSlowMemberGetsTheNewestBehindTheLog(t *testing.T) {
	t.Parallel()
	const frames, moves = 10, 100
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{EphemeralRate: 1 << 20})
		board := srv.createBoard(t)
		writer, d := srv.connect(t), srv.deaf(t)
		writer.join(board, nil)
		join := joinFrame(board)
		d.send(join)
		d.until(answered(join))
		for i := range frames * moves {
			if i%moves == 0 {
				writer.mustAck(custom(board, 100<<10)) // together more than the transport takes
			}
			writer.send(cursor(board, float64(i)))
			writer.send(ghost(board, float64(i)))
		}
		synctest.Wait()
		var head uint64
		var cursors, ghosts int
		for last := -1.0; last < frames*moves-1; {
			f := d.until(func(*collaboardv1.Frame) bool { return true })[0]
			switch {
			case f.GetSeq() > 0:
				head = f.GetSeq()
				continue
			case f.GetCursorMove() != nil:
				cursors++
				last = f.GetCursorMove().GetX()
			case f.GetObjectDrag() != nil:
				ghosts++
				last = f.GetObjectDrag().GetOps()[0].GetUpdate().GetX()
			}
			if behind := uint64(last)/moves + 1; head < behind {
				t.Fatalf("what was sent after seq %d came after seq %d", behind, head)
			}
		}
		// What was on its way when the member fell behind, and then the newest.
		if cursors > moves || ghosts > moves {
			t.Errorf("%d cursors and %d ghosts of %d", cursors, ghosts, frames*moves)
		}
	})
}

// TestPauseBetweenEphemeralFramesGrowsAndShrinksWithTheRoom has two members move while a third was just sent something: that
// one hears of the last moves of both when the pause is over, which is as long as the room has members, or with a frame of
// the log.
func TestPauseBetweenEphemeralFramesGrowsAndShrinksWithTheRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{EphemeralRate: 1 << 20})
		board := srv.createBoard(t)
		ada, bob, carol := srv.connect(t), srv.connect(t), srv.connect(t)
		for _, c := range []*client{ada, bob, carol} {
			c.join(board, nil)
		}
		var others []*client
		heard := 0
		wantNew := func(when string, want ...float64) {
			t.Helper()
			synctest.Wait()
			var xs []float64
			for _, f := range bob.received()[heard:] {
				if f.GetCursorMove() != nil {
					xs = append(xs, f.GetCursorMove().GetX())
				}
			}
			heard = len(bob.received())
			if !slices.Equal(xs, want) {
				t.Fatalf("%d members, %s: sent cursors at %v, want %v", 3+len(others), when, xs, want)
			}
		}
		move := func() {
			ada.send(cursor(board, -1))
			wantNew("nothing was sent before", -1)
			for x := range 10 {
				ada.send(cursor(board, float64(x)))
				synctest.Wait()
				carol.send(cursor(board, float64(100+x)))
				synctest.Wait()
			}
			wantNew("at once")
		}
		for _, room := range []struct {
			members int
			pause   time.Duration
		}{{3, 450 * time.Microsecond}, {20, 3 * time.Millisecond}, {3, 450 * time.Microsecond}} {
			for 3+len(others) < room.members {
				others = append(others, srv.connect(t))
				others[len(others)-1].join(board, nil)
			}
			for 3+len(others) > room.members {
				others[len(others)-1].ask(partFrame(board))
				others = others[:len(others)-1]
			}
			pass(time.Second) // who came and went has been told
			move()
			pass(room.pause - 1)
			wantNew("before the pause is over")
			pass(1)
			wantNew("after the pause", 9, 109)

			pass(time.Second)
			move()
			ada.mustAck(chat(board, "hello"))
			wantNew("with a frame of the log", 9, 109)
		}
	})
}

// TestFloodCostsTheOthersTheLimitAndItsLastCursorArrives floods a board with cursors from a client that writes, too.
func TestFloodCostsTheOthersTheLimitAndItsLastCursorArrives(t *testing.T) {
	t.Parallel()
	const flood, rate = 5000, 50
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{EphemeralRate: rate})
		board := srv.createBoard(t)
		ada, bob, carol := srv.connect(t), srv.connect(t), srv.connect(t)
		for _, c := range []*client{ada, bob, carol} {
			c.join(board, nil)
		}
		for i := range flood {
			ada.send(cursor(board, float64(i)))
		}
		ada.mustAck(chat(board, "not held up"))
		carol.send(cursor(board, -1))
		synctest.Wait()
		cursors := func() (n int, last float64) {
			for _, f := range bob.received() {
				if f.GetCursorMove() != nil && f.GetCursorMove().GetX() >= 0 {
					n++
					last = f.GetCursorMove().GetX()
				}
			}
			return n, last
		}
		if n, _ := cursors(); n > 2*rate {
			t.Errorf("%d cursors were relayed at once", n)
		}
		bob.find("cursor of another", func(f *collaboardv1.Frame) bool { return f.GetCursorMove().GetX() == -1 })
		pass(time.Second)
		if n, last := cursors(); n > 3*rate || last != flood-1 {
			t.Errorf("after a second %d cursors, the last is %v", n, last)
		}
		for _, f := range ada.received() {
			if f.GetError() != nil {
				t.Fatalf("%v", f)
			}
		}
	})
}

// TestThrottledGhostDoesNotOutliveItsGesture has the end of a gesture overtake its last ghost.
func TestThrottledGhostDoesNotOutliveItsGesture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), server.Config{EphemeralRate: 1})
		board := srv.createBoard(t)
		ada, bob := srv.connect(t), srv.connect(t)
		ada.join(board, nil)
		bob.join(board, nil)
		for x := range 3 {
			ada.send(ghost(board, float64(x)))
		}
		ada.send(cursor(board, 7))
		ada.mustAck(chat(board, "the end of the gesture"))
		pass(time.Minute)
		bob.find("cursor", func(f *collaboardv1.Frame) bool { return f.GetCursorMove().GetX() == 7 })
		var ghosts []float64
		for _, f := range bob.received() {
			if drag := f.GetObjectDrag(); drag != nil {
				ghosts = append(ghosts, drag.GetOps()[0].GetUpdate().GetX())
			}
		}
		if len(ghosts) == 0 || ghosts[len(ghosts)-1] == 2 {
			t.Errorf("ghosts %v", ghosts)
		}
	})
}
