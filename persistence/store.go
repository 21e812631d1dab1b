package persistence

import (
	"context"
	"time"
)

// Store keeps boards and their logs. Two engines implement it, package postgres and package sqlite; package storetest
// is the suite that both pass.
//
// All methods are safe for concurrent use, by any number of processes on one database. When ctx ends they return
// soon, with an error. Errors are those of errors.go, or else mean that the call can never succeed as it is.
type Store interface {
	// Append runs one transaction over the boards of claims, each of which must be there once: it locks their heads
	// in the order of their ids, calls decide with what it found (one Locked a claim, in the claims' order), inserts
	// the frames that decide returns, moves the heads, and commits.
	//
	// It returns nil only once the commit is durable, and with it the frames that it found as Locked.Known: whoever wrote
	// those may have given up its own wait for that, so there is a commit where any were found. After an *UnavailableError the outcome is unknown: all of it or
	// none of it is in the log, and the ids tell which. After any other error nothing was written. An error of decide
	// rolls back and is returned as it is. decide is called at most once, must not call the Store, and must not keep
	// what it was given after it has returned, except the records' bodies.
	Append(ctx context.Context, claims []Claim, decide DecideFunc) error

	// Read returns a range of a board's log; no frames when it is empty. It fails with *BoardNotFoundError, and with
	// *TrimmedError when the log no longer holds the first frame of a range that is read forwards.
	Read(ctx context.Context, p ReadParams) ([]Record, error)

	// Boards returns the boards with these ids that exist and are not deleted, in no particular order.
	Boards(ctx context.Context, ids ...BoardID) ([]Board, error)

	// ListBoards returns boards that are not deleted, by descending id: newest first, since ids are UUIDv7. After the
	// zero value for the first page, else the last id of the page before.
	ListBoards(ctx context.Context, after BoardID, limit int) ([]Board, error)

	// Usage adds up what is stored of a board, or fails with *BoardNotFoundError. It takes time in proportion to the board's
	// log.
	Usage(ctx context.Context, board BoardID) (Usage, error)

	// CreateBoard stores a new board with an empty log; Head, First, Objects and RetainLog of b are ignored.
	CreateBoard(ctx context.Context, b Board) error

	// CreateHidden is CreateBoard of a board that is hidden: as one that was deleted at its CreatedAt, and is purged like that
	// one, too. It is filled by Append, PutFile and CopyFiles, which nobody sees, and shown, all at once, by UndeleteBoard.
	CreateHidden(ctx context.Context, b Board) error

	// ChangeBoard changes what c names of a board and returns the board as it now is, or fails with *BoardNotFoundError.
	ChangeBoard(ctx context.Context, id BoardID, c BoardChange, at time.Time) (Board, error)

	// DeleteBoard hides a board and its log, or fails with *BoardNotFoundError. No frame is appended to it after
	// that.
	DeleteBoard(ctx context.Context, id BoardID, at time.Time) error

	// UndeleteBoard brings a board back that was deleted, or fails with *BoardNotFoundError, also where its purge has
	// begun. On a board that is not deleted it does nothing.
	UndeleteBoard(ctx context.Context, id BoardID) (Board, error)

	// PutSnapshot stores a snapshot of a board, in the place of one at the same seq, and removes what is neither a keyframe
	// nor among the newest KeptSnapshots of the board's log. Where two servers do so at once there may be more until the
	// next call. It fails with *BoardNotFoundError, and with ErrStaleLog where the position is not in the board's log.
	PutSnapshot(ctx context.Context, s Snapshot) error

	// ReadSnapshot returns the board's newest snapshot with a seq of at most upTo, whatever its epoch, nil where there is
	// none. The base of a trimmed log is one of them. It fails with *BoardNotFoundError.
	ReadSnapshot(ctx context.Context, board BoardID, upTo Seq) (*Snapshot, error)

	FileStore
	SavepointStore

	// BeginLog makes a board's log begin at the frame at the seq of s, which stays, and keeps s as the log's base, in the
	// place of the one before: in one transaction, which takes the lock on the board's head for its end alone. From then
	// on Read has nothing before that frame, and RemoveTrimmed may remove it. Where the log begins there already, or
	// later, it does nothing. It fails with *BoardNotFoundError, and with ErrStaleLog where the position is not in the
	// board's log.
	//
	// The base is all that is left of what was before it: s must be good.
	BeginLog(ctx context.Context, s Snapshot) error

	// RemoveTrimmed removes frames that lie before the begin of a board's log, the oldest first, at most limit of them, in
	// one transaction that keeps no commit of frames from its lock. Their ids stay known, and at their seqs. It returns
	// how many it removed: fewer than limit, unless somebody else is at it, when there are no more. It fails with
	// *BoardNotFoundError.
	RemoveTrimmed(ctx context.Context, board BoardID, limit int) (int, error)

	// PurgeableBoards returns boards that were deleted before a time, by ascending id, at most limit of them. After the zero
	// value for the first page, else the last id of the page before.
	PurgeableBoards(ctx context.Context, deletedBefore time.Time, after BoardID, limit int) ([]BoardID, error)

	// PurgeBoard removes some of what there is of a board that was deleted before a time: at most limit frames, or ids of
	// such, or else one file, or what else there is. It is done when nothing is left, and where there is no such board. Once
	// it has begun the board cannot be brought back.
	PurgeBoard(ctx context.Context, board BoardID, deletedBefore time.Time, limit int) (done bool, err error)

	// Ping returns nil when the database answers and can be written to, else an *UnavailableError.
	Ping(ctx context.Context) error

	// Close waits for calls under way and releases the database. No method may be called after it.
	Close() error
}

