package board_test

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func TestApplySkipsWhatItHas(t *testing.T) {
	t.Parallel()
	b := board.New()
	first := mustSubmit(t, b, create(1))
	second := mustSubmit(t, b, move(1, 1))
	before := b.Snapshot()
	other := event(b, create(2))
	other.Seq, other.GetObjectCreate().GetObject().ZIndex, other.GetObjectCreate().GetObject().Version = b.Seq(), "a5", 1
	other.GetObjectCreate().GetObject().CreatedAt, other.GetObjectCreate().GetObject().UpdatedAt = other.Time, other.Time
	for _, f := range []*collaboardv1.Frame{nil, {}, first, second, other} {
		b.Apply(f)
	}
	if string(b.Snapshot()) != string(before) {
		t.Error("a frame that is on the board already, or in no log, changed it")
	}
}

// event returns the frame that would be next on b, had somebody decided it.
func event(b *board.Board, payload proto.Message) *collaboardv1.Frame {
	f, s := frame(payload), next(b)
	f.Seq, f.Time, f.From = s.Seq, timestamppb.New(s.Time), s.From
	f.Status = collaboardv1.Status_STATUS_EVENT
	return f
}

func TestApplyIgnoresNonsense(t *testing.T) {
	t.Parallel()
	const bad = "\xff"
	// complete returns an object that would be taken; update and del, changes that would.
	complete := func(change func(*collaboardv1.Object)) *collaboardv1.ObjectCreate {
		return createWith(9, func(o *collaboardv1.Object) {
			o.ZIndex, o.Version, o.CreatedAt, o.UpdatedAt = "a5", 1, timestamppb.New(next(board.New()).Time), timestamppb.Now()
			change(o)
		})
	}
	update := func(change func(*collaboardv1.ObjectUpdate)) *collaboardv1.ObjectUpdate {
		return updateWith(1, func(u *collaboardv1.ObjectUpdate) {
			u.Version, u.X = 3, proto.Float64(7)
			change(u)
		})
	}
	del := func(n int, version uint64) *collaboardv1.ObjectDelete {
		return &collaboardv1.ObjectDelete{Id: id(n), Version: version}
	}
	setup := func(t *testing.T) *board.Board {
		t.Helper()
		b := board.New()
		mustSubmit(t, b, create(1), create(2), move(1, 1))
		return b
	}

	for _, payload := range []proto.Message{
		complete(func(*collaboardv1.Object) {}),
		update(func(*collaboardv1.ObjectUpdate) {}),
		del(1, 3),
		&collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(del(1, 3)), op(del(1, 4))}},
	} {
		b := setup(t)
		idle := b.Clone()
		idle.Apply(event(b, nil))
		b.Apply(event(b, payload))
		if string(b.Snapshot()) == string(idle.Snapshot()) {
			t.Fatalf("%T is not taken, so the rest shows nothing", payload)
		}
	}

	frames := map[string]func(*board.Board) *collaboardv1.Frame{}
	add := func(name string, payload proto.Message) {
		frames[name] = func(b *board.Board) *collaboardv1.Frame { return event(b, payload) }
	}
	envelope := func(name string, change func(*collaboardv1.Frame)) {
		frames[name] = func(b *board.Board) *collaboardv1.Frame {
			f := event(b, del(1, 3))
			change(f)
			return f
		}
	}
	envelope("request", func(f *collaboardv1.Frame) { f.Status = collaboardv1.Status_STATUS_REQUEST })
	envelope("no time", func(f *collaboardv1.Frame) { f.Time = nil })
	envelope("no such time", func(f *collaboardv1.Frame) { f.Time.Nanos = -1 })
	envelope("sender not UTF-8", func(f *collaboardv1.Frame) { f.From = bad })
	envelope("sender too long", func(f *collaboardv1.Frame) { f.From = strings.Repeat("x", 513) })
	add("ephemeral", &collaboardv1.CursorMove{})
	add("create nil", (*collaboardv1.ObjectCreate)(nil))
	for name, change := range map[string]func(*collaboardv1.Object){
		"id in capitals":       func(o *collaboardv1.Object) { o.Id = strings.ToUpper(o.Id) },
		"group in capitals":    func(o *collaboardv1.Object) { o.GroupId = strings.ToUpper(id(10)) },
		"id taken":             func(o *collaboardv1.Object) { o.Id = id(1) },
		"z_index taken":        func(o *collaboardv1.Object) { o.ZIndex = "a0" },
		"z_index empty":        func(o *collaboardv1.Object) { o.ZIndex = "" },
		"z_index malformed":    func(o *collaboardv1.Object) { o.ZIndex = "a00" },
		"z_index long":         func(o *collaboardv1.Object) { o.ZIndex = "a0" + strings.Repeat("1", 255) },
		"NaN":                  func(o *collaboardv1.Object) { o.Y = math.NaN() },
		"null prop":            func(o *collaboardv1.Object) { o.Props = props("k", nil) },
		"NaN prop":             func(o *collaboardv1.Object) { o.Props = props("k", math.NaN()) },
		"too large":            func(o *collaboardv1.Object) { o.Props = props("k", strings.Repeat("x", 240<<10)) },
		"version 2":            func(o *collaboardv1.Object) { o.Version = 2 },
		"version 0":            func(o *collaboardv1.Object) { o.Version = 0 },
		"deleted":              func(o *collaboardv1.Object) { o.Deleted = true },
		"creator not UTF-8":    func(o *collaboardv1.Object) { o.CreatedBy = bad },
		"changer's name long":  func(o *collaboardv1.Object) { o.UpdatedBy = strings.Repeat("x", 513) },
		"never created":        func(o *collaboardv1.Object) { o.CreatedAt = nil },
		"changed at no moment": func(o *collaboardv1.Object) { o.UpdatedAt.Seconds = math.MaxInt64 },
	} {
		add("create "+name, complete(change))
	}
	add("update nil", (*collaboardv1.ObjectUpdate)(nil))
	for name, change := range map[string]func(*collaboardv1.ObjectUpdate){
		"of nobody":           func(u *collaboardv1.ObjectUpdate) { u.Id = id(9) },
		"of capitals":         func(u *collaboardv1.ObjectUpdate) { u.Id = strings.ToUpper(u.Id) },
		"to the same version": func(u *collaboardv1.ObjectUpdate) { u.Version = 2 },
		"to a version later":  func(u *collaboardv1.ObjectUpdate) { u.Version = 4 },
		"of nothing":          func(u *collaboardv1.ObjectUpdate) { u.X = nil },
		"NaN":                 func(u *collaboardv1.ObjectUpdate) { u.X = proto.Float64(math.NaN()) },
		"z_index taken":       func(u *collaboardv1.ObjectUpdate) { u.ZIndex = proto.String("a1") },
		"z_index empty":       func(u *collaboardv1.ObjectUpdate) { u.ZIndex = proto.String("") },
		"group in capitals":   func(u *collaboardv1.ObjectUpdate) { u.GroupId = proto.String(strings.ToUpper(id(10))) },
		"too large":           func(u *collaboardv1.ObjectUpdate) { u.Props = props("k", strings.Repeat("x", 240<<10)) },
	} {
		add("update "+name, update(change))
	}
	add("delete nil", (*collaboardv1.ObjectDelete)(nil))
	add("delete nobody", del(9, 1))
	add("delete to the same version", del(1, 2))
	add("batch nil", (*collaboardv1.ObjectBatch)(nil))
	add("batch of more than there may be", &collaboardv1.ObjectBatch{Ops: func() (ops []*collaboardv1.ObjectOp) {
		for i := range uint64(1001) {
			ops = append(ops, op(del(1, 3+i)))
		}
		return ops
	}()})
	add("batch with a bad op", &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(del(1, 3)), op(del(2, 3))}})
	add("batch that creates what is there", &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{
		op(del(1, 3)), op(complete(func(o *collaboardv1.Object) { o.Id = id(2) })),
	}})
	add("batch with a nil op", &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(del(1, 3)), nil}})

	for name, build := range frames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			want := b.Clone()
			want.Apply(event(b, nil)) // moves Seq, and does nothing else
			b.Apply(build(b))
			mustEqual(t, "board", want, b)
			checkInvariants(t, b)
		})
	}
}

