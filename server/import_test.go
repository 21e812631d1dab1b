package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

func beginPart(name string) *collaboardv1.ImportBoardRequest {
	return &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Begin{Begin: &collaboardv1.ImportBegin{Name: name}}}
}

func framePart(f *collaboardv1.Frame) *collaboardv1.ImportBoardRequest {
	return &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Frame{Frame: f}}
}

func filePart(content []byte) *collaboardv1.ImportBoardRequest {
	sum := sha256.Sum256(content)
	return &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_File{File: &collaboardv1.ImportFile{
		Sha256: hex.EncodeToString(sum[:]), MediaType: "image/png", Content: content,
	}}}
}

func endPart(frames, files uint64) *collaboardv1.ImportBoardRequest {
	return &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_End{End: &collaboardv1.ImportEnd{Frames: frames, Files: files}}}
}

// partsOf is an import of a log.
func partsOf(log []*collaboardv1.Frame, files ...[]byte) []*collaboardv1.ImportBoardRequest {
	parts := []*collaboardv1.ImportBoardRequest{beginPart("imported")}
	for _, f := range log {
		parts = append(parts, framePart(f))
	}
	for _, content := range files {
		parts = append(parts, filePart(content))
	}
	return append(parts, endPart(uint64(len(log)), uint64(len(files))))
}

func (r *running) importParts(ctx context.Context, parts ...*collaboardv1.ImportBoardRequest) (*collaboardv1.Board, error) {
	stream, err := r.boards.ImportBoard(ctx)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if err := stream.Send(part); err != nil {
			break // CloseAndRecv says why
		}
	}
	return stream.CloseAndRecv()
}

// elsewhere are the frames without what is another on another board.
func elsewhere(log []*collaboardv1.Frame) (moved []*collaboardv1.Frame) {
	for _, f := range log {
		f = proto.CloneOf(f)
		f.BoardId, f.Chain = "", nil
		moved = append(moved, f)
	}
	return moved
}

// TestImport makes a board of what is read from another, more than once: the log is the same but for the board and the
// chain, and goes on.
func TestImport(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv, other := serve(t, open(t), server.Config{}), serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		srv.scribble(t, board, 700)
		c := srv.connect(t, "user-id", "ada", "display-name", "Ada")
		objects := c.drawMany(board, 1200)
		c.mustAck(chat(board, "before"))
		c.mustAck(deleteOf(board, objects[0]))
		srv.mustRestore(t, board, 100, "")
		fork, err := srv.boards.ForkBoard(t.Context(), forkAt(board, 50))
		if err != nil {
			t.Fatal(err)
		}
		content := image(1 << 20)
		for _, source := range []string{board, fork.GetId()} {
			log := srv.readLog(t, source)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "user-id", "eve")
			meta, err := srv.importParts(ctx, partsOf(log, content)...)
			if err != nil {
				t.Fatal(err)
			}
			if meta.GetOwner() != "eve" || meta.GetName() != "imported" || meta.GetHeadSeq() != uint64(len(log)) {
				t.Errorf("made %v", meta)
			}
			made := other.readLog(t, meta.GetId())
			sameFrames(t, elsewhere(made), elsewhere(log))
			wantChain(t, open, meta.GetId(), 0, made)
			if _, got, err := other.download(t, meta.GetId(), sha256Of(content)); err != nil || !bytes.Equal(got, content) {
				t.Errorf("its file has %d bytes: %v", len(got), err)
			}
			again, err := other.importParts(ctx, partsOf(made)...)
			if err != nil {
				t.Fatal(err)
			}
			sameFrames(t, elsewhere(srv.readLog(t, again.GetId())), elsewhere(log))

			// An id of the log is known, as ever.
			member := other.connect(t)
			member.join(meta.GetId(), nil)
			repeated := create(meta.GetId(), newID())
			repeated.Id = log[10%len(log)].GetId()
			if seq := member.mustAck(repeated); seq != log[10%len(log)].GetSeq() {
				t.Errorf("a frame that was imported is at seq %d when it is sent again", seq)
			}
			if seq := member.mustAck(create(meta.GetId(), newID())); seq != uint64(len(log)+1) {
				t.Errorf("the log goes on at seq %d after %d", seq, len(log))
			}
		}
	})
}

