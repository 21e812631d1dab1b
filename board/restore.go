package board

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Restoration returns ops that, decided one after the other, make what is seen of b what is seen of then, an older state
// of the same log: the same objects with the same content, in the same order. None where it is so already. Versions go
// on, and what was deleted then stays a tombstone as it is.
//
// Places in the stack are kept exactly, but for those that only the server may give: objects that were there stay above all
// others, in their order.
func (b *Board) Restoration(then *Board) []*collaboardv1.ObjectOp {
	var ops, deletes []*collaboardv1.ObjectOp
	for cur := range b.Objects() {
		if was, _ := then.Object(cur.GetId()); !cur.GetDeleted() && (was == nil || was.GetDeleted()) {
			deletes = append(deletes, opDelete(cur.GetId()))
		}
	}
	top, _, _ := b.stack.Max()
	then.stack.Descend(string(headMax), func(z, _ string) bool {
		top = max(top, z)
		return false
	})
	for was := range then.Stack() {
		holder, held := b.stack.Get(was.GetZIndex())
		if !held || holder == was.GetId() {
			continue
		}
		// Who has the place now is to leave it first: for its own, or, a tombstone, for good. Above all that were and are, it
		// is in nobody's way.
		top, _ = KeyBetween(top, "") // never fails: top is a key of a board
		ops = append(ops, opUpdate(&collaboardv1.ObjectUpdate{Id: holder, ZIndex: new(choosable(top))}))
	}
	ops = append(ops, deletes...)
	onTop := false // who is put on top of all is above those that stay where they are: they are to follow
	for was := range then.Stack() {
		cur, ok := b.Object(was.GetId())
		if !ok {
			continue
		}
		onTop = onTop || choosable(was.GetZIndex()) == "" && was.GetZIndex() != cur.GetZIndex()
		more := changes(cur, was)
		if onTop && was.GetZIndex() == cur.GetZIndex() {
			more = append(more, opUpdate(&collaboardv1.ObjectUpdate{Id: cur.GetId(), ZIndex: new("")}))
		}
		ops = append(ops, more...)
	}
	return ops
}

// RestorationOf is Restoration of one object, which is put just above whoever has its place now. It fails with an [*Error]
// where the object was never on b.
func (b *Board) RestorationOf(id string, then *Board) ([]*collaboardv1.ObjectOp, error) {
	cur, err := b.current(id, nil)
	if err != nil {
		return nil, err.within("object_id").finish()
	}
	switch was, _ := then.Object(cur.object.GetId()); {
	case was != nil && !was.GetDeleted():
		return changes(cur.object, was), nil
	case !cur.object.GetDeleted():
		return []*collaboardv1.ObjectOp{opDelete(cur.object.GetId())}, nil
	default:
		return nil, nil
	}
}

// Batches divides ops into requests that each fit into a frame, as Decide makes it of them.
func Batches(ops []*collaboardv1.ObjectOp) (batches []*collaboardv1.ObjectBatch) {
	const (
		frame  = 4 << 10              // of the frame, besides its ops
		ofOp   = MaxZIndexBytes + 128 // of what the server sets in an op
		amount = MaxFrameBytes - frame
	)
	size := amount + 1
	for _, op := range ops {
		n := proto.Size(op) + ofOp
		if size+n > amount || len(batches[len(batches)-1].GetOps()) == MaxBatchOps {
			batches = append(batches, &collaboardv1.ObjectBatch{})
			size = 0
		}
		last := batches[len(batches)-1]
		last.Ops = append(last.Ops, op)
		size += n
	}
	return batches
}

// changes are the updates that make an object what it was, when it was not deleted.
func changes(cur, was *collaboardv1.Object) []*collaboardv1.ObjectOp {
	u := &collaboardv1.ObjectUpdate{Id: cur.GetId()}
	for _, f := range fields {
		if !f.equal(cur, was) {
			f.set(u, was)
		}
	}
	props := map[string]*structpb.Value{}
	for _, key := range propKeys(cur, was) {
		if !proto.Equal(cur.GetProps()[key], was.GetProps()[key]) {
			props[key] = valueOf(was, key)
		}
	}
	return updates(u, props)
}

// valueOf is what an update has to set a prop to, for it to be as in o.
func valueOf(o *collaboardv1.Object, key string) *structpb.Value {
	if value, ok := o.GetProps()[key]; ok {
		return value
	}
	return structpb.NewNullValue()
}

// updates make the changes of u, and of these props: in one update, or, where it may not name so many props, in several.
// Then what goes comes first: it makes room.
func updates(u *collaboardv1.ObjectUpdate, props map[string]*structpb.Value) (ops []*collaboardv1.ObjectOp) {
	if len(props) > MaxProps {
		keys := slices.Sorted(maps.Keys(props))
		slices.SortStableFunc(keys, func(a, b string) int {
			switch goes := isNull(props[a]); {
			case goes == isNull(props[b]):
				return 0
			case goes:
				return -1
			default:
				return 1
			}
		})
		for some := range slices.Chunk(keys, MaxProps) {
			one := &collaboardv1.ObjectUpdate{Id: u.GetId(), Props: map[string]*structpb.Value{}}
			for _, key := range some {
				one.Props[key] = props[key]
			}
			ops = append(ops, opUpdate(one))
		}
	} else if len(props) > 0 {
		u.Props = props
	}
	if !proto.Equal(u, &collaboardv1.ObjectUpdate{Id: u.GetId()}) {
		ops = append(ops, opUpdate(u))
	}
	return ops
}

// propKeys are the keys that one of the objects has, sorted: what is made of them must not depend on the order of a map.
func propKeys(objects ...*collaboardv1.Object) (keys []string) {
	for _, o := range objects {
		for key := range o.GetProps() {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// field is one that an update can set, besides the props.
type field struct{ update, object protoreflect.FieldDescriptor }

// fields are those of an update that an object has, too, and that are there or not.
//
//nolint:gochecknoglobals // never written
var fields = func() (all []field) {
	updates := (*collaboardv1.ObjectUpdate)(nil).ProtoReflect().Descriptor().Fields()
	objects := (*collaboardv1.Object)(nil).ProtoReflect().Descriptor().Fields()
	for i := range updates.Len() {
		update := updates.Get(i)
		if object := objects.ByName(update.Name()); object != nil && update.HasPresence() {
			all = append(all, field{update, object})
		}
	}
	return all
}()

func (f field) name() string { return string(f.update.Name()) }

func (f field) isIn(u *collaboardv1.ObjectUpdate) bool { return u.ProtoReflect().Has(f.update) }

func (f field) equal(a, b *collaboardv1.Object) bool {
	return a.ProtoReflect().Get(f.object).Equal(b.ProtoReflect().Get(f.object))
}

// set makes u set the field to what it is in o.
func (f field) set(u *collaboardv1.ObjectUpdate, o *collaboardv1.Object) {
	u.ProtoReflect().Set(f.update, o.ProtoReflect().Get(f.object))
	if u.ZIndex != nil {
		u.ZIndex = new(choosable(u.GetZIndex()))
	}
}

// choosable is z, or on top of all where only the server may give such a place.
func choosable(z string) string {
	if z[0] == headMax {
		return ""
	}
	return z
}

func opUpdate(u *collaboardv1.ObjectUpdate) *collaboardv1.ObjectOp {
	return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: u}}
}

func opDelete(id string) *collaboardv1.ObjectOp {
	return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Delete{Delete: &collaboardv1.ObjectDelete{Id: id}}}
}
