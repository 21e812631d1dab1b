package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

type exportCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	File  string  `arg:"" optional:"" help:"Where to; default standard output."`
	formatFlag
	clientFlags
}

// formatFlag is in what format a board is in a file.
type formatFlag struct {
	Format string `enum:",ndjson,excalidraw" default:"" help:"ndjson for the log, or excalidraw for a drawing; default by the end of the file's name."`
}

func (f formatFlag) isDrawing(path string) bool {
	return f.Format == "excalidraw" || f.Format == "" && filepath.Ext(path) == ".excalidraw"
}

// Help is shown by kong.
func (c *exportCmd) Help() string {
	return `The file has a line that says what it is, then a line for each frame, as JSON, then one for each file that the ` +
		`objects name, and a last line that says how many there were. The same board makes the same lines.

A drawing has what is on the board now, and can be opened in Excalidraw.

A log that was trimmed is not whole and cannot be exported. As a drawing it can, or by way of a fork:

    collaboard export $(collaboard board fork BOARD --at 0s --name copy) copy.ndjson`
}

// Run is called by kong.
func (c *exportCmd) Run(ctx context.Context) error {
	return unlessClosed(writeFile(c.File, func(w io.Writer) error {
		return c.callLong(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
			if c.isDrawing(c.File) {
				return exportDrawing(ctx, boards, c.Board, w)
			}
			return exportLog(ctx, boards, c.Board, w)
		})
	}))
}

// writeFile has the file at path, or standard output, written. There is no file where that fails, or the one that was there.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		return write(os.Stdout)
	}
	part := path + ".part"
	f, err := os.Create(part)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, innermost(err))
	}
	err = write(f)
	if closing := errors.Join(f.Sync(), f.Close()); err == nil && closing != nil {
		err = fmt.Errorf("cannot write %s: %w", path, innermost(closing))
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

// exportVersion is that of the format: what is read must be of this one.
const exportVersion = 1

// exportHeader is the first line of an export.
type exportHeader struct {
	Collaboard *exportedBoard `json:"collaboard"`
}

type exportedBoard struct {
	Version int    `json:"version"`
	BoardID string `json:"board_id"` // where it is from, as the rest
	Name    string `json:"name"`
	Epoch   string `json:"epoch"`
	HeadSeq uint64 `json:"head_seq"`
}

// exportLog writes the log as it is when it begins, and the files.
func exportLog(ctx context.Context, boards collaboardv1.BoardServiceClient, id boardID, w io.Writer) error {
	board, err := getBoard(ctx, boards, id)
	if err != nil {
		return err
	}
	if board.GetFirstSeq() > 1 {
		return fmt.Errorf("the log begins at seq %d, what was before is gone: export a fork of the board, or --format excalidraw", board.GetFirstSeq())
	}
	out := newJSONLines(w)
	header, err := json.Marshal(exportHeader{&exportedBoard{
		Version: exportVersion, BoardID: board.GetId(), Name: board.GetName(), Epoch: board.GetEpoch(), HeadSeq: board.GetHeadSeq(),
	}})
	if err != nil {
		return err
	}
	if _, err := out.w.Write(append(header, '\n')); err != nil {
		return outputError(err)
	}
	named := map[string]bool{}
	if board.GetHeadSeq() > 0 {
		if err := exportFrames(ctx, boards, board, out, named); err != nil {
			return err
		}
	}
	files := uint64(0)
	for _, sha256 := range slices.Sorted(maps.Keys(named)) {
		file, err := fetchFile(ctx, boards, board.GetId(), sha256)
		if status.Code(err) == codes.NotFound {
			continue // it only looked like the name of one
		}
		if err != nil {
			return err
		}
		if err := out.print(&collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_File{File: file}}); err != nil {
			return err
		}
		files++
	}
	end := &collaboardv1.ImportEnd{Frames: board.GetHeadSeq(), Files: files}
	out.format.EmitDefaultValues = true
	if err := out.print(&collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_End{End: end}}); err != nil {
		return err
	}
	return out.flush()
}

// exportFrames writes the frames, without what is another on another board, and adds what may be the names of files.
func exportFrames(
	ctx context.Context, boards collaboardv1.BoardServiceClient, board *collaboardv1.Board, out *jsonLines, named map[string]bool,
) error {
	stream, err := boards.ReadLog(ctx, &collaboardv1.ReadLogRequest{BoardId: board.GetId(), Limit: board.GetHeadSeq()})
	if err != nil {
		return err
	}
	for seq := uint64(1); ; seq++ {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) && seq == board.GetHeadSeq()+1 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the server sent no frame of seq %d", seq)
		}
		if err != nil {
			return err
		}
		if frame.GetSeq() != seq {
			return fmt.Errorf("the server sent seq %d in the place of %d", frame.GetSeq(), seq)
		}
		addNames(frame, named)
		frame.BoardId, frame.Chain = "", nil
		if err := out.print(frame); err != nil {
			return err
		}
	}
}

// addNames adds the values of props that may name files.
func addNames(f *collaboardv1.Frame, named map[string]bool) {
	ops := append([]*collaboardv1.ObjectOp{
		{Op: &collaboardv1.ObjectOp_Create{Create: f.GetObjectCreate()}}, {Op: &collaboardv1.ObjectOp_Update{Update: f.GetObjectUpdate()}},
	}, f.GetObjectBatch().GetOps()...)
	for _, op := range ops {
		for _, props := range []map[string]*structpb.Value{op.GetCreate().GetObject().GetProps(), op.GetUpdate().GetProps()} {
			for _, value := range props {
				if _, err := persistence.ParseFileID(value.GetStringValue()); err == nil {
					named[value.GetStringValue()] = true
				}
			}
		}
	}
}

// fetchFile reads a file.
func fetchFile(ctx context.Context, boards collaboardv1.BoardServiceClient, board, sha256 string) (*collaboardv1.ImportFile, error) {
	stream, err := boards.GetFile(ctx, &collaboardv1.GetFileRequest{BoardId: board, Sha256: sha256})
	if err != nil {
		return nil, err
	}
	file := &collaboardv1.ImportFile{Sha256: sha256}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return file, nil
		}
		if err != nil {
			return nil, err
		}
		if piece.GetFile() != nil {
			file.MediaType = piece.GetFile().GetMediaType()
		}
		file.Content = append(file.Content, piece.GetContent()...)
	}
}
