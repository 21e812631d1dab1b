package board

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Touched is which fields of which objects frames have set: by the object's id, the fields' names as in ObjectUpdate, those
// of props as "props.KEY".
type Touched map[string]map[string]bool

// LeftAlone is what a reversal did not undo, since somebody set it again.
type LeftAlone struct {
	Object string
	Fields []string // sorted; as in Touched
}

// created stands for all fields of an object that a frame created.
const created = ""

const propPrefix = "props."

// Add adds what an EVENT sets.
func (t Touched) Add(event *collaboardv1.Frame) {
	add := func(id string, names ...string) {
		if id == "" {
			return
		}
		if t[id] == nil {
			t[id] = map[string]bool{}
		}
		for _, name := range names {
			t[id][name] = true
		}
	}
	one := func(create *collaboardv1.ObjectCreate, update *collaboardv1.ObjectUpdate, del *collaboardv1.ObjectDelete) {
		add(create.GetObject().GetId(), created)
		add(del.GetId(), "deleted")
		for _, f := range fields {
			if update != nil && f.isIn(update) {
				add(update.GetId(), f.name())
			}
		}
		for key := range update.GetProps() {
			add(update.GetId(), propPrefix+key)
		}
	}
	one(event.GetObjectCreate(), event.GetObjectUpdate(), event.GetObjectDelete())
	for _, op := range event.GetObjectBatch().GetOps() {
		one(op.GetCreate(), op.GetUpdate(), op.GetDelete())
	}
}

// Clone is a copy that shares nothing with t.
func (t Touched) Clone() Touched {
	c := make(Touched, len(t))
	for id, names := range t {
		c[id] = maps.Clone(names)
	}
	return c
}

// Reversal returns ops that undo on b what a frame of its log set, by, but for what other frames have set since, and what
// that is: before is the board as it was before the frame.
//
// An object that the frame created is deleted, unless anything of it was set since: somebody has worked on it.
func (b *Board) Reversal(before *Board, by, since Touched) (ops []*collaboardv1.ObjectOp, left []LeftAlone) {
	for _, id := range slices.Sorted(maps.Keys(by)) {
		cur, ok := b.Object(id)
		if !ok {
			continue
		}
		was, existed := before.Object(id)
		if !existed {
			switch {
			case cur.GetDeleted():
			case len(since[id]) > 0:
				left = append(left, LeftAlone{Object: id, Fields: slices.Sorted(maps.Keys(since[id]))})
			default:
				ops = append(ops, opDelete(id))
			}
			continue
		}
		undo, kept := reversed(cur, was, by[id], since[id])
		ops = append(ops, undo...)
		if len(kept) > 0 {
			left = append(left, LeftAlone{Object: id, Fields: kept})
		}
	}
	return ops, left
}

// reversed are updates that make the fields of cur that are in by, and not in since, what they were; and it names the others
// that are not.
func reversed(cur, was *collaboardv1.Object, by, since map[string]bool) (ops []*collaboardv1.ObjectOp, left []string) {
	u := &collaboardv1.ObjectUpdate{Id: cur.GetId()}
	for _, f := range fields {
		switch name := f.name(); {
		case !by[name] || f.equal(cur, was):
		case since[name]:
			left = append(left, name)
		default:
			f.set(u, was)
		}
	}
	props := map[string]*structpb.Value{}
	for name := range by {
		key, ok := strings.CutPrefix(name, propPrefix)
		switch {
		case !ok || proto.Equal(was.GetProps()[key], cur.GetProps()[key]):
		case since[name]:
			left = append(left, name)
		default:
			props[key] = valueOf(was, key)
		}
	}
	slices.Sort(left)
	return updates(u, props), left
}
