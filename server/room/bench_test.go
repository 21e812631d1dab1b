package room_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// groupFrames is how many frames of one board a transaction of a busy server has, about.
const groupFrames = 64

// An iteration is the one encoding of an accepted frame.
func BenchmarkEncode(b *testing.B) {
	for _, request := range requests() {
		b.Run(request.name, func(b *testing.B) {
			event := &collaboardv1.Frame{}
			if err := proto.Unmarshal(newBenchRoom(b).commit(request.frame, 1), event); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			bytes := 0
			for b.Loop() {
				body, err := proto.Marshal(event)
				if err != nil {
					b.Fatal(err)
				}
				bytes = len(body)
			}
			b.ReportMetric(float64(bytes), "B/frame")
		})
	}
}

// An iteration is one frame: decided, encoded, applied, and published to a room without members, alone or in a group.
func BenchmarkCommit(b *testing.B) {
	for _, request := range requests() {
		for _, group := range []int{1, groupFrames} {
			b.Run(fmt.Sprintf("%s/group=%d", request.name, group), func(b *testing.B) {
				r := newBenchRoom(b)
				b.ReportAllocs()
				bytes := 0
				for n := 0; b.Loop(); n++ {
					if n%group == 0 {
						bytes = len(r.commit(request.frame, group))
					}
				}
				b.ReportMetric(float64(bytes), "B/frame")
			})
		}
	}
}

// An iteration is a group that is committed as in BenchmarkCommit, and every member having read it: members=0 is what
// the others have in common.
func BenchmarkFanOut(b *testing.B) {
	for _, group := range []int{1, groupFrames} {
		for _, members := range []int{0, 1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("group=%d/members=%d", group, members), func(b *testing.B) {
				r := newBenchRoom(b)
				subs := r.join(members)
				request := requests()[0].frame
				b.ReportAllocs()
				for b.Loop() {
					r.commit(request, group)
					for _, s := range subs {
						records, err := s.Next(b.Context())
						if err != nil || len(records) != group {
							b.Fatalf("%d frames, %v", len(records), err)
						}
					}
				}
				if members > 0 {
					b.ReportMetric(float64(b.N*group*members)/b.Elapsed().Seconds(), "deliveries/s")
				}
				r.woken(subs)
			})
		}
	}
}

// An iteration is a cursor of one member's, and all others having taken it. Those that lag take nothing, and have the one
// before replaced.
func BenchmarkRelay(b *testing.B) {
	for _, members := range []int{1, 10, 100, 1000} {
		for _, lag := range []bool{false, true} {
			b.Run(fmt.Sprintf("members=%d/lag=%t", members, lag), func(b *testing.B) {
				r := newBenchRoom(b)
				subs := r.join(1 + members)
				throttle := room.NewThrottle(1 << 30) // no limit
				defer throttle.Stop()
				cursor := &collaboardv1.Frame{
					BoardId: r.id.String(), From: "ada", ConnectionId: uuid.NewString(), Status: collaboardv1.Status_STATUS_EVENT,
					Payload: &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{X: 1.5, Y: -2.5}},
				}
				b.ReportAllocs()
				for b.Loop() {
					throttle.Relay(subs[0].Subscription, cursor)
					if lag {
						continue
					}
					for _, s := range subs[1:] {
						if bodies, _ := s.Ephemerals(); len(bodies) != 1 {
							b.Fatalf("%d ephemeral frames", len(bodies))
						}
					}
				}
				if bodies, _ := subs[1].Ephemerals(); lag && len(bodies) != 1 {
					b.Fatalf("%d ephemeral frames", len(bodies))
				}
				b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "deliveries/s")
				r.woken(subs[1:])
			})
		}
	}
}

