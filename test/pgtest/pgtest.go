package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// databaseTimeout bounds making and dropping a database, which copies files and syncs them.
const databaseTimeout = 60 * time.Second

// shared is the one cluster of this test binary, which the first Database starts.
var shared struct {
	once    sync.Once
	cluster *Cluster // nil with TEST_DATABASE_URL
	url     string
	err     error
}

// Main is for TestMain of packages that call Database: it runs the tests, removes the cluster, looks for goroutines
// that they left behind, and exits.
func Main(m *testing.M) {
	code := m.Run()
	if c := shared.cluster; c != nil {
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close PostgreSQL:", err)
			code = 1
		}
	}
	if code == 0 {
		// Of a library of grpc-web's: it begins with the process, and has no end.
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/desertbit/timer.timerRoutine")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Database makes an empty database for one test, on the cluster of this test binary or on the server that
// TEST_DATABASE_URL names, and returns its URL. It is dropped when the test ends, whoever is still connected.
// TestMain must call Main.
func Database(tb testing.TB) string {
	tb.Helper()
	shared.once.Do(func() {
		if shared.url = os.Getenv("TEST_DATABASE_URL"); shared.url != "" {
			return
		}
		if shared.cluster, shared.err = Start(nil); shared.err == nil {
			shared.url = shared.cluster.URL("postgres")
		}
	})
	if shared.err != nil {
		tb.Fatalf("start PostgreSQL: %v", shared.err)
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name := "pgtest_" + hex.EncodeToString(random[:])
	Exec(tb, shared.url, "CREATE DATABASE "+name)
	tb.Cleanup(func() { Exec(tb, shared.url, "DROP DATABASE "+name+" WITH (FORCE)") })

	u, err := url.Parse(shared.url)
	if err != nil {
		tb.Fatalf("TEST_DATABASE_URL must be a postgres:// URL: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

// Program is the path of one of PostgreSQL's programs, such as pg_dump, of the version that Start starts.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := binDir()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Exec runs one statement on a connection of its own.
func Exec(tb testing.TB, url, sql string, args ...any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}
