package board_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

const boardID = "018f0000-0000-7000-8000-00000000b0a2"

// tb is what tests, fuzz targets and rapid checks have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// id returns the nth object id; ids sort as their numbers do.
func id(n int) string { return fmt.Sprintf("018f0000-0000-7000-8000-%012x", n) }

// frame returns the request that carries this payload: an *ObjectCreate, *ObjectUpdate, … or nil.
func frame(payload proto.Message) *collaboardv1.Frame {
	f := &collaboardv1.Frame{Id: "018f0000-0000-7000-9000-0000000000f0", BoardId: boardID}
	switch p := payload.(type) {
	case nil:
	case *collaboardv1.ObjectCreate:
		f.Payload = &collaboardv1.Frame_ObjectCreate{ObjectCreate: p}
	case *collaboardv1.ObjectUpdate:
		f.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: p}
	case *collaboardv1.ObjectDelete:
		f.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: p}
	case *collaboardv1.ObjectBatch:
		f.Payload = &collaboardv1.Frame_ObjectBatch{ObjectBatch: p}
	case *collaboardv1.ChatMessage:
		f.Payload = &collaboardv1.Frame_ChatMessage{ChatMessage: p}
	case *collaboardv1.Custom:
		f.Payload = &collaboardv1.Frame_Custom{Custom: p}
	case *collaboardv1.CursorMove:
		f.Payload = &collaboardv1.Frame_CursorMove{CursorMove: p}
	default:
		panic(fmt.Sprintf("no payload of a test: %T", payload))
	}
	return f
}

// op returns the same payload as a step of a batch.
func op(payload proto.Message) *collaboardv1.ObjectOp {
	switch p := payload.(type) {
	case *collaboardv1.ObjectCreate:
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: p}}
	case *collaboardv1.ObjectUpdate:
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: p}}
	case *collaboardv1.ObjectDelete:
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Delete{Delete: p}}
	default:
		panic(fmt.Sprintf("no op: %T", payload))
	}
}

func create(n int) *collaboardv1.ObjectCreate { return createWith(n, func(*collaboardv1.Object) {}) }

func createWith(n int, change func(*collaboardv1.Object)) *collaboardv1.ObjectCreate {
	o := &collaboardv1.Object{Id: id(n), Kind: "rectangle", Width: 10, Height: 20}
	change(o)
	return &collaboardv1.ObjectCreate{Object: o}
}

func updateWith(n int, change func(*collaboardv1.ObjectUpdate)) *collaboardv1.ObjectUpdate {
	u := &collaboardv1.ObjectUpdate{Id: id(n)}
	change(u)
	return u
}

func move(n int, x float64) *collaboardv1.ObjectUpdate {
	return &collaboardv1.ObjectUpdate{Id: id(n), X: &x}
}

func props(pairs ...any) map[string]*structpb.Value {
	m := map[string]*structpb.Value{}
	for i := 0; i < len(pairs); i += 2 {
		v, ok := pairs[i+1].(*structpb.Value)
		if !ok {
			var err error
			if v, err = structpb.NewValue(pairs[i+1]); err != nil {
				panic(err)
			}
		}
		m[pairs[i].(string)] = v
	}
	return m
}

// nested returns a value that nests this deep.
func nested(depth int) *structpb.Value {
	v := structpb.NewNumberValue(1)
	for i := 1; i < depth; i++ {
		if i%2 == 0 {
			v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
		} else {
			v = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"k": v}})
		}
	}
	return v
}

// next returns a stamp for the frame after b's head.
func next(b *board.Board) board.Stamp {
	return board.Stamp{
		Seq:  b.Seq() + 1,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).Add(time.Duration(b.Seq()) * time.Second),
		From: fmt.Sprintf("user-%d", b.Seq()%3),
	}
}

// submit decides and applies, and returns the event.
func submit(b *board.Board, payload proto.Message) (*collaboardv1.Frame, error) {
	event, err := b.Decide(frame(payload), next(b))
	if err != nil {
		return nil, err
	}
	b.Apply(event)
	return event, nil
}

func mustSubmit(t tb, b *board.Board, payloads ...proto.Message) *collaboardv1.Frame {
	t.Helper()
	var last *collaboardv1.Frame
	for _, payload := range payloads {
		seq := b.Seq()
		event, err := submit(b, payload)
		if err != nil {
			t.Fatalf("%T: %v", payload, err)
		}
		if b.Seq() != seq+1 || event.GetSeq() != seq+1 {
			t.Fatalf("seq is %d, of the event %d; want %d", b.Seq(), event.GetSeq(), seq+1)
		}
		last = event
	}
	return last
}

