package check_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// world is a server that keeps its promises, its clients, and a network that loses connections: what happens next is
// drawn by lot, so a seed is a history.
type world struct {
	rand    *rand.Rand
	now     time.Duration
	events  []history.Event
	boards  []*simBoard
	clients []*simClient
}

type simBoard struct {
	id, epoch string
	log       []*collaboardv1.Frame
	states    []*board.Board // by seq
	known     map[string]*collaboardv1.Frame
	objects   []string
}

type simClient struct {
	name    string
	flights []*simFlight
	members map[*simBoard]*simMember
	last    map[*simBoard]uint64 // where it stood when it parted
	numbers int
}

// simFlight is a frame on its way: sent, then decided, then answered.
type simFlight struct {
	board   *simBoard
	frame   *collaboardv1.Frame
	decided bool
	answer  history.Event
}

// simMember is a membership: asked for, then decided, then answered.
type simMember struct {
	number int
	asked  history.Event
	answer *history.Event
	live   bool
	at     uint64
}

// simulate returns a history of about so many steps in which every promise was kept.
func simulate(seed uint64, steps int) []history.Event {
	w := &world{rand: rand.New(rand.NewPCG(seed, 1))}
	for range 3 {
		w.boards = append(w.boards, &simBoard{
			id: w.uuid(), epoch: w.uuid(), states: []*board.Board{board.New()}, known: make(map[string]*collaboardv1.Frame),
		})
	}
	for i := range 5 {
		w.clients = append(w.clients, &simClient{
			name: fmt.Sprintf("client-%d", i), members: make(map[*simBoard]*simMember), last: make(map[*simBoard]uint64),
		})
	}
	w.add(history.Event{Kind: history.KindRun, Note: fmt.Sprintf("seed %d", seed)})
	for _, c := range w.clients {
		w.add(history.Event{Kind: history.KindConnected, Client: c.name})
	}
	w.add(history.Event{Kind: history.KindFault, Note: "a store that now and then cannot be asked"})
	for range steps {
		c := w.clients[w.rand.IntN(len(w.clients))]
		b := w.boards[w.rand.IntN(len(w.boards))]
		switch n := w.rand.IntN(100); {
		case n < 20:
			w.submit(c, b)
		case n < 45:
			w.decide(c)
		case n < 68:
			w.answer(c)
		case n < 75:
			w.join(c, b)
		case n < 96:
			w.follow(c, b)
		case n < 97:
			w.replica(c, b)
		case n < 98:
			w.snapshot(b)
		default:
			w.disconnect(c)
		}
	}
	w.end()
	return w.events
}

func (w *world) add(e history.Event) history.Event {
	w.now += time.Duration(1+w.rand.IntN(500)) * time.Microsecond
	e.At = w.now
	w.events = append(w.events, e)
	return e
}

func (w *world) uuid() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], w.rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.rand.Uint64())
	return id.String()
}

func (w *world) submit(c *simClient, b *simBoard) {
	f := &collaboardv1.Frame{Id: w.uuid(), BoardId: b.id}
	some := func() string {
		if len(b.objects) == 0 || w.rand.IntN(20) == 0 {
			return w.uuid() // refused: there is no such object
		}
		return b.objects[w.rand.IntN(len(b.objects))]
	}
	switch w.rand.IntN(6) {
	case 0:
		f.Payload = &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "test", Data: []byte(w.uuid())}}
	case 1, 2:
		id := w.uuid()
		b.objects = append(b.objects, id)
		f.Payload = &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: id, Kind: "rectangle"}}}
	case 3:
		f.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: some(), X: proto.Float64(w.rand.Float64())}}
	case 4:
		f.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: &collaboardv1.ObjectDelete{Id: some()}}
	default:
		f.Payload = &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: w.uuid()}}
	}
	// What is refused now may be accepted when it is sent again, behind what was sent after it. So only what cannot be
	// refused is chained.
	content := history.Content(f)
	w.add(history.Event{
		Kind: history.KindSubmit, Client: c.name, Board: b.id, Frame: f.GetId(), Content: content, Chained: content != "",
	})
	c.flights = append(c.flights, &simFlight{board: b, frame: f})
}

