package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// image begins as a PNG does.
func image(size int) []byte {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	copy(content, pngSignature)
	return content
}

func (r *running) upload(ctx context.Context, board string, content []byte) (*collaboardv1.File, error) {
	return r.boards.UploadFile(ctx, &collaboardv1.UploadFileRequest{BoardId: board, Content: content, MediaType: "image/png"})
}

func (r *running) mustUpload(t *testing.T, board string, content []byte) *collaboardv1.File {
	t.Helper()
	file, err := r.upload(t.Context(), board, content)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// download checks the form of what comes, too.
func (r *running) download(t *testing.T, board, sha256 string) (file *collaboardv1.File, content []byte, err error) {
	t.Helper()
	stream, err := r.boards.GetFile(t.Context(), &collaboardv1.GetFileRequest{BoardId: board, Sha256: sha256})
	if err != nil {
		return nil, nil, err
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file, content, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if n := len(piece.GetContent()); n < 1 || n > 256<<10 || (piece.GetFile() != nil) != (content == nil) {
			t.Errorf("a piece of %d bytes after %d, with %v", n, len(content), piece.GetFile())
		}
		if piece.GetFile() != nil {
			file = piece.GetFile()
		}
		content = append(content, piece.GetContent()...)
	}
}

func TestFilesAreKept(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		contents := map[string][]byte{}
		files := map[string]*collaboardv1.File{}
		ada := metadata.AppendToOutgoingContext(t.Context(), "user-id", "ada")
		for _, size := range []int{len(pngSignature), 256 << 10, 256<<10 + 1, 4 << 20} {
			content := image(size)
			before := time.Now().Truncate(time.Microsecond)
			file, err := srv.upload(ada, board, content)
			if err != nil {
				t.Fatal(err)
			}
			if at := file.GetCreatedAt().AsTime(); file.GetSize() != uint64(size) || file.GetMediaType() != "image/png" ||
				file.GetCreatedBy() != "ada" || at.Before(before) || at.After(time.Now()) {
				t.Errorf("file %v", file)
			}
			if again := srv.mustUpload(t, board, content); !proto.Equal(again, file) { // by somebody else
				t.Errorf("the same content is %v, and was %v", again, file)
			}
			contents[file.GetSha256()], files[file.GetSha256()] = content, file
		}
		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		srv = serve(t, open(t), server.Config{})
		for id, content := range contents {
			file, got, err := srv.download(t, board, id)
			if err != nil || !bytes.Equal(got, content) || !proto.Equal(file, files[id]) {
				t.Errorf("%d bytes of %d, %v, %v; want %v", len(got), len(content), err, file, files[id])
			}
		}
		if _, err := srv.boards.DeleteBoard(t.Context(), &collaboardv1.DeleteBoardRequest{BoardId: board}); err != nil {
			t.Fatal(err)
		}
		for id, content := range contents {
			if _, _, err := srv.download(t, board, id); status.Code(err) != codes.NotFound {
				t.Errorf("read from a deleted board: %v", err)
			}
			if _, err := srv.upload(t.Context(), board, content); status.Code(err) != codes.NotFound {
				t.Errorf("uploaded to a deleted board: %v", err)
			}
		}
	})
}