// An iteration is one more member who joins, which all others hear of, and who leaves.
func BenchmarkJoin(b *testing.B) {
	for _, members := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			r := newBenchRoom(b)
			others := r.join(members)
			conn := uuid.New()
			joining := room.Joining{
				Conn: conn, Member: &collaboardv1.Member{ConnectionId: conn.String(), UserId: "ada", DisplayName: "Ada"}, Wake: func() {},
			}
			b.ReportAllocs()
			for b.Loop() {
				s, joined, err := r.Join(joining)
				if err != nil || len(joined.Members) != members+1 {
					b.Fatalf("%d members, %v", len(joined.Members), err)
				}
				s.Leave()
			}
			r.woken(others)
		})
	}
}

type namedRequest struct {
	name  string
	frame *collaboardv1.Frame
}

// requests are what members send most. The object that they change is on every board of a benchmark.
func requests() []namedRequest {
	x, y := 1.5, -2.5
	return []namedRequest{
		{"chat-200B", &collaboardv1.Frame{
			Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: strings.Repeat("x", 200)}},
		}},
		{"move", &collaboardv1.Frame{
			Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: benchObject, X: &x, Y: &y}},
		}},
		{"props-3", &collaboardv1.Frame{
			Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: benchObject, Props: map[string]*structpb.Value{
				"stroke": structpb.NewStringValue("#1e1e1e"), "fill": structpb.NewStringValue("transparent"), "width": structpb.NewNumberValue(2),
			}}},
		}},
	}
}

const benchObject = "018f0000-0000-7000-8000-000000000001"

// benchRoom is a room that no database knows the frames of: what is measured is the room.
type benchRoom struct {
	*room.Room

	b  *testing.B
	id persistence.BoardID
}

func newBenchRoom(b *testing.B) *benchRoom {
	b.Helper()
	w := newWorld(b, room.Config{})
	r := &benchRoom{Room: w.acquire(w.hub), b: b, id: w.id}
	b.Cleanup(r.Release)
	r.commit(&collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
		Object: &collaboardv1.Object{Id: benchObject, Kind: "rectangle", Width: 100, Height: 50},
	}}}, 1)
	return r
}

// commit does what a committer does with a group of such frames, except to store it, and returns the last as it is encoded.
func (r *benchRoom) commit(request *collaboardv1.Frame, group int) (body []byte) {
	request.Id, request.BoardId = benchFrame.String(), r.id.String()
	sub := &persistence.Submission{Board: r.id, ID: benchFrame, Sender: "ada", Name: "Ada", Frame: request}
	at := time.Unix(1, 0).UTC()
	a := r.Begin()
	for range group {
		records, err := a.Decide(sub, at, nil)
		if err != nil {
			r.b.Fatal(err)
		}
		body = records[0].Body
	}
	a.Publish()
	return body
}

var benchFrame = persistence.FrameID(uuid.MustParse("018f0000-0000-7000-8000-0000000000f0"))

// benchMember wakes as a session does.
type benchMember struct {
	*room.Subscription

	dirty atomic.Bool
	wake  chan struct{}
}

func (r *benchRoom) join(members int) []*benchMember {
	r.b.Helper()
	joined := make([]*benchMember, members)
	for i := range joined {
		m := &benchMember{wake: make(chan struct{}, 1)}
		conn := uuid.New()
		s, _, err := r.Join(room.Joining{
			Conn: conn, Member: &collaboardv1.Member{ConnectionId: conn.String(), UserId: "ada", DisplayName: "Ada"},
			Wake: func() {
				m.dirty.Store(true)
				select {
				case m.wake <- struct{}{}:
				default:
				}
			},
		})
		if err != nil {
			r.b.Fatal(err)
		}
		m.Subscription, joined[i] = s, m
		for _, m := range joined[:i+1] { // who else joined
			m.Ephemerals()
			m.dirty.Store(false)
		}
	}
	return joined
}

// woken checks that there was a reason for the members to look.
func (r *benchRoom) woken(members []*benchMember) {
	r.b.Helper()
	for _, m := range members {
		if !m.dirty.Load() {
			r.b.Fatal("a member was not woken")
		}
	}
}
