package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server/room"
)

type boardCmd struct {
	Create   boardCreateCmd   `cmd:"" help:"Create a board and print its id."`
	List     boardListCmd     `cmd:"" help:"List the boards, newest first."`
	Get      boardGetCmd      `cmd:"" help:"Show a board."`
	Rename   boardRenameCmd   `cmd:"" help:"Give a board another name."`
	Retain   boardRetainCmd   `cmd:"" help:"Say how much of its log a board keeps."`
	Delete   boardDeleteCmd   `cmd:"" help:"Delete a board. It can be brought back for 30 days."`
	Undelete boardUndeleteCmd `cmd:"" help:"Bring a deleted board back, with its whole log."`

	Restore   boardRestoreCmd   `cmd:"" help:"Bring a board, or an object, back to what it was."`
	Revert    boardRevertCmd    `cmd:"" help:"Undo one frame, but for what was set since."`
	Fork      boardForkCmd      `cmd:"" help:"Make a new board of what was on one, and print its id."`
	Savepoint boardSavepointCmd `cmd:"" help:"Name moments of a board."`
}

type boardCreateCmd struct {
	NewName boardName `arg:"" name:"name" help:"What to call it, in 1 to 200 characters."`
	clientFlags
}

// Run is called by kong.
func (c *boardCreateCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		board, err := boards.CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: string(c.NewName)})
		if err != nil {
			return err
		}
		return printf("%s\n", board.GetId())
	})
}

type boardListCmd struct {
	JSON bool `name:"json" help:"Print one JSON object a line instead of a table."`
	Long bool `help:"Also print where each log begins, and the bytes of its frames, snapshots and files, which takes time in proportion to the logs."`
	clientFlags
}

// Run is called by kong.
func (c *boardListCmd) Run(ctx context.Context) error {
	show, finish := boardTable(c.Long)
	if c.JSON {
		lines := newJSONLines(os.Stdout)
		lines.format.EmitDefaultValues = true
		show, finish = func(u *collaboardv1.BoardUsage) error {
			if c.Long {
				return lines.print(u)
			}
			return lines.print(u.GetBoard())
		}, lines.flush
	}
	req := &collaboardv1.ListBoardsRequest{PageSize: 1000}
	for {
		var page *collaboardv1.ListBoardsResponse
		err := c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) (err error) {
			page, err = boards.ListBoards(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		for _, board := range page.GetBoards() {
			usage := &collaboardv1.BoardUsage{Board: board}
			if c.Long {
				if usage, err = c.usage(ctx, board.GetId()); err != nil {
					return err
				}
			}
			if usage == nil {
				continue // deleted meanwhile
			}
			if err := show(usage); err != nil {
				return unlessClosed(err)
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return unlessClosed(finish())
		}
	}
}

// usage adds up a board; nil where there is none.
func (c *boardListCmd) usage(ctx context.Context, board string) (usage *collaboardv1.BoardUsage, err error) {
	err = c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) (err error) {
		usage, err = boards.GetBoardUsage(ctx, &collaboardv1.GetBoardUsageRequest{BoardId: board})
		if status.Code(err) == codes.NotFound {
			usage, err = nil, nil
		}
		return err
	})
	return usage, err
}

func boardTable(long bool) (show func(*collaboardv1.BoardUsage) error, finish func() error) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if long {
		fmt.Fprintln(table, "ID\tNAME\tFIRST\tHEAD\tOBJECTS\tLOG\tSNAPSHOTS\tFILES\tUPDATED")
	} else {
		fmt.Fprintln(table, "ID\tNAME\tHEAD\tOBJECTS\tUPDATED")
	}
	show = func(u *collaboardv1.BoardUsage) error {
		b := u.GetBoard()
		if long {
			_, err := fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
				b.GetId(), printable(b.GetName()), b.GetFirstSeq(), b.GetHeadSeq(), b.GetObjectCount(),
				u.GetLogBytes(), u.GetSnapshotBytes(), u.GetFileBytes(), seconds(b.GetUpdatedAt()))
			return outputError(err)
		}
		_, err := fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n",
			b.GetId(), printable(b.GetName()), b.GetHeadSeq(), b.GetObjectCount(), seconds(b.GetUpdatedAt()))
		return outputError(err)
	}
	return show, func() error { return outputError(table.Flush()) }
}

type boardGetCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	JSON  bool    `name:"json" help:"Print a JSON object."`
	clientFlags
}

