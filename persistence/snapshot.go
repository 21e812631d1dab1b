package persistence

import "time"

// Snapshots are kept within these bounds.
const (
	// MaxSnapshotBytes is the largest body of a snapshot. A board that needs more is folded from its log.
	MaxSnapshotBytes = 64 << 20
	// KeptSnapshots is how many a board has at most, keyframes apart: a newest one that turns out to be damaged leaves another.
	KeptSnapshots = 2
)

// Snapshot is the state of a board at a position of its log, as bytes that the store does not look into. It only saves
// folding the log up to there: one that is lost loses nothing, and whoever reads one must be able to do without.
type Snapshot struct {
	Board BoardID
	Position
	CreatedAt time.Time // UTC, in microseconds
	Body      []byte    // nil where what is stored is larger than MaxSnapshotBytes
	// Spacing makes it a keyframe, which stays while its log does, where the board's log begins and has a keyframe no
	// nearer than so many frames, on either side; 0 for never. It is for PutSnapshot alone: what is read does not have it.
	Spacing Seq
	// Base says that it is the state with which a trimmed log begins, and not only a short cut: see Store.BeginLog. It
	// belongs to the log whatever its epoch, which a restore changes.
	Base bool
}

// RenewFunc returns the same state as a snapshot of another epoch, which a store that gives its boards other epochs then keeps
// in its place.
type RenewFunc func(s Snapshot, to Epoch) (Snapshot, error)
