package persistence

import (
	"context"
	"fmt"
)

// Inspector reads what a database holds, as it is: deleted boards, frames that lie where none should be, and damage that
// a Store would refuse or hide. It is for who checks a database, with or without servers beside it. It writes nothing,
// and does not migrate: the database must have the program's own schema.
//
// What one call returns is of one moment. Errors are *CorruptError where the database itself calls what is stored
// damaged, and else as those of a Store. It is for one goroutine.
type Inspector interface {
	// Boards returns boards, deleted ones too, by ascending id. After the zero value for the first page, else the last
	// id of the page before.
	Boards(ctx context.Context, after BoardID, limit int) ([]StoredBoard, error)

	// Board returns one board, deleted or not, or fails with *BoardNotFoundError.
	Board(ctx context.Context, id BoardID) (StoredBoard, error)

	// Frames returns the frames of a range, by ascending seq, whether there is such a board or not. Where a seq is there
	// more than once, a page has all of them or none.
	Frames(ctx context.Context, r FrameRange) ([]Record, error)

	// NextFile returns the first file of a board after an id, with its content, whether there is such a board or not; nil
	// where there is none. The zero id is before all others.
	NextFile(ctx context.Context, board BoardID, after FileID) (*StoredFile, error)

	// NextSnapshot returns the first snapshot of a board after a seq, whether there is such a board or not; nil where there
	// is none.
	NextSnapshot(ctx context.Context, board BoardID, after Seq) (*Snapshot, error)

	// Base returns the base of a board's log, whether there is such a board or not; nil where there is none.
	Base(ctx context.Context, board BoardID) (*Snapshot, error)

	// Orphans returns boards that have frames, ids of such, files or snapshots and are not there, by ascending id.
	Orphans(ctx context.Context, limit int) ([]BoardID, error)

	// CheckEngine asks the engine what it knows of its own health, which takes as long as to read the whole database,
	// and returns what is wrong.
	CheckEngine(ctx context.Context) (problems []string, err error)

	// Close releases the database.
	Close() error
}

// StoredBoard is a board as it lies in the database. Its numbers may be such as no server writes.
type StoredBoard struct {
	Board
	Deleted bool
	Purging bool       // some of it may be gone already
	Before  uint64     // how many frames there are with a seq before First
	Beyond  uint64     // how many there are with a seq after Head
	Trimmed uint64     // how many ids there are of frames that were removed
	Strays  uint64     // how many of those are of frames that are there, or that have a seq of First or after
	Totals  FileTotals // what is kept of its files
	Counted FileTotals // what there is of them
}

// FileTotals is how many files a board has, and how many bytes of them.
type FileTotals struct{ Files, Bytes int64 }

// StoredFile is a file as it lies in the database.
type StoredFile struct {
	File
	Content []byte
}

// FrameRange names a part of a log.
type FrameRange struct {
	Board   BoardID
	After   Seq // exclusive
	Through Seq // inclusive
	// Limit and MaxBytes bound a page as in ReadParams.
	Limit, MaxBytes int
}

// SchemaError means that the database has another schema than this program's, and that it is not this call's to change
// that.
type SchemaError struct {
	Database, Program int64 // versions; Database is 0 where there is no schema
}

func (e *SchemaError) Error() string {
	switch {
	case e.Database == 0:
		return "there are no boards in it: no server has been there yet"
	case e.Database < e.Program:
		return fmt.Sprintf("it has schema version %d, and this program's is %d: a server of this version brings it up to date",
			e.Database, e.Program)
	default:
		return fmt.Sprintf("it has schema version %d, and this program knows only up to %d: use a newer program", e.Database, e.Program)
	}
}
