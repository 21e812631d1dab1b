package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// drawer makes what a person who draws and talks would send. Some of it the server has to refuse, since others change
// and delete the same objects.
type drawer struct {
	name    string
	rng     *rand.Rand
	n       int
	steady  bool     // makes no object once it has enough
	objects []string // that were created, or tried to be
}

// kept is how many objects a drawer remembers, so that most of its changes find theirs.
const kept = 8

// next is a durable frame to a board.
func (d *drawer) next(board string) *collaboardv1.Frame {
	d.n++
	f := &collaboardv1.Frame{Id: uuid.Must(uuid.NewV7()).String(), BoardId: board, Status: collaboardv1.Status_STATUS_REQUEST}
	label := fmt.Sprintf("%s/%d", d.name, d.n)
	if d.rng.IntN(40) == 0 { // nobody has made it, or will
		f.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: uuid.Nil.String(), X: proto.Float64(1)}}
		return f
	}
	pick := d.rng.IntN(10)
	if d.steady && len(d.objects) == kept && pick >= 4 {
		pick = 6 // an update, where it would be a creation, a batch or a deletion
	}
	object := func() string { return d.objects[d.rng.IntN(len(d.objects))] }
	switch {
	case pick < 2:
		f.Payload = &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: label}}
	case pick < 4:
		data := make([]byte, d.rng.IntN(400))
		for i := range data {
			data[i] = byte(d.rng.Uint32())
		}
		f.Payload = &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "robustness", Data: data}}
	case pick < 6 || len(d.objects) < kept/2:
		f.Payload = &collaboardv1.Frame_ObjectCreate{ObjectCreate: d.create(label)}
	case pick < 8:
		f.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{
			Id: object(), X: proto.Float64(d.rng.Float64() * 1000), Y: proto.Float64(d.rng.Float64() * 1000),
			Props: map[string]*structpb.Value{"text": structpb.NewStringValue(label), d.name: structpb.NewNumberValue(float64(d.n))},
		}}
	case pick < 9:
		f.Payload = &collaboardv1.Frame_ObjectBatch{ObjectBatch: &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{
			{Op: &collaboardv1.ObjectOp_Create{Create: d.create(label)}},
			{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: object(), Width: proto.Float64(float64(d.n))}}},
		}}}
	default:
		f.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: &collaboardv1.ObjectDelete{Id: object()}}
	}
	return f
}

func (d *drawer) create(label string) *collaboardv1.ObjectCreate {
	// Of the run's own randomness, so that a seed gives the same objects.
	var id uuid.UUID
	for i := range id {
		id[i] = byte(d.rng.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	if len(d.objects) < kept {
		d.objects = append(d.objects, id.String())
	} else {
		d.objects[d.rng.IntN(kept)] = id.String()
	}
	return &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{
		Id: id.String(), Kind: "rectangle", X: d.rng.Float64() * 1000, Y: d.rng.Float64() * 1000, Width: 100, Height: 50,
		Props: map[string]*structpb.Value{"text": structpb.NewStringValue(label)},
	}}
}
