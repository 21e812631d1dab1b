package postgres_test

import (
	"context"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/storetest"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, create)
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, create, 1)
	storetest.Bench(b, create, 4)
}

func create(tb testing.TB) storetest.Database {
	tb.Helper()
	url := pgtest.Database(tb)
	return storetest.Database{
		Open: func(tb testing.TB) persistence.Store {
			tb.Helper()
			return open(tb, url, postgres.Config{})
		},
		Inspect: func(tb testing.TB) persistence.Inspector {
			tb.Helper()
			in, err := postgres.Inspect(context.Background(), url)
			if err != nil {
				tb.Fatal(err)
			}
			return in
		},
		Execute: func(tb testing.TB, query string) {
			tb.Helper()
			pgtest.Exec(tb, url, query)
		},
		DoubleSnapshots: func(tb testing.TB) {
			tb.Helper()
			pgtest.Exec(tb, url, `UPDATE snapshots SET body = body || body`)
		},
	}
}

// open opens a store that the caller closes.
func open(tb testing.TB, url string, cfg postgres.Config) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(context.Background(), url, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
