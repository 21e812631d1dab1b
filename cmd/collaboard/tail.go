package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

type tailCmd struct {
	Board  boardID `arg:"" help:"Id of the board."`
	After  *uint64 `placeholder:"SEQ" help:"Begin after this frame; default the beginning of the log."`
	Follow bool    `short:"f" help:"Go on with what is written from now on, across lost connections and restarts of the server."`
	clientFlags
}

// Run is called by kong.
func (c *tailCmd) Run(ctx context.Context) error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	t := &tail{client: conn, board: string(c.Board), out: newJSONLines(os.Stdout)}
	err = t.begin(ctx, c.After)
	if err == nil {
		if c.Follow {
			err = t.followForReader(ctx)
		} else {
			err = t.read(ctx)
		}
	}
	if flushing := t.out.flush(); err == nil {
		err = flushing
	}
	if ctx.Err() != nil || errors.Is(err, errOutputClosed) {
		return nil // that is how it is ended
	}
	return conn.explain(err)
}

// tail prints a log from some frame on.
type tail struct {
	*client
	board string
	out   *jsonLines
	epoch string // of the log
	last  uint64 // seq of the newest frame that was printed
}

// begin finds out where to begin.
func (t *tail) begin(ctx context.Context, after *uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	board, err := t.boards().GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: t.board})
	if err != nil {
		return err
	}
	t.epoch, t.last = board.GetEpoch(), board.GetFirstSeq()-1
	if after == nil {
		return nil
	}
	switch {
	case *after > board.GetHeadSeq():
		return fmt.Errorf("--after %d is ahead of the log, which ends at seq %d", *after, board.GetHeadSeq())
	case *after < t.last:
		return fmt.Errorf("--after %d: the log begins at seq %d", *after, board.GetFirstSeq())
	}
	t.last = *after
	return nil
}

// read prints what is in the log.
func (t *tail) read(ctx context.Context) error {
	stream, err := t.boards().ReadLog(ctx, &collaboardv1.ReadLogRequest{
		BoardId: t.board, From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: t.last},
	})
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.accept(frame, t.out.print); err != nil {
			return err
		}
	}
}

func (t *tail) accept(frame *collaboardv1.Frame, emit func(proto.Message) error) error {
	if frame.GetSeq() != t.last+1 {
		return fmt.Errorf("the server skipped from seq %d to %d", t.last, frame.GetSeq())
	}
	if err := emit(frame); err != nil {
		return err
	}
	t.last = frame.GetSeq()
	return nil
}

// followForReader follows as long as somebody reads.
func (t *tail) followForReader(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with ctx
		awaitNoReader(ctx, os.Stdout)
		cancel(errOutputClosed)
	}()
	err := t.follow(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// follow prints what is in the log and what is added to it, until ctx ends or it cannot go on.
func (t *tail) follow(ctx context.Context) error {
	var pause backoff
	for {
		joined, err := t.session(ctx)
		if ctx.Err() != nil || !isTemporary(err) {
			return err
		}
		if joined {
			pause.reset()
			complainf("%w: reconnecting", t.explain(err))
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}

// session prints frames as long as one stream lives, and says whether it ever became a member of the board.
func (t *tail) session(ctx context.Context) (joined bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := collaboardv1.NewCollaborationServiceClient(t.ClientConn).Collaborate(ctx)
	if err != nil {
		return false, err
	}
	join := &collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: t.board, Status: collaboardv1.Status_STATUS_REQUEST,
		Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{
			Position: &collaboardv1.Position{Epoch: t.epoch, Seq: t.last},
		}},
	}
	if err := stream.Send(join); err != nil && !errors.Is(err, io.EOF) { // after which Recv says why
		return false, err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return joined, errEnded
		}
		if err != nil {
			return joined, err
		}
		switch {
		case frame.GetBoardDeleted() != nil:
			return joined, errors.New("the board was deleted")
		case frame.GetSeq() > 0:
			if err := t.accept(frame, t.out.printNow); err != nil {
				return joined, err
			}
		case frame.GetParentId() == join.GetId():
			if err := t.checkAnswer(frame); err != nil {
				return joined, err
			}
			joined = true
		}
	}
}

// checkAnswer looks at the answer to the join: the log must go on where we are.
func (t *tail) checkAnswer(frame *collaboardv1.Frame) error {
	if e := frame.GetError(); e != nil {
		if e.GetRetryable() {
			return retryable(e)
		}
		return errors.New(e.GetMessage())
	}
	if frame.GetBoardSnapshot() != nil || frame.GetBoardJoined().GetMode() == collaboardv1.Mode_MODE_SNAPSHOT {
		return fmt.Errorf("the log does not go on after seq %d: it was trimmed or restored from a backup; "+
			"\"collaboard board get %s\" shows where it is", t.last, t.board)
	}
	return nil
}
