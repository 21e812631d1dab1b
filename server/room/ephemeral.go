package room

import (
	"cmp"
	"container/list"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// How many ephemeral frames a room keeps for members that have not been sent them yet, and how many bytes of them, of what
// clients sent and of what the server says each: the types of custom signals are the clients' to choose, so that newest-wins
// alone is no bound. The oldest go first, and the newest stays, be it larger.
const (
	maxNewest      = 4096
	maxNewestBytes = 1 << 20
)

// ephemeral is a frame that is relayed.
type ephemeral struct {
	key    ephemeralKey
	after  persistence.Seq // the head when it was relayed: the durable frames it may depend on
	number uint64          // among those that the room has relayed: 1, 2, 3 …
	body   []byte
	from   *Subscription // who has it relayed; nil for the server
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

// Ephemerals returns the ephemeral frames that may be sent now, encoded, oldest first, each once; and how many members the
// room has. The member is not woken for more of them before it has called it.
func (s *Subscription) Ephemerals() (bodies [][]byte, members int) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.notified = false
	for _, other := range s.introductions {
		bodies = append(bodies, memberJoined(s.room.id, other))
	}
	s.introductions = nil
	for _, e := range s.room.relays.after(s.heard) {
		// What waits for durable frames has those that came later wait behind it: they were relayed at no lower a head.
		if e.after > s.cursor {
			break
		}
		s.heard = e.number
		if e.from != s {
			bodies = append(bodies, e.body)
		}
	}
	return bodies, len(s.room.subs)
}

// relayLocked lets the members hear of e. One that was told that there is something, and has not looked yet, is not told
// again.
func (r *Room) relayLocked(e ephemeral) {
	e.after = persistence.Seq(r.state.Seq())
	r.relays.add(e, r.subs)
	for _, s := range r.subs {
		if s != e.from && !s.notified {
			s.notified = true
			s.wake()
		}
	}
}

// relays is what a room has relayed, for members that are cursors over it as they are over the log: the newest frame of
// each key, numbered. So a frame costs the same however many members there are, and a slow member holds none of its own.
// Room.mu guards it.
type relays struct {
	sent    newest // by clients
	told    newest // by the server: who is there is not lost in a flood of signals
	count   uint64
	sweepAt int
}

// add numbers e and keeps it, and every now and then drops what every member has heard.
func (r *relays) add(e ephemeral, members []*Subscription) {
	r.count++
	e.number = r.count
	if e.key.kind < memberKind {
		r.sent.put(e)
	} else {
		r.told.put(e)
	}
	if len(r.sent.byKey)+len(r.told.byKey) < r.sweepAt {
		return
	}
	heard := r.count
	for _, s := range members {
		heard = min(heard, s.heard)
	}
	left := r.sent.dropTo(heard) + r.told.dropTo(heard)
	r.sweepAt = left + len(members) + sweepEvery
}

// sweepEvery is how many keys there may be beside the members before it is looked which of them nobody needs.
const sweepEvery = 64

// after returns the frames with higher numbers, in their order.
func (r *relays) after(number uint64) []*ephemeral {
	found := r.told.after(number, r.sent.after(number, nil))
	slices.SortFunc(found, func(a, b *ephemeral) int { return cmp.Compare(a.number, b.number) })
	return found
}

// newest is at most one frame of a key, in the order in which the newest of each came.
type newest struct {
	byKey map[ephemeralKey]*list.Element
	order list.List // of *ephemeral
	bytes int
}

// put adds e. A frame that it replaces gives up its place: e may depend on durable frames that the other did not.
func (n *newest) put(e ephemeral) {
	n.remove(e.key)
	if n.byKey == nil {
		n.byKey = map[ephemeralKey]*list.Element{}
	}
	n.byKey[e.key] = n.order.PushBack(&e)
	n.bytes += len(e.body)
	for len(n.byKey) > maxNewest || (n.bytes > maxNewestBytes && len(n.byKey) > 1) {
		n.remove(n.oldest().key)
	}
}

// oldest returns nil when there is none.
func (n *newest) oldest() *ephemeral {
	if first := n.order.Front(); first != nil {
		return first.Value.(*ephemeral) //nolint:forcetypeassert // nothing else is put in
	}
	return nil
}

// after appends the frames with higher numbers, newest first.
func (n *newest) after(number uint64, to []*ephemeral) []*ephemeral {
	for at := n.order.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*ephemeral) //nolint:forcetypeassert // see oldest
		if e.number <= number {
			break
		}
		to = append(to, e)
	}
	return to
}

// dropTo removes the frames with numbers up to this one, and returns how many are left.
func (n *newest) dropTo(number uint64) int {
	for e := n.oldest(); e != nil && e.number <= number; e = n.oldest() {
		n.remove(e.key)
	}
	return len(n.byKey)
}

func (n *newest) remove(key ephemeralKey) {
	at, ok := n.byKey[key]
	if !ok {
		return
	}
	delete(n.byKey, key)
	n.bytes -= len(n.order.Remove(at).(*ephemeral).body) //nolint:forcetypeassert // see oldest
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
