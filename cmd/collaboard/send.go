package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

type sendCmd struct {
	Board  boardID `arg:"" help:"Id of the board that frames without one are for."`
	File   string  `short:"f" placeholder:"FILE" help:"Read from here instead of standard input, and send nothing unless all lines are frames."`
	Window int     `default:"256" help:"Frames that are sent before the first of them is answered."`
	Retry  bool    `help:"When the connection is lost, reconnect and send what was not answered again, under the same ids."`
	clientFlags
}

// Help is shown by kong.
func (c *sendCmd) Help() string {
	return `A frame is the JSON form of the protobuf message collaboard.v1.Frame, as "tail" prints it:

    {"chatMessage": {"text": "hello"}}

The fields id, boardId and status may be left out. Each answer is one line, in the order of the requests. A frame that ` +
		`is sent twice under one id is in the log once.`
}

// maxLine is above the largest frame, written as JSON at its most verbose.
const maxLine = 16 << 20

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
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &sender{
		client: conn, out: newJSONLines(os.Stdout),
		lines: make(chan *line), window: make(chan struct{}, c.Window),
	}
	reading := make(chan error, 1)
	// Ends with the input or with ctx; a read of a terminal that never ends goes with the process.
	go func() {
		reading <- readFrames(in, func(l *line) error {
			l.complete(string(c.Board))
			select {
			case s.lines <- l:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		close(s.lines)
	}()
	if err := s.run(ctx, c.Retry); err != nil {
		s.printRest()
		return conn.explain(err)
	}
	if err := <-reading; err != nil {
		return fmt.Errorf("%w: it was not sent, nor what follows it", err)
	}
	if s.failed {
		return errReported
	}
	return nil
}

// open returns the input. A file is looked through before anything of it is sent.
func (c *sendCmd) open() (io.ReadCloser, error) {
	if c.File == "" || c.File == "-" {
		return os.Stdin, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", c.File, innermost(err))
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return file, nil //nolint:nilerr // a pipe can be read only once; what else is wrong shows when it is read
	}
	if err := readFrames(file, func(*line) error { return nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: nothing was sent", c.File, err), file.Close())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read %s: %w", c.File, innermost(err)), file.Close())
	}
	return file, nil
}

// line is a frame of the input.
type line struct {
	number int
	frame  *collaboardv1.Frame
	answer *collaboardv1.Frame // nil while there is none
}

// readFrames calls fn for each line of in that is not blank.
func readFrames(in io.Reader, fn func(*line) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	number := 0
	for scanner.Scan() {
		number++
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		l := &line{number: number, frame: &collaboardv1.Frame{}}
		if err := protojson.Unmarshal(text, l.frame); err != nil {
			return fmt.Errorf("line %d: %s", number, jsonProblem(err))
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d: longer than %d MiB", number+1, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("line %d: %w", number+1, innermost(err))
	}
	return nil
}

// jsonProblem is what protojson found, without its prefix and its position in a line that we number ourselves.
func jsonProblem(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool {
		return r == ' ' || r == '\u00a0' // it varies its spaces, by intent
	}), " ")
	text = strings.TrimPrefix(text, "proto: ")
	text = strings.TrimPrefix(text, "syntax error ")
	if rest, ok := strings.CutPrefix(text, "(line 1:"); ok {
		if column, what, ok := strings.Cut(rest, "): "); ok {
			return fmt.Sprintf("column %s: %s", column, what)
		}
	}
	return text
}

func (l *line) complete(board string) {
	if l.frame.GetId() == "" {
		l.frame.Id = uuid.Must(uuid.NewV7()).String()
	}
	if l.frame.GetBoardId() == "" && l.frame.GetPing() == nil {
		l.frame.BoardId = board
	}
	if l.frame.GetStatus() == collaboardv1.Status_STATUS_UNSPECIFIED {
		l.frame.Status = collaboardv1.Status_STATUS_REQUEST
	}
}

// isAnswered says whether the frame gets an answer even when all is well. The payloads of Frame are numbered by lane:
// the ephemeral ones from 40 to 59.
func (l *line) isAnswered() bool {
	kind := persistence.KindOf(l.frame)
	return (kind < 40 || kind >= 60) && l.frame.GetStatus() != collaboardv1.Status_STATUS_CANCEL
}

