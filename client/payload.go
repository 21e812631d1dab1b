package client

import (
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// wrap returns a request with the payload; nil where it is not one that a client sends. Of a whole frame it takes id
// and payload.
func wrap(payload proto.Message) *collaboardv1.Frame {
	f := &collaboardv1.Frame{Status: collaboardv1.Status_STATUS_REQUEST}
	switch p := payload.(type) {
	case *collaboardv1.Frame:
		f.Id, f.BoardId, f.Payload = p.GetId(), p.GetBoardId(), p.GetPayload()
	case *collaboardv1.ObjectCreate:
		f.Payload = &collaboardv1.Frame_ObjectCreate{ObjectCreate: p}
	case *collaboardv1.ObjectUpdate:
		f.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: p}
	case *collaboardv1.ObjectDelete:
		f.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: p}
	case *collaboardv1.ObjectBatch:
		f.Payload = &collaboardv1.Frame_ObjectBatch{ObjectBatch: p}
	case *collaboardv1.ChatMessage:
		f.Payload = &collaboardv1.Frame_ChatMessage{ChatMessage: p}
	case *collaboardv1.Custom:
		f.Payload = &collaboardv1.Frame_Custom{Custom: p}
	case *collaboardv1.CursorMove:
		f.Payload = &collaboardv1.Frame_CursorMove{CursorMove: p}
	case *collaboardv1.Selection:
		f.Payload = &collaboardv1.Frame_Selection{Selection: p}
	case *collaboardv1.Viewport:
		f.Payload = &collaboardv1.Frame_Viewport{Viewport: p}
	case *collaboardv1.ObjectDrag:
		f.Payload = &collaboardv1.Frame_ObjectDrag{ObjectDrag: p}
	case *collaboardv1.Typing:
		f.Payload = &collaboardv1.Frame_Typing{Typing: p}
	case *collaboardv1.CustomSignal:
		f.Payload = &collaboardv1.Frame_CustomSignal{CustomSignal: p}
	default:
		return nil
	}
	return f
}

// kindOf is the field number of what the frame carries, 0 for nothing. The payloads of Frame are numbered by lane:
// control from 10, durable from 20, ephemeral from 40, the server's from 60.
func kindOf(f *collaboardv1.Frame) protoreflect.FieldNumber {
	m := f.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
	if field == nil {
		return 0
	}
	return field.Number()
}

func isDurable(f *collaboardv1.Frame) bool   { k := kindOf(f); return k >= 20 && k < 40 }
func isEphemeral(f *collaboardv1.Frame) bool { k := kindOf(f); return k >= 40 && k < 60 }

// parseUUID returns the id in its canonical spelling, which is how the server spells it in events.
func parseUUID(what, s string) (string, error) {
	if len(s) != 36 {
		return "", fmt.Errorf("%s %q is not a UUID", what, s)
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%s %q is not a UUID", what, s)
	}
	return id.String(), nil
}