// filled returns a valid value other than the zero value for a field of an object, by its descriptor: so that a field
// that is added to the contract is not forgotten here.
func filled(t tb, field protoreflect.FieldDescriptor) protoreflect.Value {
	switch name := field.Name(); {
	case name == "id":
		return protoreflect.ValueOf(id(1))
	case name == "group_id":
		return protoreflect.ValueOf(id(2))
	case name == "z_index":
		return protoreflect.ValueOf("a5")
	case name == "props":
		o := &collaboardv1.Object{Props: props("k", "v", "list", []any{1, nil, true})}
		return o.ProtoReflect().Get(field.ContainingMessage().Fields().ByName(name))
	case field.Kind() == protoreflect.MessageKind:
		return protoreflect.ValueOf(timestamppb.New(next(board.New()).Time).ProtoReflect())
	case field.Kind() == protoreflect.DoubleKind:
		return protoreflect.ValueOf(float64(field.Number()))
	case field.Kind() == protoreflect.StringKind:
		return protoreflect.ValueOf(string(name))
	case field.Kind() == protoreflect.Uint64Kind:
		return protoreflect.ValueOf(uint64(field.Number()))
	case field.Kind() == protoreflect.BoolKind:
		return protoreflect.ValueOf(true)
	}
	t.Fatalf("what is a %v?", field)
	return protoreflect.Value{}
}

