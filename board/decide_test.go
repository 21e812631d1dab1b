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
	_, err := submit(b, at(3, low))
	if e := refusal(t, err); e.Code != collaboardv1.ErrorCode_TOO_LARGE || e.Violations[0].GetField() != "object_create.object.z_index" {
		t.Errorf("between two keys of the greatest length: %v", e)
	}
	_, err = submit(b, at(3, strings.Repeat("z", board.MaxZIndexBytes)))
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

func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	const (
		invalid  = collaboardv1.ErrorCode_INVALID_FRAME
		tooLarge = collaboardv1.ErrorCode_TOO_LARGE
		notFound = collaboardv1.ErrorCode_OBJECT_NOT_FOUND
		exists   = collaboardv1.ErrorCode_OBJECT_EXISTS
		stale    = collaboardv1.ErrorCode_STALE_UPDATE
	)
	object := func(change func(*collaboardv1.Object)) proto.Message { return createWith(9, change) }
	update := func(change func(*collaboardv1.ObjectUpdate)) proto.Message { return updateWith(1, change) }
	withProps := func(p map[string]*structpb.Value) proto.Message {
		return object(func(o *collaboardv1.Object) { o.Props = p })
	}
	ops := func(payloads ...proto.Message) *collaboardv1.ObjectBatch {
		batch := new(collaboardv1.ObjectBatch)
		for _, p := range payloads {
			batch.Ops = append(batch.Ops, op(p))
		}
		return batch
	}
	many := func(n int) map[string]*structpb.Value {
		p := map[string]*structpb.Value{}
		for i := range n {
			p[id(i)] = structpb.NewBoolValue(true)
		}
		return p
	}
	bad := "\xff"

	for _, tc := range []struct {
		name    string
		payload proto.Message
		code    collaboardv1.ErrorCode
		field   string // of the violation, or with which the message begins
	}{
		{"no payload", nil, invalid, "payload"},
		{"ephemeral", &collaboardv1.CursorMove{}, invalid, "payload"},

		{"create nil", (*collaboardv1.ObjectCreate)(nil), invalid, "object_create.object"},
		{"create nothing", &collaboardv1.ObjectCreate{}, invalid, "object_create.object"},
		{"id empty", object(func(o *collaboardv1.Object) { o.Id = "" }), invalid, "object_create.object.id"},
		{"id in braces", object(func(o *collaboardv1.Object) { o.Id = "{" + id(9) + "}" }), invalid, "object_create.object.id"},
		{"id without dashes", object(func(o *collaboardv1.Object) { o.Id = strings.ReplaceAll(id(9), "-", "") }), invalid, "object_create.object.id"},
		{"id with a letter", object(func(o *collaboardv1.Object) { o.Id = "g" + id(9)[1:] }), invalid, "object_create.object.id"},
		{"id exists", create(1), exists, "object_create"},
		{"id exists, in capitals", object(func(o *collaboardv1.Object) { o.Id = strings.ToUpper(id(1)) }), exists, "object_create"},
		{"id was deleted", create(2), exists, "object_create"},
		{"kind empty", object(func(o *collaboardv1.Object) { o.Kind = "" }), invalid, "object_create.object.kind"},
		{"kind long", object(func(o *collaboardv1.Object) { o.Kind = strings.Repeat("k", 65) }), invalid, "object_create.object.kind"},
		{"kind not UTF-8", object(func(o *collaboardv1.Object) { o.Kind = bad }), invalid, "object_create.object.kind"},
		{"x", object(func(o *collaboardv1.Object) { o.X = math.NaN() }), invalid, "object_create.object.x"},
		{"y", object(func(o *collaboardv1.Object) { o.Y = math.Inf(1) }), invalid, "object_create.object.y"},
		{"width", object(func(o *collaboardv1.Object) { o.Width = math.Inf(-1) }), invalid, "object_create.object.width"},
		{"height", object(func(o *collaboardv1.Object) { o.Height = math.NaN() }), invalid, "object_create.object.height"},
		{"rotation", object(func(o *collaboardv1.Object) { o.Rotation = math.NaN() }), invalid, "object_create.object.rotation"},
		{"z_index malformed", object(func(o *collaboardv1.Object) { o.ZIndex = "a00" }), invalid, "object_create.object.z_index"},
		{"z_index long", object(func(o *collaboardv1.Object) { o.ZIndex = "a0" + strings.Repeat("1", 255) }), invalid, "object_create.object.z_index"},
		{"group_id", object(func(o *collaboardv1.Object) { o.GroupId = "friends" }), invalid, "object_create.object.group_id"},

		{"prop without a key", withProps(props("", 1)), invalid, "object_create.object.props"},
		{"prop with a long key", withProps(props(strings.Repeat("k", 129), 1)), invalid, "object_create.object.props"},
		{"prop with a bad key", withProps(props(bad, 1)), invalid, "object_create.object.props"},
		{"too many props", withProps(many(257)), invalid, "object_create.object.props"},
		{"prop nil", withProps(map[string]*structpb.Value{"k": nil}), invalid, `object_create.object.props["k"]`},
		{"prop without a kind", withProps(props("k", &structpb.Value{})), invalid, `object_create.object.props["k"]`},
		{"prop NaN", withProps(props("k", math.NaN())), invalid, `object_create.object.props["k"]`},
		{"prop +Inf in a list", withProps(props("k", []any{1, math.Inf(1)})), invalid, `object_create.object.props["k"][1]`},
		{"prop -Inf in a struct in a list", withProps(props("k", []any{map[string]any{"j": math.Inf(-1)}})), invalid, `object_create.object.props["k"][0]["j"]`},
		{"of two bad props, the first", withProps(props("b", math.NaN(), "a", math.NaN())), invalid, `object_create.object.props["a"]`},
		{"prop not UTF-8", withProps(props("k", structpb.NewStringValue(bad))), invalid, `object_create.object.props["k"]`},
		{"key in a struct not UTF-8", withProps(props("k", structpb.NewStructValue(&structpb.Struct{Fields: props(bad, 1)}))), invalid, `object_create.object.props["k"]["\xff"]`},
		{"prop nil list", withProps(props("k", structpb.NewListValue(nil))), invalid, `object_create.object.props["k"]`},
		{"prop nil struct", withProps(props("k", structpb.NewStructValue(nil))), invalid, `object_create.object.props["k"]`},
		{"prop nil in a list", withProps(props("k", structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{nil}}))), invalid, `object_create.object.props["k"][0]`},
		{"prop deep", withProps(props("k", nested(17))), invalid, `object_create.object.props["k"]` + strings.Repeat(`[0]["k"]`, 8)},
		{"prop deeper than a stack", withProps(props("k", nested(100_000))), invalid, `object_create.object.props["k"]` + strings.Repeat(`["k"][0]`, 8)},
		{"too large", withProps(props("k", strings.Repeat("x", board.MaxObjectBytes))), tooLarge, "object_create.object"},

		{"update nil", (*collaboardv1.ObjectUpdate)(nil), invalid, "object_update"},
		{"update of nothing", update(func(*collaboardv1.ObjectUpdate) {}), invalid, "object_update"},
		{"update of a bad id", &collaboardv1.ObjectUpdate{Id: bad, X: proto.Float64(1)}, invalid, "object_update.id"},
		{"update of nobody", move(9, 1), notFound, "object_update"},
		{"update of another version", update(func(u *collaboardv1.ObjectUpdate) { u.X, u.IfVersion = proto.Float64(1), proto.Uint64(2) }), stale, "object_update"},
		{"update at version 0", update(func(u *collaboardv1.ObjectUpdate) { u.X, u.IfVersion = proto.Float64(1), proto.Uint64(0) }), stale, "object_update"},
		{"update kind", update(func(u *collaboardv1.ObjectUpdate) { u.Kind = proto.String("") }), invalid, "object_update.kind"},
		{"update x", move(1, math.NaN()), invalid, "object_update.x"},
		{"update y", update(func(u *collaboardv1.ObjectUpdate) { u.Y = proto.Float64(math.NaN()) }), invalid, "object_update.y"},
		{"update width", update(func(u *collaboardv1.ObjectUpdate) { u.Width = proto.Float64(math.NaN()) }), invalid, "object_update.width"},
		{"update height", update(func(u *collaboardv1.ObjectUpdate) { u.Height = proto.Float64(math.NaN()) }), invalid, "object_update.height"},
		{"update rotation", update(func(u *collaboardv1.ObjectUpdate) { u.Rotation = proto.Float64(math.NaN()) }), invalid, "object_update.rotation"},
		{"update z_index", update(func(u *collaboardv1.ObjectUpdate) { u.ZIndex = proto.String("nonsense!") }), invalid, "object_update.z_index"},
		{"update group_id", update(func(u *collaboardv1.ObjectUpdate) { u.GroupId = proto.String("x") }), invalid, "object_update.group_id"},
		{"update props", update(func(u *collaboardv1.ObjectUpdate) { u.Props = props("k", math.NaN()) }), invalid, `object_update.props["k"]`},
		{"update to too many props", update(func(u *collaboardv1.ObjectUpdate) { u.Props = many(256) }), invalid, "object_update.props"},
		{"update to too large", update(func(u *collaboardv1.ObjectUpdate) { u.Props = props("k", strings.Repeat("x", 240<<10)) }), tooLarge, "object_update"},

		{"delete nil", (*collaboardv1.ObjectDelete)(nil), invalid, "object_delete"},
		{"delete a bad id", &collaboardv1.ObjectDelete{}, invalid, "object_delete.id"},
		{"delete nobody", &collaboardv1.ObjectDelete{Id: id(9)}, notFound, "object_delete"},
		{"delete another version", &collaboardv1.ObjectDelete{Id: id(1), IfVersion: proto.Uint64(3)}, stale, "object_delete"},

		{"batch nil", (*collaboardv1.ObjectBatch)(nil), invalid, "object_batch.ops"},
		{"batch empty", &collaboardv1.ObjectBatch{}, invalid, "object_batch.ops"},
		{"batch long", &collaboardv1.ObjectBatch{Ops: make([]*collaboardv1.ObjectOp, 1001)}, invalid, "object_batch.ops"},
		{"op nil", &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(move(1, 1)), nil}}, invalid, "object_batch.ops[1]"},
		{"op empty", &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{{}}}, invalid, "object_batch.ops[0]"},
		{"op invalid", ops(create(9), move(9, math.NaN())), invalid, "object_batch.ops[1].update.x"},
		{"op of nobody", ops(create(9), &collaboardv1.ObjectDelete{Id: id(8)}), notFound, "object_batch.ops[1].delete"},
		{"op again", ops(create(9), create(8), create(9)), exists, "object_batch.ops[2].create"},
		{"op stale by an op", ops(move(1, 1), &collaboardv1.ObjectDelete{Id: id(1), IfVersion: proto.Uint64(1)}), stale, "object_batch.ops[1].delete"},
		{"too large by an op", ops(
			object(func(o *collaboardv1.Object) { o.Props = props("a", strings.Repeat("x", 120<<10)) }),
			updateWith(9, func(u *collaboardv1.ObjectUpdate) { u.Props = props("b", strings.Repeat("x", 120<<10)) }),
		), tooLarge, "object_batch.ops[1].update"},

		{"chat nil", (*collaboardv1.ChatMessage)(nil), invalid, "chat_message.text"},
		{"chat long", &collaboardv1.ChatMessage{Text: strings.Repeat("x", 16<<10+1)}, invalid, "chat_message.text"},
		{"chat not UTF-8", &collaboardv1.ChatMessage{Text: bad}, invalid, "chat_message.text"},
		{"custom nil", (*collaboardv1.Custom)(nil), invalid, "custom.type"},
		{"custom long", &collaboardv1.Custom{Type: strings.Repeat("x", 129)}, invalid, "custom.type"},
		{"custom too large once it is an event", &collaboardv1.Custom{Type: "x", Data: make([]byte, board.MaxFrameBytes-100)}, tooLarge, "custom"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := board.New()
			mustSubmit(t, b, create(1), create(2), &collaboardv1.ObjectDelete{Id: id(2)})
			mustSubmit(t, b, updateWith(2, func(u *collaboardv1.ObjectUpdate) { u.Props = props("old", 1) }))
			if tc.name == "update to too many props" {
				tc.payload.(*collaboardv1.ObjectUpdate).Id = id(2)
			}
			before := b.Snapshot()
			_, err := submit(b, tc.payload)
			e := refusal(t, err)
			if e.Code != tc.code || !strings.HasPrefix(e.Message, tc.field+": ") {
				t.Errorf("got %v, want %v: %s: …", e, tc.code, tc.field)
			}
			if len(e.Violations) > 0 != (tc.code == invalid || tc.code == tooLarge) {
				t.Errorf("violations: %v", e.Violations)
			}
			if len(e.Violations) > 0 && e.Violations[0].GetField() != tc.field {
				t.Errorf("violation of %q, want %q", e.Violations[0].GetField(), tc.field)
			}
			if (e.CurrentVersion != nil) != (tc.code == stale) {
				t.Errorf("current version: %v", e.CurrentVersion)
			}
			for _, v := range e.Violations {
				if _, err := proto.Marshal(v); err != nil {
					t.Errorf("violation cannot be sent: %v", err)
				}
			}
			if string(b.Snapshot()) != string(before) {
				t.Error("a refused frame changed the board")
			}
		})
	}
}

