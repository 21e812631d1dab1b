package room_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

func cursor(x float64) *collaboardv1.Frame {
	return &collaboardv1.Frame{Payload: &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{X: x}}}
}

func signal(name string) *collaboardv1.Frame {
	return &collaboardv1.Frame{Payload: &collaboardv1.Frame_CustomSignal{CustomSignal: &collaboardv1.CustomSignal{Type: name}}}
}

func typing() *collaboardv1.Frame {
	return &collaboardv1.Frame{Payload: &collaboardv1.Frame_Typing{Typing: &collaboardv1.Typing{}}}
}

// said is what an ephemeral frame says, for comparison.
func said(frames []*collaboardv1.Frame) []string {
	var out []string
	for _, f := range frames {
		switch {
		case f.GetCursorMove() != nil:
			out = append(out, fmt.Sprint("cursor ", f.GetCursorMove().GetX()))
		case f.GetCustomSignal() != nil:
			out = append(out, f.GetCustomSignal().GetType())
		case f.GetMemberJoined() != nil:
			out = append(out, "joined")
		case f.GetMemberLeft() != nil:
			out = append(out, "left")
		default:
			out = append(out, fmt.Sprintf("%T", f.GetPayload()))
		}
	}
	return out
}

func wantSaid(t *testing.T, m *member, want ...string) {
	t.Helper()
	if got := said(m.heard()); !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
}

// TestNewestOfEachKindWins relays to a member that reads nothing meanwhile. What is replaced gives up its place.
func TestNewestOfEachKindWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	ada, _ := w.join(r, nil)
	bob, _ := w.join(r, nil)
	wantSaid(t, m, "joined", "joined")
	ada.Relay(cursor(1))
	ada.Relay(typing())
	ada.Relay(signal("a"))
	ada.Relay(signal("b"))
	bob.Relay(cursor(2))
	ada.Relay(signal("a"))
	ada.Relay(cursor(3))
	wantSaid(t, m, "*collaboardv1.Frame_Typing", "b", "cursor 2", "a", "cursor 3")
	wantSaid(t, m)
	wantSaid(t, bob, "*collaboardv1.Frame_Typing", "b", "a", "cursor 3")
	wantSaid(t, ada, "joined", "cursor 2")

	carol, _ := w.join(r, nil)
	ada.Leave()
	ada.Leave() // does nothing
	carol.Leave()
	wantSaid(t, m, "left", "left") // carol's join was replaced
}

// TestEphemeralFrameWaitsForTheLogBeforeIt relays a cursor after a durable frame that the member has not been sent.
func TestEphemeralFrameWaitsForTheLogBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	sender, _ := w.join(r, nil)
	m.heard()
	wakes := m.wakes
	sender.Relay(cursor(1))
	sender.Relay(cursor(1))
	if m.wakes != wakes+1 {
		t.Errorf("the member was woken %d times before it looked", m.wakes-wakes)
	}
	w.write(r, 1)
	sender.Relay(signal("after seq 1"))
	wantSaid(t, m, "cursor 1")
	wantSaid(t, m)
	w.write(r, 1)
	sender.Relay(cursor(2))
	if _, err := m.Next(t.Context()); err != nil || m.Cursor() != 2 {
		t.Fatalf("at %d, %v", m.Cursor(), err)
	}
	wantSaid(t, m, "after seq 1", "cursor 2")

	// What replaces an older frame waits for the log before itself.
	sender.Relay(cursor(3))
	w.write(r, 1)
	sender.Relay(cursor(4))
	wantSaid(t, m)
	wantChunks(t, m.catchUp(), []persistence.Seq{3})
	wantSaid(t, m, "cursor 4")
}