// Board is what a store keeps about a board, its log apart. Times are UTC, in microseconds.
type Board struct {
	ID        BoardID
	Name      string
	Owner     string
	Epoch     Epoch
	Head      Seq // newest frame; 0 while the log is empty
	First     Seq // oldest frame that is still kept; at least 1
	Objects   uint64
	RetainLog string // how much of the log is kept, in the words of whoever trims it; empty for the default
	CreatedAt time.Time
	UpdatedAt time.Time // of the newest frame, or of the board's own newest change
}

// Usage is how many bytes are stored of a board: those of its frames, snapshots (its log's base is one of them) and files,
// without what the database needs to keep them.
type Usage struct{ Log, Snapshots, Files uint64 }

// BoardChange is what to change of a board; nil for what is to stay.
type BoardChange struct {
	Name      *string
	RetainLog *string
}

// Record is one frame of a log.
type Record struct {
	Seq    Seq
	ID     FrameID
	Time   time.Time // UTC, in microseconds
	Sender string
	Kind   Kind
	Body   []byte // the frame as every member gets it: an encoded EVENT. Never changed once it is made
}

// Claim is what a transaction wants of one board.
type Claim struct {
	Board   BoardID
	Applied Seq       // what the caller's state has; what follows it comes as Locked.Missed
	IDs     []FrameID // the candidates; those that the log already has come as Locked.Known
	// NoWait makes the call fail at once, with *ContendedError, where another process or connection holds the lock.
	NoWait bool
	// Hidden means a board that is hidden, or deleted, and no other. It must be claimed alone.
	Hidden bool
}

// How much of one board comes as Locked.Missed at most, so that a transaction holds its locks for a bounded time, and
// takes a bounded memory.
const (
	MissedLimit = 4096    // frames
	MissedBytes = 4 << 20 // bytes of bodies, after one frame at the earliest
)

// Locked is one board inside a transaction, its head locked until the end.
type Locked struct {
	Board  BoardID
	Exists bool // false for a board that is deleted or never was; the rest is then zero
	Epoch  Epoch
	Head   Seq
	Missed []Record        // the frames (Applied, Head], or the first of them
	Known  map[FrameID]Seq // which of the claim's ids are in the log, and where; may be nil
}

// Extension is what decide adds to one board's log.
type Extension struct {
	Board   BoardID
	Records []Record // seqs Head+1, Head+2, …; at least one
	Objects uint64   // objects on the board after them
}

// DecideFunc chooses what a transaction appends. Boards to which nothing is added are left out; none at all is not an
// error.
type DecideFunc func(locked []Locked) ([]Extension, error)

// ReadParams names a range of a log.
type ReadParams struct {
	Board BoardID
	// After and Before are exclusive: the range is (After, Before). Before 0 means to the head.
	After, Before Seq
	// Backward turns the range around, newest first. What the log no longer holds of it is left out then.
	Backward bool
	// Limit is the largest number of frames; at least 1.
	Limit int
	// MaxBytes ends the range once the bodies add up to it, after one frame at the earliest; 0 for no limit.
	MaxBytes int
	// Kinds restricts the range to frames of these kinds; empty for all.
	Kinds []Kind
	// Sender restricts the range to frames of this user id; empty for all.
	Sender string
	// Containing restricts the range to frames with these bytes in their bodies, which no index knows: all of the range
	// is read for it. Empty for all.
	Containing []byte
}
