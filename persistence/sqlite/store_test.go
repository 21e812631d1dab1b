package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/persistence/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, create)
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, create, 1) }

func create(tb testing.TB) storetest.Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "boards.db")
	return storetest.Database{
		Open: func(tb testing.TB) persistence.Store {
			tb.Helper()
			s, err := sqlite.Open(context.Background(), path, sqlite.Config{})
			if err != nil {
				tb.Fatal(err)
			}
			return s
		},
		Inspect: func(tb testing.TB) persistence.Inspector {
			tb.Helper()
			in, err := sqlite.Inspect(context.Background(), path)
			if err != nil {
				tb.Fatal(err)
			}
			return in
		},
		Execute: func(tb testing.TB, query string) {
			tb.Helper()
			execute(tb, path, query)
		},
		DoubleSnapshots: func(tb testing.TB) {
			tb.Helper()
			execute(tb, path, `UPDATE snapshots SET body = CAST(body || body AS BLOB)`)
		},
	}
}

// execute runs one statement on a connection of its own.
func execute(tb testing.TB, path, query string, args ...any) {
	tb.Helper()
	db, err := sql.Open("sqlite", path+"?_busy_timeout=5000")
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		tb.Fatal(err)
	}
}
