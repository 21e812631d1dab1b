package board_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// seen is what one sees of a board: its objects from the bottom to the top, without what the server notes of changes.
func seen(b *board.Board) (objects []*collaboardv1.Object) {
	for o := range b.Stack() {
		objects = append(objects, content(o))
	}
	return objects
}

func content(o *collaboardv1.Object) *collaboardv1.Object {
	return &collaboardv1.Object{
		Id: o.GetId(), Kind: o.GetKind(), X: o.GetX(), Y: o.GetY(), Width: o.GetWidth(), Height: o.GetHeight(),
		Rotation: o.GetRotation(), ZIndex: o.GetZIndex(), GroupId: o.GetGroupId(), Props: o.GetProps(), Deleted: o.GetDeleted(),
	}
}

func fold(log []*collaboardv1.Frame) *board.Board {
	b := board.New()
	for _, f := range log {
		b.Apply(f)
	}
	return b
}

// anyChange draws an update from so few objects and values that most of a log is changed again.
var anyChange = rapid.Custom(func(t *rapid.T) *collaboardv1.ObjectUpdate {
	return updateWith(rapid.IntRange(1, 4).Draw(t, "object"), func(u *collaboardv1.ObjectUpdate) {
		value := rapid.SampledFrom([]*structpb.Value{structpb.NewNullValue(), structpb.NewNumberValue(3), structpb.NewNumberValue(4)})
		switch rapid.IntRange(0, 4).Draw(t, "field") {
		case 0:
			u.X = new(rapid.Float64Range(0, 3).Draw(t, "x"))
		case 1, 2:
			u.Deleted = new(rapid.Bool().Draw(t, "deleted"))
		case 3:
			u.ZIndex = new(rapid.SampledFrom([]string{"a0", "a1", "a2", "a3", "a4"}).Draw(t, "z_index"))
		}
		u.Props = rapid.MapOfN(rapid.SampledFrom([]string{"a", "b"}), value, 1, 2).Draw(t, "props")
	})
})

// anyPast draws a board with its log: whatever there can be, or objects that are changed over and over.
func anyPast(t *rapid.T) (*board.Board, []*collaboardv1.Frame) {
	if rapid.Bool().Draw(t, "whatever") {
		return anyBoard(t)
	}
	b := board.New()
	var log []*collaboardv1.Frame
	for n := range 4 {
		log = append(log, mustSubmit(t, b, create(n+1)))
	}
	for range rapid.IntRange(0, 20).Draw(t, "changes") {
		log = append(log, mustSubmit(t, b, anyChange.Draw(t, "change")))
	}
	return b, log
}

// anyMoment draws a board with its log, and a seq of it.
func anyMoment(t *rapid.T) (b *board.Board, log []*collaboardv1.Frame, at int) {
	b, log = anyPast(t)
	return b, log, rapid.IntRange(0, len(log)).Draw(t, "at")
}

func submitOps(t tb, b *board.Board, ops []*collaboardv1.ObjectOp) {
	t.Helper()
	for _, batch := range board.Batches(ops) {
		mustSubmit(t, b, batch)
	}
}

// A board is brought back to any moment of its log, exactly, by ops that any client could have sent; and there is nothing
// to do then.
func TestRestoration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, log, at := anyMoment(t)
		then := fold(log[:at])
		submitOps(t, b, b.Restoration(then))
		if d := cmp.Diff(seen(then), seen(b), protocmp.Transform()); d != "" {
			t.Fatalf("the board is not what it was at seq %d of %d:\n%s", at, len(log), d)
		}
		if ops := b.Restoration(then); len(ops) > 0 {
			t.Fatalf("it is as it was, and yet to be changed: %v", ops)
		}
		checkInvariants(t, b)
	})
}

// One object is brought back, and no other is changed. Its place may have somebody else now.
func TestRestorationOfOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, log, at := anyMoment(t)
		then := fold(log[:at])
		n := anyID.Draw(t, "object")
		before := map[string]*collaboardv1.Object{}
		for o := range b.Objects() {
			before[o.GetId()] = o
		}
		ops, err := b.RestorationOf(strings.ToUpper(id(n)), then)
		if before[id(n)] == nil {
			if code := refusal(t, err).Code; code != collaboardv1.ErrorCode_OBJECT_NOT_FOUND {
				t.Fatalf("refused with %v", code)
			}
			return
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		submitOps(t, b, ops)
		for o := range b.Objects() {
			if o.GetId() != id(n) && o != before[o.GetId()] {
				t.Errorf("%s was changed, too", o.GetId())
			}
		}
		is := object(t, b, n)
		was, _ := then.Object(id(n))
		if was == nil || was.GetDeleted() {
			if !is.GetDeleted() {
				t.Errorf("it was not there at seq %d", at)
			}
			return
		}
		want, got := content(was), content(is)
		if holder := before[id(n)]; want.GetZIndex() != holder.GetZIndex() {
			for _, o := range before {
				if o.GetZIndex() == want.GetZIndex() && got.GetZIndex() > want.GetZIndex() {
					got.ZIndex = want.GetZIndex() // above whoever has its place
				}
			}
		}
		if d := diff(want, got); d != "" {
			t.Errorf("the object is not what it was at seq %d:\n%s", at, d)
		}
	})
}

