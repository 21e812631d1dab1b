package pgtest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabaseIsFreshAndDurable(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE t (x int)")
	pgtest.Exec(t, pgtest.Database(t), "CREATE TABLE t (x int)") // another one

	if got := query(t, url, "SHOW fsync"); got != "on" {
		t.Errorf("fsync = %s, want on", got)
	}
}

func TestClusterSurvivesWhatTestsDoToIt(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t, pgtest.Settings{"work_mem": "5MB"})
	url := c.URL("postgres")
	if got := query(t, url, "SHOW work_mem"); got != "5MB" {
		t.Errorf("work_mem = %s, want the setting", got)
	}
	pgtest.Exec(t, url, "CREATE TABLE t AS SELECT 42::text AS x")

	for name, stop := range map[string]func() error{
		"smart":     func() error { return c.Stop(pgtest.Smart) },
		"fast":      func() error { return c.Stop(pgtest.Fast) },
		"immediate": func() error { return c.Stop(pgtest.Immediate) },
		"kill":      c.Kill,
	} {
		if err := stop(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			conn.Close(t.Context())
			t.Fatalf("%s: the server still answers", name)
		}
		if err := c.Restart(); err != nil {
			t.Fatalf("%s: restart: %v", name, err)
		}
		if got := query(t, url, "SELECT x FROM t"); got != "42" {
			t.Errorf("%s: read %q after the restart", name, got)
		}
	}
}

func TestPausedClusterDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t, nil)
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- conn.Ping(context.Background()) }()
	select {
	case err := <-answered:
		t.Fatalf("answered while paused: %v", err)
	case <-time.After(200 * time.Millisecond): // nothing is to happen, which has no event
	}
	if err := c.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatalf("no answer after Continue: %v", err)
	}
}

func TestCloseRemovesEverything(t *testing.T) {
	t.Parallel()
	c, err := pgtest.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := query(t, c.URL("postgres"), "SHOW data_directory")
	if err := c.Pause(); err != nil { // even then
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestStartReportsWhyItFailed(t *testing.T) {
	t.Parallel()
	_, err := pgtest.Start(pgtest.Settings{"no_such_setting": "1"})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("Start = %v, want what the server logged", err)
	}
}

func query(t *testing.T, url, sql string) (got string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}
