package board_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func TestDecideMakesTheWholeEvent(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, create(1))
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	req := frame(createWith(2, func(o *collaboardv1.Object) {
		o.Id = strings.ToUpper(o.GetId())
		o.GroupId = strings.ToUpper(id(9))
		o.X, o.Y, o.Width, o.Height, o.Rotation = 1, 2, -3, 4, 5
		o.Props = props("text", "hello", "none", nil)
		// None of these is the client's to say.
		o.Version, o.Deleted, o.CreatedSeq, o.UpdatedSeq = 7, true, 8, 9
		o.CreatedBy, o.UpdatedBy = "mallory", "mallory"
		o.CreatedAt, o.UpdatedAt = timestamppb.Now(), timestamppb.Now()
	}))
	req.Id, req.BoardId = strings.ToUpper(req.GetId()), strings.ToUpper(req.GetBoardId())
	req.ParentId, req.AfterId, req.Seq, req.From, req.Time = id(1), id(2), 99, "mallory", timestamppb.Now()
	req.Status = collaboardv1.Status_STATUS_REQUEST
	before := proto.Clone(req)

	event, err := b.Decide(req, board.Stamp{Seq: 5, Time: at, From: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	want := &collaboardv1.Frame{
		Id: strings.ToLower(req.GetId()), BoardId: boardID,
		Seq: 5, Time: timestamppb.New(at), From: "alice", Status: collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{
			Id: id(2), Kind: "rectangle", X: 1, Y: 2, Width: -3, Height: 4, Rotation: 5, ZIndex: "a1", GroupId: id(9),
			Props: props("text", "hello"), Version: 1,
			CreatedBy: "alice", CreatedAt: timestamppb.New(at), CreatedSeq: 5,
			UpdatedBy: "alice", UpdatedAt: timestamppb.New(at), UpdatedSeq: 5,
		}}},
	}
	if d := diff(want, event); d != "" {
		t.Errorf("event (-want +got):\n%s", d)
	}
	if d := diff(before, req); d != "" {
		t.Errorf("Decide changed the request:\n%s", d)
	}
	if b.Seq() != 1 || b.Len() != 1 {
		t.Errorf("Decide changed the board: seq %d, %d objects", b.Seq(), b.Len())
	}
	b.Apply(event)
	if d := diff(want.GetObjectCreate().GetObject(), object(t, b, 2)); d != "" {
		t.Errorf("object on the board (-event +got):\n%s", d)
	}
}

func TestDecideUpdateIsEffective(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, create(1), create(2), createWith(3, func(o *collaboardv1.Object) { o.Props = props("a", 1, "b", 2) }))
	event := mustSubmit(t, b, updateWith(3, func(u *collaboardv1.ObjectUpdate) {
		u.Id = strings.ToUpper(u.GetId())
		u.GroupId = proto.String(strings.ToUpper(id(9)))
		u.ZIndex = proto.String("a0") // object 1's
		u.Props = props("a", nil, "c", "new")
		u.IfVersion = proto.Uint64(1)
		u.Version = 77
	}))
	want := &collaboardv1.ObjectUpdate{
		Id: id(3), GroupId: proto.String(id(9)), ZIndex: proto.String("a0V"), Props: props("a", nil, "c", "new"), Version: 2,
	}
	if d := diff(want, event.GetObjectUpdate()); d != "" {
		t.Errorf("event (-want +got):\n%s", d)
	}
	o := object(t, b, 3)
	if d := diff(&collaboardv1.Object{Props: props("b", 2, "c", "new")}, &collaboardv1.Object{Props: o.GetProps()}); d != "" {
		t.Errorf("props (-want +got):\n%s", d)
	}
	if o.GetVersion() != 2 || o.GetUpdatedSeq() != 4 || o.GetUpdatedBy() != event.GetFrom() || o.GetCreatedSeq() != 3 {
		t.Errorf("bookkeeping: %v", o)
	}
	checkInvariants(t, b)
}

