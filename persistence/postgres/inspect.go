package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

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
		(SELECT coalesce(sum(octet_length(content)), 0) FROM files WHERE board_id = boards.id)
	FROM boards `

	// Rows of one seq are peers: both bounds of a page take them together.
	framesSQL = `
	SELECT seq, id, time, sender, kind, body
	FROM (
		SELECT seq, id, time, sender, kind, body,
			coalesce(sum(octet_length(body)) OVER (ORDER BY seq RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
		FROM (
			SELECT seq, id, time, sender, kind, body FROM frames
			WHERE board_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq FETCH FIRST ($4) ROWS WITH TIES
		) AS f
	) AS f
	WHERE before < $5 ORDER BY seq`

	nextFileSQL = `
	SELECT ` + fileColumns + `, content FROM files
	WHERE board_id = $1 AND sha256 > $2 ORDER BY sha256 LIMIT 1`

	// The ids in a table are found by leaping from one to the next, rather than by reading every row.
	orphansSQL = `
	WITH RECURSIVE log (id) AS (
		(SELECT board_id FROM frames ORDER BY board_id LIMIT 1)
		UNION ALL
		SELECT (SELECT board_id FROM frames WHERE board_id > log.id ORDER BY board_id LIMIT 1) FROM log WHERE log.id IS NOT NULL
	), holder (id) AS (
		(SELECT board_id FROM files ORDER BY board_id LIMIT 1)
		UNION ALL
		SELECT (SELECT board_id FROM files WHERE board_id > holder.id ORDER BY board_id LIMIT 1) FROM holder WHERE holder.id IS NOT NULL
	), folded (id) AS (
		(SELECT board_id FROM snapshots ORDER BY board_id LIMIT 1)
		UNION ALL
		SELECT (SELECT board_id FROM snapshots WHERE board_id > folded.id ORDER BY board_id LIMIT 1) FROM folded WHERE folded.id IS NOT NULL
	), former (id) AS (
		(SELECT board_id FROM trimmed ORDER BY board_id LIMIT 1)
		UNION ALL
		SELECT (SELECT board_id FROM trimmed WHERE board_id > former.id ORDER BY board_id LIMIT 1) FROM former WHERE former.id IS NOT NULL
	)
	SELECT id FROM (
		SELECT id FROM log UNION SELECT id FROM holder UNION SELECT id FROM folded UNION SELECT id FROM former UNION SELECT board_id FROM bases
	) AS o
	WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM boards WHERE boards.id = o.id) ORDER BY id LIMIT $1`

	indexesSQL = `
	SELECT tbl, array_to_string(columns, ', ')
	FROM (VALUES ('boards', ARRAY['id']), ('frames', ARRAY['board_id', 'seq']), ('frames', ARRAY['board_id', 'id']),
		('files', ARRAY['board_id', 'sha256']), ('file_totals', ARRAY['board_id']),
		('snapshots', ARRAY['board_id', 'seq']), ('trimmed', ARRAY['board_id', 'id']), ('bases', ARRAY['board_id'])) AS want (tbl, columns)
	WHERE NOT EXISTS (
		SELECT 1 FROM pg_index WHERE indrelid = to_regclass(tbl) AND indisunique AND indisvalid AND indpred IS NULL AND columns = (
			SELECT array_agg(attname::text ORDER BY n) FROM unnest(indkey) WITH ORDINALITY AS k (num, n)
			JOIN pg_attribute ON attrelid = indrelid AND attnum = num
		)
	)`
)

// Inspector is a persistence.Inspector over one PostgreSQL database, a standby as well.
type Inspector struct{ pool *pgxpool.Pool }

var _ persistence.Inspector = (*Inspector)(nil)

// Inspect connects to the database at url. It fails with *persistence.SchemaError where the schema is not the program's.
// The Inspector must be closed.
func Inspect(ctx context.Context, url string) (*Inspector, error) {
	in, err := inspect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("inspect PostgreSQL database: %w", inspected(err))
	}
	return in, nil
}

func inspect(ctx context.Context, url string) (*Inspector, error) {
	cfg := Config{MaxConns: 1, AllowNoFsync: true}.withDefaults() // nothing is written
	pc, err := poolConfig(url, cfg)
	if err != nil {
		return nil, err
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := prepareSession(ctx, conn, cfg, cfg.session()); err != nil {
			return err
		}
		// Nobody waits for what is read here, so it may take its time.
		_, err := conn.Exec(ctx, `SET default_transaction_read_only = on; SET statement_timeout = 0`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	v, err := migrations.PostgresVersion(ctx, db)
	if err = errors.Join(err, db.Close()); err == nil && v.Database != v.Program {
		err = &persistence.SchemaError{Database: v.Database, Program: v.Program}
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Inspector{pool: pool}, nil
}

// Boards implements persistence.Inspector.
func (in *Inspector) Boards(ctx context.Context, after persistence.BoardID, limit int) ([]persistence.StoredBoard, error) {
	boards, err := in.boards(ctx, storedSQL+`WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("inspect boards after %s: %w", after, err)
	}
	return boards, nil
}