// Objects that changed places are put back, though no two may have the same at any time; and one that may have all its
// props exchanged, though one update names fewer.
func TestRestorationExchanges(t *testing.T) {
	b := board.New()
	fill := func(prefix string) map[string]*structpb.Value {
		all := map[string]*structpb.Value{}
		for i := range board.MaxProps {
			all[fmt.Sprint(prefix, i)] = structpb.NewNumberValue(1)
		}
		return all
	}
	without := fill("a")
	for key := range without {
		without[key] = structpb.NewNullValue()
	}
	mustSubmit(t, b, create(1), create(2), create(3), updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = fill("a") }))
	then := b.Clone()
	place := func(n int, z string) proto.Message {
		return updateWith(n, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = &z })
	}
	mustSubmit(t, b, place(1, "b00"), place(2, "a0"), place(3, "a1"), place(1, "a2"),
		updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = without }),
		updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = fill("b") }))
	submitOps(t, b, b.Restoration(then))
	if d := cmp.Diff(seen(then), seen(b), protocmp.Transform()); d != "" {
		t.Error(d)
	}
	// Who steps aside for good does not take a place that is wanted, too.
	mustSubmit(t, b, place(1, "Zy"), place(3, "Zz"), createWith(4, func(o *collaboardv1.Object) { o.ZIndex = "a0" }))
	submitOps(t, b, b.Restoration(then))
	if d := cmp.Diff(seen(then), seen(b), protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

// Places that only the server may give are not to be had again; but the order of those who had them is.
func TestRestorationOnTopOfAll(t *testing.T) {
	b := board.New()
	last := "y" + strings.Repeat("z", 25) // a client's
	mustSubmit(t, b, createWith(1, func(o *collaboardv1.Object) { o.ZIndex = last }), create(2), create(3), create(4))
	then := b.Clone()
	mustSubmit(t, b, updateWith(3, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = new("a0") }))
	submitOps(t, b, b.Restoration(then))
	if d := cmp.Diff(stack(then), stack(b)); d != "" {
		t.Error(d)
	}
	if z := object(t, b, 2).GetZIndex(); z != "z"+strings.Repeat("0", 26) {
		t.Errorf("who is below all that were put on top was, too: %s", z)
	}
}

// TestBatches divides ops as frames take them: 1,000, and 1 MiB with what Decide adds.
func TestBatches(t *testing.T) {
	b := board.New()
	large := strings.Repeat("x", 200<<10)
	var creates, grow []*collaboardv1.ObjectOp
	for n := range 2500 {
		creates = append(creates, op(create(n)))
		if n < 11 {
			grow = append(grow, op(updateWith(n, func(u *collaboardv1.ObjectUpdate) { u.Props = props("text", large) })))
		}
	}
	if n := len(board.Batches(nil)); n != 0 {
		t.Errorf("nothing makes %d batches", n)
	}
	if n := len(board.Batches(creates)); n != 3 {
		t.Errorf("2,500 ops make %d batches", n)
	}
	if n := len(board.Batches(grow)); n != 3 {
		t.Errorf("11 ops of 200 KiB make %d batches", n)
	}
	submitOps(t, b, creates)
	submitOps(t, b, grow)
}

// sets is what an EVENT sets, by object and field, found by other means than the board does. The field "" is all of them.
func sets(event *collaboardv1.Frame) map[string]map[string]bool {
	found := map[string]map[string]bool{}
	add := func(id, field string) {
		if found[id] == nil {
			found[id] = map[string]bool{}
		}
		found[id][field] = true
	}
	one := func(m protoreflect.Message) {
		switch p := m.Interface().(type) {
		case *collaboardv1.ObjectCreate:
			add(p.GetObject().GetId(), "")
		case *collaboardv1.ObjectDelete:
			add(p.GetId(), "deleted")
		case *collaboardv1.ObjectUpdate:
			m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				switch {
				case fd.IsMap():
					v.Map().Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
						add(p.GetId(), "props."+key.String())
						return true
					})
				case fd.Name() != "id" && fd.Name() != "version":
					add(p.GetId(), string(fd.Name()))
				}
				return true
			})
		}
	}
	m := event.ProtoReflect()
	if fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("payload")); fd != nil {
		one(m.Get(fd).Message())
	}
	for _, op := range event.GetObjectBatch().GetOps() {
		o := op.ProtoReflect()
		one(o.Get(o.WhichOneof(o.Descriptor().Oneofs().ByName("op"))).Message())
	}
	return found
}

