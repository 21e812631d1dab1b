package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	rangeSQL = `
	SELECT seq, id, time, sender, kind, body FROM frames
	WHERE board_id = ?1 AND seq > ?2 AND seq < ?3 %s ORDER BY seq %s LIMIT ?4`
	// kindsSQL: the plus keeps the planner from anything but the primary key.
	kindsSQL      = ` AND +kind IN (SELECT value FROM json_each(?%d))`
	senderSQL     = ` AND sender = ?%d`
	containingSQL = ` AND instr(body, ?%d) > 0`
	firstSQL      = `SELECT first_seq FROM boards WHERE id = ?1 AND deleted_at IS NULL`
)

// Read implements persistence.Store. The board is looked at after its frames: had they been trimmed meanwhile, it shows.
func (s *Store) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	s.reads.Add(1)
	defer s.reads.Done()
	recs, err := s.read(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read log of board %s: %w", p.Board, classify(err))
	}
	return recs, nil
}

func (s *Store) read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	if err := contract.CheckRead(p); err != nil {
		return nil, err
	}
	order, after, before := "ASC", contract.Column(p.After), contract.Column(p.Before)
	if p.Backward {
		order = "DESC"
	}
	if p.Before == 0 {
		before = math.MaxInt64
	}
	args := []any{p.Board[:], after, before, p.Limit}
	var filters strings.Builder
	filter := func(condition string, arg any) {
		args = append(args, arg)
		fmt.Fprintf(&filters, condition, len(args))
	}
	if len(p.Kinds) > 0 {
		filter(kindsSQL, kindsJSON(p.Kinds))
	}
	if p.Sender != "" {
		filter(senderSQL, p.Sender)
	}
	if len(p.Containing) > 0 {
		filter(containingSQL, p.Containing)
	}
	rows, err := s.readers.QueryContext(ctx, fmt.Sprintf(rangeSQL, filters.String(), order), args...)
	if err != nil {
		return nil, err
	}
	recs, err := scanRecords(ctx, rows, p.MaxBytes)
	if err != nil {
		return nil, err
	}

	var first int64
	err = s.readers.QueryRowContext(ctx, firstSQL, p.Board[:]).Scan(&first)
	if errors.Is(err, sql.ErrNoRows) {
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

func kindsJSON(kinds []persistence.Kind) string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = strconv.Itoa(int(k))
	}
	return "[" + strings.Join(s, ",") + "]"
}

// scanRecords takes rows until their bodies add up to maxBytes, unless that is 0, and closes rows. SQLite computes a
// row when it is asked for, so that no more is read.
func scanRecords(ctx context.Context, rows *sql.Rows, maxBytes int) (recs []persistence.Record, err error) {
	bytes := 0
	for (maxBytes <= 0 || bytes < maxBytes) && rows.Next() {
		if err := contract.Ended(ctx); err != nil {
			return nil, closing(rows, err)
		}
		var r persistence.Record
		var seq, micros, kind int64
		var id []byte
		if err := rows.Scan(&seq, &id, &micros, &r.Sender, &kind, &r.Body); err != nil {
			return nil, closing(rows, err)
		}
		if len(id) != 16 {
			return nil, closing(rows, &persistence.CorruptError{Err: fmt.Errorf("frame at seq %d has an id of %d bytes", seq, len(id))})
		}
		r.Seq = persistence.Seq(seq)
		r.ID = persistence.FrameID(id)
		r.Time = time.UnixMicro(micros).UTC()
		r.Kind = persistence.Kind(kind)
		recs = append(recs, r)
		bytes += len(r.Body)
	}
	return recs, closing(rows, rows.Err())
}

// closing closes rows and returns err, or else what closing them says.
func closing(rows *sql.Rows, err error) error {
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	return err
}
