package board

import (
	"fmt"
	"maps"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// serverBytes is how much of MaxObjectBytes is kept for the fields that the server sets. They take 1,106 bytes at most.
const serverBytes = 2 << 10

// Apply does what a frame of the log says, and moves Seq to the frame's. Frames are to be given in the order of their
// seqs, without gaps: that is the caller's to see to. A frame at or before Seq is on the board already, and one without
// a seq is not in the log: they change nothing.
//
// It is total and deterministic. A frame that makes no sense on this board (not an EVENT, an object that is not there,
// a version that does not follow, a z_index that is taken, a value that no board holds) moves Seq and does nothing else;
// a batch is applied whole or not at all. The frame is not changed; the board shares the values of its props, so it must
// not be changed afterwards either.
func (b *Board) Apply(f *collaboardv1.Frame) {
	if f.GetSeq() <= b.seq {
		return
	}
	b.seq = f.GetSeq()
	m := mark{seq: f.GetSeq(), time: copyTime(f.GetTime()), from: f.GetFrom()}
	if f.GetStatus() != collaboardv1.Status_STATUS_EVENT || !m.valid() {
		return
	}
	switch p := f.GetPayload().(type) {
	case *collaboardv1.Frame_ObjectCreate:
		b.applyCreate(p.ObjectCreate)
	case *collaboardv1.Frame_ObjectUpdate:
		b.applyUpdate(p.ObjectUpdate, m)
	case *collaboardv1.Frame_ObjectDelete:
		b.applyDelete(p.ObjectDelete, m)
	case *collaboardv1.Frame_ObjectBatch:
		b.applyBatch(p.ObjectBatch, m)
	}
}

// applyCreate and its like report whether they changed the board: they do unless the frame makes no sense.
func (b *Board) applyCreate(create *collaboardv1.ObjectCreate) bool {
	o := create.GetObject()
	return o.GetVersion() == 1 && !o.GetDeleted() && b.add(o)
}

func (b *Board) applyUpdate(update *collaboardv1.ObjectUpdate, m mark) bool {
	cur, ok := b.objects.Get(update.GetId())
	if !ok || update.GetVersion() != cur.object.GetVersion()+1 || checkUpdate(update) != nil {
		return false
	}
	if update.ZIndex != nil && !b.free(update.GetZIndex(), update.GetId()) {
		return false
	}
	if group, _ := canonicalUUID(update.GetGroupId()); group != update.GetGroupId() {
		return false
	}
	next, err := merge(cur, update, m)
	if err != nil {
		return false
	}
	b.put(next)
	return true
}

func (b *Board) applyDelete(del *collaboardv1.ObjectDelete, m mark) bool {
	cur, ok := b.objects.Get(del.GetId())
	if !ok || del.GetVersion() != cur.object.GetVersion()+1 {
		return false
	}
	b.put(bury(cur, m))
	return true
}

func (b *Board) applyBatch(batch *collaboardv1.ObjectBatch, m mark) {
	if checkBatch(batch) != nil {
		return
	}
	scratch := b.scratch()
	for _, op := range batch.GetOps() {
		ok := false
		switch op := op.GetOp().(type) {
		case *collaboardv1.ObjectOp_Create:
			ok = scratch.applyCreate(op.Create)
		case *collaboardv1.ObjectOp_Update:
			ok = scratch.applyUpdate(op.Update, m)
		case *collaboardv1.ObjectOp_Delete:
			ok = scratch.applyDelete(op.Delete, m)
		}
		if !ok {
			return
		}
	}
	*b = *scratch
}

// add puts a complete object on the board as it is, if it is one that the board could have made, and new to it.
func (b *Board) add(o *collaboardv1.Object) bool {
	if checkObject(o) != nil || !complete(o) || !b.free(o.GetZIndex(), o.GetId()) {
		return false
	}
	if _, used := b.objects.Get(o.GetId()); used {
		return false
	}
	own := content(o)
	e, err := seal(own, o.GetProps(), sizeProps(o.GetProps()))
	if err != nil {
		return false
	}
	own.Version, own.Deleted = o.GetVersion(), o.GetDeleted()
	own.CreatedSeq, own.CreatedAt, own.CreatedBy = o.GetCreatedSeq(), copyTime(o.GetCreatedAt()), o.GetCreatedBy()
	own.UpdatedSeq, own.UpdatedAt, own.UpdatedBy = o.GetUpdatedSeq(), copyTime(o.GetUpdatedAt()), o.GetUpdatedBy()
	b.put(e)
	return true
}

// free reports whether the object id can have this z_index, which is well formed or empty.
func (b *Board) free(z, id string) bool {
	holder, held := b.stack.Get(z)
	return z != "" && (!held || holder == id)
}

// merge returns cur with the fields that the effective update sets. It fails when the object would pass a limit.
func merge(cur entry, update *collaboardv1.ObjectUpdate, m mark) (entry, *Error) {
	o := content(cur.object)
	set(&o.Kind, update.Kind)
	set(&o.X, update.X)
	set(&o.Y, update.Y)
	set(&o.Width, update.Width)
	set(&o.Height, update.Height)
	set(&o.Rotation, update.Rotation)
	set(&o.ZIndex, update.ZIndex)
	set(&o.GroupId, update.GroupId)
	props, propsBytes := cur.object.GetProps(), cur.propsBytes
	if len(update.GetProps()) > 0 {
		props, propsBytes = mergeProps(props, propsBytes, update.GetProps())
	}
	next, err := seal(o, props, propsBytes)
	if err != nil {
		return entry{}, err
	}
	revise(o, cur.object, m)
	set(&o.Deleted, update.Deleted)
	return next, nil
}

// bury returns the tombstone of cur. It keeps the content, for an undo. It passes no limit: serverBytes sees to that.
func bury(cur entry, m mark) entry {
	o := content(cur.object)
	o.Props = cur.object.GetProps()
	revise(o, cur.object, m)
	o.Deleted = true
	return entry{object: o, propsBytes: cur.propsBytes}
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// content returns a copy of what clients set in o, its props apart: where a new version of an object starts. Fields are
// named one by one because a message must not be copied as a struct.
func content(o *collaboardv1.Object) *collaboardv1.Object {
	return &collaboardv1.Object{
		Id:       o.GetId(),
		Kind:     o.GetKind(),
		X:        o.GetX(),
		Y:        o.GetY(),
		Width:    o.GetWidth(),
		Height:   o.GetHeight(),
		Rotation: o.GetRotation(),
		ZIndex:   o.GetZIndex(),
		GroupId:  o.GetGroupId(),
	}
}

// seal gives the content of an object its props, and fails when the two together pass a limit. Every object on a board
// went through it.
func seal(o *collaboardv1.Object, props map[string]*structpb.Value, propsBytes int) (entry, *Error) {
	if len(props) > MaxProps {
		return entry{}, refuse(collaboardv1.ErrorCode_INVALID_FRAME, "props",
			fmt.Sprintf("would have %d keys; at most %d are allowed", len(props), MaxProps))
	}
	for _, v := range []*float64{&o.X, &o.Y, &o.Width, &o.Height, &o.Rotation} {
		*v = unsigned(*v)
	}
	if n := proto.Size(o) + propsBytes + serverBytes; n > MaxObjectBytes {
		return entry{}, refuse(collaboardv1.ErrorCode_TOO_LARGE, "",
			fmt.Sprintf("would be an object of %d bytes; at most %d are allowed", n, MaxObjectBytes))
	}
	o.Props = props
	return entry{object: o, propsBytes: propsBytes}, nil
}

// unsigned makes 0 of -0. As a field without presence, some implementations of protobuf keep -0 and some do not (Go's
// Marshal and Clone differ), so replicas would not be equal.
func unsigned(v float64) float64 {
	if v == 0 {
		return 0
	}
	return v
}

// revise sets in o, the next version of cur, what the server sets.
func revise(o, cur *collaboardv1.Object, m mark) {
	o.Version, o.Deleted = cur.GetVersion()+1, cur.GetDeleted()
	o.CreatedSeq, o.CreatedAt, o.CreatedBy = cur.GetCreatedSeq(), cur.GetCreatedAt(), cur.GetCreatedBy()
	o.UpdatedSeq, o.UpdatedAt, o.UpdatedBy = m.seq, m.time, m.from
}

// mergeProps returns props with those of update, nulls taken out, and the encoded size of the result. props itself is
// shared with older versions of the object, so it is copied.
func mergeProps(
	props map[string]*structpb.Value, size int, update map[string]*structpb.Value,
) (map[string]*structpb.Value, int) {
	merged := make(map[string]*structpb.Value, len(props)+len(update))
	maps.Copy(merged, props)
	for key, value := range update {
		if old, ok := merged[key]; ok {
			size -= sizeProp(key, old)
		}
		if isNull(value) {
			delete(merged, key)
			continue
		}
		merged[key] = value
		size += sizeProp(key, value)
	}
	return merged, size
}

// sizeProps returns how much of an encoded object these props are.
func sizeProps(props map[string]*structpb.Value) int {
	size := 0
	for key, value := range props {
		size += sizeProp(key, value)
	}
	return size
}

// sizeProp returns the encoded size of one entry of Object.props: a map entry is a message of key = 1 and value = 2.
func sizeProp(key string, value *structpb.Value) int {
	const tag = 1 // bytes of a field's tag, as the numbers of all three fields are under 16
	return tag + protowire.SizeBytes(tag+protowire.SizeBytes(len(key))+tag+protowire.SizeBytes(proto.Size(value)))
}

// copyTime drops what an untrusted timestamp may carry besides the time.
func copyTime(t *timestamppb.Timestamp) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: t.GetSeconds(), Nanos: t.GetNanos()}
}
