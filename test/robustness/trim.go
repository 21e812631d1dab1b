package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// trims is for which seeds the servers trim the logs: half of those with one server, and half of those with two.
func trims(seed uint64) bool { return seed%4 < 2 }

// trimming are arguments of serve with which a log soon loses its beginning.
var trimming = []string{"--retain-log", "20", "--retain-interval", "250ms"}

// What is trimmed has to be judged, too. So the database keeps it, in the transaction that removes it: of both nothing is
// left, or all.
const (
	keepOnSQLite = `
	CREATE TABLE kept AS SELECT board_id, seq, id, sender, body FROM frames WHERE FALSE;
	CREATE TRIGGER keep BEFORE DELETE ON frames BEGIN
		INSERT INTO kept VALUES (OLD.board_id, OLD.seq, OLD.id, OLD.sender, OLD.body);
	END`
	keepOnPostgres = `
	CREATE TABLE kept AS SELECT board_id, seq, id, sender, body FROM frames WHERE FALSE;
	CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO kept VALUES (OLD.board_id, OLD.seq, OLD.id, OLD.sender, OLD.body);
		RETURN OLD;
	END $$;
	CREATE TRIGGER keep BEFORE DELETE ON frames FOR EACH ROW EXECUTE FUNCTION keep()`

	// keptSQL are the frames before the logs' first seqs. A step later the last of them would have been removed.
	keptSQL = `
	SELECT board_id, seq, id, sender, body FROM kept
	UNION ALL
	SELECT f.board_id, f.seq, f.id, f.sender, f.body FROM frames f JOIN boards b ON b.id = f.board_id WHERE f.seq < b.first_seq
	ORDER BY 1, 2`
)

// keepTrimmed makes the database keep what is trimmed from now on.
func (env *environment) keepTrimmed(ctx context.Context) error {
	if env.cluster == nil {
		release, err := execSQLite(ctx, env.file, keepOnSQLite)
		if err != nil {
			return err
		}
		return release()
	}
	db, err := sql.Open("pgx", env.cluster.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, keepOnPostgres)
	return errors.Join(err, db.Close())
}

// trimmedFrames are the trimmed frames of the database, by board.
func trimmedFrames(ctx context.Context, driver, source string) (_ map[string][]history.Event, err error) {
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, keptSQL)
	if err != nil {
		return nil, fmt.Errorf("read what was trimmed: %w", err)
	}
	defer rows.Close()
	logs := map[string][]history.Event{}
	for rows.Next() {
		var board, frame uuid.UUID
		e := history.Event{Kind: history.KindLog, Trimmed: true}
		if err := rows.Scan(&board, &e.Seq, &frame, &e.From, &e.Body); err != nil {
			return nil, err
		}
		e.Board, e.Frame = board.String(), frame.String()
		logs[e.Board] = append(logs[e.Board], e)
	}
	return logs, rows.Err()
}
