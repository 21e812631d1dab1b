package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

const (
	// READ COMMITTED whatever the default is: each statement has to see what was committed when it began.
	beginSQL = `BEGIN ISOLATION LEVEL READ COMMITTED`

	// The rows are locked as they leave the sort, thus by id, which is what keeps two servers from deadlocking. A row
	// that had to be waited for is read again once its lock is granted, so that head_seq is what the lock protects.
	lockSQL = `
		SELECT id, epoch, head_seq FROM boards
		WHERE id = ANY ($1) AND deleted_at IS NULL ORDER BY id FOR UPDATE`

	lockNoWaitSQL = lockSQL + ` NOWAIT`

	lockHiddenSQL = `
		SELECT id, epoch, head_seq FROM boards
		WHERE id = ANY ($1) AND deleted_at IS NOT NULL AND NOT purging FOR UPDATE`

	// A statement of its own after the lock: its snapshot has everything that the holders before us committed. Where none
	// of the boards, which are $3, was ever trimmed, the ids of trimmed frames are not looked at.
	knownSQL = `
		SELECT c.i, f.seq
		FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS c (board_id, id, i)
		JOIN frames f ON f.board_id = c.board_id AND f.id = c.id
		UNION ALL
		SELECT c.i, t.seq
		FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS c (board_id, id, i)
		JOIN trimmed t ON t.board_id = c.board_id AND t.id = c.id
		WHERE (SELECT EXISTS (SELECT 1 FROM boards WHERE boards.id = ANY ($3) AND first_seq > 1))`

	insertSQL = `
		INSERT INTO frames (board_id, seq, id, time, sender, kind, body)
		SELECT f.board_id, f.seq, f.id, f.time, f.sender, f.kind, f.body
		FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::timestamptz[], $5::text[], $6::smallint[], $7::bytea[])
			AS f (board_id, seq, id, time, sender, kind, body)`

	extendSQL = `
		UPDATE boards SET head_seq = e.head_seq, object_count = e.object_count, updated_at = e.updated_at
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS e (id, head_seq, object_count, updated_at)
		WHERE boards.id = e.id`

	// touchSQL changes nothing, which is enough for the commit to wait for the disk, and for the standbys.
	touchSQL = `UPDATE boards SET head_seq = head_seq WHERE id = ANY ($1)`

	commitSQL = `COMMIT`
)

//nolint:gochecknoglobals // never written
var missedSQL = fmt.Sprintf(boundedSQL, fmt.Sprintf(rangeSQL, "", "ASC"), "ASC", 5)

// rollbackTimeout is how long a transaction that is given up may take to roll back. Then the connection is closed,
// which has the same effect.
const rollbackTimeout = 2 * time.Second

// Append implements persistence.Store. It takes two round trips: one to begin, lock and look, one to write and commit;
// and one between them when another server has written to a board.
func (s *Store) Append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	s.calls.Add(1)
	defer s.calls.Done()
	refusal, err := s.append(ctx, claims, decide)
	if refusal != nil {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("append to %d boards: %w", len(claims), classify(err))
	}
	return nil
}

func (s *Store) append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) (refusal, err error) {
	if err := contract.CheckClaims(claims); err != nil {
		return nil, err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, &persistence.UnavailableError{Err: err}
	}
	defer giveBack(ctx, conn)

	locked, err := lock(ctx, conn.Conn(), claims)
	if err != nil {
		return nil, err
	}
	exts, err := decide(locked)
	if err != nil {
		return err, nil
	}
	records, err := contract.CheckExtensions(locked, exts)
	if err != nil {
		return nil, err
	}
	if err := contract.Ended(ctx); err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	if known := contract.BoardsWithKnown(locked); records > 0 {
		batch.Queue(insertSQL, insertArgs(exts, records)...)
		batch.Queue(extendSQL, extendArgs(exts)...)
	} else if len(known) > 0 {
		batch.Queue(touchSQL, known)
	} else {
		return nil, nil
	}
	return nil, commit(ctx, conn.Conn(), batch)
}

// giveBack returns the connection to the pool, out of any transaction, and if that cannot be had closes it.
func giveBack(ctx context.Context, conn *pgxpool.Conn) {
	defer conn.Release() // closes what is in a transaction, busy or broken
	if pc := conn.Conn().PgConn(); pc.IsClosed() || pc.IsBusy() || pc.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, `ROLLBACK`)
}

// candidate is where an id stands in the claims.
type candidate struct{ claim, id int }

