package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

// Append implements persistence.Store. SQLite locks the whole file, so the order of the boards does not matter.
func (s *Store) Append(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	if err := contract.CheckClaims(claims); err != nil {
		return fmt.Errorf("append to %d boards: %w", len(claims), err)
	}
	var refusal error
	patience := s.busyTimeout
	if slices.ContainsFunc(claims, func(c persistence.Claim) bool { return c.NoWait }) {
		patience = 0
	}
	err := s.writeOr(ctx, patience, func(w *writer) (bool, error) {
		locked, err := w.lock(ctx, claims)
		if err != nil {
			return false, err
		}
		var exts []persistence.Extension
		if exts, refusal = decide(locked); refusal != nil {
			return false, refusal
		}
		if _, err := contract.CheckExtensions(locked, exts); err != nil {
			return false, err
		}
		if known := contract.BoardsWithKnown(locked); len(exts) == 0 && len(known) > 0 {
			return true, w.touch(known[0])
		}
		return len(exts) > 0, w.append(ctx, exts)
	})
	if refusal != nil {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("append to %d boards: %w", len(claims), err)
	}
	return nil
}

// lock reads what decide has to know.
func (w *writer) lock(ctx context.Context, claims []persistence.Claim) ([]persistence.Locked, error) {
	locked := make([]persistence.Locked, len(claims))
	trimmed := false
	ids := make([]byte, 0, len(claims)*16)
	candidates := 0
	for i := range claims {
		locked[i].Board = claims[i].Board
		ids = append(ids, claims[i].Board[:]...)
		candidates += len(claims[i].IDs)
	}
	heads := w.heads
	if len(claims) == 1 && claims[0].Hidden {
		heads = w.hidden
	}
	err := heads.query(len(claims), ids, func(rows *sql.Rows) error {
		var i int
		var epoch []byte
		var head, first int64
		if err := rows.Scan(&i, &epoch, &head, &first); err != nil {
			return err
		}
		trimmed = trimmed || first > 1
		locked[i].Exists = true
		locked[i].Epoch = persistence.Epoch(epoch)
		locked[i].Head = persistence.Seq(head)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := contract.Ended(ctx); err != nil {
		return nil, err
	}
	if err := w.known.probe(claims, locked, candidates); err != nil {
		return nil, err
	}
	if trimmed {
		if err := w.former.probe(claims, locked, candidates); err != nil {
			return nil, err
		}
	}
	for i := range locked {
		if locked[i].Head <= claims[i].Applied {
			continue
		}
		if err := contract.Ended(ctx); err != nil {
			return nil, err
		}
		rows, err := w.conn.QueryContext(context.Background(), missedSQL,
			claims[i].Board[:], contract.Column(claims[i].Applied), persistence.MissedLimit)
		if err != nil {
			return nil, err
		}
		if locked[i].Missed, err = scanRecords(ctx, rows, persistence.MissedBytes); err != nil {
			return nil, err
		}
	}
	return locked, nil
}

const missedSQL = `
	SELECT seq, id, time, sender, kind, body FROM frames
	WHERE board_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3`

// probe looks which candidates the log already has.
func (l *lookup) probe(claims []persistence.Claim, locked []persistence.Locked, candidates int) error {
	ids := make([]byte, 0, candidates*32)
	at := make([]int, 0, candidates) // the claim of each candidate
	for i := range claims {
		if !locked[i].Exists {
			continue
		}
		for _, id := range claims[i].IDs {
			ids = append(append(ids, claims[i].Board[:]...), id[:]...)
			at = append(at, i)
		}
	}
	return l.query(len(at), ids, func(rows *sql.Rows) error {
		var i int
		var seq int64
		if err := rows.Scan(&i, &seq); err != nil {
			return err
		}
		of := &locked[at[i]]
		if of.Known == nil {
			of.Known = make(map[persistence.FrameID]persistence.Seq)
		}
		of.Known[persistence.FrameID(ids[i*32+16:i*32+32])] = persistence.Seq(seq)
		return nil
	})
}

func (w *writer) append(ctx context.Context, exts []persistence.Extension) error {
	for i := range exts {
		ext := &exts[i]
		for recs := ext.Records; len(recs) > 0; {
			if err := contract.Ended(ctx); err != nil {
				return err
			}
			n, err := w.insertSome(ext.Board, recs)
			if err != nil {
				return err
			}
			recs = recs[n:]
		}
		newest := &ext.Records[len(ext.Records)-1]
		_, err := w.extend.ExecContext(context.Background(), ext.Board[:],
			contract.Column(newest.Seq), contract.Column(ext.Objects), newest.Time.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

// touch makes the commit wait for the disk, and what was written to the one file before is on it then, too. It changes
// something and takes it back: an UPDATE that changes nothing is one that SQLite does not write.
func (w *writer) touch(board [16]byte) error {
	_, err := w.conn.ExecContext(context.Background(), touchSQL, board[:])
	return err
}

const touchSQL = `
	UPDATE boards SET head_seq = head_seq + 1 WHERE id = ?1;
	UPDATE boards SET head_seq = head_seq - 1 WHERE id = ?1`

// insertSome inserts the first of recs, as many as one statement takes.
func (w *writer) insertSome(board persistence.BoardID, recs []persistence.Record) (int, error) {
	at := 0
	for insertRows[at] > len(recs) {
		at++
	}
	n := insertRows[at]
	args := w.args[:0]
	for i := range recs[:n] {
		r := &recs[i]
		body := r.Body
		if body == nil {
			body = []byte{} // which the driver would take for NULL
		}
		args = append(args, board[:], contract.Column(r.Seq), r.ID[:], r.Time.UnixMicro(), r.Sender, int64(r.Kind), body)
	}
	_, err := w.insert[at].ExecContext(context.Background(), args...)
	clear(args) // it must not keep the bodies
	w.args = args
	return n, err
}

func (l *lookup) query(n int, ids []byte, row func(*sql.Rows) error) error {
	if n == 0 {
		return nil
	}
	st := l.many
	if n == 1 {
		st = l.one
	}
	rows, err := st.QueryContext(context.Background(), n, ids)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := row(rows); err != nil {
			return closing(rows, err)
		}
	}
	return closing(rows, rows.Err())
}
