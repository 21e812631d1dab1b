package persistence

import (
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Log is one board's state in memory: what the committer asks to decide a frame, and tells when frames are durable.
//
// Only the goroutine of the board's shard calls these methods, and attempts do not overlap. Between Begin and Publish
// the state may be moved forward by others, with frames read from the store: since a state is a function of the log,
// whoever comes second has nothing to add.
type Log interface {
	// Begin opens an attempt to extend the log on top of the state as it is now.
	Begin() Attempt
	// Invalidate is told that the state is not of the stored log, or cannot follow it.
	Invalidate(cause error)
}

// Attempt is an overlay on a board's state. It is dropped by forgetting it.
type Attempt interface {
	// Position is where the overlay stands.
	Position() Position
	// Apply adds frames of the log that the state did not have yet. They are durable already.
	Apply(records []Record) error
	// Decide adds the submission at the next seq and appends it to records, encoded: or as many as Plan says, from none,
	// the last of which has the submission's id. Or it refuses it and leaves no trace. Its error becomes the submission's.
	Decide(s *Submission, at time.Time, records []Record) ([]Record, error)
	// Objects is how many objects are on the board as the overlay has it.
	Objects() uint64
	// Publish makes everything that was added visible, in seq order. It is only called once all of it is durable.
	Publish()
}

// Submission is a frame on its way into a log. Its fields are set before Submit and not changed after.
type Submission struct {
	Board  BoardID
	ID     FrameID
	Sender string              // user id
	Name   string              // the sender's display name
	Frame  *collaboardv1.Frame // may be nil where there is a Plan
	Size   int                 // encoded, in bytes: what it counts for in the queue
	Log    Log

	// Plan, where it is not nil, makes the frames of the submission when its turn has come, in the place of Frame: all of them
	// get into the log, one behind the other, or none. It is called with the Log's own overlay, inside of a transaction,
	// as often as that is tried; but where the store did not answer in time the submission ends with *RefusedError at once.
	Plan func(Attempt) ([]*collaboardv1.Frame, error)

	// After is the submission to the same board that must come first, or nil: when it was refused for now, so is
	// this one.
	After *Submission

	// Done is called exactly once for a submission that Submit took, from the shard's goroutine: it must not block.
	// By then a frame that was committed has been published. Errors are *RefusedError, *BoardNotFoundError, what
	// Decide returned, or a defect.
	Done func(Result, error)

	// The shard's goroutine alone uses the fields below, once the submission is queued.
	deadline time.Time
	tried    bool // a commit with it had an unknown outcome
	refused  bool // ended with *RefusedError, or is about to
	finished bool
}

// Result is where a frame is in its log: of a submission with a Plan its last one, or where the log ends without any.
type Result struct {
	Position
	Duplicate bool // it was there before this submission
}

func (s *Submission) finish(r Result, err error) {
	s.finished = true
	_, s.refused = err.(*RefusedError) //nolint:errorlint // made unwrapped, by this package only
	done := s.Done
	// Who follows s keeps it for its outcome: it must not keep its frame alive, nor all its predecessors.
	s.Frame, s.Plan, s.Log, s.After, s.Done = nil, nil, nil, nil, nil
	done(r, err)
}
