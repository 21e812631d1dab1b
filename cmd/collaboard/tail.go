package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

type tailCmd struct {
	Board  boardID `arg:"" help:"Id of the board."`
	After  *uint64 `placeholder:"SEQ" help:"Begin after this frame; default the beginning of the log."`
	Follow bool    `short:"f" xor:"since,until,from,object,kind" help:"Go on with what is written from now on, across lost connections and restarts."`
	tailFilter
	clientFlags
}

// tailFilter is which frames of a log are printed; not with --follow.
type tailFilter struct {
	Since  moment   `xor:"since" placeholder:"TIME" help:"Only frames of this time and later ones: as 2006-01-02T15:04:05Z, or how long ago, as 90m."`
	Until  moment   `xor:"until" placeholder:"TIME" help:"Only frames of before this time."`
	From   string   `xor:"from" placeholder:"USER" help:"Only frames of this user."`
	Object string   `xor:"object" placeholder:"ID" help:"Only frames that create, change or delete this object."`
	Kind   []string `xor:"kind" placeholder:"KIND" help:"Only frames of these kinds, as object_update or chat_message."`
}

// moment is a time on the command line; the zero value is none.
type moment struct{ at time.Time }

// UnmarshalText is called by kong.
func (m *moment) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		m.at = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return errors.New("neither a time, as 2006-01-02T15:04:05Z, nor how long ago, as 90m")
	}
	m.at = at
	return nil
}

func (m moment) proto() *timestamppb.Timestamp {
	if m.at.IsZero() {
		return nil
	}
	return timestamppb.New(m.at)
}

// Help is shown by kong.
func (c *tailCmd) Help() string {
	return `A log is copied to another board, or into a file and back, with "collaboard send": what it has already of a ` +
		`copy it does not take again.

    collaboard tail BOARD | collaboard send OTHER

Who changed an object, and when:

    collaboard tail BOARD --object ID --since 24h`
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
	t := &tail{sdk: sdk, board: c.Board, filter: c.tailFilter, out: newJSONLines(os.Stdout)}
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
	sdk    *client.Client
	board  boardID
	filter tailFilter
	out    *jsonLines
	epoch  string // of the log
	last   uint64 // seq of the newest frame that was printed
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
		FromTime: t.filter.Since.proto(), ToTime: t.filter.Until.proto(),
		Sender: t.filter.From, ObjectId: t.filter.Object, Kinds: t.filter.Kind,
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
		if t.filter.some() {
			t.last = frame.GetSeq() - 1 // others lie between
		}
		if err := t.accept(frame, t.out.print); err != nil {
			return err
		}
	}
}

// some says whether not every frame passes.
func (f *tailFilter) some() bool {
	return !f.Since.at.IsZero() || !f.Until.at.IsZero() || f.From != "" || f.Object != "" || len(f.Kind) > 0
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
