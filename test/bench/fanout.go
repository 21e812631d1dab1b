package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// fanOutServer is the ceiling of fan-out: grpc-go's streams, filled with messages that were encoded beforehand, as fast as
// each takes them, and nothing else. It looks enough like a server that the same clients can measure both: the first frame
// that a client sends makes it begin.
type fanOutServer struct {
	collaboardv1.UnimplementedCollaborationServiceServer
	collaboardv1.UnimplementedBoardServiceServer

	frames []encodedFrame
	begin  chan struct{}
	once   sync.Once
}

// encodedFrame goes out as it is.
type encodedFrame []byte

// fanOutFrames is more than a member takes in the time that is measured.
const fanOutFrames = 200_000

func newFanOutServer() (*fanOutServer, error) {
	s := &fanOutServer{begin: make(chan struct{})}
	board := uuid.NewString()
	data := &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "bench", Data: make([]byte, 200)}}
	for seq := range uint64(fanOutFrames) {
		body, err := proto.Marshal(&collaboardv1.Frame{
			Id: uuid.NewString(), BoardId: board, Seq: seq + 1, Time: timestamppb.Now(), From: "anonymous",
			Status: collaboardv1.Status_STATUS_EVENT, Payload: data,
		})
		if err != nil {
			return nil, err
		}
		s.frames = append(s.frames, body)
	}
	return s, nil
}

func (s *fanOutServer) CreateBoard(context.Context, *collaboardv1.CreateBoardRequest) (*collaboardv1.Board, error) {
	return &collaboardv1.Board{Id: uuid.NewString()}, nil
}

func (s *fanOutServer) DeleteBoard(context.Context, *collaboardv1.DeleteBoardRequest) (*collaboardv1.DeleteBoardResponse, error) {
	return &collaboardv1.DeleteBoardResponse{}, nil
}

func (s *fanOutServer) Collaborate(stream collaboardv1.CollaborationService_CollaborateServer) error {
	if err := stream.Send(&collaboardv1.Frame{Status: collaboardv1.Status_STATUS_EVENT}); err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&collaboardv1.Frame{ParentId: frame.GetId(), Status: collaboardv1.Status_STATUS_DONE}); err != nil {
			return err
		}
		if frame.GetBoardJoin() == nil {
			s.once.Do(func() { close(s.begin) })
			continue
		}
		select {
		case <-s.begin:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		for _, frame := range s.frames {
			if err := stream.SendMsg(frame); err != nil {
				return err
			}
		}
	}
}

type fanOutCodec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c fanOutCodec) Marshal(v any) (mem.BufferSlice, error) {
	if frame, ok := v.(encodedFrame); ok {
		return mem.BufferSlice{mem.SliceBuffer(frame)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// serveFanOut prints its address, and serves until its input ends.
func serveFanOut(ctx context.Context) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(fanOutCodec{encoding.GetCodecV2(grpcproto.Name)}),
		grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(1<<20))
	s, err := newFanOutServer()
	if err != nil {
		return err
	}
	collaboardv1.RegisterCollaborationServiceServer(srv, s)
	collaboardv1.RegisterBoardServiceServer(srv, s)
	fmt.Println(lis.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		srv.Stop()
	}()
	return srv.Serve(lis)
}
