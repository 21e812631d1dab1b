package main

import (
	"database/sql"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/collaboard-io/collaboard/persistence/checkup"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// examined is what doctor said, by the names of the checks.
type examined struct {
	t   *testing.T
	all map[string]checkup.Check
}

func doctor(t *testing.T, store string, wantCode int, args ...string) *examined {
	t.Helper()
	args = append([]string{"doctor", "--store", store}, args...)
	out, stderr := command(t, append(args, "--json")...).run(wantCode)
	if stderr != "" {
		t.Errorf("complained %q", stderr)
	}
	var printed struct {
		Store  string
		Checks []checkup.Check
	}
	if err := json.Unmarshal([]byte(out), &printed); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	e := &examined{t: t, all: make(map[string]checkup.Check)}
	for _, c := range printed.Checks {
		if _, twice := e.all[c.Name]; twice || c.Found == "" {
			t.Errorf("check %+v", c)
		}
		e.all[c.Name] = c
	}
	return e
}

// want fails the test unless the check came out so, with a finding like that.
func (e *examined) want(name string, level checkup.Level, found string) {
	e.t.Helper()
	if c := e.all[name]; c.Level != level || !regexp.MustCompile(found).MatchString(c.Found) {
		e.t.Errorf("%s: %+v, want %s: %s", name, c, level, found)
	}
}

// wantMeasured is for times, which the machine decides.
func (e *examined) wantMeasured(name string) {
	e.t.Helper()
	if c := e.all[name]; c.Level == checkup.Fail || !strings.HasPrefix(c.Found, "p50 ") {
		e.t.Errorf("%s: %+v", name, c)
	}
}

// serveOnce lets a server make the schema.
func serveOnce(t *testing.T, store string) {
	t.Helper()
	server, _ := serve(t, t.TempDir(), "127.0.0.1:0", "--store", store)
	server.signal(os.Interrupt)
	if code := server.wait(); code != 0 {
		t.Fatalf("server ended with %d", code)
	}
}

func TestDoctorSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "boards.db")
	files := func(want ...string) {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if strings.Join(names, " ") != strings.Join(want, " ") {
			t.Errorf("files are %v, want %v", names, want)
		}
	}
	execute := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}

	e := doctor(t, "sqlite:"+path, 0)
	e.want("reachable", checkup.OK, path)
	e.want("database", checkup.Warn, "no such file")
	e.wantMeasured("fsync")
	files()

	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e = doctor(t, "sqlite:"+path, 0)
	e.want("schema", checkup.Warn, "none yet")
	e.want("journal", checkup.Warn, "journal_mode is delete")

	serveOnce(t, "sqlite:"+path)
	e = doctor(t, "sqlite:"+path, 0)
	e.want("schema", checkup.OK, "version 6, ")
	e.want("journal", checkup.OK, "WAL")
	e.want("permissions", checkup.OK, path)
	e.want("file system", e.all["file system"].Level, ".")
	e.want("free space", e.all["free space"].Level, "MiB")
	files("boards.db")
	out, _ := command(t, "doctor", "--store", "sqlite:"+path).run(0)
	if !regexp.MustCompile(`(?m)^ok    schema: version 6, which is this program's$`).MatchString(out) {
		t.Errorf("printed:\n%s", out)
	}

	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	doctor(t, "sqlite:"+path, 0).want("permissions", checkup.Warn, "boards.db -rw-rw-rw-")
	execute(`INSERT INTO collaboard_schema (version_id, is_applied) VALUES (99, true)`)
	doctor(t, "sqlite:"+path, 1).want("schema", checkup.Fail, "version 99, ")
	execute(`DELETE FROM collaboard_schema WHERE version_id > 0`)
	doctor(t, "sqlite:"+path, 0).want("schema", checkup.Warn, "none yet")
	files("boards.db")

	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	doctor(t, "sqlite:"+path, 1).want("database", checkup.Fail, "not a database")
	e = doctor(t, "sqlite:"+dir, 1)
	e.want("reachable", checkup.Fail, "it is a directory")
	e = doctor(t, "sqlite:"+filepath.Join(dir, "nowhere", "boards.db"), 1)
	e.want("reachable", checkup.Fail, "there is no directory")
	e = doctor(t, "sqlite:"+filepath.Join(path, "boards.db"), 1)
	e.want("reachable", checkup.Fail, "is not a directory")
	files("boards.db")
}

