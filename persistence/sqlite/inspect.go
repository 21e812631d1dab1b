package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/collaboard-io/collaboard/migrations"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	storedSQL = `
	SELECT ` + boardColumns + `, deleted_at IS NOT NULL, purging,
		(SELECT count(*) FROM frames WHERE board_id = boards.id AND seq < first_seq),
		(SELECT count(*) FROM frames WHERE board_id = boards.id AND seq > head_seq),
		(SELECT count(*) FROM trimmed WHERE board_id = boards.id),
		(SELECT count(*) FROM trimmed AS t WHERE board_id = boards.id AND (seq >= first_seq OR EXISTS (
			SELECT 1 FROM frames AS f WHERE f.board_id = t.board_id AND f.id = t.id
		))),
		coalesce((SELECT files FROM file_totals WHERE board_id = boards.id), 0),
		coalesce((SELECT bytes FROM file_totals WHERE board_id = boards.id), 0),
		(SELECT count(*) FROM files WHERE board_id = boards.id),
		(SELECT coalesce(sum(length(content)), 0) FROM files WHERE board_id = boards.id)
	FROM boards `

	framesSQL = `
	SELECT seq, id, time, sender, kind, body FROM frames
	WHERE board_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4`

	nextFileSQL = `
	SELECT ` + fileColumns + `, content FROM files
	WHERE board_id = ?1 AND sha256 > ?2 ORDER BY sha256 LIMIT 1`

	// The ids in a table are found by leaping from one to the next, rather than by reading every row.
	orphansSQL = `
	WITH RECURSIVE log (id) AS (
		SELECT min(board_id) FROM frames
		UNION ALL
		SELECT (SELECT min(board_id) FROM frames WHERE board_id > log.id) FROM log WHERE log.id IS NOT NULL
	), holder (id) AS (
		SELECT min(board_id) FROM files
		UNION ALL
		SELECT (SELECT min(board_id) FROM files WHERE board_id > holder.id) FROM holder WHERE holder.id IS NOT NULL
	), folded (id) AS (
		SELECT min(board_id) FROM snapshots
		UNION ALL
		SELECT (SELECT min(board_id) FROM snapshots WHERE board_id > folded.id) FROM folded WHERE folded.id IS NOT NULL
	), former (id) AS (
		SELECT min(board_id) FROM trimmed
		UNION ALL
		SELECT (SELECT min(board_id) FROM trimmed WHERE board_id > former.id) FROM former WHERE former.id IS NOT NULL
	)
	SELECT id FROM (
		SELECT id FROM log UNION SELECT id FROM holder UNION SELECT id FROM folded UNION SELECT id FROM former UNION SELECT board_id FROM bases
	) AS o
	WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM boards WHERE boards.id = o.id) ORDER BY id LIMIT ?1`

	uniqueSQL = `
	SELECT EXISTS (
		SELECT 1 FROM pragma_index_list('frames') AS l
		WHERE "unique" AND NOT partial AND (SELECT group_concat(name) FROM pragma_index_info(l.name)) = 'board_id,id'
	)`
)

// Inspector is a persistence.Inspector over one file.
type Inspector struct{ db *sql.DB }

var _ persistence.Inspector = (*Inspector)(nil)

// Inspect opens the file at path, which must be there. It fails with *persistence.SchemaError where the schema is not the
// program's. The Inspector must be closed.
func Inspect(ctx context.Context, path string) (*Inspector, error) {
	in, err := inspect(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("inspect SQLite database %s: %w", path, inspected(err))
	}
	return in, nil
}

func inspect(ctx context.Context, path string) (*Inspector, error) {
	db, err := existing(path)
	if err != nil {
		return nil, err
	}
	v, err := migrations.SQLiteVersion(ctx, db)
	if err == nil && v.Database != v.Program {
		err = &persistence.SchemaError{Database: v.Database, Program: v.Program}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Inspector{db: db}, nil
}

// existing connects to a file that is there, to read it. Files of a write-ahead log that this makes go with the connection,
// which takes one that may write. But a log that was there, as after a crash, stays: closed as the last one, such a connection
// would copy it into the file and remove it, with all in it that SQLite cannot make out, and somebody may still want to look.
func existing(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	mode := "mode=rw"
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		mode = "mode=ro"
	}
	return connections(path, Config{BusyTimeout: 5 * time.Second}, 1, mode, "_query_only=1")
}

// Boards implements persistence.Inspector.
func (in *Inspector) Boards(ctx context.Context, after persistence.BoardID, limit int) ([]persistence.StoredBoard, error) {
	boards, err := in.boards(ctx, storedSQL+`WHERE id > ?1 ORDER BY id LIMIT ?2`, after[:], limit)
	if err != nil {
		return nil, fmt.Errorf("inspect boards after %s: %w", after, inspected(err))
	}
	return boards, nil
}

// Board implements persistence.Inspector.
func (in *Inspector) Board(ctx context.Context, id persistence.BoardID) (persistence.StoredBoard, error) {
	boards, err := in.boards(ctx, storedSQL+`WHERE id = ?1`, id[:])
	if err == nil && len(boards) == 0 {
		return persistence.StoredBoard{}, &persistence.BoardNotFoundError{Board: id}
	}
	if err != nil {
		return persistence.StoredBoard{}, fmt.Errorf("inspect board %s: %w", id, inspected(err))
	}
	return boards[0], nil
}

func (in *Inspector) boards(ctx context.Context, query string, args ...any) (boards []persistence.StoredBoard, err error) {
	rows, err := in.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var b persistence.StoredBoard
		var before, beyond, trimmed, strays int64
		if b.Board, err = scanBoard(&wider{rows, []any{
			&b.Deleted, &b.Purging, &before, &beyond, &trimmed, &strays, &b.Totals.Files, &b.Totals.Bytes, &b.Counted.Files, &b.Counted.Bytes,
		}}); err != nil {
			return nil, closing(rows, err)
		}
		b.Before, b.Beyond, b.Trimmed, b.Strays = uint64(before), uint64(beyond), uint64(trimmed), uint64(strays)
		boards = append(boards, b)
	}
	return boards, closing(rows, rows.Err())
}

// wider is a row with columns after those that its reader knows.
type wider struct {
	rows *sql.Rows
	more []any
}

func (w *wider) Scan(dest ...any) error { return w.rows.Scan(append(dest, w.more...)...) }

// Frames implements persistence.Inspector. A seq is there once: it is a part of the key by which the table lies in the file.
func (in *Inspector) Frames(ctx context.Context, r persistence.FrameRange) ([]persistence.Record, error) {
	rows, err := in.db.QueryContext(ctx, framesSQL, r.Board[:], contract.Column(r.After), contract.Column(r.Through), r.Limit)
	var recs []persistence.Record
	if err == nil {
		recs, err = scanRecords(ctx, rows, r.MaxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect frames of board %s: %w", r.Board, inspected(err))
	}
	return recs, nil
}

// NextFile implements persistence.Inspector.
func (in *Inspector) NextFile(ctx context.Context, board persistence.BoardID, after persistence.FileID) (*persistence.StoredFile, error) {
	var f persistence.StoredFile
	var err error
	f.File, err = scanFile(in.db.QueryRowContext(ctx, nextFileSQL, board[:], after[:]), &f.Content)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	if err != nil {
		return nil, fmt.Errorf("inspect files of board %s: %w", board, inspected(err))
	}
	return &f, nil
}

// NextSnapshot implements persistence.Inspector.
func (in *Inspector) NextSnapshot(ctx context.Context, board persistence.BoardID, after persistence.Seq) (*persistence.Snapshot, error) {
	s, err := scanSnapshot(board, in.db.QueryRowContext(ctx, nextSnapshotSQL, board[:], contract.Column(after)))
	if err != nil {
		return nil, fmt.Errorf("inspect snapshots of board %s: %w", board, inspected(err))
	}
	return s, nil
}

// Base implements persistence.Inspector.
func (in *Inspector) Base(ctx context.Context, board persistence.BoardID) (*persistence.Snapshot, error) {
	s, err := scanSnapshot(board, in.db.QueryRowContext(ctx, inspectBaseSQL, board[:]))
	if err != nil {
		return nil, fmt.Errorf("inspect the base of board %s: %w", board, inspected(err))
	}
	if s != nil {
		s.Base = true
	}
	return s, nil
}

// Orphans implements persistence.Inspector.
func (in *Inspector) Orphans(ctx context.Context, limit int) ([]persistence.BoardID, error) {
	ids, err := queryIDs(ctx, in.db, orphansSQL, limit)
	if err != nil {
		return nil, fmt.Errorf("look for frames without a board: %w", inspected(err))
	}
	return ids, nil
}

// CheckEngine implements persistence.Inspector. It reads the whole file. While it does so, the log of a server that writes
// grows, and cannot be copied back into the file.
func (in *Inspector) CheckEngine(ctx context.Context) (problems []string, err error) {
	var unique bool
	if err := in.db.QueryRowContext(ctx, uniqueSQL).Scan(&unique); err != nil {
		return nil, fmt.Errorf("look for indexes: %w", inspected(err))
	}
	if !unique {
		problems = append(problems, "table frames has no unique index on (board_id, id)")
	}
	rows, err := in.db.QueryContext(ctx, `PRAGMA integrity_check`) // reports 100 errors at most
	if err != nil {
		return problems, fmt.Errorf("check integrity: %w", inspected(err))
	}
	for rows.Next() {
		var said string
		if err := rows.Scan(&said); err != nil {
			return problems, closing(rows, err)
		}
		if said != "ok" {
			problems = append(problems, "integrity check: "+strings.Join(strings.Fields(said), " "))
		}
	}
	if err := closing(rows, rows.Err()); err != nil {
		return problems, fmt.Errorf("check integrity: %w", inspected(err))
	}
	return problems, nil
}

// Close implements persistence.Inspector.
func (in *Inspector) Close() error { return in.db.Close() }

// inspected is classify that knows damage.
func inspected(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		const primary = 0xff
		switch e.Code() & primary {
		case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
			return &persistence.CorruptError{Err: e}
		}
	}
	if _, ok := errors.AsType[*persistence.CorruptError](err); ok {
		return err
	}
	return classify(err)
}