// Run is called by kong.
func (c *boardGetCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		b, err := boards.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: string(c.Board)})
		if err != nil {
			return err
		}
		if c.JSON {
			lines := newJSONLines(os.Stdout)
			lines.format.EmitDefaultValues = true
			if err := lines.print(b); err != nil {
				return err
			}
			return lines.flush()
		}
		return printf("id       %s\nname     %s\nowner    %s\nepoch    %s\nlog      %s\nkept     %s\nobjects  %d\ncreated  %s\nupdated  %s\n",
			b.GetId(), printable(b.GetName()), printable(b.GetOwner()), b.GetEpoch(), logRange(b),
			cmp.Or(b.GetRetainLog(), "as the server says"), b.GetObjectCount(), seconds(b.GetCreatedAt()), seconds(b.GetUpdatedAt()))
	})
}

type boardRenameCmd struct {
	Board   boardID   `arg:"" help:"Id of the board."`
	NewName boardName `arg:"" name:"name" help:"What to call it, in 1 to 200 characters."`
	clientFlags
}

// Run is called by kong.
func (c *boardRenameCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		_, err := boards.UpdateBoard(ctx, &collaboardv1.UpdateBoardRequest{
			Board:      &collaboardv1.Board{Id: string(c.Board), Name: string(c.NewName)},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}},
		})
		return err
	})
}

type boardRetainCmd struct {
	Board boardID     `arg:"" help:"Id of the board."`
	Keep  retainedLog `arg:"" help:"forever, a number of frames as in 100000, an age as in 30d, or default for what the server says. What is older is removed."`
	clientFlags
}

// Run is called by kong.
func (c *boardRetainCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		_, err := boards.UpdateBoard(ctx, &collaboardv1.UpdateBoardRequest{
			Board:      &collaboardv1.Board{Id: string(c.Board), RetainLog: string(c.Keep)},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retain_log"}},
		})
		return err
	})
}

// retainedLog is a board's retain_log on the command line.
type retainedLog string

// UnmarshalText is called by kong.
func (r *retainedLog) UnmarshalText(text []byte) error {
	if string(text) == "default" {
		return nil
	}
	*r = retainedLog(text)
	_, err := room.ParseRetention(string(text))
	return err
}

type boardDeleteCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	clientFlags
}

// Run is called by kong.
func (c *boardDeleteCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		_, err := boards.DeleteBoard(ctx, &collaboardv1.DeleteBoardRequest{BoardId: string(c.Board)})
		return err
	})
}

type boardUndeleteCmd struct {
	Board boardID `arg:"" help:"Id of the board."`
	clientFlags
}

// Run is called by kong.
func (c *boardUndeleteCmd) Run(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		_, err := boards.UndeleteBoard(ctx, &collaboardv1.UndeleteBoardRequest{BoardId: string(c.Board)})
		return err
	})
}

// call makes one call, within a time limit, and explains its error.
func (f *clientFlags) call(ctx context.Context, fn func(context.Context, collaboardv1.BoardServiceClient) error) error {
	return f.callLong(ctx, func(ctx context.Context, boards collaboardv1.BoardServiceClient) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return fn(ctx, boards)
	})
}

// callLong makes calls that take as long as it takes.
func (f *clientFlags) callLong(ctx context.Context, fn func(context.Context, collaboardv1.BoardServiceClient) error) error {
	e, err := f.endpoint()
	if err != nil {
		return err
	}
	conn, err := e.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return e.explain(fn(ctx, collaboardv1.NewBoardServiceClient(conn)))
}

// boardName is a new name, of a board or a savepoint, on the command line.
type boardName string

// UnmarshalText is called by kong.
func (n *boardName) UnmarshalText(text []byte) error {
	const most = 200
	switch length := utf8.RuneCount(text); {
	case length == 0:
		return errors.New("a name cannot be empty")
	case length > most:
		return fmt.Errorf("a name of %d characters is longer than %d", length, most)
	}
	*n = boardName(text)
	return nil
}

func printf(format string, args ...any) error {
	_, err := fmt.Fprintf(os.Stdout, format, args...)
	return outputError(err)
}

// printable keeps a name from moving the cursor.
func printable(name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return strconv.Quote(name)
	}
	return name
}

func seconds(t *timestamppb.Timestamp) string { return t.AsTime().Format(time.RFC3339) }

func logRange(b *collaboardv1.Board) string {
	if b.GetHeadSeq() == 0 {
		return "empty"
	}
	return fmt.Sprintf("%d to %d", b.GetFirstSeq(), b.GetHeadSeq())
}
