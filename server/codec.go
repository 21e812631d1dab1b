package server

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// encoded is a frame that was encoded once for many. As with a record's body, the transport does not write to it.
type encoded []byte

// received is a frame on its way in, with what the stream's interceptor must know of its form.
type received struct {
	frame *collaboardv1.Frame
	size  int
	err   error // why the bytes are not a frame: a status
}

// codec is grpc's own codec for protobuf, but for the frames of the stream: they go out without being encoded again,
// and come in with their size.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case encoded:
		return mem.BufferSlice{mem.SliceBuffer(m)}, nil
	case *persistence.Record:
		return mem.BufferSlice{mem.SliceBuffer(m.Body)}, nil
	case *request:
		return mem.BufferSlice{mem.SliceBuffer(encodeAck(m))}, nil
	case *message:
		return c.CodecV2.Marshal(m.frame)
	default:
		return c.CodecV2.Marshal(v) //nolint:wrapcheck // a codec's errors are the transport's
	}
}

// encodeAck is the ack of a durable frame that was committed, as proto.Marshal encodes it. There is one for every frame: it
// is written by hand, without the messages that it would take.
func encodeAck(r *request) []byte {
	const (
		parentID, boardID, seq, frameStatus, ack = 2, 3, 4, 7, 60 // fields of Frame
		epoch, duplicate                         = 1, 2           // fields of Ack

		uuidBytes = 36
		maxBytes  = 2*(2+uuidBytes) + (1 + 10) + 2 + 3 + (2 + uuidBytes) + 2
	)
	text := func(b []byte, field protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
	}
	number := func(b []byte, field protowire.Number, n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
	}
	b := make([]byte, 0, maxBytes)
	b = text(b, parentID, r.frame.GetId())
	b = text(b, boardID, r.frame.GetBoardId())
	b = number(b, seq, uint64(r.result.Seq))
	b = number(b, frameStatus, uint64(collaboardv1.Status_STATUS_DONE))
	size := uint64(2 + uuidBytes)
	if r.result.Duplicate {
		size += 2
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, ack, protowire.BytesType), size)
	b = text(b, epoch, r.result.Epoch.String())
	if r.result.Duplicate {
		b = number(b, duplicate, 1)
	}
	return b
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*received)
	if !ok {
		return c.CodecV2.Unmarshal(data, v) //nolint:wrapcheck // see Marshal
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	r.size = buf.Len()
	if r.size > maxFrameMessageBytes { // grpc's own limit is that of all calls
		r.err = status.Errorf(codes.ResourceExhausted, "a message of %d bytes, %d are allowed", r.size, maxFrameMessageBytes)
		return nil
	}
	r.frame = &collaboardv1.Frame{}
	if err := protobuf.Unmarshal(buf.ReadOnlyData(), r.frame); err != nil {
		r.err = status.Error(codes.InvalidArgument, "a message is not an encoded Frame")
	}
	return nil
}