func TestBadUploadsAndDownloadsAreRefused(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board, png := srv.createBoard(t), image(100)
	for name, test := range map[string]struct {
		req   *collaboardv1.UploadFileRequest
		want  codes.Code
		field string
	}{
		"board":      {&collaboardv1.UploadFileRequest{BoardId: "x", Content: png, MediaType: "image/png"}, codes.InvalidArgument, "board_id"},
		"no board":   {&collaboardv1.UploadFileRequest{BoardId: newID(), Content: png, MediaType: "image/png"}, codes.NotFound, ""},
		"empty":      {&collaboardv1.UploadFileRequest{BoardId: board, MediaType: "image/png"}, codes.InvalidArgument, "content"},
		"too large":  {&collaboardv1.UploadFileRequest{BoardId: board, Content: image(4<<20 + 1), MediaType: "image/png"}, codes.InvalidArgument, "content"},
		"far larger": {&collaboardv1.UploadFileRequest{BoardId: board, Content: image(5 << 20), MediaType: "image/png"}, codes.ResourceExhausted, ""},
		"no type":    {&collaboardv1.UploadFileRequest{BoardId: board, Content: png}, codes.InvalidArgument, "media_type"},
		"type":       {&collaboardv1.UploadFileRequest{BoardId: board, Content: png, MediaType: "text/html"}, codes.InvalidArgument, "media_type"},
		"other type": {&collaboardv1.UploadFileRequest{BoardId: board, Content: png, MediaType: "image/gif"}, codes.InvalidArgument, "media_type"},
	} {
		_, err := srv.boards.UploadFile(t.Context(), test.req)
		if status.Code(err) != test.want || violated(err) != test.field {
			t.Errorf("%s: %v, field %q", name, err, violated(err))
		}
	}
	file := srv.mustUpload(t, board, png)
	for name, test := range map[string]struct {
		board, sha256 string
		want          codes.Code
		field         string
	}{
		"board":    {"x", file.GetSha256(), codes.InvalidArgument, "board_id"},
		"no board": {newID(), file.GetSha256(), codes.NotFound, ""},
		"other":    {srv.createBoard(t), file.GetSha256(), codes.NotFound, ""},
		"no file":  {board, strings.Repeat("0", 64), codes.NotFound, ""},
		"shorter":  {board, file.GetSha256()[:62], codes.InvalidArgument, "sha256"},
		"longer":   {board, file.GetSha256() + "00", codes.InvalidArgument, "sha256"},
		"upper":    {board, strings.Repeat("A", 64), codes.InvalidArgument, "sha256"},
		"none":     {board, "", codes.InvalidArgument, "sha256"},
	} {
		if _, _, err := srv.download(t, test.board, test.sha256); status.Code(err) != test.want || violated(err) != test.field {
			t.Errorf("%s: %v, field %q", name, err, violated(err))
		}
	}
}

// violated is the one field that a call is refused for.
func violated(err error) string {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) == 1 {
			return bad.GetFieldViolations()[0].GetField()
		}
	}
	return ""
}

// reasonOf is the reason of err's google.rpc.ErrorInfo, empty if there is none.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func retried(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
			return true
		}
	}
	return false
}

// TestFilesAreWhatTheyAreSaidToBe: each content is of its type, and of no other.
func TestFilesAreWhatTheyAreSaidToBe(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	jpeg := []string{"\xff\xd8\xff\xe0\x00\x10JFIF"}
	contents := map[string][]string{
		"image/png":  {pngSignature},
		"image/jpeg": jpeg,
		"image/jfif": jpeg,
		"image/gif":  {"GIF87a", "GIF89a"},
		"image/webp": {"RIFF\x10\x00\x00\x00WEBPVP8 "},
		"image/svg+xml": {
			"<svg/>", "\ufeff<?xml version='1.0' encoding='UTF-8'?>\n<!-- made by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\">",
			`<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [<!ENTITY ns "http://www.w3.org/2000/svg">]><s:svg xmlns:s="&ns;">`,
		},
		"image/bmp":    {"BM\x00\x00\x00\x00"},
		"image/x-icon": {"\x00\x00\x01\x00\x01\x00"},
		"image/avif": {
			"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1miaf", "\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00miafavisMA1B....",
		},
		"": {
			"<html><svg/></html>", "text <svg/>", "</svg><svg/>", "<svg", "<?xml version='1.0' encoding='UTF-16'?><svg/>", "<!-- <svg/> -->", "\xff<svg/>",
			"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp41isom", "\x00\x00\x00\x18ftypmif1avifmif1miaf", "\x00\x00\x00\x10ftypmif1\x00\x00\x00\x00avif",
			"\x00\x00\x00\x18ftyp", "ftyp", "\x89PNG", "%PDF-1.7", "\x00", "<script>alert(1)</script>",
		},
	}
	for is, samples := range contents {
		for _, content := range samples {
			for said := range contents {
				if said == "" {
					continue
				}
				same := is == said || is == "image/jpeg" && said == "image/jfif" || is == "image/jfif" && said == "image/jpeg"
				_, err := srv.boards.UploadFile(t.Context(), &collaboardv1.UploadFileRequest{BoardId: board, Content: []byte(content), MediaType: said})
				switch {
				case same && err != nil:
					t.Errorf("%q is no %s: %v", content, said, err)
				case !same && (status.Code(err) != codes.InvalidArgument || violated(err) != "media_type"):
					t.Errorf("%q as %s: %v", content, said, err)
				}
			}
		}
	}
}