// decide has the server take the oldest frame of the client that it has not decided.
func (w *world) decide(c *simClient) {
	for _, f := range c.flights {
		if f.decided {
			continue
		}
		f.decided = true
		f.answer = f.board.decide(c.name, f.frame, w.now)
		return
	}
}

func (b *simBoard) decide(client string, f *collaboardv1.Frame, now time.Duration) history.Event {
	answer := history.Event{Client: client, Board: b.id, Frame: f.GetId()}
	event, known := b.known[f.GetId()]
	if !known {
		state := b.states[len(b.log)]
		var err error
		event, err = state.Decide(f, board.Stamp{Seq: state.Seq() + 1, Time: time.Unix(0, 0).Add(now), From: client})
		if why, ok := errors.AsType[*board.Error](err); ok {
			answer.Kind, answer.Code = history.KindRefused, why.Code.String()
			return answer
		}
		next := state.Clone()
		next.Apply(event)
		b.log, b.states, b.known[f.GetId()] = append(b.log, event), append(b.states, next), event
	}
	answer.Kind, answer.Epoch, answer.Seq, answer.Duplicate = history.KindAck, b.epoch, event.GetSeq(), known
	return answer
}

// answer has the client hear of the oldest frame that it has in flight, or of a join.
func (w *world) answer(c *simClient) {
	for _, b := range w.boards {
		if m := c.members[b]; m != nil && !m.live && w.rand.IntN(2) == 0 {
			w.joined(b, m)
			return
		}
	}
	if len(c.flights) > 0 && c.flights[0].decided {
		w.answerFlight(c)
	}
}

// answerFlight has the client hear of its oldest frame; of its own frame before the ack, where it is a member.
func (w *world) answerFlight(c *simClient) {
	f := c.flights[0]
	c.flights = c.flights[1:]
	if m := c.members[f.board]; m != nil && m.live && f.answer.Kind == history.KindAck {
		for m.at < f.answer.Seq {
			w.follow(c, f.board)
		}
		f.answer.Member = m.number
	}
	w.add(f.answer)
}

func (w *world) join(c *simClient, b *simBoard) {
	if c.members[b] != nil {
		return
	}
	c.numbers++
	e := history.Event{Kind: history.KindJoin, Client: c.name, Board: b.id, Member: c.numbers}
	switch seq, stood := c.last[b]; w.rand.IntN(8) {
	case 0, 1, 2:
		if stood && seq > 0 {
			e.Epoch, e.Seq = b.epoch, seq
		}
	case 3:
		e.Epoch, e.Seq = b.epoch, uint64(len(b.log)+1000)
	case 4:
		e.Epoch, e.Seq = w.uuid(), 1
	}
	c.members[b] = &simMember{number: c.numbers, asked: w.add(e)}
}

// joined has the server decide the join, and after that the client hear of it.
func (w *world) joined(b *simBoard, m *simMember) {
	if m.answer == nil {
		m.answer = b.answerJoin(m.asked, w.rand.IntN(10) > 0, w.rand)
		return
	}
	w.add(*m.answer)
	m.live, m.at = true, m.answer.Seq
}

func (b *simBoard) answerJoin(join history.Event, writable bool, lots *rand.Rand) *history.Event {
	e := join
	e.Kind, e.At, e.Writable = history.KindJoined, 0, writable
	e.Mode, e.Reason = "SNAPSHOT", ""
	positioned := e.Epoch != ""
	switch {
	case positioned && e.Epoch != b.epoch:
		e.Reason = "EPOCH_CHANGED"
	case positioned && e.Seq > uint64(len(b.log)):
		e.Reason = "POSITION_AHEAD"
	case positioned:
		e.Mode = "RESUMED"
		return &e
	}
	e.Epoch, e.Seq = b.epoch, uint64(len(b.log))
	if !positioned {
		if !writable && e.Seq > 0 {
			e.Seq = lots.Uint64N(e.Seq) // it knows less than there is
		}
		e.Head = e.Seq
	}
	return &e
}

