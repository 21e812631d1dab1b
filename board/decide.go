package board

import (
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Stamp is what the server adds to a frame that it accepts.
type Stamp struct {
	Seq  uint64    // the frame's position in the log; after the board's Seq
	Time time.Time // when it was accepted; years 1 to 9999
	From string    // the sender's user id; UTF-8, at most MaxSenderBytes
	Name string    // the sender's display name; the same
}

// mark is a Stamp as it goes into messages.
type mark struct {
	seq  uint64
	time *timestamppb.Timestamp
	from string

	// exact means that a z_index is to be what is asked for, since a server gave it before.
	exact bool
}

// Decide returns the frame that the log would hold if req were the next: an EVENT with the stamp on it and the
// effective payload, to which [Board.Apply] adds no rule. Or it refuses req with an [*Error]. Nobody need have
// validated req before.
//
// It changes neither b nor req. The event shares messages with req (values of props, bytes of a custom frame), so
// neither may be changed afterwards.
func (b *Board) Decide(req *collaboardv1.Frame, s Stamp) (*collaboardv1.Frame, error) {
	event, err := b.decide(req, s, mark{seq: s.Seq, time: timestamppb.New(s.Time), from: s.From})
	if err != nil {
		return nil, err.finish()
	}
	return event, nil
}

func (b *Board) decide(req *collaboardv1.Frame, s Stamp, m mark) (*collaboardv1.Frame, *Error) {
	if s.Seq <= b.seq || !m.valid() || len(s.Name) > MaxSenderBytes || !utf8.ValidString(s.Name) {
		return nil, refuse(collaboardv1.ErrorCode_INTERNAL, "stamp", "makes no sense on this board")
	}
	id, idOK := canonicalUUID(req.GetId())
	boardID, boardOK := canonicalUUID(req.GetBoardId())
	var c checker
	c.check(idOK, "id", notUUID)
	c.check(boardOK, "board_id", notUUID)
	if err := c.err(); err != nil {
		return nil, err
	}
	event := &collaboardv1.Frame{
		Id: id, BoardId: boardID,
		Seq: m.seq, Time: m.time, From: m.from, Status: collaboardv1.Status_STATUS_EVENT,
	}
	if err := b.decidePayload(event, req, m); err != nil {
		return nil, err
	}
	if chat := event.GetChatMessage(); chat != nil {
		chat.SenderName = s.Name
	}
	return event, nil
}

func (b *Board) decidePayload(event, req *collaboardv1.Frame, m mark) *Error {
	switch p := req.GetPayload().(type) {
	case *collaboardv1.Frame_ObjectCreate:
		create, _, err := b.decideCreate(p.ObjectCreate, m)
		if err != nil {
			return err.within("object_create")
		}
		event.Payload = &collaboardv1.Frame_ObjectCreate{ObjectCreate: create}
	case *collaboardv1.Frame_ObjectUpdate:
		update, _, err := b.decideUpdate(p.ObjectUpdate, m)
		if err != nil {
			return err.within("object_update")
		}
		event.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: update}
	case *collaboardv1.Frame_ObjectDelete:
		del, _, err := b.decideDelete(p.ObjectDelete, m)
		if err != nil {
			return err.within("object_delete")
		}
		event.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: del}
	case *collaboardv1.Frame_ObjectBatch:
		batch, err := b.decideBatch(p.ObjectBatch, m)
		if err != nil {
			return err.within("object_batch")
		}
		event.Payload = &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch}
		return fitsFrame(event, "object_batch")
	case *collaboardv1.Frame_ChatMessage:
		if err := checkChat(p.ChatMessage); err != nil {
			return err.within("chat_message")
		}
		event.Payload = &collaboardv1.Frame_ChatMessage{
			ChatMessage: &collaboardv1.ChatMessage{Text: p.ChatMessage.GetText()},
		}
	case *collaboardv1.Frame_Custom:
		if err := checkCustom(p.Custom); err != nil {
			return err.within("custom")
		}
		event.Payload = &collaboardv1.Frame_Custom{
			Custom: &collaboardv1.Custom{Type: p.Custom.GetType(), Data: p.Custom.GetData()},
		}
		if len(p.Custom.GetData()) < MaxFrameBytes/2 {
			return nil // all the rest is far less, and to measure it costs as much as half the chain
		}
		return fitsFrame(event, "custom")
	default:
		return refuse(collaboardv1.ErrorCode_INVALID_FRAME, "payload", "must be durable")
	}
	return nil
}