func TestDoctorPostgres(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t, nil)
	store := cluster.URL("postgres")
	execute := func(query string) {
		t.Helper()
		pgtest.Exec(t, store, query)
	}

	db, err := sql.Open("pgx", store)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	transactions := func() (n int) {
		t.Helper()
		if err := db.QueryRow(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	before := transactions()
	e := doctor(t, store, 0)
	for _, name := range []string{"reachable", "server", "permissions", "fsync", "full_page_writes", "synchronous_commit", "standbys", "connections", "clock"} {
		e.want(name, checkup.OK, ".")
	}
	e.want("schema", checkup.Warn, "none yet")
	e.wantMeasured("commit")
	// What is measured is commits that write: others have no number, and do not wait for the disk.
	measured, err := strconv.Atoi(regexp.MustCompile(`max \S+ of (\d+),`).FindStringSubmatch(e.all["commit"].Found)[1])
	if err != nil || measured < 1 || transactions()-before < measured {
		t.Errorf("%d transactions, %d were measured (%v)", transactions()-before, measured, err)
	}
	var left int
	if err := db.QueryRow(`SELECT count(*) FROM pg_class WHERE oid >= 16384`).Scan(&left); err != nil || left > 0 {
		t.Errorf("left %d tables behind (%v)", left, err)
	}

	serveOnce(t, store)
	doctor(t, store, 0).want("schema", checkup.OK, "version 6, ")
	doctor(t, store, 1, "--postgres-conns", "1000").want("connections", checkup.Fail, "up to 1000 of 197, ")

	// Somebody else than the owner.
	execute(`CREATE ROLE limited LOGIN CONNECTION LIMIT 12`)
	limited, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	limited.User = url.User("limited")
	execute(`GRANT SELECT ON boards, frames, files, file_totals, snapshots, trimmed, bases, savepoints, collaboard_schema TO limited`)
	e = doctor(t, limited.String(), 1)
	e.want("permissions", checkup.Fail, "role limited has no INSERT on boards, UPDATE on boards, INSERT on frames, INSERT on files, INSERT on file_totals, UPDATE on file_totals, INSERT on snapshots, UPDATE on snapshots, DELETE on snapshots, "+
		"DELETE on boards, DELETE on frames, DELETE on files, DELETE on file_totals, INSERT on trimmed, DELETE on trimmed, "+
		"INSERT on bases, UPDATE on bases, DELETE on bases, INSERT on savepoints, UPDATE on savepoints, DELETE on savepoints")
	e.want("connections", checkup.Fail, "up to 16 of 12, ")
	execute(`GRANT INSERT, UPDATE, DELETE ON boards, frames, files, file_totals, snapshots, trimmed, bases, savepoints TO limited`)
	e = doctor(t, limited.String(), 0, "--postgres-conns", "10")
	e.want("permissions", checkup.Warn, "may do all that a server does, but not create tables in schema public")
	e.wantMeasured("commit")
	_, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--store", limited.String(), "--postgres-conns", "10")
	out, _ := command(t, "board", "create", "x", "--server", addr).run(0)
	if out, _ := command(t, "send", strings.TrimSpace(out), "--server", addr).withInput(chat(1), 0); !strings.Contains(out, `"seq":"1"`) {
		t.Errorf("printed %q", out)
	}

	execute(`INSERT INTO collaboard_schema (version_id, is_applied) VALUES (99, true)`)
	doctor(t, store, 1).want("schema", checkup.Fail, "version 99, ")
	execute(`DROP TABLE boards, frames, files, file_totals, snapshots, collaboard_schema CASCADE`)
	doctor(t, limited.String(), 1, "--postgres-conns", "10").want("permissions", checkup.Fail, "may not create tables in schema public")
	execute(`ALTER ROLE limited SET default_transaction_read_only = on`)
	e = doctor(t, limited.String(), 1)
	e.want("server", checkup.Fail, "read-only")
	e.want("commit", checkup.Warn, "not measured")
}

func TestDoctorPostgresThatForgets(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t, pgtest.Settings{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"})
	store := cluster.URL("postgres")
	e := doctor(t, store, 1)
	e.want("fsync", checkup.Fail, "off: ")
	e.want("synchronous_commit", checkup.Warn, "off for this role and database; a server sets it to on")
	e.want("full_page_writes", checkup.Warn, "off: ")
	e.wantMeasured("commit")
	doctor(t, store, 0, "--unsafe-allow-no-fsync").want("fsync", checkup.Warn, "off: ")

	// A commit would wait for ever.
	pgtest.Exec(t, store, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	e = doctor(t, store, 1)
	e.want("standbys", checkup.Warn, `0 of them synchronous, and synchronous_standby_names = "nobody"`)
	e.want("commit", checkup.Warn, "not measured")

	if err := cluster.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	e = doctor(t, strings.Replace(store, "postgres@", "postgres:pa55word@", 1), 1)
	e.want("reachable", checkup.Fail, `postgres:xxxxx@\S+/postgres: connection refused`)
}
