package main

import (
	"context"
	"errors"
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
// that was acked before it asked, and be the fold of the log.
type visitor struct {
	user string
	env  *environment
	end  context.CancelFunc
	done sync.WaitGroup
}

func newVisitor(ctx context.Context, env *environment, user string, rng *rand.Rand) *visitor {
	ctx, cancel := context.WithCancel(ctx)
	v := &visitor{user: user, env: env, end: cancel}
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
func (v *visitor) visit(parent context.Context, id string, member int) error {
	ctx, cancel := context.WithTimeout(parent, 5*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(v.env.front.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(metadata.AppendToOutgoingContext(ctx, "user-id", v.user))
	if err != nil {
		return err
	}
	v.env.rec.Add(history.Event{Kind: history.KindJoin, Client: v.user, Board: id, Member: member})
	err = stream.Send(&collaboardv1.Frame{Id: uuid.NewString(), BoardId: id, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}}})
	if err != nil {
		return err
	}
	for shown := board.New(); ; {
		f, err := stream.Recv()
		if err != nil {
			return err
		}
		switch p := f.GetPayload().(type) {
		case *collaboardv1.Frame_Error:
			return errors.New(p.Error.GetMessage())
		case *collaboardv1.Frame_BoardSnapshot:
			shown.Load(p.BoardSnapshot)
		case *collaboardv1.Frame_BoardJoined:
			v.env.rec.Add(joined(v.user, id, member, p.BoardJoined))
			v.env.rec.Add(history.Event{
				Kind: history.KindReplica, Client: v.user, Board: id, Seq: shown.Seq(), Digest: history.Digest(shown.Snapshot()),
			})
			v.env.rec.Add(history.Event{Kind: history.KindParted, Client: v.user, Board: id, Member: member})
			return nil
		}
	}
}