// A tombstone takes updates, and comes back only when one says so.
func TestTombstones(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, create(1), create(2))
	event := mustSubmit(t, b, &collaboardv1.ObjectDelete{Id: strings.ToUpper(id(1)), IfVersion: proto.Uint64(1)})
	if d := diff(&collaboardv1.ObjectDelete{Id: id(1), Version: 2}, event.GetObjectDelete()); d != "" {
		t.Errorf("event (-want +got):\n%s", d)
	}
	step := func(what string, payload proto.Message, deleted bool, version uint64, live int) {
		t.Helper()
		mustSubmit(t, b, payload)
		if o := object(t, b, 1); o.GetDeleted() != deleted || o.GetVersion() != version || b.Len() != live {
			t.Errorf("after %s: %v, with %d live", what, o, b.Len())
		}
		checkInvariants(t, b)
	}
	step("a second delete", &collaboardv1.ObjectDelete{Id: id(1)}, true, 3, 1)
	step("a move", move(1, 50), true, 4, 1)
	if _, err := submit(b, create(1)); refusal(t, err).Code != collaboardv1.ErrorCode_OBJECT_EXISTS {
		t.Errorf("create over a tombstone: %v", err)
	}
	step("deleted=true", updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Deleted = proto.Bool(true) }), true, 5, 1)
	step("deleted=false", updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Deleted = proto.Bool(false) }), false, 6, 2)
	if got := object(t, b, 1).GetX(); got != 50 {
		t.Errorf("x is %v, want what the tombstone was moved to", got)
	}
	step("deleted=true", updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Deleted = proto.Bool(true) }), true, 7, 1)
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, create(1), create(2), create(3), &collaboardv1.ObjectDelete{Id: id(3)}) // a0, a1, a2 (tombstone)
	place := func(z string) *collaboardv1.ObjectUpdate {
		return updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = &z })
	}
	for _, tc := range []struct{ what, asked, want string }{
		{"its own", "a0", "a0"},
		{"a free one", "Zz", "Zz"},
		{"one that is held", "a1", "a1V"},
		{"one that a tombstone holds", "a2", "a3"},
		{"on top, from the top", "", "a4"},
		{"the top of another's", "a1", "a1V"},
		{"one that it gave up", "a0", "a0"},
	} {
		event := mustSubmit(t, b, place(tc.asked))
		if got := event.GetObjectUpdate().GetZIndex(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.what, got, tc.want)
		}
		if o := object(t, b, 1); o.GetZIndex() != tc.want || o.GetVersion() != event.GetObjectUpdate().GetVersion() {
			t.Errorf("%s: not applied: %v", tc.what, o)
		}
		checkInvariants(t, b)
	}
}

// The key space may be used up in one place, but never on top, where those put their objects who ask for no place.
func TestKeysRunOut(t *testing.T) {
	t.Parallel()
	b := board.New()
	low := "a0" + strings.Repeat("0", board.MaxZIndexBytes-3) + "1"
	at := func(n int, z string) *collaboardv1.ObjectCreate {
		return createWith(n, func(o *collaboardv1.Object) { o.ZIndex = z })
	}
	mustSubmit(t, b, at(1, low), at(2, low[:len(low)-1]+"2"))
	mustSubmit(t, b, at(6, low))
	if got := object(t, b, 6).GetZIndex(); got != "a1" {
		t.Errorf("between two keys of the greatest length: %q, want it on top", got)
	}
	_, err := submit(b, at(3, strings.Repeat("z", board.MaxZIndexBytes)))
	if e := refusal(t, err); e.Code != collaboardv1.ErrorCode_INVALID_FRAME {
		t.Errorf("at the very top: %v", e)
	}
	mustSubmit(t, b, at(3, "y"+strings.Repeat("z", board.MaxZIndexBytes-1)), create(4), create(5))
	checkInvariants(t, b)
	if got := object(t, b, 5).GetZIndex(); got != "z"+strings.Repeat("0", 25)+"1" {
		t.Errorf("on top: %q", got)
	}
	// What an object has, it may keep.
	mustSubmit(t, b, updateWith(5, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = proto.String(object(t, b, 5).GetZIndex()) }))
}

// A program may put all its objects at one place.
func TestThousandsAtOnePlace(t *testing.T) {
	t.Parallel()
	b := board.New()
	for n := range 3000 {
		mustSubmit(t, b, createWith(n, func(o *collaboardv1.Object) { o.ZIndex = "a0" }))
	}
	checkInvariants(t, b)
}

func TestDecidePassesOnWhatItDoesNotInterpret(t *testing.T) {
	t.Parallel()
	for _, payload := range []proto.Message{
		&collaboardv1.ChatMessage{Text: strings.Repeat("x", board.MaxChatBytes)},
		&collaboardv1.Custom{Type: "vote", Data: []byte{0, 255}},
	} {
		b := board.New()
		mustSubmit(t, b, create(1))
		objects := object(t, b, 1)
		event := mustSubmit(t, b, payload)
		want := frame(payload)
		if d := diff(&collaboardv1.Frame{Payload: want.Payload}, &collaboardv1.Frame{Payload: event.Payload}); d != "" {
			t.Errorf("event (-want +got):\n%s", d)
		}
		if object(t, b, 1) != objects || b.Len() != 1 {
			t.Errorf("%T changed an object", payload)
		}
	}
}

