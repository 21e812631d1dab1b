package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

type tailCmd struct {
	Board  boardID `arg:"" help:"Id of the board."`
	After  *uint64 `placeholder:"SEQ" help:"Begin after this frame; default the beginning of the log."`
	Follow bool    `short:"f" help:"Go on with what is written from now on, across lost connections and restarts of the server."`
	clientFlags
}

// Help is shown by kong.
func (c *tailCmd) Help() string {
	return `A log is copied to another board, or into a file and back, with "collaboard send": what it has already of a ` +
		`copy it does not take again.

    collaboard tail BOARD | collaboard send OTHER`
}

// Run is called by kong.
func (c *tailCmd) Run(ctx context.Context) error {
	e, err := c.endpoint()
	if err != nil {
		return err
	}
	sdk, err := e.sdk(&narrator{endpoint: e}) //nolint:contextcheck // it lives until Close
	if err != nil {
		return err
	}
	defer sdk.Close()
	t := &tail{sdk: sdk, board: c.Board, out: newJSONLines(os.Stdout)}
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
	return e.explain(err)
}

// tail prints a log from some frame on.
type tail struct {
	sdk   *client.Client
	board boardID
	out   *jsonLines
	epoch string // of the log
	last  uint64 // seq of the newest frame that was printed
}

// begin finds out where to begin.
func (t *tail) begin(ctx context.Context, after *uint64) error {
	board, err := getBoard(ctx, t.sdk.Boards(), t.board)
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
	stream, err := t.sdk.Boards().ReadLog(ctx, &collaboardv1.ReadLogRequest{
		BoardId: string(t.board), From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: t.last},
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
	board, err := t.sdk.Join(ctx, string(t.board),
		client.From(client.Position{Epoch: t.epoch, Seq: t.last}), client.WithoutReplica())
	if err != nil {
		return err
	}
	for frame, err := range board.Frames(ctx) {
		if _, moved := errors.AsType[*client.ResyncError](err); moved {
			return fmt.Errorf("the log does not go on after seq %d: it was trimmed or restored from a backup; "+
				"\"collaboard board get %s\" shows where it is", t.last, t.board)
		}
		if err != nil {
			return err
		}
		if err := t.accept(frame, t.out.printNow); err != nil {
			return err
		}
	}
	return nil // not reached: the loop ends with an error
}