func sha256Of(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// TestImportRefuses what is broken, or made up: there is no board then, not even a hidden one.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		store := &purges{open(t), make(chan persistence.BoardID, 100)}
		srv := serve(t, store, server.Config{MaxFiles: 2})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.drawMany(board, 3)
		for range 600 { // more than one piece
			c.send(chat(board, "hello"))
		}
		c.mustAck(chat(board, "the last"))
		log := srv.readLog(t, board)
		good := partsOf(log, image(100))
		tomorrow := timestamppb.New(time.Now().Add(25 * time.Hour))
		replaced := func(at int, part *collaboardv1.ImportBoardRequest) []*collaboardv1.ImportBoardRequest {
			parts := slices.Clone(good)
			parts[at] = part
			return parts
		}
		changed := func(seq int, change func(*collaboardv1.Frame)) []*collaboardv1.ImportBoardRequest {
			f := proto.CloneOf(log[seq-1])
			change(f)
			return replaced(seq, framePart(f))
		}
		file := func(change func(*collaboardv1.ImportFile)) []*collaboardv1.ImportBoardRequest {
			part := filePart(image(100))
			change(part.GetFile())
			return replaced(len(good)-2, part)
		}
		for what, test := range map[string]struct {
			parts []*collaboardv1.ImportBoardRequest
			want  string
		}{
			"nothing":             {nil, "begin"},
			"no begin":            {good[1:], "begin: must come first"},
			"no name":             {replaced(0, beginPart(" ")), "begin.name: "},
			"begun twice":         {slices.Insert(slices.Clone(good), 5, good[0]), "part: behind seq 4"},
			"an empty part":       {slices.Insert(slices.Clone(good), 5, &collaboardv1.ImportBoardRequest{}), "part: behind seq 4"},
			"cut short":           {good[:580], "cut short after seq 579"},
			"no end":              {good[:len(good)-1], "end: is missing"},
			"a frame is missing":  {slices.Delete(slices.Clone(good), 550, 551), "of seq 550: seq: must be 550"},
			"the last missing":    {slices.Delete(slices.Clone(good), len(log), len(log)+1), "end: says 602 frames and 1 files, but there were 601 and 1"},
			"no file":             {slices.Delete(slices.Clone(good), len(log)+1, len(log)+2), "end: says 602 frames and 1 files, but there were 602 and 0"},
			"more behind":         {append(slices.Clone(good), good[1]), "end: must come last"},
			"twice":               {slices.Insert(slices.Clone(good), 601, good[600]), "of seq 601: seq: must be 601"},
			"an id of the piece":  {changed(600, func(f *collaboardv1.Frame) { f.Id = log[590].GetId() }), "of seq 600: id: is that"},
			"an id before":        {changed(600, func(f *collaboardv1.Frame) { f.Id = log[1].GetId() }), "of seq 600: id: is that"},
			"back in time":        {changed(600, func(f *collaboardv1.Frame) { f.Time.Seconds -= 1000 }), "of seq 600: time: "},
			"nanoseconds":         {changed(602, func(f *collaboardv1.Frame) { f.Time.Nanos++ }), "of seq 602: time: "},
			"the future":          {changed(602, func(f *collaboardv1.Frame) { f.Time = tomorrow }), "of seq 602: time: is in the future"},
			"a sender with a NUL": {changed(602, func(f *collaboardv1.Frame) { f.From = "a\x00" }), "of seq 602: from: "},
			"a name with a NUL":   {changed(602, func(f *collaboardv1.Frame) { f.GetChatMessage().SenderName = "\x00" }), "of seq 602: from: "},
			"not durable":         {changed(602, func(f *collaboardv1.Frame) { f.Payload = &collaboardv1.Frame_Ping{} }), "of seq 602: payload: "},
			"another creator":     {changed(1, func(f *collaboardv1.Frame) { f.From = "eve" }), "of seq 1: "},
			"another content":     {file(func(f *collaboardv1.ImportFile) { f.Content = image(100) }), "file.content: is not that of"},
			"no content":          {file(func(f *collaboardv1.ImportFile) { f.Content = nil }), "file.content: must be 1 byte"},
			"no hash":             {file(func(f *collaboardv1.ImportFile) { f.Sha256 = strings.Repeat("x", 64) }), "file.sha256: "},
			"another type":        {file(func(f *collaboardv1.ImportFile) { f.MediaType = "image/gif" }), "file.media_type: "},
			"too large":           {replaced(len(good)-2, filePart(image(4<<20+1))), "file.content: must be 1 byte"},
			"too many files":      {partsOf(log[:1], image(100), image(101), image(102)), "may have 2 files"},
		} {
			_, err := srv.importParts(t.Context(), test.parts...)
			code := status.Code(err)
			if code != codes.InvalidArgument && (what != "too many files" || code != codes.FailedPrecondition) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", what, err, test.want)
			}
			wantBoards(t, store, 1)
		}
		for _, part := range []*collaboardv1.ImportBoardRequest{framePart(custom(board, 5<<20)), filePart(image(5 << 20))} {
			for len(store.done) > 0 {
				<-store.done
			}
			if _, err := srv.importParts(t.Context(), good[0], part); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("a message of 5 MiB: %v", err)
			}
			<-store.done // grpc itself refuses it, and does not wait for us
			wantBoards(t, store, 1)
		}
		if _, err := srv.importParts(t.Context(), good...); err != nil {
			t.Error(err)
		}
		wantBoards(t, store, 2)
	})
}

// purges is a store that says when a board has been purged.
type purges struct {
	persistence.Store
	done chan persistence.BoardID
}

func (p *purges) PurgeBoard(ctx context.Context, board persistence.BoardID, before time.Time, limit int) (bool, error) {
	done, err := p.Store.PurgeBoard(ctx, board, before, limit)
	if done {
		p.done <- board
	}
	return done, err
}

