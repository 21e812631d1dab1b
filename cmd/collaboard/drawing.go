package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/excalidraw"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

const (
	// maxDrawing is how large a drawing may be: it is read as a whole.
	maxDrawing = 256 << 20
	// anonymous is who does something without saying who it is.
	anonymous = "anonymous"
)

// exportDrawing writes what is on the board, and can be drawn.
func exportDrawing(ctx context.Context, boards collaboardv1.BoardServiceClient, id boardID, w io.Writer) error {
	stream, err := boards.GetSnapshot(ctx, &collaboardv1.GetSnapshotRequest{BoardId: string(id)})
	if err != nil {
		return err
	}
	var objects []*collaboardv1.Object
	for last := false; !last; {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the server sent a part of the board only")
		}
		if err != nil {
			return err
		}
		objects = append(objects, chunk.GetObjects()...)
		last = chunk.GetLast()
	}
	files := map[string]*collaboardv1.ImportFile{}
	others := 0
	for _, o := range objects {
		if !excalidraw.Shown(o) {
			if !o.GetDeleted() {
				others++
			}
			continue
		}
		sha256 := excalidraw.FileOf(o)
		if _, ok := files[sha256]; ok || sha256 == "" {
			continue
		}
		files[sha256], err = fetchFile(ctx, boards, string(id), sha256)
		if code := status.Code(err); code == codes.NotFound || code == codes.InvalidArgument {
			complainf("warning: object %s is an image of a file that the board does not have", o.GetId())
		} else if err != nil {
			return err
		}
	}
	if others > 0 {
		complainf("warning: %d objects are of kinds that Excalidraw does not know, and are left out", others)
	}
	text, err := excalidraw.Encode(objects, files)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return outputError(err)
}

// importDrawing makes a board of a drawing. The objects are put on a board here, which says what is wrong with them, and sent
// as a log of what is on it then.
func importDrawing(ctx context.Context, boards collaboardv1.BoardServiceClient, in io.Reader, name, user string) (*collaboardv1.Board, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxDrawing+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the drawing: %w", innermost(err))
	}
	if len(text) > maxDrawing {
		return nil, fmt.Errorf("the drawing is larger than %d MiB", maxDrawing>>20)
	}
	drawing, err := excalidraw.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("the file %w", err)
	}
	stamp := board.Stamp{Seq: 1, Time: time.Now().UTC().Truncate(time.Microsecond), From: user}
	drawn, err := boardOf(drawing.Objects, stamp)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // takes back what was sent, unless all was
	defer cancel()
	stream, err := boards.ImportBoard(ctx)
	if err != nil {
		return nil, err
	}
	parts := []*collaboardv1.ImportBoardRequest{
		{Part: &collaboardv1.ImportBoardRequest_Begin{Begin: &collaboardv1.ImportBegin{Name: name}}},
	}
	for _, file := range drawing.Files {
		parts = append(parts, &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_File{File: file}})
	}
	batches := drawn.Copies(stamp)
	for i, batch := range batches {
		parts = append(parts, &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Frame{Frame: &collaboardv1.Frame{
			Id: uuid.NewString(), Seq: stamp.Seq + uint64(i), Time: timestamppb.New(stamp.Time), From: user,
			Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch},
		}}})
	}
	end := &collaboardv1.ImportEnd{Frames: uint64(len(batches)), Files: uint64(len(drawing.Files))}
	parts = append(parts, &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_End{End: end}})
	for _, part := range parts {
		if err := stream.Send(part); errors.Is(err, io.EOF) {
			break // the server has no use for the rest, and says why
		} else if err != nil {
			return nil, err
		}
	}
	return stream.CloseAndRecv()
}

// boardOf is a board with the objects on it.
func boardOf(objects []*collaboardv1.Object, stamp board.Stamp) (*board.Board, error) {
	b := board.New()
	for i, o := range objects {
		request := &collaboardv1.Frame{
			Id: uuid.NewString(), BoardId: uuid.NewString(),
			Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{Object: o}},
		}
		s := stamp
		s.Seq = b.Seq() + 1
		event, err := b.Decide(request, s)
		if wrong, ok := errors.AsType[*board.Error](err); ok {
			return nil, fmt.Errorf("element %d of those that are not deleted, a %.64q: %s", i, o.GetKind(), wrong.Message)
		}
		if err != nil {
			return nil, err
		}
		b.Apply(event)
	}
	return b, nil
}
