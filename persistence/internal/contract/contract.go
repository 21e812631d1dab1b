// Package contract holds the part of the persistence.Store contract that does not depend on the engine: what the
// arguments of a call and the answer of a DecideFunc must look like.
package contract

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/collaboard-io/collaboard/persistence"
)

// CheckClaims returns an error unless every board is claimed once, and a hidden one alone.
func CheckClaims(claims []persistence.Claim) error {
	seen := make(map[persistence.BoardID]struct{}, len(claims))
	for i := range claims {
		if claims[i].Hidden && len(claims) > 1 {
			return fmt.Errorf("board %s is hidden, and not claimed alone", claims[i].Board)
		}
		if _, ok := seen[claims[i].Board]; ok {
			return fmt.Errorf("board %s is claimed twice", claims[i].Board)
		}
		seen[claims[i].Board] = struct{}{}
	}
	return nil
}

// CheckExtensions returns an error unless each extension is of another claimed board that exists, and continues its log
// without a gap. It returns how many records there are. The store checks it because a log with a gap cannot be mended.
func CheckExtensions(locked []persistence.Locked, exts []persistence.Extension) (records int, err error) {
	heads := make(map[persistence.BoardID]persistence.Seq, len(locked))
	for i := range locked {
		if locked[i].Exists {
			heads[locked[i].Board] = locked[i].Head
		}
	}
	for i := range exts {
		ext := &exts[i]
		head, ok := heads[ext.Board]
		if !ok {
			return 0, fmt.Errorf("board %s is extended twice, or was not found, or not claimed", ext.Board)
		}
		delete(heads, ext.Board)
		if len(ext.Records) == 0 {
			return 0, fmt.Errorf("board %s is extended by no record", ext.Board)
		}
		for k := range ext.Records {
			head++
			if got := ext.Records[k].Seq; got != head {
				return 0, fmt.Errorf("board %s: record %d of the extension has seq %d, want %d", ext.Board, k, got, head)
			}
		}
		records += len(ext.Records)
	}
	return records, nil
}

// BoardsWithKnown returns the boards of which candidates were found in the log: where any were, there has to be a commit.
func BoardsWithKnown(locked []persistence.Locked) (boards [][16]byte) {
	for i := range locked {
		if len(locked[i].Known) > 0 {
			boards = append(boards, locked[i].Board)
		}
	}
	return boards
}

// CheckRead returns an error when p can never be answered.
func CheckRead(p persistence.ReadParams) error {
	if p.Limit < 1 {
		return fmt.Errorf("limit %d is less than 1", p.Limit)
	}
	return nil
}

// Kept is what a log that begins at first has of records that were read backwards: those before it may still lie in the
// table.
func Kept(recs []persistence.Record, first persistence.Seq) []persistence.Record {
	for len(recs) > 0 && recs[len(recs)-1].Seq < first {
		recs = recs[:len(recs)-1]
	}
	return recs
}

// CheckRemove returns an error when a number of rows to remove makes no sense.
func CheckRemove(limit int) error {
	if limit < 1 {
		return fmt.Errorf("limit %d is less than 1", limit)
	}
	return nil
}

// CheckPutFile returns an error when p can never be stored.
func CheckPutFile(p *persistence.PutFileParams) error {
	if len(p.Content) == 0 {
		return errors.New("the file is empty")
	}
	return nil
}

// SomeFiles returns the last of the files that are copied at once, and what they all have together: of at least one.
func SomeFiles(files []persistence.File) (last persistence.FileID, n int, bytes int64) {
	for _, f := range files {
		if n > 0 && bytes+int64(f.Size) > persistence.CopyBytes {
			break
		}
		last = f.ID
		n++
		bytes += int64(f.Size)
	}
	return last, n, bytes
}

// CheckPutSnapshot returns an error when s can never be stored.
func CheckPutSnapshot(s *persistence.Snapshot) error {
	if n := len(s.Body); s.Seq == 0 || n == 0 || n > persistence.MaxSnapshotBytes {
		return fmt.Errorf("a snapshot of %d bytes at seq %d", n, s.Seq)
	}
	return nil
}

// CheckPosition returns an error unless the position of a snapshot is in the log of a board as it is.
func CheckPosition(at persistence.Position, epoch persistence.Epoch, head persistence.Seq) error {
	if at.Epoch != epoch || at.Seq > head {
		return fmt.Errorf("%w: snapshot at %s:%d, store at %s:%d", persistence.ErrStaleLog, at.Epoch, at.Seq, epoch, head)
	}
	return nil
}

// CheckReadFile returns an error when p can never be answered.
func CheckReadFile(p persistence.ReadFileParams) error {
	if p.Offset < 0 || p.Limit < 1 {
		return fmt.Errorf("a piece of %d bytes at %d", p.Limit, p.Offset)
	}
	return nil
}

// Column is n as databases store it. Beyond what they can hold lies no frame, so that the largest number stands for all
// of it: seqs come from clients.
func Column[N ~uint64](n N) int64 { return int64(min(uint64(n), math.MaxInt64)) }

// Ended returns nil while ctx goes on, and then an *UnavailableError with the reason: whoever waited has given up, the
// call may well succeed when it is made again.
func Ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &persistence.UnavailableError{Err: context.Cause(ctx)}
}
