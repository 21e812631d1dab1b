package persistence

import "time"

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