// lock is the first trip: it begins the transaction and reads what decide has to know.
func lock(ctx context.Context, conn *pgx.Conn, claims []persistence.Claim) ([]persistence.Locked, error) {
	locked := make([]persistence.Locked, len(claims))
	at := make(map[persistence.BoardID]int, len(claims))
	candidates := 0
	for i := range claims {
		candidates += len(claims[i].IDs)
	}
	ids := newArray(pgtype.UUIDOID, len(claims), len(claims)*16)
	boards, frames := newArray(pgtype.UUIDOID, candidates, candidates*16), newArray(pgtype.UUIDOID, candidates, candidates*16)
	of := make([]candidate, 0, candidates)
	for i := range claims {
		board := claims[i].Board
		ids.bytes(board[:])
		locked[i].Board, at[board] = board, i
		for k, id := range claims[i].IDs {
			boards.bytes(board[:])
			frames.bytes(id[:])
			of = append(of, candidate{claim: i, id: k})
		}
	}

	lockStatement := lockSQL
	if slices.ContainsFunc(claims, func(c persistence.Claim) bool { return c.NoWait }) {
		lockStatement = lockNoWaitSQL
	}
	if len(claims) == 1 && claims[0].Hidden {
		lockStatement = lockHiddenSQL
	}
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(lockStatement, ids).Query(func(rows pgx.Rows) error {
		var id, epoch [16]byte
		var head int64
		_, err := pgx.ForEachRow(rows, []any{&id, &epoch, &head}, func() error {
			l := &locked[at[id]]
			l.Exists, l.Epoch, l.Head = true, epoch, persistence.Seq(head)
			return nil
		})
		return err
	})
	batch.Queue(knownSQL, boards, frames, ids).Query(func(rows pgx.Rows) error {
		var i, seq int64
		_, err := pgx.ForEachRow(rows, []any{&i, &seq}, func() error {
			c := of[i-1] // counted from 1
			l := &locked[c.claim]
			if !l.Exists {
				return nil
			}
			if l.Known == nil {
				l.Known = make(map[persistence.FrameID]persistence.Seq)
			}
			l.Known[claims[c.claim].IDs[c.id]] = persistence.Seq(seq)
			return nil
		})
		return err
	})
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	return locked, catchUp(ctx, conn, claims, locked)
}

// catchUp reads, in one trip, what other servers have added to the boards; if there is something.
func catchUp(ctx context.Context, conn *pgx.Conn, claims []persistence.Claim, locked []persistence.Locked) error {
	batch := &pgx.Batch{}
	for i := range locked {
		l := &locked[i]
		if l.Head <= claims[i].Applied {
			continue
		}
		q := batch.Queue(missedSQL, l.Board, contract.Column(claims[i].Applied), int64(math.MaxInt64), persistence.MissedLimit, persistence.MissedBytes)
		q.Query(func(rows pgx.Rows) (err error) {
			l.Missed, err = scanRecords(rows)
			return err
		})
	}
	if batch.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, batch).Close()
}

// commit is the last trip: what is to be written, and the commit. Unless the server says itself that it refuses, its
// outcome is unknown when it fails.
func commit(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	batch.Queue(commitSQL).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("COMMIT was answered by %s", tag)
		}
		return nil
	})
	delete(conn.PgConn().CustomData(), warned)
	err := conn.SendBatch(ctx, batch).Close()
	if err == nil {
		if w, ok := conn.PgConn().CustomData()[warned].(*pgconn.PgError); ok {
			return &persistence.UnavailableError{Err: fmt.Errorf("commit came with a warning: %w", w)}
		}
		return nil
	}
	if _, refused := errors.AsType[*pgconn.PgError](err); !refused {
		return &persistence.UnavailableError{Err: err}
	}
	return err
}

func insertArgs(exts []persistence.Extension, n int) []any {
	size, senders := 0, 0
	for i := range exts {
		for k := range exts[i].Records {
			size += len(exts[i].Records[k].Body)
			senders += len(exts[i].Records[k].Sender)
		}
	}
	boards, seqs := newArray(pgtype.UUIDOID, n, n*16), newArray(pgtype.Int8OID, n, n*8)
	ids, times := newArray(pgtype.UUIDOID, n, n*16), newArray(pgtype.TimestamptzOID, n, n*8)
	from, kinds, bodies := newArray(pgtype.TextOID, n, senders), newArray(pgtype.Int2OID, n, n*2), newArray(pgtype.ByteaOID, n, size)
	for i := range exts {
		for k := range exts[i].Records {
			r := &exts[i].Records[k]
			boards.bytes(exts[i].Board[:])
			seqs.int64(contract.Column(r.Seq))
			ids.bytes(r.ID[:])
			times.time(r.Time)
			from.text(r.Sender)
			kinds.int16(int16(r.Kind))
			bodies.bytes(r.Body)
		}
	}
	return []any{boards, seqs, ids, times, from, kinds, bodies}
}

func extendArgs(exts []persistence.Extension) []any {
	n := len(exts)
	boards, heads := newArray(pgtype.UUIDOID, n, n*16), newArray(pgtype.Int8OID, n, n*8)
	objects, times := newArray(pgtype.Int8OID, n, n*8), newArray(pgtype.TimestamptzOID, n, n*8)
	for i := range exts {
		newest := &exts[i].Records[len(exts[i].Records)-1]
		boards.bytes(exts[i].Board[:])
		heads.int64(contract.Column(newest.Seq))
		objects.int64(contract.Column(exts[i].Objects))
		times.time(newest.Time)
	}
	return []any{boards, heads, objects, times}
}