// sender sends lines and prints their answers.
type sender struct {
	*client
	lines  chan *line    // closed when there are no more
	window chan struct{} // holds one value for each line in pending

	out    *jsonLines // as failed, of the goroutine that receives
	failed bool       // a request was refused

	// mu guards pending. It is held while answers are printed, which is what the next line waits for anyway.
	mu      sync.Mutex
	pending []*line // in the order in which they were sent; those whose answer has not been printed
}

// run returns when every line was sent and answered, or cannot be.
func (s *sender) run(ctx context.Context, retry bool) error {
	var pause backoff
	for ever := false; ; {
		connected, err := s.session(ctx)
		ever = ever || connected
		if err == nil || ctx.Err() != nil || !retry || !ever || !isTemporary(err) {
			return err
		}
		if connected {
			pause.reset()
			complainf("%w: reconnecting", s.explain(err))
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}

// session sends on one stream what has no answer yet and then the lines, and returns when all of them are answered, or
// with the reason why the stream ended before. It says whether the server was there at all.
func (s *sender) session(ctx context.Context) (connected bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := collaboardv1.NewCollaborationServiceClient(s.ClientConn).Collaborate(ctx)
	if err != nil {
		cancel()
		return false, err
	}
	var sending sync.WaitGroup
	sending.Go(func() { s.sendAll(ctx, stream) })
	defer sending.Wait()
	defer cancel()
	if _, err := stream.Recv(); err != nil { // the welcome
		return false, err
	}
	return true, s.receiveAll(stream)
}

// sendAll returns early when the stream breaks: the receiving side is told why.
func (s *sender) sendAll(ctx context.Context, stream collaboardv1.CollaborationService_CollaborateClient) {
	s.mu.Lock()
	again := slices.DeleteFunc(slices.Clone(s.pending), func(l *line) bool { return l.answer != nil })
	s.mu.Unlock()
	for _, l := range again {
		if stream.Send(l.frame) != nil {
			return
		}
	}
	for {
		select {
		case s.window <- struct{}{}:
		case <-ctx.Done():
			return
		}
		var l *line
		select {
		case l = <-s.lines:
		case <-ctx.Done():
		}
		if l == nil || !l.isAnswered() {
			<-s.window
		}
		switch {
		case ctx.Err() != nil && l == nil:
			return
		case l == nil:
			_ = stream.CloseSend()
			return
		case l.isAnswered():
			s.mu.Lock()
			s.pending = append(s.pending, l)
			s.mu.Unlock()
		}
		if stream.Send(l.frame) != nil {
			return
		}
	}
}

// receiveAll returns nil when the server has ended the stream and nothing is left to be answered.
func (s *sender) receiveAll(stream collaboardv1.CollaborationService_CollaborateClient) error {
	for {
		frame, err := stream.Recv()
		if err != nil {
			s.mu.Lock()
			left := len(s.pending)
			s.mu.Unlock()
			switch {
			case errors.Is(err, io.EOF) && left == 0:
				return nil
			case errors.Is(err, io.EOF):
				return errEnded
			default:
				return err
			}
		}
		switch frame.GetStatus() { //nolint:exhaustive // the others are no answers
		case collaboardv1.Status_STATUS_DONE, collaboardv1.Status_STATUS_ERROR:
			if err := s.answer(frame); err != nil {
				return err
			}
		}
	}
}

// answer notes an answer, and prints those whose turn it is.
func (s *sender) answer(frame *collaboardv1.Frame) error {
	if frame.GetId() == "" {
		frame.Id = frame.GetParentId()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.pending, func(l *line) bool { return l.answer == nil && l.frame.GetId() == frame.GetParentId() })
	if i < 0 { // of a frame that is only answered when it is refused
		return s.print(frame)
	}
	s.pending[i].answer = frame
	for len(s.pending) > 0 && s.pending[0].answer != nil {
		if err := s.print(s.pending[0].answer); err != nil {
			return err
		}
		s.pending = s.pending[1:]
		<-s.window
	}
	return nil
}

func (s *sender) print(frame *collaboardv1.Frame) error {
	s.failed = s.failed || frame.GetStatus() == collaboardv1.Status_STATUS_ERROR
	return s.out.printNow(frame)
}

// printRest prints, after the stream broke, the answers that waited for their turn, and which lines have none.
func (s *sender) printRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	unanswered := 0
	for _, l := range s.pending {
		if l.answer == nil {
			complainf("line %d was not answered, id %s", l.number, l.frame.GetId())
			unanswered++
		} else if s.print(l.answer) != nil {
			return
		}
	}
	if unanswered > 0 {
		complainf("what was not answered may be in the log or not: sent again under its id it is there once")
	}
}
