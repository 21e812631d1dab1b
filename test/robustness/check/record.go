package check

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// record is a history by what the guarantees ask it for. Events are pointers into the history. Where the history
// contradicts itself the first event counts, and wellFormed reports the other.
type record struct {
	events  []history.Event
	kinds   map[history.Kind][]*history.Event
	boards  []*boardLog // by first mention
	byID    map[string]*boardLog
	submits map[frameKey]*history.Event
	acks    map[frameKey][]*history.Event
	members []*membership // by first mention
	byKey   map[memberKey]*membership
}

type frameKey struct{ board, frame string }

func keyOf(e *history.Event) frameKey { return frameKey{e.Board, e.Frame} }

type memberKey struct {
	client string
	number int
}

// boardLog is what the database held of a board in the end.
type boardLog struct {
	id      string
	rows    []*row // as they were read
	at      map[uint64]*row
	byFrame map[string]*row
	head    *history.Event // nil where none was recorded
	beyond  *history.Event // a frame that was read after the head, or nil
}

// row is a frame of the log.
type row struct {
	*history.Event
	frame  *collaboardv1.Frame // the body; nil where it cannot be decoded
	digest string
}

// epoch is that of the board's log in the end, empty where nothing tells.
func (b *boardLog) epoch() string {
	if b.head != nil {
		return b.head.Epoch
	}
	return ""
}

// last is the newest seq of the log.
func (b *boardLog) last() uint64 {
	if len(b.rows) == 0 {
		return 0
	}
	return b.rows[len(b.rows)-1].Seq
}

// whole says that the log is 1..n.
func (b *boardLog) whole() bool {
	for i, row := range b.rows {
		if row.Seq != uint64(i)+1 {
			return false
		}
	}
	return true
}

// membership is what a client asked for and saw as a member, in the order in which it was told.
type membership struct {
	join   *history.Event // nil where it was never asked for
	joined *history.Event // nil where it was never answered
	told   []*history.Event
}

// positioned says that the join named a position. (The beginning of the log, 0 of no epoch, is not told from none.)
func positioned(join *history.Event) bool { return join.Epoch != "" || join.Seq != 0 }

func read(events []history.Event) *record {
	r := &record{
		events:  events,
		kinds:   make(map[history.Kind][]*history.Event),
		byID:    make(map[string]*boardLog),
		submits: make(map[frameKey]*history.Event),
		acks:    make(map[frameKey][]*history.Event),
		byKey:   make(map[memberKey]*membership),
	}
	for i := range events {
		e := &events[i]
		r.kinds[e.Kind] = append(r.kinds[e.Kind], e)
		if e.Board != "" {
			r.board(e.Board)
		}
		switch e.Kind {
		case history.KindSubmit:
			if r.submits[keyOf(e)] == nil {
				r.submits[keyOf(e)] = e
			}
		case history.KindAck:
			r.acks[keyOf(e)] = append(r.acks[keyOf(e)], e)
			if e.Member != 0 {
				m := r.member(e)
				m.told = append(m.told, e)
			}
		case history.KindJoin:
			if m := r.member(e); m.join == nil {
				m.join = e
			}
		case history.KindJoined:
			m := r.member(e)
			m.told = append(m.told, e)
			if m.joined == nil {
				m.joined = e
			}
		case history.KindDelivered, history.KindParted:
			m := r.member(e)
			m.told = append(m.told, e)
		case history.KindLog:
			r.board(e.Board).add(e)
		case history.KindHead:
			if b := r.board(e.Board); b.head == nil {
				b.head = e
			}
		default:
		}
	}
	for _, b := range r.boards {
		r.restored(b)
	}
	return r
}

// restored gives the frames of a restoration but the last, whose ids the server made, the submit of that: they stand right
// before it.
func (r *record) restored(b *boardLog) {
	for i := len(b.rows) - 2; i >= 0; i-- {
		row, next := b.rows[i], b.rows[i+1]
		at := row.frame.GetObjectBatch().GetRestoredSeq()
		submit := r.submits[keyOf(next.Event)]
		if at == 0 || submit == nil || submit.Note != history.Restore || r.submits[keyOf(row.Event)] != nil {
			continue
		}
		if at == next.frame.GetObjectBatch().GetRestoredSeq() && row.Seq+1 == next.Seq {
			r.submits[keyOf(row.Event)] = submit
		}
	}
}

func (r *record) board(id string) *boardLog {
	b := r.byID[id]
	if b == nil {
		b = &boardLog{id: id, at: make(map[uint64]*row), byFrame: make(map[string]*row)}
		r.byID[id] = b
		r.boards = append(r.boards, b)
	}
	return b
}

func (r *record) member(e *history.Event) *membership {
	key := memberKey{e.Client, e.Member}
	m := r.byKey[key]
	if m == nil {
		m = new(membership)
		r.byKey[key] = m
		r.members = append(r.members, m)
	}
	return m
}

