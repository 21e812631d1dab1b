package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

type sendCmd struct {
	Board  boardID `arg:"" help:"Id of the board that frames without one are for."`
	File   string  `short:"f" placeholder:"FILE" help:"Read from here instead of standard input, and send nothing unless all lines are frames."`
	Window int     `default:"256" help:"Frames that are sent before the first of them is answered."`
	Retry  bool    `help:"Go on across lost connections, restarts of the server and refusals for now; for durable frames, which stay in their order."`
	clientFlags
}

// Help is shown by kong.
func (c *sendCmd) Help() string {
	return `A frame is the JSON form of the protobuf message collaboard.v1.Frame:

    {"chatMessage": {"text": "hello"}}

The fields id, boardId and status may be left out. A frame as "tail" prints it, an event with a seq, is sent to BOARD ` +
		`under its id. Each answer is one line, in the order of the requests. A frame that is sent twice under one id is ` +
		`in the log once.`
}

// Run is called by kong.
func (c *sendCmd) Run(ctx context.Context) error {
	if c.Window < 1 {
		return usagef("--window must be at least 1")
	}
	in, err := c.open()
	if err != nil {
		return err
	}
	defer in.Close()
	e, err := c.endpoint()
	if err != nil {
		return err
	}
	r := newReader(in, c.prepare)
	out := &answers{lines: newJSONLines(os.Stdout)}
	send := c.sendOnce
	if c.Retry {
		send = c.sendAgain
	}
	if err := send(ctx, e, r, out); err != nil {
		out.complainRest(r, c.Retry)
		return e.explain(err)
	}
	if err := r.err(); err != nil {
		return fmt.Errorf("%w: it was not sent, nor what follows it", err)
	}
	if out.refused {
		return errReported
	}
	return nil
}

// open returns the input. A file is looked through before anything of it is sent.
func (c *sendCmd) open() (*os.File, error) {
	if c.File == "" || c.File == "-" {
		return os.Stdin, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", c.File, innermost(err))
	}
	if !isRegular(file) {
		return file, nil // a pipe can be read only once; what else is wrong shows when it is read
	}
	if err := readFrames(file, c.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: nothing was sent", c.File, err), file.Close())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read %s: %w", c.File, innermost(err)), file.Close())
	}
	return file, nil
}

// prepare makes a request of a line, or says why it is none that can be sent.
func (c *sendCmd) prepare(l *line) error {
	f := l.frame
	if f.GetStatus() == collaboardv1.Status_STATUS_EVENT && f.GetSeq() > 0 {
		// From a log: what its server made of it is left out.
		l.frame = &collaboardv1.Frame{Id: f.GetId(), Payload: f.GetPayload()}
		f = l.frame
	}
	if f.GetId() == "" {
		f.Id = uuid.Must(uuid.NewV7()).String()
	}
	if f.GetBoardId() == "" && f.GetPing() == nil {
		f.BoardId = string(c.Board)
	}
	if f.GetStatus() == collaboardv1.Status_STATUS_UNSPECIFIED {
		f.Status = collaboardv1.Status_STATUS_REQUEST
	}
	if !c.Retry {
		return nil
	}
	switch {
	case !l.isDurable():
		return errors.New("not a durable frame, and --retry is for those alone")
	case !isUUID(f.GetId()):
		return fmt.Errorf("id: %q is not a UUID", f.GetId())
	case !isUUID(f.GetBoardId()):
		return fmt.Errorf("boardId: %q is not a UUID", f.GetBoardId())
	}
	return nil
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// The payloads of Frame are numbered by lane: durable ones from 20 to 39, ephemeral ones from 40 to 59.

func (l *line) isDurable() bool {
	kind := persistence.KindOf(l.frame)
	return kind >= 20 && kind < 40 && l.frame.GetStatus() == collaboardv1.Status_STATUS_REQUEST
}

// isAnswered says whether the frame gets an answer even when all is well.
func (l *line) isAnswered() bool {
	kind := persistence.KindOf(l.frame)
	return (kind < 40 || kind >= 60) && l.frame.GetStatus() != collaboardv1.Status_STATUS_CANCEL
}