// halfAnImport sends most of an import, and returns when some of it is stored.
func (r *running) halfAnImport(t *testing.T, ctx context.Context, stored <-chan struct{}) collaboardv1.BoardService_ImportBoardClient {
	t.Helper()
	stream, err := r.boards.ImportBoard(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(beginPart("half")); err != nil {
		t.Fatal(err)
	}
	at := timestamppb.New(time.Now().Truncate(time.Microsecond))
	for seq := range uint64(700) {
		f := chat(newID(), "hello")
		f.Seq, f.Time, f.From, f.Status = seq+1, at, "ada", collaboardv1.Status_STATUS_EVENT
		if err := stream.Send(framePart(f)); err != nil {
			t.Fatal(err)
		}
	}
	<-stored
	return stream
}

// TestImportIsHidden: of an import that is under way nobody sees anything, and of one that is broken off nothing is left.
func TestImportIsHidden(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		faulty := newFaultyStore(open(t))
		stored := make(chan struct{}, 1)
		faulty.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
			err := faulty.Store.Append(ctx, claims, decide)
			stored <- struct{}{}
			return err
		})
		store := &purges{faulty, make(chan persistence.BoardID, 1)}
		srv := serve(t, store, server.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		stream := srv.halfAnImport(t, ctx, stored)
		hidden, err := store.PurgeableBoards(t.Context(), time.Now().Add(time.Hour), persistence.BoardID{}, 10)
		if err != nil || len(hidden) != 1 {
			t.Fatalf("hidden: %v, %v", hidden, err)
		}
		list, err := srv.boards.ListBoards(t.Context(), &collaboardv1.ListBoardsRequest{})
		if err != nil || len(list.GetBoards()) != 0 {
			t.Errorf("listed: %v, %v", list, err)
		}
		id := hidden[0].String()
		if _, err := srv.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: id}); status.Code(err) != codes.NotFound {
			t.Errorf("got: %v", err)
		}
		answer := srv.connect(t).ask(&collaboardv1.Frame{
			BoardId: id, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
		})
		wantError(t, answer, collaboardv1.ErrorCode_BOARD_NOT_FOUND)
		cancel()
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		if got := <-store.done; got != hidden[0] {
			t.Errorf("purged %v, want %v", got, hidden[0])
		}
		wantBoards(t, store, 0)

		// The database fails in the middle.
		faulty.setAppend(func(context.Context, []persistence.Claim, persistence.DecideFunc) error {
			return &persistence.UnavailableError{Err: errInjected}
		})
		if _, err := srv.importParts(t.Context(), partsOf([]*collaboardv1.Frame{event(1)})...); status.Code(err) != codes.Unavailable {
			t.Errorf("without a store: %v", err)
		}
		<-store.done
		wantBoards(t, store, 0)
	})
}

func event(seq uint64) *collaboardv1.Frame {
	f := chat(newID(), "hello")
	f.Seq, f.Time, f.From, f.Status = seq, timestamppb.New(time.Unix(1e9, 0)), "ada", collaboardv1.Status_STATUS_EVENT
	return f
}

// TestImportsAreBounded: so many at a time, and none that says nothing for long.
func TestImportsAreBounded(t *testing.T) {
	t.Parallel()
	store := sqliteDatabase(t)(t)
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, store, server.Config{})
		ctx := context.Background()
		var streams []collaboardv1.BoardService_ImportBoardClient
		for range 4 {
			stream, err := srv.boards.ImportBoard(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(beginPart("slow")); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, stream)
		}
		synctest.Wait()
		if _, err := srv.importParts(ctx, partsOf(nil)...); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a fifth: %v", err)
		}
		board := srv.createBoard(t)
		if _, err := srv.boards.ForkBoard(ctx, forkAt(board, 0)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a fork: %v", err)
		}
		begin := time.Now()
		for _, stream := range streams {
			if err := stream.RecvMsg(&collaboardv1.Board{}); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("one that says nothing: %v", err)
			}
		}
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("after %v", took)
		}
		if _, err := srv.importParts(ctx, partsOf(nil)...); err != nil {
			t.Errorf("then: %v", err)
		}
		wantBoards(t, store, 2)
	})
}

// TestImportEndsWithTheServer: it does not keep it from stopping, and leaves nothing.
func TestImportEndsWithTheServer(t *testing.T) {
	t.Parallel()
	open := sqliteDatabase(t)
	faulty := newFaultyStore(open(t))
	stored := make(chan struct{}, 1)
	faulty.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
		err := faulty.Store.Append(ctx, claims, decide)
		stored <- struct{}{}
		return err
	})
	srv := serve(t, faulty, server.Config{})
	stream := srv.halfAnImport(t, t.Context(), stored)
	if err := srv.stop(); err != nil {
		t.Error(err)
	}
	if err := stream.RecvMsg(&collaboardv1.Board{}); status.Code(err) != codes.Unavailable || errors.Is(err, io.EOF) {
		t.Error(err)
	}
	store := open(t)
	defer store.Close()
	wantBoards(t, store, 0)
}
