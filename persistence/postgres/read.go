package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	rangeSQL = `
	SELECT seq, id, time, sender, kind, body FROM frames
	WHERE board_id = $1 AND seq > $2 AND seq < $3 %s ORDER BY seq %s LIMIT $4`
	kindsSQL      = ` AND kind = ANY ($%d)`
	senderSQL     = ` AND sender = $%d`
	containingSQL = ` AND position($%d::bytea IN body) > 0`
	// boundedSQL leaves out of one of the above the frames that come after a number of bytes, so that the server does
	// not send them: octet_length does not read a body that is stored out of line.
	boundedSQL = `
	SELECT seq, id, time, sender, kind, body
	FROM (
		SELECT seq, id, time, sender, kind, body,
			sum(octet_length(body)) OVER (ORDER BY seq %[2]s ROWS UNBOUNDED PRECEDING) - octet_length(body) AS before
		FROM (%[1]s) AS f
	) AS f
	WHERE before < $%[3]d ORDER BY seq %[2]s`
	firstSQL = `SELECT first_seq FROM boards WHERE id = $1 AND deleted_at IS NULL`
)

// Read implements persistence.Store. The board is looked at after its frames, in the same trip: had they been trimmed
// meanwhile, it shows.
func (s *Store) Read(ctx context.Context, p persistence.ReadParams) (recs []persistence.Record, err error) {
	if err := contract.CheckRead(p); err != nil {
		return nil, fmt.Errorf("read log of board %s: %w", p.Board, err)
	}
	err = s.read(ctx, func() error {
		recs, err = s.readLog(ctx, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read log of board %s: %w", p.Board, err)
	}
	return recs, nil
}

// read runs fn, which reads on one connection, when there is a place for a reader.
func (s *Store) read(ctx context.Context, fn func() error) error {
	s.calls.Add(1)
	defer s.calls.Done()
	select {
	case s.reads <- struct{}{}:
		defer func() { <-s.reads }()
		return classify(fn())
	case <-ctx.Done():
		return contract.Ended(ctx)
	}
}

func (s *Store) readLog(ctx context.Context, p persistence.ReadParams) (recs []persistence.Record, err error) {
	order, after, before := "ASC", contract.Column(p.After), contract.Column(p.Before)
	if p.Backward {
		order = "DESC"
	}
	if p.Before == 0 {
		before = math.MaxInt64
	}
	args := []any{p.Board, after, before, p.Limit}
	var filters strings.Builder
	filter := func(condition string, arg any) {
		args = append(args, arg)
		fmt.Fprintf(&filters, condition, len(args))
	}
	if len(p.Kinds) > 0 {
		filter(kindsSQL, p.Kinds)
	}
	if p.Sender != "" {
		filter(senderSQL, p.Sender)
	}
	if len(p.Containing) > 0 {
		filter(containingSQL, p.Containing)
	}
	query := fmt.Sprintf(rangeSQL, filters.String(), order)
	if p.MaxBytes > 0 {
		args = append(args, p.MaxBytes)
		query = fmt.Sprintf(boundedSQL, query, order, len(args))
	}

	var first int64
	batch := &pgx.Batch{}
	batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
		recs, err = scanRecords(rows)
		return err
	})
	batch.Queue(firstSQL, p.Board).QueryRow(func(row pgx.Row) error { return row.Scan(&first) })
	err = s.pool.SendBatch(ctx, batch).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &persistence.BoardNotFoundError{Board: p.Board}
	}
	if err != nil {
		return nil, err
	}
	if !p.Backward && after < first-1 {
		return nil, &persistence.TrimmedError{Board: p.Board, First: persistence.Seq(first)}
	}
	if p.Backward {
		recs = contract.Kept(recs, persistence.Seq(first))
	}
	return recs, nil
}

// scanRecords takes all rows, and closes rows.
func scanRecords(rows pgx.Rows) (recs []persistence.Record, err error) {
	var seq int64
	var id [16]byte
	var at time.Time
	var sender string
	var kind int16
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&seq, &id, &at, &sender, &kind, &body}, func() error {
		recs = append(recs, persistence.Record{
			Seq: persistence.Seq(seq), ID: id, Time: at.UTC(), Sender: sender, Kind: persistence.Kind(kind), Body: body,
		})
		body = nil // the next row's is another
		return nil
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}
