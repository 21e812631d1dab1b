package room

import (
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// maxPending is how many ephemeral frames a member may have waiting: the keys of custom signals are the clients' to
// choose, so their number needs a bound.
const maxPending = 4096

// ephemeral is a relayed frame that a member has not been sent yet.
type ephemeral struct {
	key   ephemeralKey
	after persistence.Seq // the head when it was relayed: the durable frames it may depend on
	body  []byte
}

// ephemeralKey says which frames replace each other: a connection's newest of a kind wins, and of a type for signals
// of an application.
type ephemeralKey struct {
	conn uuid.UUID
	kind persistence.Kind
	name string
}

var (
	memberKind = persistence.KindNamed("member_joined")                     //nolint:gochecknoglobals // never written
	statusKey  = ephemeralKey{kind: persistence.KindNamed("board_status")}  //nolint:gochecknoglobals // never written
	changedKey = ephemeralKey{kind: persistence.KindNamed("board_changed")} //nolint:gochecknoglobals // never written
)

// memberKey is that of both joining and leaving, so that a member who comes and goes is heard of once.
func memberKey(conn uuid.UUID) ephemeralKey { return ephemeralKey{conn: conn, kind: memberKind} }

// Relay sends the frame on to the other members, where it replaces the sender's last one of its kind that has not been
// sent yet. It reaches no member before the frames that were in the log when it was relayed.
func (s *Subscription) Relay(frame *collaboardv1.Frame) {
	key := ephemeralKey{conn: s.conn, kind: persistence.KindOf(frame), name: frame.GetCustomSignal().GetType()}
	body := encode(frame)
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.relayLocked(s, key, body)
}

// Ephemerals returns the ephemeral frames that may be sent now, encoded, oldest first; each is returned once.
func (s *Subscription) Ephemerals() [][]byte {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	var bodies [][]byte
	s.pending = slices.DeleteFunc(s.pending, func(e ephemeral) bool {
		if e.after > s.cursor {
			return false
		}
		bodies = append(bodies, e.body)
		return true
	})
	return bodies
}

func (r *Room) relayLocked(from *Subscription, key ephemeralKey, body []byte) {
	e := ephemeral{key: key, after: persistence.Seq(r.state.Seq()), body: body}
	for _, s := range r.subs {
		if s == from {
			continue
		}
		s.putLocked(e)
		s.wake()
	}
}

// putLocked searches from the newest, where a frame that is replaced again and again stands. A replaced frame gives up
// its place: it may depend on frames that its predecessor did not.
func (s *Subscription) putLocked(e ephemeral) {
	for i, v := range slices.Backward(s.pending) {
		if v.key == e.key {
			s.pending = slices.Delete(s.pending, i, i+1)
			break
		}
	}
	if len(s.pending) >= maxPending {
		s.pending = slices.Delete(s.pending, 0, 1)
	}
	s.pending = append(s.pending, e)
}

func (r *Room) announceStatus(healthy bool) {
	status := &collaboardv1.BoardStatus{Writable: healthy}
	if !healthy {
		status.Reason = "changes cannot be stored at the moment"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announceLocked(statusKey, &collaboardv1.Frame{Payload: &collaboardv1.Frame_BoardStatus{BoardStatus: status}})
}

// announceLocked relays an event of the server to every member.
func (r *Room) announceLocked(key ephemeralKey, frame *collaboardv1.Frame) {
	frame.BoardId = r.id.String()
	frame.Status = collaboardv1.Status_STATUS_EVENT
	r.relayLocked(nil, key, encode(frame))
}

func memberJoined(id persistence.BoardID, m *collaboardv1.Member) []byte {
	return encode(&collaboardv1.Frame{
		BoardId: id.String(), From: m.GetUserId(), Status: collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_MemberJoined{MemberJoined: &collaboardv1.MemberJoined{Member: m}},
	})
}

func memberLeft(id persistence.BoardID, m *collaboardv1.Member) []byte {
	return encode(&collaboardv1.Frame{
		BoardId: id.String(), From: m.GetUserId(), Status: collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_MemberLeft{MemberLeft: &collaboardv1.MemberLeft{Member: m}},
	})
}

// encode cannot fail: everything that a room sends was decoded from the wire, where strings are checked, or made here.
func encode(frame *collaboardv1.Frame) []byte {
	body, err := proto.Marshal(frame)
	if err != nil {
		panic(err)
	}
	return body
}