func (b *boardLog) add(e *history.Event) {
	if b.head != nil {
		b.beyond = e
	}
	row := &row{Event: e}
	frame := new(collaboardv1.Frame)
	if err := proto.Unmarshal(e.Body, frame); err == nil {
		row.frame, row.digest = frame, history.Digest(history.Encode(frame))
	}
	b.rows = append(b.rows, row)
	if b.at[e.Seq] == nil {
		b.at[e.Seq] = row
	}
	if b.byFrame[e.Frame] == nil {
		b.byFrame[e.Frame] = row
	}
}

// wellFormed: the record itself can be believed. It judges the run, not the server: where it fails, the other
// guarantees may have judged less than there was, or what never happened.
//
//   - Every event is of a kind that is known, and names the board, the frame and the client that its kind needs.
//   - A frame is submitted once to a board, and only the client that submitted it resends it or is told its fate.
//   - A membership is asked for once, on one board, and nothing is told of one that was not asked for. It is answered
//     at most once, not before it was asked for, with a mode, and a Head that is not before its Seq.
//   - Every board that is mentioned has one head, behind its log and of its log's epoch. Without it nothing that is
//     missing could be told from what was not read.
func wellFormed(r *record, f *findings) {
	f.judged("events", len(r.events))
	for i := range r.events {
		wellFormedEvent(r, f, &r.events[i])
	}
	for _, b := range r.boards {
		f.judged("boards", 1)
		if b.head == nil {
			f.fail("board "+b.id+" has no head: its log was not read", first(r, b.id))
			continue
		}
		if b.beyond != nil {
			f.fail("the log goes on behind its head", b.beyond, b.head)
		}
		for _, row := range b.rows {
			if row.Epoch != b.head.Epoch {
				f.fail("the log and its head are of two epochs", row.Event, b.head)
			}
		}
	}
}

func wellFormedEvent(r *record, f *findings, e *history.Event) {
	needs := func(client, board, frame bool) {
		if client && e.Client == "" || board && e.Board == "" || frame && e.Frame == "" {
			f.fail(string(e.Kind)+" lacks its client, board or frame", e)
		}
	}
	switch e.Kind {
	case history.KindSubmit:
		needs(true, true, true)
		if s := r.submits[keyOf(e)]; s != e {
			f.fail("the frame was submitted before", e, s)
		}
	case history.KindResend, history.KindAck, history.KindRefused:
		needs(true, true, true)
		if s := r.submits[keyOf(e)]; s == nil || s.Client != e.Client {
			f.fail(string(e.Kind)+" of a frame that the client did not submit", e, s)
		}
		if e.Member != 0 {
			wellFormedMember(r.byKey[memberKey{e.Client, e.Member}], f, e)
		}
	case history.KindJoin, history.KindJoined, history.KindDelivered, history.KindParted:
		needs(true, true, e.Kind == history.KindDelivered)
		wellFormedMember(r.byKey[memberKey{e.Client, e.Member}], f, e)
	case history.KindReplica:
		needs(true, true, false)
	case history.KindLog:
		needs(false, true, true)
	case history.KindHead:
		needs(false, true, false)
		if h := r.byID[e.Board].head; h != e {
			f.fail("the board has two heads", e, h)
		}
	case history.KindSnapshot, history.KindFork:
		needs(false, true, false)
	case history.KindConnected, history.KindDisconnected:
		needs(true, false, false)
	case history.KindRun, history.KindFault, history.KindAway, history.KindBack:
	default:
		f.fail(fmt.Sprintf("no such kind: %q", e.Kind), e)
	}
}

func wellFormedMember(m *membership, f *findings, e *history.Event) {
	switch {
	case m.join == nil:
		f.fail(string(e.Kind)+" in a membership that was never asked for", e)
	case m.join.Board != e.Board:
		f.fail(string(e.Kind)+" in a membership of another board", e, m.join)
	case e.Kind == history.KindJoin && e != m.join:
		f.fail("the membership was asked for before", e, m.join)
	case e.Kind != history.KindJoined:
	case e != m.joined:
		f.fail("the join was answered before", e, m.joined)
	case e.At < m.join.At:
		f.fail("the join was answered before it was asked for", e, m.join)
	case e.Mode != modeResumed && e.Mode != modeSnapshot:
		f.fail("the answer has no mode", e, m.join)
	case e.Head != 0 && e.Head < e.Seq:
		f.fail("the answer showed less than the position from which events follow", e, m.join)
	}
}

// first is the first event that mentions the board.
func first(r *record, board string) *history.Event {
	for i := range r.events {
		if r.events[i].Board == board {
			return &r.events[i]
		}
	}
	return nil
}
