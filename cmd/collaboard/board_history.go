package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// point is a moment of a board on the command line: a seq, or a time.
type point struct {
	seq  uint64
	time moment
	name string // of a savepoint
}

// UnmarshalText is called by kong. What is neither a seq nor a time is a name.
func (p *point) UnmarshalText(text []byte) error { //nolint:unparam // encoding.TextUnmarshaler
	seq, err := strconv.ParseUint(string(text), 10, 64)
	if p.seq = seq; err != nil && p.time.UnmarshalText(text) != nil {
		p.name = string(text)
	}
	return nil
}

func (p *point) proto() *timestamppb.Timestamp { return p.time.proto() }

// find looks the name of a savepoint up.
func (p *point) find(ctx context.Context, boards collaboardv1.BoardServiceClient, board string) error {
	if p.name == "" {
		return nil
	}
	all, err := boards.ListSavepoints(ctx, &collaboardv1.ListSavepointsRequest{BoardId: board})
	if err != nil {
		return err
	}
	for _, s := range all.GetSavepoints() { // newest first
		if s.GetName() == p.name {
			p.seq = s.GetSeq()
			return nil
		}
	}
	return fmt.Errorf("%q is no savepoint of the board, no seq, no time, as 2006-01-02T15:04:05Z, and not how long ago, as 90m", p.name)
}

type boardRestoreCmd struct {
	Board  boardID `arg:"" help:"Id of the board."`
	At     point   `arg:"" help:"What it is to be again: as after this seq (0: empty), at a time (as 2006-01-02T15:04:05Z, or 90m ago), or a savepoint."`
	Object *string `placeholder:"ID" help:"Bring back this object only."`
	clientFlags
}

// Help is shown by kong.
func (c *boardRestoreCmd) Help() string {
	return `Nothing is taken out of the board's log: what has to change is appended to it. So the way back is another restore, to ` +
		`the seq before, which is printed.`
}

// Run is called by kong.
func (c *boardRestoreCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		board := string(c.Board)
		if err := c.At.find(ctx, boards, board); err != nil {
			return err
		}
		if c.Object != nil { // an empty one is refused: it is not the whole board that was meant
			req := &collaboardv1.RestoreObjectRequest{
				BoardId: board, ObjectId: *c.Object, To: &collaboardv1.RestoreObjectRequest_AtSeq{AtSeq: c.At.seq},
			}
			if t := c.At.proto(); t != nil {
				req.To = &collaboardv1.RestoreObjectRequest_AtTime{AtTime: t}
			}
			done, err := boards.RestoreObject(ctx, req)
			if err != nil {
				return err
			}
			changed := uint64(0)
			if done.GetChanged() {
				changed = 1
			}
			return printDone(changed, done.GetPosition(), done.GetBeforeSeq())
		}
		req := &collaboardv1.RestoreBoardRequest{BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: c.At.seq}}
		if t := c.At.proto(); t != nil {
			req.To = &collaboardv1.RestoreBoardRequest_AtTime{AtTime: t}
		}
		done, err := boards.RestoreBoard(ctx, req)
		if err != nil {
			return err
		}
		return printDone(done.GetChangedObjects(), done.GetPosition(), done.GetBeforeSeq())
	})
}

type boardForkCmd struct {
	Board   boardID   `arg:"" help:"Id of the board."`
	At      point     `required:"" placeholder:"WHEN" help:"What to take: the state after the frame at this seq, or at a time, as of \"board restore\"."`
	NewName boardName `required:"" name:"name" placeholder:"NAME" help:"What to call it, in 1 to 200 characters."`
	clientFlags
}

// Run is called by kong.
func (c *boardForkCmd) Run(ctx context.Context) error {
	return c.callLong(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		if err := c.At.find(ctx, boards, string(c.Board)); err != nil {
			return err
		}
		req := &collaboardv1.ForkBoardRequest{
			BoardId: string(c.Board), From: &collaboardv1.ForkBoardRequest_AtSeq{AtSeq: c.At.seq}, Name: string(c.NewName),
		}
		if t := c.At.proto(); t != nil {
			req.From = &collaboardv1.ForkBoardRequest_AtTime{AtTime: t}
		}
		board, err := boards.ForkBoard(ctx, req)
		if err != nil {
			return err
		}
		return printf("%s\n", board.GetId())
	})
}

type boardRevertCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	Seq   uint64  `arg:"" help:"The frame whose changes are undone, but for what was set since."`
	clientFlags
}

// Run is called by kong.
func (c *boardRevertCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		done, err := boards.RevertFrame(ctx, &collaboardv1.RevertFrameRequest{BoardId: string(c.Board), Seq: c.Seq})
		if err != nil {
			return err
		}
		if err := printDone(done.GetChangedObjects(), done.GetPosition(), 0); err != nil {
			return err
		}
		for _, left := range done.GetLeftAlone() {
			fields := make([]string, len(left.GetFields()))
			for i, name := range left.GetFields() {
				fields[i] = printable(name)
			}
			if err := printf("left alone: %s %s\n", left.GetObjectId(), strings.Join(fields, " ")); err != nil {
				return err
			}
		}
		return nil
	})
}

func printDone(changed uint64, at *collaboardv1.Position, before uint64) error {
	if before > 0 {
		return printf("objects changed: %d, seq: %d, before: %d\n", changed, at.GetSeq(), before)
	}
	return printf("objects changed: %d, seq: %d\n", changed, at.GetSeq())
}

type boardSavepointCmd struct {
	Set    savepointSetCmd    `cmd:"" help:"Give a moment of a board a name."`
	List   savepointListCmd   `cmd:"" help:"List a board's savepoints, newest first."`
	Delete savepointDeleteCmd `cmd:"" help:"Take a savepoint away, not the moment."`
}

type savepointSetCmd struct {
	Board   boardID   `arg:"" help:"Id of the board."`
	NewName boardName `arg:"" name:"name" help:"What to call it, in 1 to 200 characters."`
	Seq     *uint64   `help:"The moment after this frame; default the newest."`
	clientFlags
}

// Run is called by kong.
func (c *savepointSetCmd) Run(ctx context.Context) error {
	if c.Seq != nil && *c.Seq == 0 { // to the server it would be the newest
		return usagef("--seq 0: a savepoint is after a frame")
	}
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		req := &collaboardv1.SetSavepointRequest{BoardId: string(c.Board), Name: string(c.NewName)}
		if c.Seq != nil {
			req.Seq = *c.Seq
		}
		s, err := boards.SetSavepoint(ctx, req)
		if err != nil {
			return err
		}
		return printf("%d\n", s.GetSeq())
	})
}

type savepointListCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	JSON  bool    `name:"json" help:"Print one JSON object a line instead of a table."`
	clientFlags
}

// Run is called by kong.
func (c *savepointListCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		all, err := boards.ListSavepoints(ctx, &collaboardv1.ListSavepointsRequest{BoardId: string(c.Board)})
		if err != nil {
			return err
		}
		if c.JSON {
			lines := newJSONLines(os.Stdout)
			lines.format.EmitDefaultValues = true
			for _, s := range all.GetSavepoints() {
				if err := lines.print(s); err != nil {
					return unlessClosed(err)
				}
			}
			return unlessClosed(lines.flush())
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "SEQ\tTIME\tNAME\tBY")
		for _, s := range all.GetSavepoints() {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", s.GetSeq(), seconds(s.GetTime()), printable(s.GetName()), printable(s.GetCreatedBy()))
		}
		return unlessClosed(outputError(table.Flush()))
	})
}

type savepointDeleteCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	Seq   uint64  `arg:"" help:"Its seq."`
	clientFlags
}

// Run is called by kong.
func (c *savepointDeleteCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		_, err := boards.DeleteSavepoint(ctx, &collaboardv1.DeleteSavepointRequest{BoardId: string(c.Board), Seq: c.Seq})
		return err
	})
}
