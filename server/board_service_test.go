package server_test

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func TestBoardsAreListedInPagesNewestFirst(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		var want []string
		for range 6 { // no page is left for nothing
			want = append([]string{srv.createBoard(t)}, want...)
		}
		var got []string
		for token, pages := "", 0; ; pages++ {
			page, err := srv.boards.ListBoards(t.Context(), &collaboardv1.ListBoardsRequest{PageSize: 3, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range page.GetBoards() {
				got = append(got, b.GetId())
			}
			if token = page.GetNextPageToken(); token == "" {
				if pages != 1 {
					t.Errorf("%d pages, want 2", pages+1)
				}
				break
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestMembersHearThatTheirBoardIsRenamedAndDeleted(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{Room: room.Config{PollInterval: time.Hour}})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.join(board, nil)
		c.mustAck(chat(board, "kept"))
		renamed, err := srv.boards.UpdateBoard(t.Context(), &collaboardv1.UpdateBoardRequest{
			Board: &collaboardv1.Board{Id: board, Name: "New name"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
		})
		if err != nil || renamed.GetName() != "New name" || renamed.GetHeadSeq() != 1 {
			t.Fatalf("%v, %v", renamed, err)
		}
		c.find("board_changed", func(f *collaboardv1.Frame) bool { return f.GetBoardChanged().GetBoard().GetName() == "New name" })
		if _, err := srv.boards.DeleteBoard(t.Context(), &collaboardv1.DeleteBoardRequest{BoardId: board}); err != nil {
			t.Fatal(err)
		}
		c.find("board_deleted", func(f *collaboardv1.Frame) bool { return f.GetBoardDeleted() != nil })
		wantError(t, c.ask(chat(board, "too late")), collaboardv1.ErrorCode_BOARD_NOT_FOUND)
		if _, err := srv.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: board}); status.Code(err) != codes.NotFound {
			t.Fatalf("got %v, want NOT_FOUND", err)
		}
		if _, err := srv.boards.UndeleteBoard(t.Context(), &collaboardv1.UndeleteBoardRequest{BoardId: board}); err != nil {
			t.Fatal(err)
		}
		if seq := c.mustAck(chat(board, "again")); seq != 2 {
			t.Fatalf("seq %d, want 2", seq)
		}
	})
}

func TestReadLogForwardsBackwardsAndByKind(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		for i := range 10 {
			if i%2 == 0 {
				c.mustAck(chat(board, "x"))
			} else {
				c.mustAck(create(board, newID()))
			}
		}
		for name, test := range map[string]struct {
			req  *collaboardv1.ReadLogRequest
			want []uint64
		}{
			"after":  {&collaboardv1.ReadLogRequest{From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: 8}}, []uint64{9, 10}},
			"limit":  {&collaboardv1.ReadLogRequest{Limit: 2}, []uint64{1, 2}},
			"newest": {&collaboardv1.ReadLogRequest{From: &collaboardv1.ReadLogRequest_BeforeSeq{}, Limit: 3}, []uint64{10, 9, 8}},
			"before": {&collaboardv1.ReadLogRequest{From: &collaboardv1.ReadLogRequest_BeforeSeq{BeforeSeq: 3}}, []uint64{2, 1}},
			"kinds":  {&collaboardv1.ReadLogRequest{Kinds: []string{"chat_message"}}, []uint64{1, 3, 5, 7, 9}},
		} {
			test.req.BoardId = board
			stream, err := srv.boards.ReadLog(t.Context(), test.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for {
				f, err := stream.Recv()
				if err == io.EOF { //nolint:errorlint // Recv returns it as it is
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got = append(got, f.GetSeq())
			}
			if len(got) != len(test.want) {
				t.Fatalf("%s: got %v, want %v", name, got, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Fatalf("%s: got %v, want %v", name, got, test.want)
				}
			}
		}
	})
}

