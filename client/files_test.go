package client_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// The largest file passes the limits of the client's connection, both ways.
func TestLargestFile(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr, client.WithUserID("ada"))
	id := newBoard(t, c)
	content := append([]byte("GIF89a"), make([]byte, 4<<20-6)...)
	upload := func(content []byte) (*collaboardv1.File, error) {
		return c.Boards().UploadFile(testContext(t), &collaboardv1.UploadFileRequest{BoardId: id, Content: content, MediaType: "image/gif"})
	}
	file, err := upload(content)
	if err != nil || file.GetCreatedBy() != "ada" {
		t.Fatal(file, err)
	}
	if _, err := upload(append(content, 0)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("one byte more gives %v", err)
	}
	stream, err := c.Boards().GetFile(testContext(t), &collaboardv1.GetFileRequest{BoardId: id, Sha256: file.GetSha256()})
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	piece, err := stream.Recv()
	for ; err == nil; piece, err = stream.Recv() {
		got = append(got, piece.GetContent()...)
	}
	if !errors.Is(err, io.EOF) || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came, and then %v", len(got), err)
	}
}