// follow has the client hear of the next frame of a board, or leave.
func (w *world) follow(c *simClient, b *simBoard) {
	m := c.members[b]
	switch {
	case m == nil || !m.live:
	case m.at < uint64(len(b.log)):
		f := b.log[m.at]
		m.at++
		w.add(history.Event{
			Kind: history.KindDelivered, Client: c.name, Board: b.id, Member: m.number, Frame: f.GetId(), Epoch: b.epoch,
			Seq: m.at, Digest: history.Digest(history.Encode(f)),
		})
	case w.rand.IntN(3) == 0:
		w.part(c, b)
	}
}

func (w *world) part(c *simClient, b *simBoard) {
	m := c.members[b]
	w.add(history.Event{Kind: history.KindParted, Client: c.name, Board: b.id, Member: m.number})
	if m.live {
		c.last[b] = m.at
	}
	delete(c.members, b)
}

func (w *world) replica(c *simClient, b *simBoard) {
	if m := c.members[b]; m != nil && m.live {
		w.add(history.Event{
			Kind: history.KindReplica, Client: c.name, Board: b.id, Seq: m.at, Digest: history.Digest(b.states[m.at].Snapshot()),
		})
	}
}

// snapshot asks for a board as it is, or was.
func (w *world) snapshot(b *simBoard) {
	e := history.Event{Kind: history.KindSnapshot, Board: b.id, Epoch: b.epoch, Asked: w.now, Seq: uint64(len(b.log))}
	if e.Seq > 0 && w.rand.IntN(2) == 0 {
		e.Want = 1 + w.rand.Uint64N(e.Seq)
		e.Seq = e.Want
	}
	e.Digest = history.Digest(b.states[e.Seq].Snapshot())
	w.add(e)
}

// disconnect loses what is on its way, either way. The client comes back and sends again what was not answered.
func (w *world) disconnect(c *simClient) {
	w.add(history.Event{Kind: history.KindFault, Note: "cut " + c.name})
	w.add(history.Event{Kind: history.KindDisconnected, Client: c.name})
	for _, b := range w.boards {
		if c.members[b] != nil {
			w.part(c, b)
		}
	}
	w.add(history.Event{Kind: history.KindConnected, Client: c.name})
	for _, f := range c.flights {
		f.decided = false
		w.add(history.Event{Kind: history.KindResend, Client: c.name, Board: f.board.id, Frame: f.frame.GetId()})
	}
}

// end lets the network be quiet, and reads the database.
func (w *world) end() {
	for _, c := range w.clients {
		for len(c.flights) > 1 { // the last one's fate stays unknown
			w.decide(c)
			w.answerFlight(c)
		}
		w.decide(c)
	}
	for _, b := range w.boards {
		n := uint64(len(b.log))
		for _, f := range b.log {
			w.add(history.Event{
				Kind: history.KindLog, Board: b.id, Epoch: b.epoch, Seq: f.GetSeq(), Frame: f.GetId(), From: f.GetFrom(), Body: history.Encode(f),
				Trimmed: f.GetSeq() <= trimmed,
			})
		}
		w.add(history.Event{Kind: history.KindHead, Board: b.id, Epoch: b.epoch, Seq: n, Objects: uint64(b.states[n].Len())})
		w.add(history.Event{Kind: history.KindSnapshot, Board: b.id, Epoch: b.epoch, Seq: n, Digest: history.Digest(b.states[n].Snapshot())})
	}
}

// trimmed is how many frames a log has lost.
const trimmed = 3

// Without this, that nothing was found elsewhere would say nothing.
func TestSimulationIsWholeAndHasEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		summary, violations := check.Report(simulate(seed, 3000))
		for _, v := range violations {
			t.Errorf("seed %d: %s", seed, v)
		}
		for _, tally := range idle(summary) {
			t.Errorf("seed %d: nothing for %s to judge: %s", seed, tally.Guarantee, tally.What)
		}
		if seed == 0 {
			t.Logf("\n%s", summary)
		}
	}
}
