package persistence

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
)

// BoardID names a board. The zero value names none.
type BoardID uuid.UUID

// FrameID names a frame within its board; its sender chose it.
type FrameID uuid.UUID

// FileID names a file within its board: the SHA-256 of its content.
type FileID [sha256.Size]byte

// Epoch names one incarnation of a board's log.
type Epoch uuid.UUID

// Seq is a frame's position in its board's log: 1, 2, 3 …; 0 is before the first.
type Seq uint64

// Position is all that is needed to resume reading a log.
type Position struct {
	Epoch Epoch
	Seq   Seq
}

// Kind is what a frame carries: the field number of its payload in the Frame message.
type Kind int16

func (id BoardID) String() string { return uuid.UUID(id).String() }
func (id FrameID) String() string { return uuid.UUID(id).String() }
func (e Epoch) String() string    { return uuid.UUID(e).String() }
func (id FileID) String() string  { return hex.EncodeToString(id[:]) }

// LogValue makes every handler of log/slog write the id as text: JSON's would write its bytes as numbers.
func (id BoardID) LogValue() slog.Value { return slog.StringValue(id.String()) }

// ParseBoardID reads the canonical 36-character form, in either case.
func ParseBoardID(s string) (BoardID, error) {
	id, err := parseUUID(s)
	return BoardID(id), err
}

// ParseFrameID reads the canonical 36-character form, in either case.
func ParseFrameID(s string) (FrameID, error) {
	id, err := parseUUID(s)
	return FrameID(id), err
}

// ParseEpoch reads the canonical 36-character form, in either case.
func ParseEpoch(s string) (Epoch, error) {
	id, err := parseUUID(s)
	return Epoch(id), err
}

// ParseFileID reads 64 lower-case hexadecimal digits: one id has one spelling.
func ParseFileID(s string) (id FileID, err error) {
	if n, err := hex.Decode(id[:], []byte(s[:min(len(s), hex.EncodedLen(len(id)))])); err != nil || n != len(id) || id.String() != s {
		return FileID{}, fmt.Errorf("%q is not a SHA-256 in lower-case hexadecimal", s)
	}
	return id, nil
}

// parseUUID is stricter than uuid.Parse, which also takes URNs, braces and bare digits: one id has one spelling here.
func parseUUID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.Nil, fmt.Errorf("%q is not a UUID", s)
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%q is not a UUID", s)
	}
	return id, nil
}