// fieldsOf is an object's content by field.
func fieldsOf(o *collaboardv1.Object) map[string]string {
	all := map[string]string{
		"kind": o.GetKind(), "x": fmt.Sprint(o.GetX()), "y": fmt.Sprint(o.GetY()), "width": fmt.Sprint(o.GetWidth()),
		"height": fmt.Sprint(o.GetHeight()), "rotation": fmt.Sprint(o.GetRotation()), "group_id": o.GetGroupId(),
		"z_index": o.GetZIndex(), "deleted": fmt.Sprint(o.GetDeleted()),
	}
	for key, v := range o.GetProps() {
		all["props."+key] = v.String()
	}
	return all
}

func TestReversalOfNothing(t *testing.T) {
	b := board.New()
	since := board.Touched{}
	event := mustSubmit(t, b, &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(create(1)), op(&collaboardv1.ObjectDelete{Id: id(1)})}})
	by := board.Touched{}
	by.Add(event)
	if ops, left := b.Reversal(board.New(), by, nil); len(ops) > 0 || len(left) > 0 {
		t.Errorf("what came and went is undone: %v, %v", ops, left)
	}
	by = board.Touched{}
	by.Add(mustSubmit(t, b, create(2)))
	since.Add(mustSubmit(t, b, &collaboardv1.ObjectDelete{Id: id(2)}))
	if ops, left := b.Reversal(board.New(), by, since); len(ops) > 0 || len(left) > 0 {
		t.Errorf("what came, and was deleted by another frame, is undone: %v, %v", ops, left)
	}
}

// All props of an object are exchanged by one frame, and that is taken back, though one update names fewer.
func TestReversalOfManyProps(t *testing.T) {
	b := board.New()
	all := func(prefix string, value any) map[string]*structpb.Value {
		m := map[string]*structpb.Value{}
		for i := range board.MaxProps {
			m[fmt.Sprint(prefix, i)] = props("v", value)["v"]
		}
		return m
	}
	set := func(p map[string]*structpb.Value) *collaboardv1.ObjectOp {
		return op(updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = p }))
	}
	mustSubmit(t, b, create(1), updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = all("a", 1) }))
	before := b.Clone()
	by := board.Touched{}
	by.Add(mustSubmit(t, b, &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{set(all("a", nil)), set(all("b", 1))}}))
	ops, left := b.Reversal(before, by, nil)
	submitOps(t, b, ops)
	if d := cmp.Diff(seen(before), seen(b), protocmp.Transform()); d != "" || len(left) > 0 {
		t.Errorf("%v\n%s", left, d)
	}
}

// A reversal sets what its frame set, and nobody since, to what it was before the frame; and nothing else.
func TestReversal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, log := anyPast(t)
		if len(log) == 0 {
			return
		}
		at := rapid.IntRange(0, len(log)-1).Draw(t, "frame")
		before, by, since := fold(log[:at]), board.Touched{}, board.Touched{}
		by.Add(log[at])
		setSince := map[string]map[string]bool{}
		for _, f := range log[at+1:] {
			since.Add(f)
			for id, names := range sets(f) {
				if setSince[id] == nil {
					setSince[id] = map[string]bool{}
				}
				maps.Copy(setSince[id], names)
			}
		}
		old := b.Clone()
		ops, left := b.Reversal(before, by, since)
		submitOps(t, b, ops)
		leftOf := map[string][]string{}
		for _, l := range left {
			leftOf[l.Object] = l.Fields
		}
		set := sets(log[at])
		for o := range b.Objects() {
			id := o.GetId()
			was, _ := before.Object(id)
			then, _ := old.Object(id)
			want, wantLeft := fieldsOf(then), []string(nil)
			switch {
			case set[id][""] && then.GetDeleted():
			case set[id][""] && len(setSince[id]) > 0:
				wantLeft = slices.Sorted(maps.Keys(setSince[id]))
			case set[id][""]:
				want["deleted"] = "true"
			default:
				for name := range set[id] {
					value, had := fieldsOf(was)[name]
					if now, has := want[name]; now == value && has == had {
						continue
					}
					if setSince[id][name] {
						wantLeft = append(wantLeft, name)
						continue
					}
					delete(want, name)
					if had {
						want[name] = value
					}
				}
				slices.Sort(wantLeft)
			}
			got := fieldsOf(o)
			if want["z_index"] != then.GetZIndex() && got["z_index"] > want["z_index"] {
				got["z_index"] = want["z_index"] // above whoever has its place
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("object %s, frame %d of %d:\n%s", id, at+1, len(log), d)
			}
			if d := cmp.Diff(wantLeft, leftOf[id]); d != "" {
				t.Errorf("object %s, frame %d of %d, left alone:\n%s", id, at+1, len(log), d)
			}
		}
		checkInvariants(t, b)
	})
}
