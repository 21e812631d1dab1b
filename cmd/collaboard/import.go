package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

type importCmd struct {
	File    string    `arg:"" help:"What \"collaboard export\", or Excalidraw, wrote; - for standard input."`
	NewName boardName `name:"name" placeholder:"NAME" help:"What to call the board; default what it was called, or the name of the file."`
	formatFlag
	clientFlags
}

// Help is shown by kong.
func (c *importCmd) Help() string {
	return `Frames keep their ids, seqs, times and senders. A drawing becomes objects, with its images, by who imports it. ` +
		`There is all of the board, or, where anything is wrong with the file, nothing.`
}

// Run is called by kong.
func (c *importCmd) Run(ctx context.Context) error {
	in := os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", c.File, innermost(err))
		}
		defer f.Close()
		in = f
	}
	return c.callLong(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		var board *collaboardv1.Board
		var err error
		if c.isDrawing(c.File) {
			name := strings.TrimSuffix(filepath.Base(c.File), ".excalidraw")
			board, err = importDrawing(ctx, boards, in, cmp.Or(string(c.NewName), name), cmp.Or(c.User, anonymous))
		} else {
			board, err = importLog(ctx, boards, in, string(c.NewName))
		}
		if err != nil {
			return err
		}
		return printf("%s\n", board.GetId())
	})
}

// importLog makes a board of the lines of an export. It is the server who judges the frames.
func importLog(ctx context.Context, boards collaboardv1.BoardServiceClient, in io.Reader, name string) (*collaboardv1.Board, error) {
	ctx, cancel := context.WithCancel(ctx) // takes back what was sent, unless all was
	defer cancel()
	stream, err := boards.ImportBoard(ctx)
	if err != nil {
		return nil, err
	}
	last := 0
	ended := false
	err = readLines(in, func(number int, text []byte) error {
		if ended {
			return fmt.Errorf("line %d: is behind the end", number)
		}
		part, err := importPart(text, last == 0, name)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		last, ended = number, part.GetEnd() != nil
		return stream.Send(part)
	})
	switch {
	case errors.Is(err, io.EOF): // the server has no use for the rest, and says why
	case err != nil:
		return nil, err
	case last == 0:
		return nil, errors.New("the file is empty")
	case !ended:
		return nil, fmt.Errorf("the file is cut short: line %d, its last, does not say that it is the end", last)
	}
	return stream.CloseAndRecv()
}

// importPart is a line of an export as it is sent.
func importPart(text []byte, first bool, name string) (*collaboardv1.ImportBoardRequest, error) {
	if first {
		return importBegin(text, name)
	}
	part := &collaboardv1.ImportBoardRequest{}
	if key := firstKey(text); key == "file" || key == "end" {
		return part, unmarshalLine(text, part)
	}
	frame := &collaboardv1.Frame{}
	part.Part = &collaboardv1.ImportBoardRequest_Frame{Frame: frame}
	return part, unmarshalLine(text, frame)
}

// importBegin is what the header says, but for the name, where there is another.
func importBegin(text []byte, name string) (*collaboardv1.ImportBoardRequest, error) {
	var header exportHeader
	if firstKey(text) != "collaboard" || json.Unmarshal(text, &header) != nil || header.Collaboard == nil {
		return nil, errors.New("is not the first one of an export of a board")
	}
	if v := header.Collaboard.Version; v != exportVersion {
		return nil, fmt.Errorf("is of an export of version %d; this program reads version %d", v, exportVersion)
	}
	begin := &collaboardv1.ImportBegin{Name: cmp.Or(name, header.Collaboard.Name)}
	return &collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Begin{Begin: begin}}, nil
}

// firstKey is the first key of a JSON object.
func firstKey(text []byte) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return ""
	}
	key, _ := dec.Token()
	s, _ := key.(string)
	return s
}

// maxNesting is above that of the deepest frame.
const maxNesting = 100

func unmarshalLine(text []byte, m proto.Message) error {
	if err := (protojson.UnmarshalOptions{RecursionLimit: maxNesting}).Unmarshal(text, m); err != nil {
		return errors.New(jsonProblem(err))
	}
	return nil
}
