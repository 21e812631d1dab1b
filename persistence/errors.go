package persistence

import (
	"errors"
	"fmt"
	"time"
)

// UnavailableError means that the database could not be reached, gave up or refused for now, or that the call's context
// ended first. The same call may succeed later. Whether a transaction was committed is unknown.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return fmt.Sprintf("store unavailable: %v", e.Err) }
func (e *UnavailableError) Unwrap() error { return e.Err }

// ContendedError means that somebody else held a lock for too long, or a deadlock was broken. Nothing was written; the
// same call may succeed later.
type ContendedError struct{ Err error }

func (e *ContendedError) Error() string { return fmt.Sprintf("store contended: %v", e.Err) }
func (e *ContendedError) Unwrap() error { return e.Err }

// BoardNotFoundError means that the board was deleted or never was.
type BoardNotFoundError struct{ Board BoardID }

func (e *BoardNotFoundError) Error() string { return fmt.Sprintf("board %s not found", e.Board) }

// FileNotFoundError means that the board has no such file.
type FileNotFoundError struct {
	Board BoardID
	File  FileID
}

func (e *FileNotFoundError) Error() string {
	return fmt.Sprintf("board %s has no file %s", e.Board, e.File)
}

// FileLimitError means that one more file would be more, or more bytes, than the board may have. Nothing was written.
type FileLimitError struct {
	Board BoardID
	Limit FileLimit
}

func (e *FileLimitError) Error() string {
	return fmt.Sprintf("board %s may have %d files of %d bytes together", e.Board, e.Limit.Files, e.Limit.Bytes)
}

// TrimmedError means that the log begins after the frame that was asked for.
type TrimmedError struct {
	Board BoardID
	First Seq // the oldest frame that is still kept
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("board %s: log begins at seq %d", e.Board, e.First)
}

// CorruptError means that what the database holds is damaged, in the words of whoever noticed.
type CorruptError struct{ Err error }

func (e *CorruptError) Error() string { return fmt.Sprintf("database is damaged: %v", e.Err) }
func (e *CorruptError) Unwrap() error { return e.Err }

// QueueFullError means that the committer has as much to do as it may hold. Nothing was queued.
type QueueFullError struct{ RetryAfter time.Duration }

func (e *QueueFullError) Error() string { return "commit queue is full" }

// RefusedError means that a frame was not made durable in time, or follows one that was not. Resent under its id it is
// in the log once, whatever happened to it.
type RefusedError struct {
	RetryAfter time.Duration
	Err        error
}

func (e *RefusedError) Error() string { return fmt.Sprintf("not committed in time: %v", e.Err) }
func (e *RefusedError) Unwrap() error { return e.Err }

var (
	// ErrDraining means that the committer takes no more frames: the server is about to stop.
	ErrDraining = errors.New("committer is draining")
	// ErrStaleLog means that a board's state in memory is not of the log that the store holds (another epoch, a
	// head that moved backwards, frames that it cannot take in), and was thrown away.
	ErrStaleLog = errors.New("state is not of the stored log")
	// ErrNoFrame means that the log has no frame at a seq.
	ErrNoFrame = errors.New("the log has no frame at this seq")
	// ErrSavepointLimit means that a board has MaxSavepoints savepoints with a name.
	ErrSavepointLimit = fmt.Errorf("a board may have %d savepoints", MaxSavepoints)
	// ErrPredecessorRefused means that the frame which must come first was refused.
	ErrPredecessorRefused = errors.New("the frame before it was refused")
)
