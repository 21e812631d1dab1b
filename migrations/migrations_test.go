package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/collaboard-io/collaboard/migrations"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type engine struct {
	name    string
	migrate func(context.Context, *sql.DB) error
	open    func(t *testing.T) func() *sql.DB // connections to one new database
	schema  string                            // a query of one column
	want    string
}

var engines = []engine{
	{
		name: "postgres", migrate: migrations.Postgres, schema: postgresSchema, want: postgresWant,
		open: func(t *testing.T) func() *sql.DB {
			url := pgtest.Database(t)
			return func() *sql.DB { return connect(t, "pgx", url) }
		},
	},
	{
		name: "sqlite", migrate: migrations.SQLite, schema: sqliteSchema, want: sqliteWant,
		open: func(t *testing.T) func() *sql.DB {
			path := filepath.Join(t.TempDir(), "boards.db")
			return func() *sql.DB { return connect(t, "sqlite", path+"?_txlock=immediate&_busy_timeout=10000") }
		},
	},
}

func connect(t *testing.T, driver, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func forEngines(t *testing.T, test func(t *testing.T, e engine, open func() *sql.DB)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e, e.open(t))
		})
	}
}

func schema(t *testing.T, e engine, db *sql.DB) string {
	t.Helper()
	rows, err := db.Query(e.schema)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return strings.Join(lines, "\n")
}

// TestSchema: a change of the schema shows here, as what it comes to.
func TestSchema(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e engine, open func() *sql.DB) {
		db := open()
		for range 2 { // the second time there is nothing to do
			if err := e.migrate(t.Context(), db); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(strings.TrimSpace(e.want), schema(t, e, db)); diff != "" {
			t.Errorf("schema (-want +got):\n%s", diff)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e engine, open func() *sql.DB) {
		var wg sync.WaitGroup
		for range 4 {
			db := open()
			wg.Go(func() {
				if err := e.migrate(t.Context(), db); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff(strings.TrimSpace(e.want), schema(t, e, open())); diff != "" {
			t.Errorf("schema (-want +got):\n%s", diff)
		}
	})
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e engine, open func() *sql.DB) {
		db := open()
		if err := e.migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`); err != nil {
			t.Fatal(err)
		}
		err := e.migrate(t.Context(), db)
		var newer *migrations.NewerSchemaError
		if !errors.As(err, &newer) || newer.Database != 99 || newer.Program < 1 || newer.Program >= 99 {
			t.Errorf("error is %v, want *NewerSchemaError", err)
		}
	})
}

const postgresSchema = `
	SELECT line FROM (
		SELECT c.relname, 1, attnum, 'column ' || c.relname || '.' || attname || ' ' || format_type(atttypid, atttypmod) ||
			CASE WHEN attnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || pg_get_expr(adbin, adrelid), '') ||
			CASE WHEN attstorage <> typstorage THEN ' storage ' || attstorage::text ELSE '' END
		FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_type t ON t.oid = atttypid
		LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND relname <> 'goose_db_version'
		UNION ALL
		SELECT tablename, 2, 0, 'index ' || indexdef FROM pg_indexes
		WHERE schemaname = 'public' AND tablename <> 'goose_db_version'
		UNION ALL
		SELECT conrelid::regclass::text, 3, 0, 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
		WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'goose_db_version'
		UNION ALL
		SELECT relname, 4, 0, 'options ' || relname || ' ' || reloptions::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
		UNION ALL
		SELECT relname, 5, 0, 'sequence ' || relname FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND relname NOT LIKE 'goose%'
	) AS s (tbl, part, n, line) ORDER BY tbl, part, n, line COLLATE "C"`

const postgresWant = `
column boards.id uuid not null
column boards.name text not null
column boards.owner text not null
column boards.epoch uuid not null
column boards.head_seq bigint not null default 0
column boards.first_seq bigint not null default 1
column boards.object_count bigint not null default 0
column boards.created_at timestamp with time zone not null
column boards.updated_at timestamp with time zone not null
column boards.deleted_at timestamp with time zone
index CREATE UNIQUE INDEX boards_pkey ON public.boards USING btree (id)
constraint boards PRIMARY KEY (id)
options boards {fillfactor=50,autovacuum_vacuum_threshold=1000,autovacuum_vacuum_scale_factor=0.02}
column frames.board_id uuid not null
column frames.seq bigint not null
column frames.id uuid not null
column frames.time timestamp with time zone not null
column frames.sender text not null
column frames.kind smallint not null
column frames.body bytea not null storage e
index CREATE UNIQUE INDEX frames_board_id_id ON public.frames USING btree (board_id, id)
index CREATE UNIQUE INDEX frames_pkey ON public.frames USING btree (board_id, seq)
constraint frames PRIMARY KEY (board_id, seq)
constraint frames UNIQUE (board_id, id)
`

const sqliteSchema = `
	SELECT line FROM (
		SELECT t.name AS tbl, 1 AS part, cid AS n, 'column ' || t.name || '.' || c.name || ' ' || c.type ||
			iif("notnull", ' not null', '') || iif(dflt_value IS NULL, '', ' default ' || dflt_value) || iif(pk, ' key ' || pk, '') AS line
		FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
		UNION ALL
		SELECT t.name, 2, i.seq, 'index ' || i.name || iif("unique", ' unique', '') ||
			(SELECT ' (' || group_concat(name, ', ') || ')' FROM pragma_index_info(i.name))
		FROM pragma_table_list AS t, pragma_index_list(t.name) AS i
		UNION ALL
		SELECT name, 3, 0, 'table ' || name || iif(wr, ' without rowid', '') || iif(strict, ' strict', '') FROM pragma_table_list
	) WHERE tbl IN ('boards', 'frames') OR tbl = 'goose_db_version' AND part = 2 ORDER BY tbl, part, n, line`

const sqliteWant = `
column boards.id BLOB not null key 1
column boards.name TEXT not null
column boards.owner TEXT not null
column boards.epoch BLOB not null
column boards.head_seq INTEGER not null default 0
column boards.first_seq INTEGER not null default 1
column boards.object_count INTEGER not null default 0
column boards.created_at INTEGER not null
column boards.updated_at INTEGER not null
column boards.deleted_at INTEGER
index sqlite_autoindex_boards_1 unique (id)
table boards without rowid strict
column frames.board_id BLOB not null key 1
column frames.seq INTEGER not null key 2
column frames.id BLOB not null
column frames.time INTEGER not null
column frames.sender TEXT not null
column frames.kind INTEGER not null
column frames.body BLOB not null
index frames_board_id_id unique (board_id, id)
index sqlite_autoindex_frames_1 unique (board_id, seq)
table frames without rowid strict
index goose_db_version_version unique (version_id)
`
