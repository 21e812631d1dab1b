// Package board is a board as a pure state machine: [Board.Decide] says what a request would do to it, [Board.Apply]
// does what a frame of the log says, and nothing else changes it. There is no I/O in it, no clock, no goroutine, no
// log line and no randomness, so a server, a client and a test that fold the same log hold the same board.
//
// What holds of every board, whatever it was given:
//
//   - An object is never changed once it is on a board: a change puts another in its place. So objects are shared
//     between boards, clones and frames, and nobody may change one.
//   - An id is used once: a deleted object stays as a tombstone.
//   - No two objects, tombstones included, have the same z_index.
//   - Every string is UTF-8, every number is finite, every object is within the limits below, so that the board can
//     always be encoded.
//
// The rules themselves (how changes merge, what a z_index is) are the contract of the wire: see api/collaboard/v1.
//
// Rejected: an undo journal instead of [Board.Clone]. It makes one board do for state and overlay, but a reader would
// see changes that are not committed, and every kind of change would need its inverse.
package board

import (
	"iter"

	"github.com/tidwall/btree"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Limits of what a board takes. They are limits of the wire: the comments in api/collaboard/v1 state them too.
const (
	// MaxFrameBytes is the largest encoded frame, an EVENT as well as a request.
	MaxFrameBytes = 1 << 20
	// MaxObjectBytes is the largest encoded object. 2 KiB of it are kept for what the server sets, so that an object
	// never becomes too large to be deleted because somebody with a longer name does it.
	MaxObjectBytes = 240 << 10
	// MaxBatchOps is the most ops in a batch; the fewest is 1.
	MaxBatchOps = 1000
	// MaxKindBytes is the longest kind of an object; the shortest is 1.
	MaxKindBytes = 64
	// MaxZIndexBytes is the longest z_index, be it chosen by a client or made here: what an object has, a client can
	// send back.
	MaxZIndexBytes = 256
	// MaxProps is the most props of an object, and the most that one update names.
	MaxProps = 256
	// MaxPropKeyBytes is the longest key of a prop; the shortest is 1.
	MaxPropKeyBytes = 128
	// MaxPropDepth is how deep the value of a prop may nest: the value itself is at depth 1, what a list or a struct
	// holds is one deeper than it.
	MaxPropDepth = 16
	// MaxChatBytes is the longest text of a chat message; the shortest is 1.
	MaxChatBytes = 16 << 10
	// MaxCustomTypeBytes is the longest type of a custom frame; the shortest is 1.
	MaxCustomTypeBytes = 128
	// MaxSenderBytes is the longest user id that a frame can be from.
	MaxSenderBytes = 512
)

// Board is the state of a board at one seq of its log. The zero value is an empty board at seq 0.
//
// Concurrency: methods that only read (all but Clone, Apply and Load; Decide is one that reads) may be called by many
// goroutines at once. Clone, Apply and Load need the board to themselves. A board and its clones are distinct boards:
// each may be used by a goroutine of its own, without a lock.
type Board struct {
	objects btree.Map[string, entry]  // by id; tombstones too
	stack   btree.Map[string, string] // id by z_index; tombstones too
	live    int                       // objects that are not tombstones
	seq     uint64
}

// entry is an object and what is dear to compute again: moving an object of 200 KiB must not walk its props.
type entry struct {
	object     *collaboardv1.Object
	propsBytes int // how much of the encoded object its props are
}

// New returns an empty board at seq 0.
func New() *Board { return new(Board) }

// Clone returns a board equal to b, in constant time: the two share everything until one of them changes, which copies
// the few tree nodes that it touches. This is how changes are tried: decide and apply on a clone, then keep the clone,
// or drop it.
//
// Although b does not change, Clone writes to it (both trees give up the ownership of the nodes they now share), so no
// other method of b may be under way.
func (b *Board) Clone() *Board {
	return &Board{objects: *b.objects.Copy(), stack: *b.stack.Copy(), live: b.live, seq: b.seq}
}

// scratch is Clone without writing to b: b keeps owning its nodes. It may be used only as long as b does not change.
func (b *Board) scratch() *Board {
	owner := *b
	return owner.Clone()
}

// Seq returns the seq of the last frame that was applied; 0 for none.
func (b *Board) Seq() uint64 { return b.seq }

// Len returns how many objects there are, tombstones apart.
func (b *Board) Len() int { return b.live }

// Object returns the object, or its tombstone, with this id in canonical form (36 characters, lower case). It must not
// be changed.
func (b *Board) Object(id string) (*collaboardv1.Object, bool) {
	e, ok := b.objects.Get(id)
	return e.object, ok
}

// Objects returns every object, tombstones included, by ascending id. The board must not change meanwhile; nor must
// the objects, ever.
func (b *Board) Objects() iter.Seq[*collaboardv1.Object] {
	return func(yield func(*collaboardv1.Object) bool) {
		b.objects.Scan(func(_ string, e entry) bool { return yield(e.object) })
	}
}

// Stack returns the objects that are not deleted, from the bottom to the top. The board must not change meanwhile; nor
// must the objects, ever.
func (b *Board) Stack() iter.Seq[*collaboardv1.Object] {
	return func(yield func(*collaboardv1.Object) bool) {
		b.stack.Scan(func(_, id string) bool {
			e, _ := b.objects.Get(id)
			return e.object.GetDeleted() || yield(e.object)
		})
	}
}

// put makes e the state of its object, new or not. Its z_index is free, or the object's own.
func (b *Board) put(e entry) {
	id, z := e.object.GetId(), e.object.GetZIndex()
	prev, replaced := b.objects.Set(id, e)
	if replaced && !prev.object.GetDeleted() {
		b.live--
	}
	if !e.object.GetDeleted() {
		b.live++
	}
	if was := prev.object.GetZIndex(); was != z {
		if replaced {
			b.stack.Delete(was)
		}
		b.stack.Set(z, id)
	}
}
