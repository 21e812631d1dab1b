package room

import (
	"container/list"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// How many ephemeral frames a member may have waiting, and how many bytes of them: the types of custom signals are the
// clients' to choose, so that newest-wins alone is no bound. The oldest go first, and the newest stays, be it larger.
const (
	maxPending      = 4096
	maxPendingBytes = 1 << 20
)

// ephemeral is a relayed frame that a member has not been sent yet.
type ephemeral struct {
	key   ephemeralKey
	after persistence.Seq // the head when it was relayed: the durable frames it may depend on
	body  []byte
	from  *Subscription // who has it relayed; nil for the server
}

// ephemeralKey says which frames replace each other: a connection's newest of a kind wins, and of a type for signals
// of an application.
type ephemeralKey struct {
	conn  uuid.UUID
	board persistence.BoardID // of what a client sent
	kind  persistence.Kind
	name  string
}

var (
	memberKind = persistence.KindNamed("member_joined")                     //nolint:gochecknoglobals // never written
	statusKey  = ephemeralKey{kind: persistence.KindNamed("board_status")}  //nolint:gochecknoglobals // never written
	changedKey = ephemeralKey{kind: persistence.KindNamed("board_changed")} //nolint:gochecknoglobals // never written
)

// memberKey is that of both joining and leaving, so that a member who comes and goes is heard of once.
func memberKey(conn uuid.UUID) ephemeralKey { return ephemeralKey{conn: conn, kind: memberKind} }

func newEphemeral(from *Subscription, frame *collaboardv1.Frame) ephemeral {
	return ephemeral{from: from, body: encode(frame), key: ephemeralKey{
		conn: from.conn, board: from.room.id, kind: persistence.KindOf(frame), name: frame.GetCustomSignal().GetType(),
	}}
}

// relay sends the frame on to the other members, where it replaces the sender's last one of its kind that has not been
// sent yet. It reaches no member before the frames that were in the log when it was relayed. Who has left relays nothing.
func (s *Subscription) relay(e ephemeral) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if !s.left {
		s.room.relayLocked(e)
	}
}

// Ephemerals returns the ephemeral frames that may be sent now, encoded, oldest first; each is returned once.
func (s *Subscription) Ephemerals() [][]byte {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	var bodies [][]byte
	// What waits for durable frames has those that came later wait behind it: they were relayed at no lower a head.
	for e := s.pending.oldest(); e != nil && e.after <= s.cursor; e = s.pending.oldest() {
		bodies = append(bodies, e.body)
		s.pending.remove(e.key)
	}
	return bodies
}

func (r *Room) relayLocked(e ephemeral) {
	e.after = persistence.Seq(r.state.Seq())
	for _, s := range r.subs {
		if s == e.from {
			continue
		}
		s.pending.put(e)
		s.wake()
	}
}

// pending is what a member has waiting: at most one frame of a key, in the order in which the newest of each came.
// Room.mu guards it.
type pending struct {
	byKey map[ephemeralKey]*list.Element
	order list.List // of *ephemeral
	bytes int
}

// put adds e. A frame that it replaces gives up its place: e may depend on durable frames that the other did not.
func (p *pending) put(e ephemeral) {
	p.remove(e.key)
	if p.byKey == nil {
		p.byKey = map[ephemeralKey]*list.Element{}
	}
	p.byKey[e.key] = p.order.PushBack(&e)
	p.bytes += len(e.body)
	for len(p.byKey) > maxPending || (p.bytes > maxPendingBytes && len(p.byKey) > 1) {
		p.remove(p.leastWanted().key)
	}
}

// leastWanted is the oldest that a client sent: a flood of signals must not hide who is there. Without one it is the
// oldest.
func (p *pending) leastWanted() *ephemeral {
	for at := p.order.Front(); at != nil; at = at.Next() {
		if e := at.Value.(*ephemeral); e.key.kind < memberKind { //nolint:forcetypeassert // nothing else is put in
			return e
		}
	}
	return p.oldest()
}

// oldest returns nil when there is none.
func (p *pending) oldest() *ephemeral {
	if first := p.order.Front(); first != nil {
		return first.Value.(*ephemeral) //nolint:forcetypeassert // nothing else is put in
	}
	return nil
}

func (p *pending) remove(key ephemeralKey) {
	at, ok := p.byKey[key]
	if !ok {
		return
	}
	delete(p.byKey, key)
	p.bytes -= len(p.order.Remove(at).(*ephemeral).body) //nolint:forcetypeassert // see oldest
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
	r.relayLocked(ephemeral{key: key, body: encode(frame)})
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