func refusal(t tb, err error) *board.Error {
	t.Helper()
	var refused *board.Error
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a *board.Error", err)
	}
	return refused
}

func object(t tb, b *board.Board, n int) *collaboardv1.Object {
	t.Helper()
	o, ok := b.Object(id(n))
	if !ok {
		t.Fatalf("object %d is not on the board", n)
	}
	return o
}

// overWire returns what a replica elsewhere gets when f is sent.
func overWire(t tb, f *collaboardv1.Frame) *collaboardv1.Frame {
	t.Helper()
	bytes, err := proto.Marshal(f)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	got := new(collaboardv1.Frame)
	if err := proto.Unmarshal(bytes, got); err != nil {
		t.Fatalf("decode: %v", err)
	}
	return got
}

func diff(want, got proto.Message) string {
	if proto.Equal(want, got) { // NaN included
		return ""
	}
	return cmp.Diff(want, got, protocmp.Transform())
}

func mustEqual(t tb, what string, want, got *board.Board) {
	t.Helper()
	if !slices.Equal(want.Snapshot(), got.Snapshot()) {
		t.Fatalf("%s differs:\n%s", what, cmp.Diff(slices.Collect(want.Objects()), slices.Collect(got.Objects()),
			protocmp.Transform()))
	}
	if want.Len() != got.Len() || want.Seq() != got.Seq() {
		t.Fatalf("%s has %d objects at seq %d, want %d at %d", what, got.Len(), got.Seq(), want.Len(), want.Seq())
	}
	if !slices.Equal(stack(want), stack(got)) {
		t.Fatalf("%s has another stack: %v, want %v", what, stack(got), stack(want))
	}
}

func stack(b *board.Board) []string {
	var ids []string
	for o := range b.Stack() {
		ids = append(ids, o.GetId())
	}
	return ids
}

// checkInvariants checks what the package comment promises of every board.
func checkInvariants(t tb, b *board.Board) {
	t.Helper()
	var (
		last    string
		live    []*collaboardv1.Object
		holders = map[string]string{}
	)
	for o := range b.Objects() {
		if o.GetId() <= last {
			t.Errorf("object %s after %s", o.GetId(), last)
		}
		last = o.GetId()
		if got, ok := b.Object(o.GetId()); !ok || got != o {
			t.Errorf("object %s is not found by its id", o.GetId())
		}
		if holder, held := holders[o.GetZIndex()]; held {
			t.Errorf("objects %s and %s both have z_index %q", holder, o.GetId(), o.GetZIndex())
		}
		holders[o.GetZIndex()] = o.GetId()
		if _, err := board.KeyBetween(o.GetZIndex(), ""); err != nil || o.GetZIndex() == "" {
			t.Errorf("object %s has z_index %q", o.GetId(), o.GetZIndex())
		}
		if len(o.GetZIndex()) > board.MaxZIndexBytes {
			t.Errorf("object %s has a z_index of %d bytes", o.GetId(), len(o.GetZIndex()))
		}
		if n := proto.Size(o); n > board.MaxObjectBytes {
			t.Errorf("object %s has %d bytes", o.GetId(), n)
		}
		if len(o.GetProps()) > board.MaxProps {
			t.Errorf("object %s has %d props", o.GetId(), len(o.GetProps()))
		}
		checkFinite(t, o)
		if !o.GetDeleted() {
			live = append(live, o)
		}
	}
	if b.Len() != len(live) {
		t.Errorf("Len is %d, want %d", b.Len(), len(live))
	}
	slices.SortFunc(live, func(a, b *collaboardv1.Object) int {
		return cmpBytes(a.GetZIndex(), b.GetZIndex())
	})
	if got := slices.Collect(b.Stack()); !slices.Equal(got, live) {
		t.Errorf("Stack is %v, want %v", got, live)
	}
	b.Snapshot() // Panics if something cannot be encoded.
}

func cmpBytes(a, b string) int { return slices.Compare([]byte(a), []byte(b)) }

// checkFinite finds any double in the message, at any depth.
func checkFinite(t tb, m proto.Message) {
	t.Helper()
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		if f, ok := p.Index(-1).Value.Interface().(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return fmt.Errorf("%v is %v", p.Path[1:], f)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v", err)
	}
}

var (
	_ tb = (*testing.T)(nil)
	_ tb = (*testing.B)(nil)
)