// TestWaitingEphemeralFramesAreBounded has a sender choose ever new types.
func TestWaitingEphemeralFramesAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 4096
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	m, _ := w.join(r, nil)
	sender, _ := w.join(r, nil)
	for i := range bound + 10 {
		sender.Relay(signal(fmt.Sprint(i)))
	}
	heard := said(m.heard())
	// Who came is not lost among them.
	if len(heard) != bound+1 || heard[0] != "joined" || heard[1] != "10" || heard[bound] != fmt.Sprint(bound+9) {
		t.Fatalf("%d frames, from %q, %q to %q", len(heard), heard[0], heard[1], heard[len(heard)-1])
	}
	for i := range 100 {
		f := signal(fmt.Sprint(i))
		f.GetCustomSignal().Data = make([]byte, 64<<10)
		sender.Relay(f)
	}
	if heard = said(m.heard()); len(heard) != 15 || heard[14] != "99" {
		t.Fatalf("%d frames of 64 KiB fit into 1 MiB, the last is %q", len(heard), heard[len(heard)-1])
	}
	f := signal("larger than all that may wait")
	f.GetCustomSignal().Data = make([]byte, 1<<20)
	sender.Relay(f)
	wantSaid(t, m, "larger than all that may wait")
}

// TestMembersHearWhatQueuesOfTheirOwnWouldHold has members come, go, relay and listen at random, and compares what each
// hears with a queue of its own, in which the newest of each kind takes the place of the one before.
func TestMembersHearWhatQueuesOfTheirOwnWouldHold(t *testing.T) {
	t.Parallel()
	type waiting struct{ key, says string }
	type listener struct {
		*member
		number int
		queue  []waiting
	}
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	rnd := rand.New(rand.NewPCG(1, 2))
	var there []*listener
	tell := func(from *listener, kind, says string) {
		e := waiting{fmt.Sprint(from.number, kind), says}
		for _, l := range there {
			if l != from {
				l.queue = append(slices.DeleteFunc(l.queue, func(old waiting) bool { return old.key == e.key }), e)
			}
		}
	}
	for i := range 5000 {
		n := rnd.IntN(100)
		if n < 2 || len(there) == 0 {
			m, _ := w.join(r, nil)
			l := &listener{member: m, number: i}
			there = append(there, l)
			tell(l, "member", "joined")
			continue
		}
		at := rnd.IntN(len(there))
		l := there[at]
		switch {
		case n < 3:
			l.Leave()
			there = slices.Delete(there, at, at+1)
			tell(l, "member", "left")
		case n < 60:
			l.Relay(cursor(float64(i)))
			tell(l, "cursor", fmt.Sprint("cursor ", float64(i)))
		case n < 80:
			name := fmt.Sprint("signal ", rnd.IntN(5))
			l.Relay(signal(name))
			tell(l, name, name)
		default:
			l = there[rnd.IntN(min(len(there), 8))] // those behind hear nothing for long
			var want []string
			for _, e := range l.queue {
				want = append(want, e.says)
			}
			if got := said(l.heard()); !slices.Equal(got, want) {
				t.Fatalf("after %d steps heard %q, want %q", i, got, want)
			}
			l.queue = nil
		}
	}
}

// TestMembersWhoDoNotFitIntoTheAnswerFollowIt has more of them, with the longest of names, than a frame may carry.
func TestMembersWhoDoNotFitIntoTheAnswerFollowIt(t *testing.T) {
	t.Parallel()
	const n = 400
	w := newWorld(t, room.Config{})
	r := w.acquire(w.hub)
	name := strings.Repeat("x", 1<<10)
	join := func() (*room.Subscription, room.Joined) {
		conn := uuid.New()
		s, joined, err := r.Join(room.Joining{
			Conn: conn, Member: &collaboardv1.Member{ConnectionId: conn.String(), DisplayName: name}, Wake: func() {},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s, joined
	}
	for range n - 1 {
		join()
	}
	s, joined := join()
	who := map[string]bool{}
	for _, m := range joined.Members {
		who[m.GetConnectionId()] = true
	}
	if len(who) < 200 || len(who) > 256 {
		t.Errorf("%d members of more than 1 KiB are in 256 KiB", len(who))
	}
	bodies, _ := s.Ephemerals()
	for _, body := range bodies {
		f := &collaboardv1.Frame{}
		if err := proto.Unmarshal(body, f); err != nil {
			t.Fatal(err)
		}
		who[f.GetMemberJoined().GetMember().GetConnectionId()] = true
	}
	if len(who) != n {
		t.Errorf("%d of %d members", len(who), n)
	}
	if look, err := r.Look(); err != nil || len(look.Members) != len(joined.Members) {
		t.Errorf("a look shows %d members, %v", len(look.Members), err)
	}
}
