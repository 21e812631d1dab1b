package server

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
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
	case *message:
		return c.CodecV2.Marshal(m.frame)
	default:
		return c.CodecV2.Marshal(v) //nolint:wrapcheck // a codec's errors are the transport's
	}
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
