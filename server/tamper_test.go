package server_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// tamper runs one statement in the database behind everybody's back; $1 in it is the id of the board.
type tamper func(t *testing.T, board, statement string)

// onBothDatabases is onBothStores for tests that do to a database what a backup or a hand can do.
func onBothDatabases(t *testing.T, test func(t *testing.T, open database, do tamper)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		open, do := sqliteTampered(t)
		test(t, open, do)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		open, do := postgresTampered(t)
		test(t, open, do)
	})
}

func sqliteTampered(t *testing.T) (database, tamper) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collaboard.db")
	open := func(t *testing.T) persistence.Store {
		t.Helper()
		store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	do := func(t *testing.T, board, statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		id := mustBoardID(t, board)
		if _, err := db.ExecContext(t.Context(), strings.ReplaceAll(statement, "$1", "?1"), id[:]); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return open, do
}

func postgresTampered(t *testing.T) (database, tamper) {
	t.Helper()
	url := pgtest.Database(t)
	open := func(t *testing.T) persistence.Store {
		t.Helper()
		store, err := postgres.Open(t.Context(), url, postgres.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	do := func(t *testing.T, board, statement string) {
		t.Helper()
		pgtest.Exec(t, url, statement, board)
	}
	return open, do
}