// An update changes the field that it names, and the server's own; every other field stays.
func TestUpdateOfEveryField(t *testing.T) {
	t.Parallel()
	full := new(collaboardv1.Object)
	for fields, i := full.ProtoReflect().Descriptor().Fields(), 0; i < fields.Len(); i++ {
		if fields.Get(i).Name() == "props" {
			full.Props = props("k", "v", "list", []any{1, nil, true})
			continue
		}
		full.ProtoReflect().Set(fields.Get(i), filled(t, fields.Get(i)))
	}
	loaded := board.New()
	loaded.Load(&collaboardv1.BoardSnapshot{Position: &collaboardv1.Position{Seq: 20}, Objects: []*collaboardv1.Object{full}})
	if d := diff(full, object(t, loaded, 1)); d != "" {
		t.Fatalf("loaded (-want +got):\n%s", d)
	}

	to := &collaboardv1.ObjectUpdate{
		Kind: proto.String("other"), X: proto.Float64(-1), Y: proto.Float64(-2), Width: proto.Float64(-3),
		Height: proto.Float64(-4), Rotation: proto.Float64(-5), ZIndex: proto.String("b00"), GroupId: proto.String(""),
		Deleted: proto.Bool(false), Props: props("k", nil, "new", 1),
	}
	fields := to.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch field.Name() {
		case "id", "version", "if_version":
			continue
		}
		if !to.ProtoReflect().Has(field) {
			t.Errorf("the test does not know %s", field.Name())
			continue
		}
		b := loaded.Clone()
		update := &collaboardv1.ObjectUpdate{Id: id(1)}
		update.ProtoReflect().Set(field, to.ProtoReflect().Get(field))
		f := mustSubmit(t, b, update)

		want := proto.Clone(full).(*collaboardv1.Object)
		want.Version, want.UpdatedSeq, want.UpdatedBy, want.UpdatedAt = full.Version+1, 21, f.From, f.Time
		if field.Name() == "props" {
			want.Props = props("list", []any{1, nil, true}, "new", 1)
		} else {
			want.ProtoReflect().Set(full.ProtoReflect().Descriptor().Fields().ByName(field.Name()), to.ProtoReflect().Get(field))
		}
		if d := diff(want, object(t, b, 1)); d != "" {
			t.Errorf("update of %s (-want +got):\n%s", field.Name(), d)
		}
	}

	b := loaded.Clone()
	f := mustSubmit(t, b, &collaboardv1.ObjectDelete{Id: id(1)})
	want := proto.Clone(full).(*collaboardv1.Object)
	want.Version, want.UpdatedSeq, want.UpdatedBy, want.UpdatedAt = full.Version+1, 21, f.From, f.Time
	if d := diff(want, object(t, b, 1)); d != "" {
		t.Errorf("delete (-want +got):\n%s", d)
	}
}

// A move of a large object must not copy its props.
func TestPropsAreSharedUntilTheyChange(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, createWith(1, func(o *collaboardv1.Object) { o.Props = props("a", 1, "b", 2) }))
	old := object(t, b, 1)
	mustSubmit(t, b, move(1, 1))
	moved := object(t, b, 1)
	moved.GetProps()["probe"] = structpb.NewNullValue() // a test may
	if _, shared := old.GetProps()["probe"]; !shared {
		t.Error("a move copied the props")
	}
	delete(moved.GetProps(), "probe")
	mustSubmit(t, b, updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = props("a", nil) }))
	if len(old.GetProps()) != 2 || len(object(t, b, 1).GetProps()) != 1 {
		t.Errorf("props were changed in place: %v, %v", old, object(t, b, 1))
	}
	if object(t, b, 1).GetProps()["b"] != old.GetProps()["b"] {
		t.Error("a value that stays was copied")
	}
}
