package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// visitor opens boards, one after the other, as somebody does who was not there before: what it is shown must have all
// that was acked before it asked, and be the fold of the log. Where there are two servers it goes to them in turns.
type visitor struct {
	user string
	env  *environment
	rng  *rand.Rand
	end  context.CancelFunc
	done sync.WaitGroup

	members int // memberships so far
}

func newVisitor(ctx context.Context, env *environment, user string, rng *rand.Rand) *visitor {
	ctx, cancel := context.WithCancel(ctx)
	v := &visitor{user: user, env: env, rng: rng, end: cancel}
	v.done.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			if v.visit(ctx, env.boards[rng.IntN(len(env.boards))], n) != nil {
				rest(ctx, 20*time.Millisecond)
			}
			rest(ctx, 4*env.pace)
		}
	})
	return v
}

func (v *visitor) close() {
	v.end()
	v.done.Wait()
}

// visit joins a board on a stream of its own, and leaves.
func (v *visitor) visit(parent context.Context, id string, n int) error {
	ctx, cancel := context.WithTimeout(parent, 5*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(v.env.entrance(n), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	shown, err := v.join(ctx, conn, id)
	if err != nil || shown.Seq() == 0 {
		return err
	}
	service := collaboardv1.NewBoardServiceClient(conn)
	switch v.rng.IntN(4) {
	case 0:
		return v.env.recordSnapshot(ctx, service, v.user, id, 0)
	case 1:
		return v.env.recordSnapshot(ctx, service, v.user, id, 1+v.rng.Uint64N(shown.Seq()))
	case 2:
		return v.readLog(ctx, service, id, shown.Seq()-v.rng.Uint64N(min(shown.Seq(), 50)+1))
	default:
		return nil
	}
}

// join returns what it was shown of the board.
func (v *visitor) join(ctx context.Context, conn *grpc.ClientConn, id string) (*board.Board, error) {
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(metadata.AppendToOutgoingContext(ctx, "user-id", v.user))
	if err != nil {
		return nil, err
	}
	v.members++
	member := v.members
	v.env.rec.Add(history.Event{Kind: history.KindJoin, Client: v.user, Board: id, Member: member})
	err = stream.Send(&collaboardv1.Frame{Id: uuid.NewString(), BoardId: id, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}})
	if err != nil {
		return nil, err
	}
	for shown := board.New(); ; {
		f, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		switch p := f.GetPayload().(type) {
		case *collaboardv1.Frame_Error:
			return nil, errors.New(p.Error.GetMessage())
		case *collaboardv1.Frame_BoardSnapshot:
			shown.Load(p.BoardSnapshot)
		case *collaboardv1.Frame_BoardJoined:
			v.env.rec.Add(joined(v.user, id, member, p.BoardJoined))
			v.env.rec.Add(history.Event{
				Kind: history.KindReplica, Client: v.user, Board: id, Seq: shown.Seq(), Digest: history.Digest(shown.Snapshot()),
			})
			v.env.rec.Add(history.Event{Kind: history.KindParted, Client: v.user, Board: id, Member: member})
			return shown, nil
		}
	}
}

// readLog reads the log behind a seq, which is recorded as if a member had resumed there, and left at the log's end.
func (v *visitor) readLog(ctx context.Context, service collaboardv1.BoardServiceClient, id string, after uint64) error {
	stream, err := service.ReadLog(ctx, &collaboardv1.ReadLogRequest{
		BoardId: id, From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: after},
	})
	if err != nil {
		return err
	}
	v.members++
	member := v.members
	v.env.rec.Add(history.Event{Kind: history.KindJoin, Client: v.user, Board: id, Member: member, Seq: after})
	v.env.rec.Add(history.Event{Kind: history.KindJoined, Client: v.user, Board: id, Member: member, Seq: after, Mode: "RESUMED"})
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			v.env.rec.Add(history.Event{Kind: history.KindParted, Client: v.user, Board: id, Member: member})
			return nil
		}
		if err != nil {
			return err
		}
		v.env.rec.Add(delivered(v.user, id, member, f))
	}
}
