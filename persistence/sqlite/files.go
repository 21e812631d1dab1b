package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	fileColumns = `sha256, length(content), media_type, created_at, created_by`

	// fileSQL reads no more than the row's first page: length does not look into a content.
	fileSQL = `SELECT ` + fileColumns + ` FROM files WHERE board_id = ?1 AND sha256 = ?2`

	pieceSQL = `
	SELECT ` + fileColumns + `, substr(content, ?3 + 1, ?4) FROM files
	WHERE board_id = ?1 AND sha256 = ?2`

	totalsSQL = `
	SELECT coalesce(t.files, 0), coalesce(t.bytes, 0) FROM boards AS b LEFT JOIN file_totals AS t ON t.board_id = b.id
	WHERE b.id = ?1 AND (b.deleted_at IS NULL) <> ?2 AND NOT b.purging`

	insertFileSQL = `
	INSERT INTO files (board_id, sha256, media_type, created_at, created_by, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`

	growTotalsSQL = `
	INSERT INTO file_totals (board_id, files, bytes) VALUES (?1, ?2, ?3)
	ON CONFLICT (board_id) DO UPDATE SET files = files + excluded.files, bytes = bytes + excluded.bytes`

	// nextFilesSQL reads as many as may be copied at once, if they are small.
	nextFilesSQL = `SELECT ` + fileColumns + ` FROM files WHERE board_id = ?1 AND sha256 > ?2 ORDER BY sha256 LIMIT 256`

	copyFilesSQL = `
	INSERT INTO files (board_id, sha256, media_type, created_at, created_by, content)
	SELECT ?2, sha256, media_type, created_at, created_by, content FROM files
	WHERE board_id = ?1 AND sha256 > ?3 AND sha256 <= ?4`
)

// PutFile implements persistence.Store. No more than one file, or snapshot, at a time waits for the writer, so that a
// commit of frames never has to wait for more than that one.
func (s *Store) PutFile(ctx context.Context, p persistence.PutFileParams) (persistence.File, error) {
	f, err := s.putFile(ctx, &p)
	if err != nil {
		return persistence.File{}, fmt.Errorf("store a file of board %s: %w", p.Board, classify(err))
	}
	return f, nil
}

func (s *Store) putFile(ctx context.Context, p *persistence.PutFileParams) (f persistence.File, err error) {
	if err := contract.CheckPutFile(p); err != nil {
		return f, err
	}
	f = p.File()
	err = s.writeLarge(ctx, func(w *writer) (bool, error) {
		background := context.Background() // see writer
		var files, bytes int64
		err := w.conn.QueryRowContext(background, totalsSQL, p.Board[:], p.Hidden).Scan(&files, &bytes)
		if errors.Is(err, sql.ErrNoRows) {
			return false, &persistence.BoardNotFoundError{Board: p.Board}
		}
		if err != nil {
			return false, err
		}
		there, err := scanFile(w.conn.QueryRowContext(background, fileSQL, p.Board[:], f.ID[:]))
		if err == nil {
			f = there
			return true, w.touch(p.Board)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		if !p.Limit.Allows(files, bytes, f.Size) {
			return false, &persistence.FileLimitError{Board: p.Board, Limit: p.Limit}
		}
		_, err = w.conn.ExecContext(background, insertFileSQL,
			p.Board[:], f.ID[:], f.MediaType, f.CreatedAt.UnixMicro(), f.CreatedBy, p.Content)
		if err == nil {
			_, err = w.conn.ExecContext(background, growTotalsSQL, p.Board[:], 1, f.Size)
		}
		return true, err
	})
	return f, err
}

// CopyFiles implements persistence.Store.
func (s *Store) CopyFiles(ctx context.Context, from, to persistence.BoardID, after persistence.FileID) (last persistence.FileID, err error) {
	err = s.writeLarge(ctx, func(w *writer) (commit bool, err error) {
		last, commit, err = w.copyFiles(from, to, after)
		return commit, err
	})
	if err != nil {
		return after, fmt.Errorf("copy files of board %s to board %s: %w", from, to, classify(err))
	}
	return last, nil
}

func (w *writer) copyFiles(from, to persistence.BoardID, after persistence.FileID) (last persistence.FileID, commit bool, err error) {
	background := context.Background() // see writer
	for _, b := range []struct {
		id     persistence.BoardID
		hidden bool
	}{{from, false}, {to, true}} {
		var files, bytes int64
		err := w.conn.QueryRowContext(background, totalsSQL, b.id[:], b.hidden).Scan(&files, &bytes)
		if errors.Is(err, sql.ErrNoRows) {
			err = &persistence.BoardNotFoundError{Board: b.id}
		}
		if err != nil {
			return after, false, err
		}
	}
	rows, err := w.conn.QueryContext(background, nextFilesSQL, from[:], after[:])
	if err != nil {
		return after, false, err
	}
	var next []persistence.File
	for rows.Next() {
		f, err := scanFile(rows)
		if err != nil {
			return after, false, closing(rows, err)
		}
		next = append(next, f)
	}
	if err := closing(rows, rows.Err()); err != nil || len(next) == 0 {
		return after, false, err
	}
	last, n, bytes := contract.SomeFiles(next)
	if _, err := w.conn.ExecContext(background, copyFilesSQL, from[:], to[:], after[:], last[:]); err != nil {
		return after, false, err
	}
	_, err = w.conn.ExecContext(background, growTotalsSQL, to[:], n, bytes)
	return last, true, err
}

// ReadFile implements persistence.Store. The board is looked at after the file, as in Read.
func (s *Store) ReadFile(ctx context.Context, p persistence.ReadFileParams) (persistence.File, []byte, error) {
	s.reads.Add(1)
	defer s.reads.Done()
	f, piece, err := s.readFile(ctx, p)
	if err != nil {
		return persistence.File{}, nil, fmt.Errorf("read file %s of board %s: %w", p.File, p.Board, classify(err))
	}
	return f, piece, nil
}

func (s *Store) readFile(ctx context.Context, p persistence.ReadFileParams) (f persistence.File, piece []byte, err error) {
	if err := contract.CheckReadFile(p); err != nil {
		return f, nil, err
	}
	f, missing := scanFile(s.readers.QueryRowContext(ctx, pieceSQL, p.Board[:], p.File[:], p.Offset, p.Limit), &piece)
	if missing != nil && !errors.Is(missing, sql.ErrNoRows) {
		return f, nil, missing
	}
	var first int64
	err = s.readers.QueryRowContext(ctx, firstSQL, p.Board[:]).Scan(&first)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return f, nil, &persistence.BoardNotFoundError{Board: p.Board}
	case err == nil && missing != nil:
		return f, nil, &persistence.FileNotFoundError{Board: p.Board, File: p.File}
	default:
		return f, piece, err
	}
}

// scanFile reads fileColumns, and more.
func scanFile(row interface{ Scan(dest ...any) error }, more ...any) (f persistence.File, err error) {
	var id []byte
	var created int64
	if err := row.Scan(append([]any{&id, &f.Size, &f.MediaType, &created, &f.CreatedBy}, more...)...); err != nil {
		return f, err
	}
	if len(id) != len(f.ID) {
		return f, &persistence.CorruptError{Err: fmt.Errorf("a file has an id of %d bytes", len(id))}
	}
	f.ID = persistence.FileID(id)
	f.CreatedAt = time.UnixMicro(created).UTC()
	return f, nil
}