func TestBadCallsAreRefused(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board, ctx := srv.createBoard(t), t.Context()
	for name, test := range map[string]struct {
		call func() error
		want codes.Code
	}{
		"no name": {func() error {
			_, err := srv.boards.CreateBoard(ctx, &collaboardv1.CreateBoardRequest{})
			return err
		}, codes.InvalidArgument},
		"not a UUID": {func() error {
			_, err := srv.boards.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: "x"})
			return err
		}, codes.InvalidArgument},
		"unknown": {func() error {
			_, err := srv.boards.DeleteBoard(ctx, &collaboardv1.DeleteBoardRequest{BoardId: newID()})
			return err
		}, codes.NotFound},
		"page token": {func() error {
			_, err := srv.boards.ListBoards(ctx, &collaboardv1.ListBoardsRequest{PageToken: "!"})
			return err
		}, codes.InvalidArgument},
		"shorter page token": {func() error {
			_, err := srv.boards.ListBoards(ctx, &collaboardv1.ListBoardsRequest{PageToken: "AAAA"})
			return err
		}, codes.InvalidArgument},
		"negative page": {func() error {
			_, err := srv.boards.ListBoards(ctx, &collaboardv1.ListBoardsRequest{PageSize: -1})
			return err
		}, codes.InvalidArgument},
		"unknown, renamed": {func() error {
			_, err := srv.boards.UpdateBoard(ctx, &collaboardv1.UpdateBoardRequest{Board: &collaboardv1.Board{Id: newID(), Name: "x"}})
			return err
		}, codes.NotFound},
		"no such log": {func() error {
			stream, err := srv.boards.ReadLog(ctx, &collaboardv1.ReadLogRequest{BoardId: newID()})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}, codes.NotFound},
		"mask": {func() error {
			_, err := srv.boards.UpdateBoard(ctx, &collaboardv1.UpdateBoardRequest{
				Board: &collaboardv1.Board{Id: board, Name: "x"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"owner"}},
			})
			return err
		}, codes.InvalidArgument},
		"kinds": {func() error {
			stream, err := srv.boards.ReadLog(ctx, &collaboardv1.ReadLogRequest{BoardId: board, Kinds: []string{"cursor_move"}})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}, codes.InvalidArgument},
		"snapshot ahead": {func() error {
			stream, err := srv.boards.GetSnapshot(ctx, &collaboardv1.GetSnapshotRequest{BoardId: board, AtSeq: 1})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		}, codes.OutOfRange},
	} {
		if err := test.call(); status.Code(err) != test.want {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// pageStore notes how many boards were asked for.
type pageStore struct {
	persistence.Store

	limit int
}

func (s *pageStore) ListBoards(ctx context.Context, after persistence.BoardID, limit int) ([]persistence.Board, error) {
	s.limit = limit
	return s.Store.ListBoards(ctx, after, limit)
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	store := &pageStore{Store: sqliteDatabase(t)(t)}
	srv := serve(t, store, server.Config{})
	for size, want := range map[int32]int{0: 50, 1: 1, 1000: 1000, 1001: 1000, 1 << 30: 1000} {
		if _, err := srv.boards.ListBoards(t.Context(), &collaboardv1.ListBoardsRequest{PageSize: size}); err != nil {
			t.Fatal(err)
		}
		if store.limit != want+1 { // one more tells whether there is another page
			t.Errorf("page size %d: %d boards were read, want %d", size, store.limit, want+1)
		}
	}
}

func TestBoardIsNamedByItsOwnerAndRenamed(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	longest := strings.Repeat("é", 200)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "user-id", "ada")
	board, err := srv.boards.CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: longest})
	if err != nil || board.GetName() != longest || board.GetOwner() != "ada" || board.GetFirstSeq() != 1 {
		t.Fatalf("%v, %v", board, err)
	}
	for _, test := range []struct {
		name  string
		paths []string
		want  string // the name, or
		field string // what is wrong
	}{
		{name: "by mask", paths: []string{"name"}, want: "by mask"},
		{name: "by star", paths: []string{"*"}, want: "by star"},
		{name: "without mask", want: "without mask"},
		{name: "", want: "without mask"}, // nothing to set
		{name: "", paths: []string{"name"}, field: "board.name"},
		{name: longest + "é", field: "board.name"},
		{name: longest, want: longest},
		{name: "x", paths: []string{"name", "owner"}, field: "update_mask"},
	} {
		got, err := srv.boards.UpdateBoard(t.Context(), &collaboardv1.UpdateBoardRequest{
			Board: &collaboardv1.Board{Id: board.GetId(), Name: test.name}, UpdateMask: &fieldmaskpb.FieldMask{Paths: test.paths},
		})
		switch {
		case test.field == "" && (err != nil || got.GetName() != test.want):
			t.Errorf("%q, %q: named %q, %v", test.name, test.paths, got.GetName(), err)
		case test.field != "" && (status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), test.field)):
			t.Errorf("%q, %q: %v", test.name, test.paths, err)
		}
	}
}

