package storebench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"         //nolint:depguard // the baseline is what a store must beat, so it is not one
	"github.com/jackc/pgx/v5/pgxpool" //nolint:depguard // see above
)

const postgresDDL = `
	CREATE TABLE %s (
		board_id uuid        NOT NULL,
		seq      bigint      NOT NULL,
		id       uuid        NOT NULL,
		time     timestamptz NOT NULL,
		kind     smallint    NOT NULL,
		sender   text        NOT NULL,
		body     bytea       NOT NULL,
		PRIMARY KEY (board_id, seq),
		UNIQUE (board_id, id)
	)`

type postgres struct {
	pool   *pgxpool.Pool
	table  string
	insert string
}

// Postgres returns a Naive on a table of its own, over so many connections.
func Postgres(ctx context.Context, url string, conns int) (_ Naive, err error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = int32(conns), int32(conns)
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	p := &postgres{table: "bench_" + strings.ToLower(suffix())}
	p.insert = fmt.Sprintf(
		`INSERT INTO %s (board_id, seq, id, time, kind, sender, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`, p.table)
	if p.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	if _, err := p.pool.Exec(ctx, fmt.Sprintf(postgresDDL, p.table)); err != nil {
		p.pool.Close()
		return nil, err
	}
	return p, nil
}

// Insert implements Naive.
func (p *postgres) Insert(ctx context.Context, r Row) error {
	_, err := p.pool.Exec(ctx, p.insert, pgx.QueryExecModeCacheStatement,
		r.Board, r.Seq, r.ID, r.Time, r.Kind, r.Sender, r.Body)
	return err
}

// Close implements Naive.
func (p *postgres) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer p.pool.Close()
	_, err := p.pool.Exec(ctx, "DROP TABLE "+p.table)
	return err
}
