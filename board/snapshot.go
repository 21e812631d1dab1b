package board

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Limits of one chunk of a snapshot. An object of the largest size fits into one.
const (
	maxChunkObjects = 256
	maxChunkBytes   = 256 << 10
)

// Chunks returns the board as messages of at most 256 objects and 256 KiB each, objects by ascending id and tombstones
// included. Only the last has Last set; an empty board is one empty last chunk. epoch goes into their position; the
// board does not know it.
//
// The board must not change meanwhile: to send chunks slowly, send those of a clone. The objects are shared and must
// not be changed.
func (b *Board) Chunks(epoch string) iter.Seq[*collaboardv1.BoardSnapshot] {
	return func(yield func(*collaboardv1.BoardSnapshot) bool) {
		position := &collaboardv1.Position{Epoch: epoch, Seq: b.seq}
		empty := proto.Size(&collaboardv1.BoardSnapshot{Position: position, Last: true})
		chunk, size := &collaboardv1.BoardSnapshot{Position: position}, empty
		for o := range b.Objects() {
			n := protowire.SizeTag(2) + protowire.SizeBytes(proto.Size(o))
			if len(chunk.GetObjects()) == maxChunkObjects || size+n > maxChunkBytes {
				if !yield(chunk) {
					return
				}
				chunk, size = &collaboardv1.BoardSnapshot{Position: position}, empty
			}
			chunk.Objects = append(chunk.Objects, o)
			size += n
		}
		chunk.Last = true
		yield(chunk)
	}
}

// Load puts the objects of a chunk on the board and moves Seq to the chunk's position. Loading the chunks of a snapshot
// into an empty board, in any order, makes a board equal to the one they are of.
//
// It is total like [Board.Apply]: an object that no board could have made, or whose id or z_index is taken, is left
// out. It returns how many were. The chunk is not changed, and must not be changed afterwards.
func (b *Board) Load(chunk *collaboardv1.BoardSnapshot) (leftOut int) {
	b.seq = chunk.GetPosition().GetSeq()
	for _, o := range chunk.GetObjects() {
		if !b.add(o) {
			leftOut++
		}
	}
	return leftOut
}

// Snapshot returns the whole state as bytes: those of two boards are equal exactly if the boards are. Between programs
// that were built from different versions of protobuf they may not be; [Board.Chunks] is what the wire has.
func (b *Board) Snapshot() []byte {
	all := &collaboardv1.BoardSnapshot{Position: &collaboardv1.Position{Seq: b.seq}, Last: true}
	for o := range b.Objects() {
		all.Objects = append(all.Objects, o)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(all)
	if err != nil {
		panic("board: an object cannot be encoded: " + err.Error()) // The package comment says why it can.
	}
	return bytes
}
