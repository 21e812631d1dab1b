package bench

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// frameID is a UUID as text. Those of this package carry a time, see newFrameID.
type frameID [36]byte

// newFrameID makes a UUIDv7 with 12 bits of a millisecond's fraction behind its milliseconds (RFC 9562, section 6.2,
// method 3), the sender, and a number.
func newFrameID(at time.Time, sender uint16, n uint64) (id frameID) {
	ns := at.UnixNano()
	ms, rest := ns/int64(time.Millisecond), ns%int64(time.Millisecond)
	var u [16]byte
	binary.BigEndian.PutUint64(u[:], uint64(ms)<<16|0x7000|uint64(rest<<12/int64(time.Millisecond)))
	binary.BigEndian.PutUint64(u[8:], 2<<62|uint64(sender)<<40|n&(1<<40-1))
	h := id[:0]
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			h = append(h, '-')
		}
		h = hex.AppendEncode(h, []byte{b})
	}
	return id
}

// time is when the frame was to be sent, in nanoseconds since 1970, a quarter of a microsecond more or less.
func (id *frameID) time() int64 {
	var b [8]byte
	var digits [16]byte
	copy(digits[:8], id[:8])
	copy(digits[8:12], id[9:13])
	copy(digits[12:], id[14:18])
	if _, err := hex.Decode(b[:], digits[:]); err != nil {
		return 0
	}
	v := binary.BigEndian.Uint64(b[:])
	return int64(v>>16)*int64(time.Millisecond) + int64(v&0xfff)*int64(time.Millisecond)>>12
}

// template is a frame that was encoded once, to be sent many times, each time under another id.
type template struct {
	encoded []byte
	id      int // where in encoded the id stands
}

func newTemplate(frame *collaboardv1.Frame) (template, error) {
	frame.Id = strings.Repeat("?", len(frameID{}))
	encoded, err := protobuf.Marshal(frame)
	if err != nil {
		return template{}, fmt.Errorf("encode frame: %w", err)
	}
	return template{encoded: encoded, id: strings.Index(string(encoded), frame.GetId())}, nil
}

// payload returns a durable frame of about so many bytes of content.
func payload(kind Kind, board, object string, bytes int) *collaboardv1.Frame {
	frame := &collaboardv1.Frame{BoardId: board, Status: collaboardv1.Status_STATUS_REQUEST}
	text := strings.Repeat("x", bytes)
	switch kind {
	case Chat:
		frame.Payload = &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: text}}
	case ObjectUpdate:
		frame.Payload = &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{
			Id: object, X: protobuf.Float64(1.5), Y: protobuf.Float64(-2.5),
			Props: map[string]*structpb.Value{"text": structpb.NewStringValue(text)},
		}}
	case Custom:
		frame.Payload = &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "bench", Data: []byte(text)}}
	}
	return frame
}

// cursorMove says in its x when it was sent.
func cursorMove(board string, at time.Time) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		BoardId: board, Status: collaboardv1.Status_STATUS_REQUEST,
		Payload: &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{X: float64(at.UnixMicro())}},
	}
}

func objectCreate(board, object string) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		BoardId: board, Status: collaboardv1.Status_STATUS_REQUEST, Id: uuid.NewString(),
		Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: object, Kind: "rectangle", Width: 100, Height: 50},
		}},
	}
}

// outgoing is an encoded frame to send. Its bytes must not change before it is answered.
type outgoing []byte

// incoming is what matters of a frame that was received.
type incoming struct {
	id, parent frameID
	seq        uint64
	status     collaboardv1.Status
	err        collaboardv1.ErrorCode
	cursor     float64 // the x of a cursor_move: when it was sent, in microseconds since 1970

	decode bool                // whether frame is to be filled in
	frame  *collaboardv1.Frame // the whole
}

// The fields of Frame, Error and CursorMove that are looked at.
const (
	fieldID, fieldParentID, fieldSeq, fieldStatus, fieldCursor, fieldError = 1, 2, 4, 7, 40, 61
	fieldCode                                                              = 1
	fieldX                                                                 = 1
)

func (in *incoming) parse(b []byte) error {
	*in = incoming{decode: in.decode}
	if in.decode {
		in.frame = &collaboardv1.Frame{}
		if err := protobuf.Unmarshal(b, in.frame); err != nil {
			return err
		}
	}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		value := b
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		value, b = value[:n], b[n:]
		switch number {
		case fieldID:
			content, _ := protowire.ConsumeBytes(value)
			copy(in.id[:], content)
		case fieldParentID:
			content, _ := protowire.ConsumeBytes(value)
			copy(in.parent[:], content)
		case fieldSeq:
			in.seq, _ = protowire.ConsumeVarint(value)
		case fieldStatus:
			status, _ := protowire.ConsumeVarint(value)
			in.status = collaboardv1.Status(status)
		case fieldError:
			content, _ := protowire.ConsumeBytes(value)
			in.err = errorCode(content)
		case fieldCursor:
			content, _ := protowire.ConsumeBytes(value)
			if number, kind, n := protowire.ConsumeTag(content); n > 0 && number == fieldX && kind == protowire.Fixed64Type {
				bits, _ := protowire.ConsumeFixed64(content[n:])
				in.cursor = math.Float64frombits(bits)
			}
		default:
		}
	}
	return nil
}

func errorCode(b []byte) collaboardv1.ErrorCode {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			break
		}
		b = b[n:]
		if number == fieldCode {
			code, _ := protowire.ConsumeVarint(b)
			return collaboardv1.ErrorCode(code)
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			break
		}
		b = b[n:]
	}
	return collaboardv1.ErrorCode_ERROR_CODE_UNSPECIFIED
}

// codec is grpc's own for protobuf, but for the two types above.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if frame, ok := v.(outgoing); ok {
		return mem.BufferSlice{mem.SliceBuffer(frame)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return in.parse(buf.ReadOnlyData())
}
