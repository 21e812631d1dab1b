package persistence

import (
	"context"
	"crypto/sha256"
	"time"
)

// File is what a store keeps about a file of a board, its content apart. It never changes.
type File struct {
	ID        FileID
	Size      int // bytes of the content
	MediaType string
	CreatedAt time.Time // UTC, in microseconds
	CreatedBy string
}

// CopyBytes is how many bytes of files Store.CopyFiles copies at once: it is one transaction.
const CopyBytes = 4 << 20

// FileLimit is how much one board may have in files.
type FileLimit struct {
	Files int
	Bytes int64 // of their contents together
}

// Allows says whether a board that has so many files and bytes has room for one more, of the given size.
func (l FileLimit) Allows(files, bytes int64, size int) bool {
	return files < int64(l.Files) && bytes <= l.Bytes-int64(size)
}

// PutFileParams is a file to store.
type PutFileParams struct {
	Board     BoardID
	Content   []byte // at least one byte; not changed, and not kept
	MediaType string
	CreatedAt time.Time
	CreatedBy string
	Limit     FileLimit // of which the file is a part, if it is a new one
	Hidden    bool      // the board is a hidden one, and no other
}

// File is the file that p becomes, named by its content.
func (p *PutFileParams) File() File {
	return File{
		ID: sha256.Sum256(p.Content), Size: len(p.Content), MediaType: p.MediaType,
		CreatedAt: p.CreatedAt.UTC().Truncate(time.Microsecond), CreatedBy: p.CreatedBy,
	}
}

// ReadFileParams names a piece of a file.
type ReadFileParams struct {
	Board  BoardID
	File   FileID
	Offset int // of the piece; at least 0
	Limit  int // bytes, at most; at least 1
}

// FileStore is the part of a Store that keeps boards' files.
type FileStore interface {
	// PutFile stores a file with its board, durably, or finds that it is there: then it returns the file as it was
	// stored first. It fails with *BoardNotFoundError, and with *FileLimitError where the board has no room for one more.
	// After an *UnavailableError the outcome is unknown, and the same call tells.
	PutFile(ctx context.Context, p PutFileParams) (File, error)

	// CopyFiles copies files of a board to a hidden one, in the order of their ids: those after an id, as many as have
	// CopyBytes together, but one at the least. It returns the last id, which is after itself where there are no more. It
	// fails with *BoardNotFoundError, for either board. After an *UnavailableError the outcome is unknown.
	CopyFiles(ctx context.Context, from, to BoardID, after FileID) (last FileID, err error)

	// ReadFile returns a file, and a piece of its content, which is empty behind the end. It fails with
	// *BoardNotFoundError and *FileNotFoundError.
	ReadFile(ctx context.Context, p ReadFileParams) (File, []byte, error)
}
