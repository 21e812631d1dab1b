package server_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func forkAt(board string, seq uint64) *collaboardv1.ForkBoardRequest {
	return &collaboardv1.ForkBoardRequest{BoardId: board, From: &collaboardv1.ForkBoardRequest_AtSeq{AtSeq: seq}, Name: "a fork"}
}

// TestFork forks a board while others go on drawing on it, on two servers: each fork has what was seen then, and no more.
func TestFork(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv, other := serve(t, open(t), server.Config{}), serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		srv.scribble(t, board, 300)
		srv.connect(t).drawMany(board, 1500)
		content := image(5000)
		file := srv.mustUpload(t, board, content)

		var writers sync.WaitGroup
		for _, at := range []*running{srv, other} {
			writers.Go(func() { at.scribble(t, board, 300) })
		}
		forks := map[string]uint64{}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "user-id", "ada")
		for i := range 10 {
			head, err := srv.boards.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: board})
			if err != nil {
				t.Fatal(err)
			}
			seq := rand.Uint64N(head.GetHeadSeq() + 1)
			fork, err := []*running{srv, other}[i%2].boards.ForkBoard(ctx, forkAt(board, seq))
			if err != nil {
				t.Fatal(err)
			}
			if fork.GetOwner() != "ada" || fork.GetName() != "a fork" || fork.GetEpoch() == head.GetEpoch() || fork.GetId() == board {
				t.Errorf("forked %v of %v", fork, head)
			}
			forks[fork.GetId()] = seq
		}
		writers.Wait()
		log := srv.readLog(t, board)
		for fork, seq := range forks {
			made := other.readLog(t, fork)
			wantGapless(t, made)
			want := seenAt(log, seq)
			if d := cmp.Diff(want, seenAt(made, uint64(len(made))), protocmp.Transform()); d != "" {
				t.Errorf("the fork is not what the board was at seq %d:\n%s", seq, d[:min(len(d), 2000)])
			}
			if most := len(want)/1000 + 1; len(made) > most || len(want) == 0 && len(made) > 0 {
				t.Errorf("%d frames for %d objects", len(made), len(want))
			}
			if len(made) > 0 {
				wantChain(t, open, fork, 0, made)
			}
			if _, got, err := other.download(t, fork, file.GetSha256()); err != nil || !bytes.Equal(got, content) {
				t.Errorf("its file has %d bytes: %v", len(got), err)
			}
			meta, err := srv.boards.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: fork})
			if err != nil || meta.GetObjectCount() != uint64(len(want)) || meta.GetHeadSeq() != uint64(len(made)) {
				t.Errorf("%v, %v; want %d objects in %d frames", meta, err, len(want), len(made))
			}
			for _, f := range made {
				for _, op := range f.GetObjectBatch().GetOps() {
					if o := op.GetCreate().GetObject(); f.GetFrom() != "ada" || o.GetCreatedBy() != "ada" || o.GetVersion() != 1 {
						t.Fatalf("made otherwise: %v", o)
					}
				}
			}
			// It goes its own way.
			c := srv.connect(t)
			c.join(fork, nil)
			c.mustAck(create(fork, newID()))
		}
	})
}

// TestForkAtATime forks a board of before something was done.
func TestForkAtATime(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	objects := c.drawMany(board, 3)
	c.mustAck(deleteOf(board, objects[0]))
	log := srv.readLog(t, board)
	for seq, at := range map[uint64]*timestamppb.Timestamp{
		0: timestamppb.New(log[0].GetTime().AsTime().Add(-time.Microsecond)), 2: log[1].GetTime(),
	} {
		fork, err := srv.boards.ForkBoard(t.Context(), &collaboardv1.ForkBoardRequest{
			BoardId: board, From: &collaboardv1.ForkBoardRequest_AtTime{AtTime: at}, Name: "then",
		})
		if err != nil {
			t.Fatal(err)
		}
		made := srv.readLog(t, fork.GetId())
		if d := cmp.Diff(seenAt(log, seq), seenAt(made, uint64(len(made))), protocmp.Transform()); d != "" {
			t.Errorf("seq %d:\n%s", seq, d)
		}
	}
}

// wantBoards fails unless the store has so many boards, and none that is hidden or deleted.
func wantBoards(t *testing.T, store persistence.Store, n int) {
	t.Helper()
	boards, err := store.ListBoards(t.Context(), persistence.BoardID{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := store.PurgeableBoards(t.Context(), time.Now().Add(time.Hour), persistence.BoardID{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(boards) != n || len(hidden) != 0 {
		t.Errorf("%d boards, want %d; and %d hidden ones", len(boards), n, len(hidden))
	}
}

// TestForkRefusals: there is no board then, not even a hidden one.
func TestForkRefusals(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{Room: room.Config{RetainInterval: 1}})
	board := srv.createBoard(t)
	c := srv.connect(t)
	object := c.drawMany(board, 1)[0]
	for range 20 {
		c.mustAck(move(board, object, 1))
	}
	srv.trim(t, board, "10", 12)
	change := func(do func(*collaboardv1.ForkBoardRequest)) *collaboardv1.ForkBoardRequest {
		req := forkAt(board, 20)
		do(req)
		return req
	}
	for what, test := range map[string]struct {
		req  *collaboardv1.ForkBoardRequest
		want codes.Code
	}{
		"no moment": {change(func(r *collaboardv1.ForkBoardRequest) { r.From = nil }), codes.InvalidArgument},
		"no time": {change(func(r *collaboardv1.ForkBoardRequest) {
			r.From = &collaboardv1.ForkBoardRequest_AtTime{AtTime: &timestamppb.Timestamp{Seconds: 1 << 60}}
		}), codes.InvalidArgument},
		"no name":  {change(func(r *collaboardv1.ForkBoardRequest) { r.Name = "  " }), codes.InvalidArgument},
		"no board": {forkAt(newID(), 0), codes.NotFound},
		"ahead":    {forkAt(board, 22), codes.OutOfRange},
		"trimmed":  {forkAt(board, 11), codes.OutOfRange},
	} {
		if _, err := srv.boards.ForkBoard(t.Context(), test.req); status.Code(err) != test.want {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
	store.setAppend(func(context.Context, []persistence.Claim, persistence.DecideFunc) error {
		return &persistence.UnavailableError{Err: errInjected}
	})
	if _, err := srv.boards.ForkBoard(t.Context(), forkAt(board, 20)); status.Code(err) != codes.Unavailable {
		t.Errorf("without a store: %v", err)
	}
	wantBoards(t, store, 1)
}
