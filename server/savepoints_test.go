package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestSavepoints are named, listed, named anew and taken away, and what they name is there to be restored.
func TestSavepoints(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv, other := serve(t, open(t), server.Config{}), serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t, "user-id", "ada")
		object := c.drawMany(board, 1)[0]
		c.mustAck(move(board, object, 5))
		c.mustAck(move(board, object, 6))
		set := func(seq uint64, name string) *collaboardv1.Savepoint {
			t.Helper()
			s, err := srv.boards.SetSavepoint(t.Context(), &collaboardv1.SetSavepointRequest{BoardId: board, Seq: seq, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		list := func(want ...*collaboardv1.Savepoint) {
			t.Helper()
			all, err := other.boards.ListSavepoints(t.Context(), &collaboardv1.ListSavepointsRequest{BoardId: board})
			if err != nil || !proto.Equal(all, &collaboardv1.ListSavepointsResponse{Savepoints: want}) {
				t.Fatalf("%v, %v, want %v", all, err, want)
			}
		}
		list()
		two, head := set(2, "five"), set(0, "six")
		if !proto.Equal(two.GetTime(), srv.readLog(t, board)[1].GetTime()) || head.GetSeq() != 3 || two.GetCreatedBy() == "" {
			t.Errorf("%v, %v", two, head)
		}
		list(head, two)
		two = set(2, "fünf")
		list(head, two)
		if done := srv.mustRestore(t, board, two.GetSeq(), ""); done.GetChangedObjects() != 1 {
			t.Error(done)
		}
		wantSeen(t, srv.readLog(t, board), 4, 2)
		for _, want := range []codes.Code{codes.OK, codes.NotFound} {
			_, err := other.boards.DeleteSavepoint(t.Context(), &collaboardv1.DeleteSavepointRequest{BoardId: board, Seq: 3})
			if status.Code(err) != want {
				t.Error(err)
			}
		}
		list(two)
	})
}

func TestSavepointRefusals(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{Room: room.Config{RetainInterval: 1}})
	board, empty := srv.createBoard(t), srv.createBoard(t)
	c := srv.connect(t)
	object := c.drawMany(board, 1)[0]
	for range 20 {
		c.mustAck(move(board, object, 1))
	}
	srv.trim(t, board, "10", 12)
	for what, test := range map[string]struct {
		board string
		seq   uint64
		name  string
		want  codes.Code
	}{
		"no name":     {board, 20, "", codes.InvalidArgument},
		"only spaces": {board, 20, "  ", codes.InvalidArgument},
		"too long":    {board, 20, strings.Repeat("x", 201), codes.InvalidArgument},
		"a bell":      {board, 20, "\a", codes.InvalidArgument},
		"trimmed":     {board, 11, "x", codes.OutOfRange},
		"ahead":       {board, 22, "x", codes.OutOfRange},
		"empty":       {empty, 0, "x", codes.OutOfRange},
		"no UUID":     {"x", 1, "x", codes.InvalidArgument},
		"no board":    {newID(), 1, "x", codes.NotFound},
	} {
		_, err := srv.boards.SetSavepoint(t.Context(), &collaboardv1.SetSavepointRequest{BoardId: test.board, Seq: test.seq, Name: test.name})
		if status.Code(err) != test.want {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
	for what, test := range map[string]struct {
		err  error
		want codes.Code
	}{
		"list no board": {func() error {
			_, err := srv.boards.ListSavepoints(t.Context(), &collaboardv1.ListSavepointsRequest{BoardId: newID()})
			return err
		}(), codes.NotFound},
		"delete no board": {func() error {
			_, err := srv.boards.DeleteSavepoint(t.Context(), &collaboardv1.DeleteSavepointRequest{BoardId: newID(), Seq: 1})
			return err
		}(), codes.NotFound},
	} {
		if status.Code(test.err) != test.want {
			t.Errorf("%s: %v, want %v", what, test.err, test.want)
		}
	}
	all, err := srv.boards.ListSavepoints(t.Context(), &collaboardv1.ListSavepointsRequest{BoardId: board})
	if err != nil || len(all.GetSavepoints()) != 0 {
		t.Error(all, err)
	}
}
