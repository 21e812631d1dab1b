package room_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// throttled makes a member that hears, and one that may relay ten frames a second and twenty at once.
func throttled(t *testing.T) (w *world, r *room.Room, hears, sends *member) {
	t.Helper()
	w = newWorld(t, room.Config{})
	r = w.acquire(w.hub)
	hears, _ = w.join(r, nil)
	sends, _ = w.join(r, nil)
	sends.throttle = room.NewThrottle(10)
	hears.heard()
	return w, r, hears, sends
}

// TestFloodIsThrottledAndItsLastFramesArrive has one send in a second what would take a minute.
func TestFloodIsThrottledAndItsLastFramesArrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, m, flood := throttled(t)
		relayed := 0
		for i := range 1000 {
			flood.Relay(cursor(float64(i)))
			flood.Relay(signal(fmt.Sprint(i % 2)))
			relayed += len(m.heard())
			pass(time.Millisecond)
		}
		if relayed < 25 || relayed > 30 {
			t.Errorf("%d frames of 2000 were relayed in a second", relayed)
		}
		pass(400 * time.Millisecond)
		if got := said(m.heard()); len(got) > 3 || !slices.Contains(got, "cursor 999") {
			t.Errorf("at last %q", got)
		}
		pass(time.Minute)
		wantSaid(t, m)
		for i := range 21 { // it has what it had
			flood.Relay(cursor(float64(i)))
		}
		wantSaid(t, m, "cursor 19")
	})
}

// TestLargeFramesAreThrottledByTheirBytes sends one that counts as 16.
func TestLargeFramesAreThrottledByTheirBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, m, sender := throttled(t)
		large := func(name string, size int) {
			f := signal(name)
			f.GetCustomSignal().Data = make([]byte, size)
			sender.Relay(f)
		}
		large("first", 60<<10)
		large("second", 60<<10)
		wantSaid(t, m, "first")
		pass(1100 * time.Millisecond)
		wantSaid(t, m)
		pass(200 * time.Millisecond)
		wantSaid(t, m, "second")
		large("as large as a frame may be", 1<<20)
		pass(2 * time.Second)
		wantSaid(t, m, "as large as a frame may be")
	})
}

// TestThrottledFrameStaysBehindTheLog has a frame enter the log while a cursor waits.
func TestThrottledFrameStaysBehindTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r, m, sender := throttled(t)
		for i := range 21 {
			sender.Relay(cursor(float64(i)))
		}
		m.heard()
		w.write(r, 1)
		pass(time.Second)
		wantSaid(t, m)
		m.catchUp()
		wantSaid(t, m, "cursor 20")
	})
}

// TestWaitingFramesAreForgotten when they are overtaken, or their sender has left, or ended.
func TestWaitingFramesAreForgotten(t *testing.T) {
	t.Parallel()
	ghost := &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectDrag{ObjectDrag: &collaboardv1.ObjectDrag{}}}
	for name, test := range map[string]struct {
		do   func(*member)
		want []string
	}{
		"overtaken": {func(m *member) { m.throttle.Drop(m.Subscription, persistence.KindNamed("object_drag")) }, []string{"cursor 20"}},
		"left":      {func(m *member) { m.Leave() }, []string{"left"}},
		"ended":     {func(m *member) { m.throttle.Stop() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, _, m, sender := throttled(t)
				for i := range 20 {
					sender.Relay(cursor(float64(i)))
				}
				m.heard()
				sender.Relay(ghost)
				sender.Relay(cursor(20))
				test.do(sender)
				pass(time.Second)
				wantSaid(t, m, test.want...)
			})
		})
	}
}

// TestThrottleIsOfAConnectionAndKeepsItsBoardsApart has one that is a member of two.
func TestThrottleIsOfAConnectionAndKeepsItsBoardsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r, m, _ := throttled(t)
		id := persistence.BoardID(uuid.New())
		if err := w.store.CreateBoard(t.Context(), persistence.Board{ID: id, Epoch: w.epoch, Name: "o", First: 1}); err != nil {
			t.Fatal(err)
		}
		other, err := w.hub.Acquire(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, _ := w.join(other, nil)
		throttle, sender := room.NewThrottle(10), room.Joining{Conn: uuid.New(), Member: &collaboardv1.Member{}, Wake: func() {}}
		here, _, _ := r.Join(sender)
		there, _, _ := other.Join(sender)
		for i := range 20 {
			throttle.Relay(here, cursor(float64(i)))
		}
		m.heard()
		elsewhere.heard()
		throttle.Relay(here, cursor(20))
		throttle.Relay(there, cursor(21))
		wantSaid(t, elsewhere)
		pass(time.Second)
		wantSaid(t, m, "cursor 20")
		wantSaid(t, elsewhere, "cursor 21")
	})
}