// fitsFrame refuses an event that outgrew the frame it came in, by what the server sets. Only batches and custom
// frames can: the limits of an object and of a chat message are far below that of a frame.
func fitsFrame(event *collaboardv1.Frame, field string) *Error {
	if n := proto.Size(event) + ChainBytes; n > MaxFrameBytes {
		return refuse(collaboardv1.ErrorCode_TOO_LARGE, field,
			fmt.Sprintf("would be an event of %d bytes; at most %d are allowed", n, MaxFrameBytes))
	}
	return nil
}

// decideCreate returns the effective create, and what it puts on the board.
func (b *Board) decideCreate(create *collaboardv1.ObjectCreate, m mark) (*collaboardv1.ObjectCreate, entry, *Error) {
	asked := create.GetObject()
	if err := checkObject(asked); err != nil {
		return nil, entry{}, err.within("object")
	}
	o := content(asked)
	o.Id, _ = canonicalUUID(o.GetId())
	o.GroupId, _ = canonicalUUID(o.GetGroupId())
	if _, used := b.objects.Get(o.GetId()); used {
		return nil, entry{}, refuse(collaboardv1.ErrorCode_OBJECT_EXISTS, "", "object "+o.GetId()+" is, or was, on the board")
	}
	var err *Error
	if o.ZIndex, err = b.place(o.GetZIndex(), o.GetId(), m.exact); err != nil {
		return nil, entry{}, err.within("object")
	}
	props := withoutNulls(asked.GetProps())
	e, err := seal(o, props, sizeProps(props))
	if err != nil {
		return nil, entry{}, err.within("object")
	}
	o.Version = 1
	o.CreatedSeq, o.CreatedAt, o.CreatedBy = m.seq, m.time, m.from
	o.UpdatedSeq, o.UpdatedAt, o.UpdatedBy = m.seq, m.time, m.from
	return &collaboardv1.ObjectCreate{Object: o}, e, nil
}

// decideUpdate returns the effective update, and what it puts on the board.
func (b *Board) decideUpdate(asked *collaboardv1.ObjectUpdate, m mark) (*collaboardv1.ObjectUpdate, entry, *Error) {
	if err := checkUpdate(asked); err != nil {
		return nil, entry{}, err
	}
	cur, err := b.current(asked.GetId(), asked.IfVersion)
	if err != nil {
		return nil, entry{}, err
	}
	update := &collaboardv1.ObjectUpdate{
		Id:       cur.object.GetId(),
		Kind:     asked.Kind,
		X:        unsignedField(asked.X),
		Y:        unsignedField(asked.Y),
		Width:    unsignedField(asked.Width),
		Height:   unsignedField(asked.Height),
		Rotation: unsignedField(asked.Rotation),
		Props:    asked.GetProps(),
		Deleted:  asked.Deleted,
		Version:  cur.object.GetVersion() + 1,
	}
	if asked.GroupId != nil {
		group, _ := canonicalUUID(asked.GetGroupId())
		update.GroupId = &group
	}
	if asked.ZIndex != nil {
		z, err := b.place(asked.GetZIndex(), cur.object.GetId(), m.exact)
		if err != nil {
			return nil, entry{}, err
		}
		update.ZIndex = &z
	}
	next, err := merge(cur, update, m)
	return update, next, err
}

// decideDelete returns the effective delete, and the tombstone that it puts on the board.
func (b *Board) decideDelete(asked *collaboardv1.ObjectDelete, m mark) (*collaboardv1.ObjectDelete, entry, *Error) {
	if err := checkDelete(asked); err != nil {
		return nil, entry{}, err
	}
	cur, err := b.current(asked.GetId(), asked.IfVersion)
	if err != nil {
		return nil, entry{}, err
	}
	return &collaboardv1.ObjectDelete{Id: cur.object.GetId(), Version: cur.object.GetVersion() + 1}, bury(cur, m), nil
}

// current returns the object with this id, at this version where one is demanded.
func (b *Board) current(id string, ifVersion *uint64) (entry, *Error) {
	id, _ = canonicalUUID(id)
	cur, ok := b.objects.Get(id)
	if !ok {
		return entry{}, refuse(collaboardv1.ErrorCode_OBJECT_NOT_FOUND, "", "object "+id+" was never on the board")
	}
	if v := cur.object.GetVersion(); ifVersion != nil && *ifVersion != v {
		err := refuse(collaboardv1.ErrorCode_STALE_UPDATE, "", fmt.Sprintf("object %s is at version %d", id, v))
		err.CurrentVersion = &v
		return entry{}, err
	}
	return cur, nil
}