// Board implements persistence.Inspector.
func (in *Inspector) Board(ctx context.Context, id persistence.BoardID) (persistence.StoredBoard, error) {
	boards, err := in.boards(ctx, storedSQL+`WHERE id = $1`, id)
	if err == nil && len(boards) == 0 {
		return persistence.StoredBoard{}, &persistence.BoardNotFoundError{Board: id}
	}
	if err != nil {
		return persistence.StoredBoard{}, fmt.Errorf("inspect board %s: %w", id, err)
	}
	return boards[0], nil
}

func (in *Inspector) boards(ctx context.Context, query string, args ...any) ([]persistence.StoredBoard, error) {
	rows, err := in.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, inspected(err)
	}
	boards, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b persistence.StoredBoard, err error) {
		b.Board, err = scanBoard(&wider{row, []any{
			&b.Deleted, &b.Purging, &b.Before, &b.Beyond, &b.Trimmed, &b.Strays, &b.Totals.Files, &b.Totals.Bytes, &b.Counted.Files, &b.Counted.Bytes,
		}})
		return b, err
	})
	return boards, inspected(err)
}

// wider is a row with columns after those that its reader knows.
type wider struct {
	pgx.CollectableRow
	more []any
}

func (w *wider) Scan(dest ...any) error { return w.CollectableRow.Scan(append(dest, w.more...)...) }

// Frames implements persistence.Inspector.
func (in *Inspector) Frames(ctx context.Context, r persistence.FrameRange) (recs []persistence.Record, err error) {
	rows, err := in.pool.Query(ctx, framesSQL, r.Board, contract.Column(r.After), contract.Column(r.Through), r.Limit, r.MaxBytes)
	if err == nil {
		recs, err = scanRecords(rows)
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
	f.File, err = scanFile(in.pool.QueryRow(ctx, nextFileSQL, board, after[:]), &f.Content)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	if err != nil {
		return nil, fmt.Errorf("inspect files of board %s: %w", board, inspected(err))
	}
	return &f, nil
}

// NextSnapshot implements persistence.Inspector.
func (in *Inspector) NextSnapshot(ctx context.Context, board persistence.BoardID, after persistence.Seq) (*persistence.Snapshot, error) {
	s, err := scanSnapshot(board, in.pool.QueryRow(ctx, nextSnapshotSQL, board, contract.Column(after)))
	if err != nil {
		return nil, fmt.Errorf("inspect snapshots of board %s: %w", board, inspected(err))
	}
	return s, nil
}

// Base implements persistence.Inspector.
func (in *Inspector) Base(ctx context.Context, board persistence.BoardID) (*persistence.Snapshot, error) {
	s, err := scanSnapshot(board, in.pool.QueryRow(ctx, inspectBaseSQL, board))
	if err != nil {
		return nil, fmt.Errorf("inspect the base of board %s: %w", board, inspected(err))
	}
	if s != nil {
		s.Base = true
	}
	return s, nil
}

// Orphans implements persistence.Inspector.
func (in *Inspector) Orphans(ctx context.Context, limit int) (ids []persistence.BoardID, err error) {
	rows, err := in.pool.Query(ctx, orphansSQL, limit)
	if err == nil {
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			ids = append(ids, id)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look for frames without a board: %w", inspected(err))
	}
	return ids, nil
}

// CheckEngine implements persistence.Inspector. It looks whether the indexes are there and valid; what is in them, and
// the pages of the files, pg_amcheck looks at.
func (in *Inspector) CheckEngine(ctx context.Context) (problems []string, err error) {
	rows, err := in.pool.Query(ctx, indexesSQL)
	if err == nil {
		var table, columns string
		_, err = pgx.ForEachRow(rows, []any{&table, &columns}, func() error {
			problems = append(problems, fmt.Sprintf("table %s has no valid unique index on (%s)", table, columns))
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look for indexes: %w", inspected(err))
	}
	return problems, nil
}

// Close implements persistence.Inspector.
func (in *Inspector) Close() error {
	in.pool.Close()
	return nil
}

// inspected is classify that knows damage.
func inspected(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "XX001", "XX002": // data_corrupted, index_corrupted
			return &persistence.CorruptError{Err: e}
		}
	}
	return classify(err)
}
