package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// historian goes back: it restores boards, reverts frames, and makes boards of others, as they were or of their frames. It
// makes each call again, under the same id, until it has an answer. Where there are two servers it goes to them in turns.
type historian struct {
	user string
	env  *environment
	rng  *rand.Rand
	end  context.CancelFunc
	done sync.WaitGroup
}

func newHistorian(ctx context.Context, env *environment, user string, rng *rand.Rand) *historian {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "user-id", user))
	h := &historian{user: user, env: env, rng: rng, end: cancel}
	h.done.Go(func() {
		for ctx.Err() == nil {
			rest(ctx, 10*env.pace)
			h.goBack(ctx, env.boards[rng.IntN(len(env.boards))])
		}
	})
	return h
}

func (h *historian) close() {
	h.end()
	h.done.Wait()
}

// goBack makes one call, and records it as a frame that is submitted, and acked where it changed anything.
func (h *historian) goBack(ctx context.Context, id string) {
	var head uint64
	err := h.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		b, err := boards.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: id})
		head = b.GetHeadSeq()
		return err
	})
	if err != nil || head == 0 {
		return
	}
	frame := uuid.NewString()
	at := max(head-h.rng.Uint64N(min(head, 4<<h.rng.IntN(7))+1), 1) // often near: the rest may be trimmed
	submit := history.Event{Kind: history.KindSubmit, Client: h.user, Board: id, Frame: frame, Want: at}
	var attempt func(context.Context, collaboardv1.BoardServiceClient) (*collaboardv1.Position, uint64, error)
	switch h.rng.IntN(8) { // half of them reverts, of which many find a frame that changes no object
	case 0:
		h.fork(ctx, id, at)
		return
	case 1:
		h.copy(ctx, id, at)
		return
	case 2, 3:
		submit.Note = history.Restore
		attempt = func(ctx context.Context, boards collaboardv1.BoardServiceClient) (*collaboardv1.Position, uint64, error) {
			done, err := boards.RestoreBoard(ctx, &collaboardv1.RestoreBoardRequest{
				BoardId: id, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: at}, FrameId: frame,
			})
			return done.GetPosition(), done.GetChangedObjects(), err
		}
	default:
		submit.Note = history.Revert
		attempt = func(ctx context.Context, boards collaboardv1.BoardServiceClient) (*collaboardv1.Position, uint64, error) {
			done, err := boards.RevertFrame(ctx, &collaboardv1.RevertFrameRequest{BoardId: id, Seq: at, FrameId: frame})
			return done.GetPosition(), done.GetChangedObjects(), err
		}
	}
	h.env.rec.Add(submit)
	var position *collaboardv1.Position
	var changed uint64
	err = h.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) (err error) {
		position, changed, err = attempt(ctx, boards)
		return err
	})
	if err != nil || changed == 0 { // it was refused, changed nothing, or was answered by the call before it
		return
	}
	h.env.rec.Add(history.Event{
		Kind: history.KindAck, Client: h.user, Board: id, Frame: frame, Epoch: position.GetEpoch(), Seq: position.GetSeq(),
	})
}

// fork makes a board of another, and looks at it. Where the answer was lost there is one more that nobody knows.
func (h *historian) fork(ctx context.Context, id string, at uint64) {
	var made *collaboardv1.Board
	err := h.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) (err error) {
		made, err = boards.ForkBoard(ctx, &collaboardv1.ForkBoardRequest{
			BoardId: id, From: &collaboardv1.ForkBoardRequest_AtSeq{AtSeq: at}, Name: "fork",
		})
		return err
	})
	if err != nil {
		return
	}
	if state, err := h.state(ctx, made.GetId()); err == nil {
		h.env.rec.Add(history.Event{Kind: history.KindFork, Client: h.user, Board: id, Want: at, Digest: history.Seen(state)})
	}
}

// copy makes a board of the frames of another, and looks at it.
func (h *historian) copy(ctx context.Context, id string, at uint64) {
	var log []*collaboardv1.ImportBoardRequest
	err := h.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		log = []*collaboardv1.ImportBoardRequest{{
			Part: &collaboardv1.ImportBoardRequest_Begin{Begin: &collaboardv1.ImportBegin{Name: "import"}},
		}}
		stream, err := boards.ReadLog(ctx, &collaboardv1.ReadLogRequest{BoardId: id, Limit: at})
		for err == nil {
			var frame *collaboardv1.Frame
			if frame, err = stream.Recv(); err == nil {
				log = append(log, &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Frame{Frame: frame}})
			}
		}
		return unlessEnd(err)
	})
	if err != nil { // its beginning may be trimmed
		return
	}
	log = append(log, &collaboardv1.ImportBoardRequest{
		Part: &collaboardv1.ImportBoardRequest_End{End: &collaboardv1.ImportEnd{Frames: uint64(len(log) - 1)}},
	})
	var made *collaboardv1.Board
	err = h.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		stream, err := boards.ImportBoard(ctx)
		if err != nil {
			return err
		}
		for _, part := range log {
			if stream.Send(part) != nil {
				break // why is in the answer
			}
		}
		made, err = stream.CloseAndRecv()
		return err
	})
	if err != nil {
		return
	}
	if state, err := h.state(ctx, made.GetId()); err == nil {
		h.env.rec.Add(history.Event{
			Kind: history.KindFork, Note: history.Import, Client: h.user, Board: id, Want: at, Digest: history.Digest(state.Snapshot()),
		})
	}
}

// state is a board as it is.
func (h *historian) state(ctx context.Context, id string) (state *board.Board, err error) {
	err = h.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		state = board.New()
		stream, err := boards.GetSnapshot(ctx, &collaboardv1.GetSnapshotRequest{BoardId: id})
		for err == nil {
			var chunk *collaboardv1.BoardSnapshot
			if chunk, err = stream.Recv(); err == nil {
				state.Load(chunk)
			}
		}
		return unlessEnd(err)
	})
	return state, err
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// call calls until there is an answer, or ctx ends.
func (h *historian) call(ctx context.Context, do func(context.Context, collaboardv1.BoardServiceClient) error) error {
	for n := h.rng.IntN(2); ; n++ {
		err := h.once(ctx, n, do)
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal:
			if ctx.Err() != nil {
				return err
			}
			rest(ctx, 50*time.Millisecond)
		default:
			return err
		}
	}
}

func (h *historian) once(ctx context.Context, n int, do func(context.Context, collaboardv1.BoardServiceClient) error) error {
	conn, err := grpc.NewClient(h.env.entrance(n), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return do(ctx, collaboardv1.NewBoardServiceClient(conn))
}
