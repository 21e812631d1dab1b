package client

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// outgoing is a frame that was encoded when it was submitted, so that the application may do with its payload what it
// likes, and a resend costs nothing.
type outgoing struct {
	body  []byte
	after string // its after_id this time
}

// incoming is a frame from the server and its encoded size.
type incoming struct {
	frame *collaboardv1.Frame
	size  int
}

// codec is grpc's own for protobuf, but for the frames of the stream.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	out, ok := v.(*outgoing)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	if out.after == "" {
		return mem.BufferSlice{mem.SliceBuffer(out.body)}, nil
	}
	// Two encoded messages, one behind the other, are the encoding of both merged.
	after, err := protobuf.Marshal(&collaboardv1.Frame{AfterId: out.after})
	if err != nil {
		return nil, fmt.Errorf("encode after_id: %w", err)
	}
	return mem.BufferSlice{mem.SliceBuffer(out.body), mem.SliceBuffer(after)}, nil
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	in.size = data.Len()
	in.frame = &collaboardv1.Frame{}
	return c.CodecV2.Unmarshal(data, in.frame)
}
