package persistence

import (
	"context"
	"time"
)

// How many savepoints a board has at most.
const (
	MaxSavepoints  = 1000 // with a name
	KeptSavepoints = 100  // without one: the newest stay
)

// Savepoint is a moment of a board that can be found again: the state after the frame at Seq.
type Savepoint struct {
	Board BoardID
	Seq   Seq
	Name  string    // empty for one that a server noted by itself
	By    string    // user id of who named it last; empty for a server's
	Time  time.Time // of the frame; UTC, in microseconds
}

// SavepointStore is the part of a Store that keeps savepoints.
type SavepointStore interface {
	// PutSavepoint stores a savepoint, whose Time is ignored, and returns it: in the place of one at the same seq where it has a
	// name, and otherwise only where there is none. It fails with *BoardNotFoundError, with ErrNoFrame where the log has no
	// frame at its seq, and with ErrSavepointLimit where the board has MaxSavepoints with a name.
	PutSavepoint(ctx context.Context, s Savepoint) (Savepoint, error)

	// DeleteSavepoint removes the board's savepoint at a seq, if there is one: then it returns true.
	DeleteSavepoint(ctx context.Context, board BoardID, seq Seq) (bool, error)

	// Savepoints returns a board's savepoints, by descending seq; none where there is no such board.
	Savepoints(ctx context.Context, board BoardID) ([]Savepoint, error)
}
