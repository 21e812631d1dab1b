package persistence

import (
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