// Frames hold fields that this program does not know. It must not store what it did not check: a later one may.
func TestUnknownFieldsAreNotStored(t *testing.T) {
	t.Parallel()
	unknown := []byte{0xfa, 0x7f, 1, 'x'} // field 2047
	for _, payload := range []proto.Message{
		create(2),
		move(1, 2),
		&collaboardv1.ObjectDelete{Id: id(1)},
		&collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(move(1, 2))}},
		&collaboardv1.ChatMessage{Text: "hello"},
		&collaboardv1.Custom{Type: "vote"},
	} {
		b := board.New()
		mustSubmit(t, b, create(1))
		want := mustSubmit(t, b.Clone(), payload)
		req := frame(payload)
		req.ProtoReflect().SetUnknown(unknown)
		payload.ProtoReflect().SetUnknown(unknown)
		if c := req.GetObjectCreate(); c != nil {
			c.GetObject().ProtoReflect().SetUnknown(unknown)
		}
		for _, op := range req.GetObjectBatch().GetOps() {
			op.ProtoReflect().SetUnknown(unknown)
			op.GetUpdate().ProtoReflect().SetUnknown(unknown)
		}
		got, err := b.Decide(req, next(b))
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(want, got); d != "" {
			t.Errorf("%T (-want +got):\n%s", payload, d)
		}
	}
}

// -0 would be 0 on one replica and -0 on another.
func TestZeroHasNoSign(t *testing.T) {
	t.Parallel()
	minus := math.Copysign(0, -1)
	b := board.New()
	f := mustSubmit(t, b, createWith(1, func(o *collaboardv1.Object) { o.X, o.Rotation = minus, minus }))
	if o := f.GetObjectCreate().GetObject(); math.Signbit(o.GetX()) || math.Signbit(o.GetRotation()) {
		t.Errorf("create: %v", o)
	}
	f = mustSubmit(t, b, updateWith(1, func(u *collaboardv1.ObjectUpdate) {
		u.X, u.Y, u.Width, u.Height, u.Rotation = &minus, &minus, &minus, &minus, &minus
	}))
	u, o := f.GetObjectUpdate(), object(t, b, 1)
	for _, v := range []*float64{u.X, u.Y, u.Width, u.Height, u.Rotation, &o.X, &o.Y, &o.Width, &o.Height, &o.Rotation} {
		if v == nil || *v != 0 || math.Signbit(*v) {
			t.Errorf("update: %v, object: %v", u, o)
		}
	}
}

func TestStaleUpdateSaysTheVersion(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, create(1), move(1, 1), move(1, 2))
	_, err := submit(b, &collaboardv1.ObjectDelete{Id: id(1), IfVersion: proto.Uint64(2)})
	if e := refusal(t, err); e.CurrentVersion == nil || *e.CurrentVersion != 3 {
		t.Errorf("current version: %v, want 3", e.CurrentVersion)
	}
	mustSubmit(t, b, &collaboardv1.ObjectDelete{Id: id(1), IfVersion: proto.Uint64(3)})
}

// What the limits allow is taken, to the byte; and a full object can still be moved, deleted and brought back, by
// people with long names.
func TestLargestObject(t *testing.T) {
	t.Parallel()
	full := func(bytes int) *collaboardv1.ObjectCreate {
		return createWith(1, func(o *collaboardv1.Object) {
			o.X, o.ZIndex = 1, "a0"
			o.Props = props("deep", nested(board.MaxPropDepth), "s", strings.Repeat("x", bytes))
			o.Props["s"] = structpb.NewStringValue(strings.Repeat("x", bytes-(proto.Size(o)-bytes)))
			if got := proto.Size(o); got != bytes {
				panic(got)
			}
		})
	}
	limit := board.MaxObjectBytes - 2<<10
	if _, err := submit(board.New(), full(limit+1)); refusal(t, err).Code != collaboardv1.ErrorCode_TOO_LARGE {
		t.Errorf("over the limit: %v", err)
	}
	b := board.New()
	for i, payload := range []proto.Message{
		full(limit),
		move(1, 2),
		&collaboardv1.ObjectDelete{Id: id(1)},
		updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Deleted = proto.Bool(false) }),
	} {
		s := board.Stamp{Seq: math.MaxUint64 - 10 + uint64(i), Time: time.Unix(1e9, 999999999), From: strings.Repeat("x", 512)}
		event, err := b.Decide(frame(payload), s)
		if err != nil {
			t.Fatalf("%T: %v", payload, err)
		}
		b.Apply(event)
		checkInvariants(t, b)
	}
	if got := object(t, b, 1).GetVersion(); got != 4 {
		t.Errorf("version %d, want 4", got)
	}
	// One byte more than the largest is too large, however it comes about.
	_, err := submit(b, updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Kind = proto.String("rectangle+") }))
	if refusal(t, err).Code != collaboardv1.ErrorCode_TOO_LARGE {
		t.Errorf("one byte more: %v", err)
	}
	mustSubmit(t, b, updateWith(1, func(u *collaboardv1.ObjectUpdate) {
		u.Kind, u.Props = proto.String("rectangle+"), props("deep", nil)
	}))
	if _, ok := object(t, b, 1).GetProps()["deep"]; ok {
		t.Error("the prop is still there")
	}
}
