package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	fileColumns = `sha256, octet_length(content), media_type, created_at, created_by`

	// It is not locked: a board that is deleted while a file is on its way has got the file before.
	boardExistsSQL = `SELECT 1 FROM boards WHERE id = $1 AND deleted_at IS NULL`

	// Locked, since a hidden board may be purged soon.
	hiddenExistsSQL = `SELECT 1 FROM boards WHERE id = $1 AND deleted_at IS NOT NULL AND NOT purging FOR UPDATE`

	// The lock under which a board's files become more, taken by writing: where the file is found to be there already,
	// there has to be a commit all the same, and that has to wait for the disk and the standbys.
	lockTotalsSQL = `
		INSERT INTO file_totals (board_id, files, bytes) VALUES ($1, 0, 0)
		ON CONFLICT (board_id) DO UPDATE SET files = file_totals.files RETURNING files, bytes`

	// A statement of its own after the lock: its snapshot has everything that the holders before us committed.
	fileSQL = `SELECT ` + fileColumns + ` FROM files WHERE board_id = $1 AND sha256 = $2`

	// A content is stored as it is, in pieces: the others are not read.
	pieceSQL = `
		SELECT ` + fileColumns + `, substring(content FROM $3 + 1 FOR $4) FROM files
		WHERE board_id = $1 AND sha256 = $2`

	insertFileSQL = `
		INSERT INTO files (board_id, sha256, media_type, created_at, created_by, content) VALUES ($1, $2, $3, $4, $5, $6)`

	growTotalsSQL = `UPDATE file_totals SET files = files + $2, bytes = bytes + $3 WHERE board_id = $1`

	// nextFilesSQL reads as many as may be copied at once, if they are small.
	nextFilesSQL = `SELECT ` + fileColumns + ` FROM files WHERE board_id = $1 AND sha256 > $2 ORDER BY sha256 LIMIT 256`

	copyFilesSQL = `
		INSERT INTO files (board_id, sha256, media_type, created_at, created_by, content)
		SELECT $2, sha256, media_type, created_at, created_by, content FROM files
		WHERE board_id = $1 AND sha256 > $3 AND sha256 <= $4`
)

// PutFile implements persistence.Store. It takes two round trips, as Append does. While one file waits for another of
// its board it holds a connection, so there is a place for few of them, and none of the connections that are out of the
// readers' reach.
func (s *Store) PutFile(ctx context.Context, p persistence.PutFileParams) (f persistence.File, err error) {
	if err = contract.CheckPutFile(&p); err == nil {
		err = s.writeLarge(ctx, func() error {
			f, err = s.putFile(ctx, &p)
			return err
		})
	}
	if err != nil {
		return persistence.File{}, fmt.Errorf("store a file of board %s: %w", p.Board, err)
	}
	return f, nil
}

// writeLarge runs fn, which stores a file or a snapshot on one connection, when there is a place for it.
func (s *Store) writeLarge(ctx context.Context, fn func() error) error {
	select {
	case s.large <- struct{}{}:
		defer func() { <-s.large }()
		return s.read(ctx, fn)
	case <-ctx.Done():
		return contract.Ended(ctx)
	}
}

func (s *Store) putFile(ctx context.Context, p *persistence.PutFileParams) (f persistence.File, err error) {
	f = p.File()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return f, &persistence.UnavailableError{Err: err}
	}
	defer giveBack(ctx, conn)

	var exists int
	var files, bytes int64
	there := false
	first := &pgx.Batch{}
	first.Queue(beginSQL)
	existsSQL := boardExistsSQL
	if p.Hidden {
		existsSQL = hiddenExistsSQL
	}
	first.Queue(existsSQL, p.Board).QueryRow(func(row pgx.Row) error { return row.Scan(&exists) })
	first.Queue(lockTotalsSQL, p.Board).QueryRow(func(row pgx.Row) error { return row.Scan(&files, &bytes) })
	first.Queue(fileSQL, p.Board, f.ID[:]).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (persistence.File, error) { return scanFile(row) })
		if len(found) > 0 {
			f, there = found[0], true
		}
		return err
	})
	err = conn.Conn().SendBatch(ctx, first).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return f, &persistence.BoardNotFoundError{Board: p.Board}
	}
	if err != nil {
		return f, err
	}
	last := &pgx.Batch{}
	if !there {
		if !p.Limit.Allows(files, bytes, f.Size) {
			return f, &persistence.FileLimitError{Board: p.Board, Limit: p.Limit}
		}
		last.Queue(insertFileSQL, p.Board, f.ID[:], f.MediaType, f.CreatedAt, f.CreatedBy, p.Content)
		last.Queue(growTotalsSQL, p.Board, 1, f.Size)
	}
	return f, commit(ctx, conn.Conn(), last)
}

