package server

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

const (
	filePieceBytes = 256 << 10 // of a content, in one message
	fileReadBytes  = 1 << 20   // of a content, in one read of the store
)

// errUploads means that as many bytes of files are being stored as may be.
var errUploads = errors.New("the server stores as many files as it can at a time")

// uploads bounds what files that are being stored take of the memory. Those that are still on their way to the server are
// bounded as every message is: in number and size, for each connection.
type uploads struct {
	free  *semaphore.Weighted
	bytes int64
}

func newUploads(bytes int) *uploads {
	return &uploads{semaphore.NewWeighted(int64(bytes)), int64(bytes)}
}

// take fails with errUploads, or takes room for so many bytes until they are given back.
func (u *uploads) take(bytes int) (giveBack func(), err error) {
	n := min(int64(bytes), u.bytes) // at least one file
	if !u.free.TryAcquire(n) {
		return nil, errUploads
	}
	return func() { u.free.Release(n) }, nil
}

// UploadFile keeps a file with a board.
func (b *boardService) UploadFile(ctx context.Context, req *collaboardv1.UploadFileRequest) (*collaboardv1.File, error) {
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return nil, err
	}
	if !isImage(req.GetContent(), req.GetMediaType()) {
		return nil, invalid("media_type", "the content is not of this type")
	}
	giveBack, err := b.uploads.take(len(req.GetContent()))
	if err != nil {
		return nil, err
	}
	defer giveBack()
	ctx, cancel := context.WithTimeout(ctx, b.uploadTimeout) // or a store that hangs would keep the room of others
	defer cancel()
	file, err := b.store.PutFile(ctx, persistence.PutFileParams{
		Board: id, Content: req.GetContent(), MediaType: req.GetMediaType(),
		CreatedAt: time.Now(), CreatedBy: identityFrom(ctx).user, Limit: b.fileLimit,
	})
	if err != nil {
		return nil, err
	}
	return fileProto(file), nil
}

// GetFile streams a file. It reads no further ahead than one read of the store: a client that is slow costs no more.
func (b *boardService) GetFile(req *collaboardv1.GetFileRequest, stream grpc.ServerStreamingServer[collaboardv1.GetFileResponse]) error {
	if err := validate(b.validator, req); err != nil {
		return err
	}
	p := persistence.ReadFileParams{Limit: fileReadBytes}
	var err error
	if p.Board, err = parseBoardID("board_id", req.GetBoardId()); err != nil {
		return err
	}
	if p.File, err = persistence.ParseFileID(req.GetSha256()); err != nil {
		return invalid("sha256", "must be 64 lower-case hexadecimal digits")
	}
	for {
		file, read, err := b.store.ReadFile(stream.Context(), p)
		if err != nil || len(read) == 0 {
			return err
		}
		for piece := range slices.Chunk(read, filePieceBytes) {
			resp := &collaboardv1.GetFileResponse{Content: piece}
			if p.Offset == 0 {
				resp.File = fileProto(file)
			}
			if err := stream.Send(resp); err != nil {
				return err
			}
			p.Offset += len(piece)
		}
		if p.Offset >= file.Size {
			return nil
		}
	}
}

func fileProto(f persistence.File) *collaboardv1.File {
	return &collaboardv1.File{
		Sha256: f.ID.String(), Size: uint64(f.Size), MediaType: f.MediaType,
		CreatedAt: timestamppb.New(f.CreatedAt), CreatedBy: f.CreatedBy,
	}
}

// isImage says whether the content begins as one of the media type does. What browsers sniff, net/http does, too; the
// rest it does not know.
func isImage(content []byte, mediaType string) bool {
	switch mediaType {
	case "image/avif":
		return isAVIF(content)
	case "image/svg+xml":
		return isSVG(content)
	case "image/jfif": // another name of it, that browsers do not know
		mediaType = "image/jpeg"
	}
	return strings.HasPrefix(mediaType, "image/") && http.DetectContentType(content) == mediaType
}

// isAVIF looks for one of the brands of AVIF in the box that an ISO base media file begins with: its length, "ftyp", the
// major brand, a version, and the compatible brands.
//
// https://aomediacodec.github.io/av1-avif/#file-extensions
func isAVIF(content []byte) bool {
	const brandsAt, maxBox = 8, 1 << 10
	if len(content) < brandsAt || string(content[4:brandsAt]) != "ftyp" {
		return false
	}
	size := int(content[0])<<24 | int(content[1])<<16 | int(content[2])<<8 | int(content[3])
	box := content[:min(size, len(content), maxBox)]
	for at := brandsAt; at+4 <= len(box); at += 4 {
		brand := string(box[at : at+4])
		if at != brandsAt+4 && (brand == "avif" || brand == "avis") { // there is the version
			return true
		}
	}
	return false
}

// isSVG says whether the content is XML in UTF-8 whose first element is "svg". Entities are not replaced.
func isSVG(content []byte) bool {
	dec := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	dec.Strict = false
	for {
		token, err := dec.RawToken()
		if err != nil {
			return false
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t.Name.Local == "svg"
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return false
			}
		case xml.EndElement:
			return false
		}
	}
}
