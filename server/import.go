package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/auth"
)

const (
	// importPause is how long an import may send nothing, while others wait for its place.
	importPause = 30 * time.Second
	// importSkew is how far ahead of our clock the times of frames may be: a log's next frame is never before its last.
	importSkew = 24 * time.Hour
)

var errImportPause = status.Errorf(codes.DeadlineExceeded, "nothing more of the import came for %v", importPause)

// ImportBoard makes a board of a log, and files, that come from elsewhere.
func (b *boardService) ImportBoard(stream grpc.ClientStreamingServer[collaboardv1.ImportBoardRequest, collaboardv1.Board]) error {
	ctx := stream.Context()
	parts := &importParts{stream: stream, received: make(chan importPart), draining: b.draining}
	go parts.receive(ctx)
	first, err := parts.next(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if first.GetBegin() == nil {
		return invalid("begin", "must come first")
	}
	if err := checkName("begin.name", first.GetBegin().GetName()); err != nil {
		return err
	}
	made, err := b.makeBoard(ctx, first.GetBegin().GetName(), func(m *maker) error { return m.fill(ctx, parts) })
	if err != nil {
		return err
	}
	return stream.SendAndClose(made)
}

// fill adds all parts, up to the end.
func (m *maker) fill(ctx context.Context, parts *importParts) error {
	var files uint64
	for {
		part, err := parts.next(ctx)
		if errors.Is(err, io.EOF) {
			return invalid("end", fmt.Sprintf("is missing: the import is cut short after seq %d", m.log.Seq()))
		}
		if err != nil {
			return err
		}
		switch {
		case part.GetFrame() != nil:
			if err := m.importFrame(ctx, part.GetFrame()); err != nil {
				return err
			}
		case part.GetFile() != nil:
			files++
			if err := m.importFile(ctx, part.GetFile()); err != nil {
				return err
			}
		case part.GetEnd() != nil:
			if end := part.GetEnd(); end.GetFrames() != uint64(m.log.Seq()) || end.GetFiles() != files {
				return invalid("end", fmt.Sprintf("says %d frames and %d files, but there were %d and %d",
					end.GetFrames(), end.GetFiles(), m.log.Seq(), files))
			}
			if _, err := parts.next(ctx); !errors.Is(err, io.EOF) {
				if err == nil {
					err = invalid("end", "must come last")
				}
				return err
			}
			return nil
		default:
			return invalid("part", fmt.Sprintf("behind seq %d: neither a frame, nor a file, nor the end", m.log.Seq()))
		}
	}
}

func (m *maker) importFrame(ctx context.Context, event *collaboardv1.Frame) error {
	seq := uint64(m.log.Seq()) + 1
	switch {
	case event.GetTime().AsTime().After(time.Now().Add(importSkew)):
		return badFrame(seq, "time: is in the future")
	case !auth.IsPrintable(event.GetFrom(), board.MaxSenderBytes), !auth.IsPrintable(event.GetChatMessage().GetSenderName(), board.MaxSenderBytes):
		return badFrame(seq, "from: must be printable, as the name of who says something")
	default:
		return m.add(ctx, event)
	}
}

func (m *maker) importFile(ctx context.Context, f *collaboardv1.ImportFile) error {
	name := fmt.Sprintf("file %.64q", f.GetSha256())
	id, err := persistence.ParseFileID(f.GetSha256())
	content := f.GetContent()
	switch {
	case err != nil:
		return invalid("file.sha256", "must be 64 lower-case hexadecimal digits")
	case len(content) == 0 || len(content) > maxFileBytes:
		return invalid("file.content", fmt.Sprintf("must be 1 byte to %d; that of %s has %d", maxFileBytes, name, len(content)))
	case sha256.Sum256(content) != id:
		return invalid("file.content", "is not that of "+name)
	case !isImage(content, f.GetMediaType()):
		return invalid("file.media_type", "the content of "+name+" is not of this type")
	}
	return m.call(ctx, func(ctx context.Context) error {
		_, err := m.service.store.PutFile(ctx, persistence.PutFileParams{
			Board: m.board.ID, Content: content, MediaType: f.GetMediaType(),
			CreatedAt: m.board.CreatedAt, CreatedBy: m.board.Owner, Limit: m.service.fileLimit, Hidden: true,
		})
		return err
	})
}

// importParts are the messages of an import.
type importParts struct {
	stream   grpc.ClientStreamingServer[collaboardv1.ImportBoardRequest, collaboardv1.Board]
	received chan importPart
	draining <-chan struct{}
}

type importPart struct {
	*collaboardv1.ImportBoardRequest
	err error
}

// receive hands on one message after the other. It ends with the stream's context, which grpc cancels when the call has ended.
func (p *importParts) receive(ctx context.Context) {
	for {
		m, err := p.stream.Recv()
		select {
		case p.received <- importPart{m, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next waits for the next message; io.EOF is the end of the stream.
func (p *importParts) next(ctx context.Context) (*collaboardv1.ImportBoardRequest, error) {
	pause := time.NewTimer(importPause)
	defer pause.Stop()
	select {
	case part := <-p.received:
		return part.ImportBoardRequest, part.err
	case <-p.draining:
		return nil, errShutdown
	case <-pause.C:
		return nil, errImportPause
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