func TestFilesOfABoardAreLimited(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		for name, cfg := range map[string]server.Config{"files": {MaxFiles: 2}, "bytes": {MaxFilesBytes: 2000}} {
			srv := serve(t, open(t), cfg)
			board, one := srv.createBoard(t), image(1000)
			srv.mustUpload(t, board, one)
			srv.mustUpload(t, board, image(1000))
			_, err := srv.upload(t.Context(), board, image(1000))
			if status.Code(err) != codes.FailedPrecondition || reasonOf(err) != "FILE_QUOTA_EXCEEDED" || retried(err) {
				t.Errorf("%s: one more gives %v, reason %q, retry %t", name, err, reasonOf(err), retried(err))
			}
			srv.mustUpload(t, board, one) // it is there
			srv.mustUpload(t, srv.createBoard(t), image(1000))
			srv.connect(t).mustAck(chat(board, "not full of frames"))
			if err := srv.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// filesStore lets a test hold files, and count what is read of them.
type filesStore struct {
	persistence.Store

	putting chan struct{} // is sent to when a file is to be stored; nil for nobody
	hold    chan struct{} // it goes on when this is closed
	reads   atomic.Int32
}

func (s *filesStore) PutFile(ctx context.Context, p persistence.PutFileParams) (persistence.File, error) {
	if s.putting != nil {
		s.putting <- struct{}{}
		select {
		case <-s.hold:
		case <-ctx.Done():
			return persistence.File{}, &persistence.UnavailableError{Err: ctx.Err()}
		}
	}
	return s.Store.PutFile(ctx, p)
}

func (s *filesStore) ReadFile(ctx context.Context, p persistence.ReadFileParams) (persistence.File, []byte, error) {
	s.reads.Add(1)
	return s.Store.ReadFile(ctx, p)
}

// TestFilesThatAreStoredAreBounded: those beyond the bound are refused at once, and may come again.
func TestFilesThatAreStoredAreBounded(t *testing.T) {
	t.Parallel()
	store := &filesStore{Store: sqliteDatabase(t)(t), putting: make(chan struct{}, 8), hold: make(chan struct{})}
	srv := serve(t, store, server.Config{UploadBytes: 1 << 20})
	board := srv.createBoard(t)
	first := make(chan error, 1)
	go func() {
		_, err := srv.upload(t.Context(), board, image(2<<20)) // one file has room, be it larger
		first <- err
	}()
	select {
	case <-store.putting:
	case err := <-first:
		t.Fatal(err)
	}
	_, err := srv.upload(t.Context(), board, image(100))
	if status.Code(err) != codes.ResourceExhausted || !retried(err) {
		t.Errorf("one more gives %v, retry %t", err, retried(err))
	}
	close(store.hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
	srv.mustUpload(t, board, image(100))
}

func TestUploadGivesUpOnAStoreThatHangs(t *testing.T) {
	t.Parallel()
	store := &filesStore{Store: sqliteDatabase(t)(t), putting: make(chan struct{}, 1)}
	srv := serve(t, store, server.Config{Commit: persistence.CommitterConfig{CommitTimeout: 20 * time.Millisecond}})
	_, err := srv.upload(t.Context(), srv.createBoard(t), image(100))
	if status.Code(err) != codes.Unavailable || !retried(err) {
		t.Errorf("it gives %v, retry %t", err, retried(err))
	}
}

// TestSlowDownloadIsNotReadAhead: what nobody takes stays in the store.
func TestSlowDownloadIsNotReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &filesStore{Store: sqliteDatabase(t)(t)}
		srv := serveInMemory(t, store, server.Config{})
		board := srv.createBoard(t)
		file := srv.mustUpload(t, board, image(4<<20))
		slow := collaboardv1.NewBoardServiceClient(srv.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
		stream, err := slow.GetFile(t.Context(), &collaboardv1.GetFileRequest{BoardId: board, Sha256: file.GetSha256()})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := store.reads.Load(); n != 1 {
			t.Errorf("%d reads for a client that reads nothing", n)
		}
		for n := 0; n < 4<<20; {
			piece, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			n += len(piece.GetContent())
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the end is %v", err)
		}
	})
}

// fetch makes a call as a browser does, and returns the messages, and the status as in the trailers.
func (r *running) fetch(t *testing.T, method string, req proto.Message) (messages [][]byte, grpcStatus string, httpStatus int) {
	t.Helper()
	body, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.addr+method, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Content-Type", "application/grpc-web+proto")
	call.Header.Set("X-Grpc-Web", "1")
	call.Header.Set("Origin", "http://"+r.addr)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(call)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	rest, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for res.StatusCode == http.StatusOK && len(rest) > 0 {
		n := 5 + binary.BigEndian.Uint32(rest[1:])
		if rest[0]&0x80 != 0 {
			_, grpcStatus, _ = strings.Cut(string(rest[5:n]), "grpc-status: ")
			grpcStatus, _, _ = strings.Cut(grpcStatus, "\r\n")
		} else {
			messages = append(messages, rest[5:n])
		}
		rest = rest[n:]
	}
	return messages, grpcStatus, res.StatusCode
}

func TestBrowsersUploadAndDownloadFiles(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	content := image(4<<20 + 1)
	upload := func(size int) ([][]byte, string, int) {
		return srv.fetch(t, collaboardv1.BoardService_UploadFile_FullMethodName,
			&collaboardv1.UploadFileRequest{BoardId: board, Content: content[:size], MediaType: "image/png"})
	}
	answers, code, _ := upload(4 << 20)
	if code != "0" || len(answers) != 1 {
		t.Fatalf("%d answers, status %s", len(answers), code)
	}
	var file collaboardv1.File
	if err := proto.Unmarshal(answers[0], &file); err != nil {
		t.Fatal(err)
	}
	if _, code, _ := upload(4<<20 + 1); code != "3" {
		t.Errorf("one byte more gives status %s", code)
	}
	content = image(5 << 20)
	if _, _, status := upload(5 << 20); status != http.StatusRequestEntityTooLarge {
		t.Errorf("1 MiB more gives HTTP %d", status)
	}
	answers, code, _ = srv.fetch(t, collaboardv1.BoardService_GetFile_FullMethodName,
		&collaboardv1.GetFileRequest{BoardId: board, Sha256: file.GetSha256()})
	if code != "0" || len(answers) != 16 {
		t.Errorf("%d pieces, status %s", len(answers), code)
	}
	sum := 0
	for _, answer := range answers {
		var piece collaboardv1.GetFileResponse
		if err := proto.Unmarshal(answer, &piece); err != nil {
			t.Fatal(err)
		}
		sum += len(piece.GetContent())
	}
	if sum != 4<<20 {
		t.Errorf("%d bytes", sum)
	}
}