func TestDecideRefusesEnvelope(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		frame func(*collaboardv1.Frame)
		stamp func(*board.Stamp)
		code  collaboardv1.ErrorCode
	}{
		{name: "id", frame: func(f *collaboardv1.Frame) { f.Id = "" }, code: collaboardv1.ErrorCode_INVALID_FRAME},
		{name: "board_id", frame: func(f *collaboardv1.Frame) { f.BoardId = "x" }, code: collaboardv1.ErrorCode_INVALID_FRAME},
		{name: "stamp", stamp: func(s *board.Stamp) { s.Seq = 1 }, code: collaboardv1.ErrorCode_INTERNAL},
		{name: "stamp", stamp: func(s *board.Stamp) { s.From = "\xff" }, code: collaboardv1.ErrorCode_INTERNAL},
		{name: "stamp", stamp: func(s *board.Stamp) { s.From = strings.Repeat("x", 513) }, code: collaboardv1.ErrorCode_INTERNAL},
		{name: "stamp", stamp: func(s *board.Stamp) { s.Time = time.Unix(1<<60, 0) }, code: collaboardv1.ErrorCode_INTERNAL},
	} {
		b := board.New()
		mustSubmit(t, b, create(1))
		f, s := frame(create(2)), next(b)
		if tc.frame != nil {
			tc.frame(f)
		}
		if tc.stamp != nil {
			tc.stamp(&s)
		}
		_, err := b.Decide(f, s)
		if e := refusal(t, err); e.Code != tc.code || !strings.HasPrefix(e.Message, tc.name+": ") {
			t.Errorf("%s: got %v", tc.name, e)
		}
	}
	if _, err := board.New().Decide(nil, board.Stamp{Seq: 1}); refusal(t, err).Code != collaboardv1.ErrorCode_INVALID_FRAME {
		t.Errorf("no frame: %v", err)
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