func (b *Board) decideBatch(asked *collaboardv1.ObjectBatch, m mark) (*collaboardv1.ObjectBatch, *Error) {
	if err := checkBatch(asked); err != nil {
		return nil, err
	}
	batch := &collaboardv1.ObjectBatch{
		Ops: make([]*collaboardv1.ObjectOp, len(asked.GetOps())), RestoredSeq: asked.GetRestoredSeq(), RevertedSeq: asked.GetRevertedSeq(),
	}
	scratch := b.scratch()
	for i, op := range asked.GetOps() {
		effective, e, err := scratch.decideOp(op, m)
		if err != nil {
			return nil, err.within(fmt.Sprintf("ops[%d]", i))
		}
		scratch.put(e)
		batch.Ops[i] = effective
	}
	return batch, nil
}

func (b *Board) decideOp(op *collaboardv1.ObjectOp, m mark) (*collaboardv1.ObjectOp, entry, *Error) {
	switch op := op.GetOp().(type) {
	case *collaboardv1.ObjectOp_Create:
		create, e, err := b.decideCreate(op.Create, m)
		if err != nil {
			return nil, entry{}, err.within("create")
		}
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: create}}, e, nil
	case *collaboardv1.ObjectOp_Update:
		update, e, err := b.decideUpdate(op.Update, m)
		if err != nil {
			return nil, entry{}, err.within("update")
		}
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: update}}, e, nil
	case *collaboardv1.ObjectOp_Delete:
		del, e, err := b.decideDelete(op.Delete, m)
		if err != nil {
			return nil, entry{}, err.within("delete")
		}
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Delete{Delete: del}}, e, nil
	default:
		return nil, entry{}, refuse(collaboardv1.ErrorCode_INVALID_FRAME, "", "must create, update or delete")
	}
}

// place returns the z_index for the object id when it asks for key: key itself if it is free or the object's own
// already, else the next place above whoever holds it; on top of all for an empty key, or where no key is left between.
// Where it must be exact it is key, or none.
func (b *Board) place(key, id string, exact bool) (string, *Error) {
	if exact {
		if !b.free(key, id) {
			return "", refuse(collaboardv1.ErrorCode_INVALID_FRAME, "z_index", "is missing, or another object's")
		}
		return key, nil
	}
	holder, held := b.stack.Get(key)
	if held && holder == id {
		return key, nil
	}
	if key != "" && key[0] == headMax {
		// Room is always left above what clients choose: else one object at the very end of the key space would keep
		// everybody from putting another on top.
		return "", refuse(collaboardv1.ErrorCode_INVALID_FRAME, "z_index", "is out of range")
	}
	if key != "" && !held {
		return key, nil
	}
	lo, hi := key, ""
	if key == "" {
		lo, _, _ = b.stack.Max()
	} else {
		b.stack.Ascend(key, func(z, _ string) bool {
			hi = z
			return z == key
		})
		if hi == key {
			hi = ""
		}
	}
	z, err := KeyBetween(lo, hi)
	if err != nil {
		return "", refuse(collaboardv1.ErrorCode_INTERNAL, "z_index", "has no place on the board")
	}
	if len(z) > MaxZIndexBytes && key != "" {
		return b.place("", id, false) // no room is left there: thousands have asked for one place
	}
	if len(z) > MaxZIndexBytes {
		return "", refuse(collaboardv1.ErrorCode_TOO_LARGE, "z_index",
			fmt.Sprintf("would be %d bytes long; at most %d are allowed", len(z), MaxZIndexBytes))
	}
	return z, nil
}

func unsignedField(v *float64) *float64 {
	if v == nil || *v != 0 {
		return v
	}
	return new(float64)
}

// withoutNulls returns props without those that are null: props itself if there are none.
func withoutNulls(props map[string]*structpb.Value) map[string]*structpb.Value {
	if !hasNull(props) {
		return props
	}
	kept := make(map[string]*structpb.Value, len(props))
	for key, value := range props {
		if !isNull(value) {
			kept[key] = value
		}
	}
	return kept
}
