package board_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

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
	manyNulls := func(n int) map[string]*structpb.Value {
		p := many(n)
		for key := range p {
			p[key] = structpb.NewNullValue()
		}
		return p
	}
	manyOps := func(n, bytes int) *collaboardv1.ObjectBatch {
		batch := new(collaboardv1.ObjectBatch)
		for i := range n {
			batch.Ops = append(batch.Ops, op(createWith(1000+i, func(o *collaboardv1.Object) { o.Props = props("s", strings.Repeat("x", bytes)) })))
		}
		return batch
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
		{"of many bad props, the first", withProps(props("b", math.NaN(), "c", math.NaN(), "a", math.NaN(), "d", math.NaN(), "e", math.NaN(), "f", math.NaN())), invalid, `object_create.object.props["a"]`},
		{"prop not UTF-8", withProps(props("k", structpb.NewStringValue(bad))), invalid, `object_create.object.props["k"]`},
		{"key in a struct not UTF-8", withProps(props("k", structpb.NewStructValue(&structpb.Struct{Fields: props(bad, 1)}))), invalid, `object_create.object.props["k"]["\xff"]`},
		{"long key in a struct", withProps(props("k", map[string]any{strings.Repeat("j", 1000): math.NaN()})), invalid, `object_create.object.props["k"]["` + strings.Repeat("j", 64) + `"]`},
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
		{"update of too many props", update(func(u *collaboardv1.ObjectUpdate) { u.Props = manyNulls(257) }), invalid, "object_update.props"},
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

		{"batch too large once it is an event", manyOps(1000, 930), tooLarge, "object_batch"},

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
