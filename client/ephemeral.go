package client

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Bounds of what a board keeps of ephemeral frames, each way. The keys of custom signals are the applications' to
// choose, so their number needs one.
const (
	maxLatest      = 1024
	maxLatestBytes = 1 << 20
)

// latestKey says which ephemeral frames replace each other: somebody's newest of a kind wins, and of a type for the
// signals of an application.
type latestKey struct {
	who  string
	kind protoreflect.FieldNumber
	name string
}

// latest is a queue in which a newer value takes the place of an older one with the same key; the oldest go when it is
// full. c.mu guards it.
type latest[T any] struct {
	items []latestItem[T]
	bytes int
}

type latestItem[T any] struct {
	key   latestKey
	size  int
	value T
}

type (
	signals struct{ latest[[]byte] }
	events  struct {
		latest[*collaboardv1.Frame]
		busy bool
	}
)

// put searches from the newest, where a value that is replaced again and again stands.
func (l *latest[T]) put(key latestKey, value T, size int) {
	for i, item := range slices.Backward(l.items) {
		if item.key == key {
			l.remove(i)
			break
		}
	}
	l.items = append(l.items, latestItem[T]{key, size, value})
	l.bytes += size
	for len(l.items) > maxLatest || (l.bytes > maxLatestBytes && len(l.items) > 1) {
		l.remove(0)
	}
}

func (l *latest[T]) remove(i int) {
	l.bytes -= l.items[i].size
	l.items = slices.Delete(l.items, i, i+1)
}

func (s *signals) take(batch []any) []any {
	for _, item := range s.items {
		batch = append(batch, &outgoing{body: item.value})
	}
	s.items, s.bytes = nil, 0
	return batch
}

// Signal sends an ephemeral payload to the other members: a CursorMove, Selection, Viewport, ObjectDrag, Typing or
// CustomSignal. It never waits. Until it can be sent, a newer one of the kind (of the type, for a CustomSignal) takes
// its place; what waits while the board is not live is sent when it is again. Nothing says whether it arrived. It fails
// with [ErrPayload], or why the board has ended.
func (b *Board) Signal(payload proto.Message) error {
	f := wrap(payload)
	if f == nil || !isEphemeral(f) {
		return fmt.Errorf("signal: %w: %T is not ephemeral", ErrPayload, payload)
	}
	f.Id, f.BoardId = "", b.id
	body, err := proto.Marshal(f)
	if err != nil {
		return fmt.Errorf("signal: encode frame: %w", err)
	}
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if b.ended != nil {
		return fmt.Errorf("signal: %w", b.ended)
	}
	b.signals.put(latestKey{kind: kindOf(f), name: f.GetCustomSignal().GetType()}, body, len(body))
	b.c.signal()
	return nil
}

// Ephemeral gives what happens on the board besides its log, as frames without a seq: cursors, selections and the like
// of the other members, member_joined, member_left, board_status and board_changed; until ctx or the board ends. That
// end is the error that it gives. What changed while the client was offline (who is there, whether the board is
// writable) is told when it is back.
//
// To a slow loop a newer frame takes the place of an older one of its kind and connection, in the order of the newest. A
// loop begins with what is kept since the board was joined, or the loop before was left. While one runs another gets
// [ErrIterating]. Frames must not be changed.
func (b *Board) Ephemeral(ctx context.Context) iter.Seq2[*collaboardv1.Frame, error] {
	return func(yield func(*collaboardv1.Frame, error) bool) {
		if !b.occupy(&b.events.busy) {
			yield(nil, ErrIterating)
			return
		}
		defer b.vacate(&b.events.busy)
		for {
			f, err := b.nextEvent(ctx)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func (b *Board) nextEvent(ctx context.Context) (*collaboardv1.Frame, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		b.c.mu.Lock()
		var f *collaboardv1.Frame
		if len(b.events.items) > 0 {
			f = b.events.items[0].value
			b.events.remove(0)
		}
		err, changed := b.ended, b.changed.wait()
		b.c.mu.Unlock()
		switch {
		case f != nil:
			return f, nil
		case err != nil:
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// heard takes an event that is not in the log. It is called with c.mu held, as is everything below.
func (b *Board) heard(f *collaboardv1.Frame, size int) {
	if !b.live {
		return // of a membership that was given up, or about to be
	}
	switch p := f.GetPayload().(type) {
	case *collaboardv1.Frame_MemberJoined:
		b.memberJoined(p.MemberJoined.GetMember())
	case *collaboardv1.Frame_MemberLeft:
		b.memberLeft(p.MemberLeft.GetMember())
	case *collaboardv1.Frame_BoardStatus:
		b.setStatus(p.BoardStatus)
	case *collaboardv1.Frame_BoardDeleted:
		b.end(boardNotFound(b.id, "the board was deleted"))
	case *collaboardv1.Frame_BoardChanged:
		b.event(latestKey{kind: kindOf(f)}, f, size)
	default:
		if isEphemeral(f) {
			b.event(latestKey{f.GetConnectionId(), kindOf(f), f.GetCustomSignal().GetType()}, f, size)
		}
	}
}

func (b *Board) event(key latestKey, f *collaboardv1.Frame, size int) {
	f.BoardId = b.id
	b.events.put(key, f, size)
	b.changed.ring()
}

func (b *Board) setStatus(s *collaboardv1.BoardStatus) {
	b.writable = s.GetWritable()
	f := &collaboardv1.Frame{
		Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_BoardStatus{BoardStatus: s},
	}
	b.event(latestKey{kind: kindOf(f)}, f, proto.Size(f))
}

func (b *Board) memberJoined(m *collaboardv1.Member) {
	b.removeMember(m)
	b.members = append(b.members, m)
	b.memberEvent(m, &collaboardv1.Frame{
		Payload: &collaboardv1.Frame_MemberJoined{MemberJoined: &collaboardv1.MemberJoined{Member: m}},
	})
}

func (b *Board) memberLeft(m *collaboardv1.Member) {
	b.removeMember(m)
	b.memberEvent(m, &collaboardv1.Frame{
		Payload: &collaboardv1.Frame_MemberLeft{MemberLeft: &collaboardv1.MemberLeft{Member: m}},
	})
}

func (b *Board) removeMember(m *collaboardv1.Member) {
	b.members = slices.DeleteFunc(b.members, func(other *collaboardv1.Member) bool {
		return other.GetConnectionId() == m.GetConnectionId()
	})
}

// memberEvent tells the newest of a connection's coming and going.
func (b *Board) memberEvent(m *collaboardv1.Member, f *collaboardv1.Frame) {
	const memberKind = 81 // member_joined, and for this purpose member_left
	f.Status, f.From = collaboardv1.Status_STATUS_EVENT, m.GetUserId()
	b.event(latestKey{who: m.GetConnectionId(), kind: memberKind}, f, proto.Size(f))
}

// replaceMembers takes the list of a join. Of the first one nobody is told, of the later ones who came and went.
func (b *Board) replaceMembers(members []*collaboardv1.Member) {
	select {
	case <-b.joined:
	default:
		b.members = members
		return
	}
	in := func(list []*collaboardv1.Member, m *collaboardv1.Member) bool {
		return slices.ContainsFunc(list, func(other *collaboardv1.Member) bool {
			return other.GetConnectionId() == m.GetConnectionId()
		})
	}
	before := b.members
	for _, m := range before {
		if !in(members, m) {
			b.memberLeft(m)
		}
	}
	for _, m := range members {
		if !in(before, m) {
			b.memberJoined(m)
		}
	}
	b.members = members
}