func TestBadCallNamesTheField(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	_, err := srv.boards.CreateBoard(t.Context(), &collaboardv1.CreateBoardRequest{})
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) == 1 && bad.GetFieldViolations()[0].GetField() == "name" {
			return
		}
	}
	t.Fatalf("%v, details %v", err, status.Convert(err).Details())
}

// TestReadLogGoesOnBehindOnePageOfTheStore has frames of which two make a page.
func TestReadLogGoesOnBehindOnePageOfTheStore(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	for range 5 {
		c.mustAck(custom(board, 600<<10))
	}
	for name, test := range map[string]struct {
		req  *collaboardv1.ReadLogRequest
		want []uint64
	}{
		"all":                {&collaboardv1.ReadLogRequest{}, []uint64{1, 2, 3, 4, 5}},
		"limit":              {&collaboardv1.ReadLogRequest{Limit: 3}, []uint64{1, 2, 3}},
		"limit, three pages": {&collaboardv1.ReadLogRequest{Limit: 5}, []uint64{1, 2, 3, 4, 5}},
		"backwards":          {&collaboardv1.ReadLogRequest{From: &collaboardv1.ReadLogRequest_BeforeSeq{}}, []uint64{5, 4, 3, 2, 1}},
		"backwards, limit": {
			&collaboardv1.ReadLogRequest{From: &collaboardv1.ReadLogRequest_BeforeSeq{BeforeSeq: 5}, Limit: 3}, []uint64{4, 3, 2},
		},
	} {
		test.req.BoardId = board
		stream, err := srv.boards.ReadLog(t.Context(), test.req)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for f, err := stream.Recv(); err != io.EOF; f, err = stream.Recv() { //nolint:errorlint // Recv returns it as it is
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, f.GetSeq())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// TestChatHistoryIsTheNewest pages back from the end of a board's chat, which is scattered over a log of other things.
func TestChatHistoryIsTheNewest(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const messages, page = 250, 200
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		for i := range messages {
			c.send(chat(board, strconv.Itoa(i)))
			c.send(create(board, newID()))
		}
		last := c.mustAck(create(board, newID()))
		history := func(before uint64) (texts []string, first uint64) {
			stream, err := srv.boards.ReadLog(t.Context(), &collaboardv1.ReadLogRequest{
				BoardId: board, From: &collaboardv1.ReadLogRequest_BeforeSeq{BeforeSeq: before}, Limit: page, Kinds: []string{"chat_message"},
			})
			if err != nil {
				t.Fatal(err)
			}
			for f, err := stream.Recv(); err != io.EOF; f, err = stream.Recv() { //nolint:errorlint // Recv returns it as it is
				if err != nil {
					t.Fatal(err)
				}
				texts, first = append(texts, f.GetChatMessage().GetText()), f.GetSeq()
			}
			return texts, first
		}
		var want []string
		for i := range messages {
			want = append(want, strconv.Itoa(messages-1-i))
		}
		newest, first := history(0)
		if !slices.Equal(newest, want[:page]) {
			t.Errorf("of a log of %d frames the history is %v", last, newest)
		}
		if older, _ := history(first); !slices.Equal(older, want[page:]) {
			t.Errorf("before it comes %v", older)
		}
	})
}
