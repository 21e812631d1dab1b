package main

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

type collaborateStream = collaboardv1.CollaborationService_CollaborateServer

// fake is a server that has every board, and answers as a test wants.
type fake struct {
	collaboardv1.UnimplementedCollaborationServiceServer
	collaboardv1.UnimplementedBoardServiceServer
	collaborate func(collaborateStream) error
}

func (f *fake) Collaborate(stream collaborateStream) error {
	welcome := &collaboardv1.Frame{
		Status:  collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_SessionWelcome{SessionWelcome: &collaboardv1.SessionWelcome{}},
	}
	if err := stream.Send(welcome); err != nil {
		return err
	}
	return f.collaborate(stream)
}

// GetBoard shows who asks: the board's owner is the user and its name the display name.
func (f *fake) GetBoard(ctx context.Context, req *collaboardv1.GetBoardRequest) (*collaboardv1.Board, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if token := md.Get("authorization"); len(token) > 0 && token[0] != "Bearer right" {
		return nil, status.Error(codes.Unauthenticated, "not a good token")
	}
	b := &collaboardv1.Board{Id: req.GetBoardId(), FirstSeq: 1}
	if v := md.Get("user-id"); len(v) > 0 {
		b.Owner = v[0]
	}
	if v := md.Get("display-name"); len(v) > 0 {
		b.Name = v[0]
	}
	return b, nil
}

func serveFake(t *testing.T, collaborate func(collaborateStream) error, opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	f := &fake{collaborate: collaborate}
	collaboardv1.RegisterCollaborationServiceServer(s, f)
	collaboardv1.RegisterBoardServiceServer(s, f)
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

func done(request *collaboardv1.Frame, seq uint64) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		ParentId: request.GetId(), Seq: seq, Status: collaboardv1.Status_STATUS_DONE,
		Payload: &collaboardv1.Frame_Ack{Ack: &collaboardv1.Ack{}},
	}
}

func refusal(request *collaboardv1.Frame, code collaboardv1.ErrorCode, retryable bool) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		ParentId: request.GetId(), Status: collaboardv1.Status_STATUS_ERROR,
		Payload: &collaboardv1.Frame_Error{Error: &collaboardv1.Error{Code: code, Message: "because", Retryable: retryable}},
	}
}