// CopyFiles implements persistence.Store.
func (s *Store) CopyFiles(ctx context.Context, from, to persistence.BoardID, after persistence.FileID) (last persistence.FileID, err error) {
	err = s.writeLarge(ctx, func() error {
		last, err = s.copyFiles(ctx, from, to, after)
		return err
	})
	if err != nil {
		return after, fmt.Errorf("copy files of board %s to board %s: %w", from, to, err)
	}
	return last, nil
}

func (s *Store) copyFiles(ctx context.Context, from, to persistence.BoardID, after persistence.FileID) (persistence.FileID, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return after, &persistence.UnavailableError{Err: err}
	}
	defer giveBack(ctx, conn)

	var exists int
	var next []persistence.File
	missing := to
	first := &pgx.Batch{}
	first.Queue(beginSQL)
	first.Queue(hiddenExistsSQL, to).QueryRow(func(row pgx.Row) error { return row.Scan(&exists) })
	first.Queue(boardExistsSQL, from).QueryRow(func(row pgx.Row) error {
		missing = from
		return row.Scan(&exists)
	})
	first.Queue(nextFilesSQL, from, after[:]).Query(func(rows pgx.Rows) (err error) {
		next, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (persistence.File, error) { return scanFile(row) })
		return err
	})
	err = conn.Conn().SendBatch(ctx, first).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return after, &persistence.BoardNotFoundError{Board: missing}
	}
	if err != nil || len(next) == 0 {
		return after, err
	}
	last, n, bytes := contract.SomeFiles(next)
	second := &pgx.Batch{}
	second.Queue(lockTotalsSQL, to)
	second.Queue(copyFilesSQL, from, to, after[:], last[:])
	second.Queue(growTotalsSQL, to, n, bytes)
	return last, commit(ctx, conn.Conn(), second)
}

// ReadFile implements persistence.Store. The board is looked at after the file, as in Read.
func (s *Store) ReadFile(ctx context.Context, p persistence.ReadFileParams) (f persistence.File, piece []byte, err error) {
	if err = contract.CheckReadFile(p); err == nil {
		err = s.read(ctx, func() error {
			f, piece, err = s.readFile(ctx, p)
			return err
		})
	}
	if err != nil {
		return persistence.File{}, nil, fmt.Errorf("read file %s of board %s: %w", p.File, p.Board, err)
	}
	return f, piece, nil
}

func (s *Store) readFile(ctx context.Context, p persistence.ReadFileParams) (f persistence.File, piece []byte, err error) {
	there := false
	var exists int
	batch := &pgx.Batch{}
	batch.Queue(pieceSQL, p.Board, p.File[:], p.Offset, p.Limit).QueryRow(func(row pgx.Row) error {
		f, err = scanFile(row, &piece)
		there = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	batch.Queue(boardExistsSQL, p.Board).QueryRow(func(row pgx.Row) error { return row.Scan(&exists) })
	err = s.pool.SendBatch(ctx, batch).Close()
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return f, nil, &persistence.BoardNotFoundError{Board: p.Board}
	case err == nil && !there:
		return f, nil, &persistence.FileNotFoundError{Board: p.Board, File: p.File}
	default:
		return f, piece, err
	}
}

// scanFile reads fileColumns, and more.
func scanFile(row interface{ Scan(dest ...any) error }, more ...any) (f persistence.File, err error) {
	var id []byte
	if err := row.Scan(append([]any{&id, &f.Size, &f.MediaType, &f.CreatedAt, &f.CreatedBy}, more...)...); err != nil {
		return f, err
	}
	if len(id) != len(f.ID) {
		return f, &persistence.CorruptError{Err: fmt.Errorf("a file has an id of %d bytes", len(id))}
	}
	f.ID = persistence.FileID(id)
	f.CreatedAt = f.CreatedAt.UTC()
	return f, nil
}
