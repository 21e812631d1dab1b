package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collaboard-io/collaboard/test/pgtest"
)

// filesIn are the names of what is in a directory.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// heads are the anchors of all boards of a store.
func heads(t *testing.T, store string) []string {
	t.Helper()
	out, _ := command(t, "verify", "--heads", "--store", store).run(0)
	return regexp.MustCompile(`(?m)^[0-9a-f-]{36}@\d+:[0-9a-f]{64}$`).FindAllString(out, -1)
}

// What is restored is what was there when the backup was made, whatever came after, with other epochs, and its snapshots.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	boards := storedInSQLite(t)
	d := boards.copy(t)
	before := heads(t, d.store)
	_, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--store", d.store)
	cli := func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
	epoch := func() string {
		out, _ := cli("board", "get", boards.long).run(0)
		return regexp.MustCompile(`(?m)^epoch +(\S+)$`).FindStringSubmatch(out)[1]
	}
	old := epoch()
	dir := t.TempDir()
	file := filepath.Join(dir, "copy.db")
	out, stderr := command(t, "backup", file, "--store", d.store).run(0)
	if stderr != "" || !regexp.MustCompile(`^\S+copy.db: checked 3 boards \(1 of them deleted\) with 14 frames of \d+ bytes, 2 snapshots and 3 files of 3\d\d bytes in .* s\n`+
		`no damage found\nbacked up sqlite:\S+damaged.db to \S+copy.db, \d+ bytes\n$`).MatchString(out) {
		t.Errorf("printed:\n%s\ncomplained %q", out, stderr)
	}
	backup, err := os.ReadFile(file)
	if err != nil || backup[18] != 1 || backup[19] != 1 {
		t.Fatalf("the backup cannot be read alone: versions %d, %d (%v)", backup[18], backup[19], err)
	}
	cli("send", boards.long).withInput(chat(1), 0)

	target := filepath.Join(dir, "restored.db")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr = command(t, "restore", file).env("COLLABOARD_STORE=sqlite:" + target).run(0)
	if stderr != "" || !regexp.MustCompile(`3 boards .* 14 frames .* 2 snapshots and 3 files .*\nno damage found\nrestored \S+ to \S+: 3 boards have another epoch\n$`).MatchString(out) {
		t.Errorf("printed:\n%s\ncomplained %q", out, stderr)
	}
	if diff := cmp.Diff([]string{"copy.db", "restored.db"}, filesIn(t, dir)); diff != "" {
		t.Error(diff)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, backup) {
		t.Errorf("the backup was changed (%v)", err)
	}
	if diff := cmp.Diff(before, heads(t, "sqlite:"+target)); diff != "" {
		t.Error(diff)
	}
	_, addr = serve(t, t.TempDir(), "127.0.0.1:0", "--store", "sqlite:"+target)
	if now := epoch(); now == old {
		t.Errorf("its epoch is still %s", now)
	}
}

// Nothing is overwritten, and no log is left to be taken for that of another database.
func TestBackupInTheWay(t *testing.T) {
	t.Parallel()
	d := storedInSQLite(t).copy(t)
	for name, want := range map[string]string{
		"there.db":         "cannot make FILE: it is there already, and is not overwritten",
		"there.db-wal":     "cannot make FILE: there is FILE-wal, of a database that is or was in its place: move them away, together",
		"there.db-shm":     "cannot make FILE: there is FILE-shm, .*",
		"there.db-journal": "cannot make FILE: there is FILE-journal, .*",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "there.db")
		if err := os.WriteFile(filepath.Join(dir, name), []byte("something"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"backup", file, "--store", d.store}, {"restore", d.dsn, "--store", "sqlite:" + file}} {
			out, stderr := command(t, args...).run(1)
			if out != "" || !regexp.MustCompile(`^collaboard: `+strings.ReplaceAll(want, "FILE", file)+`\n$`).MatchString(stderr) {
				t.Errorf("%q: printed %q, complained %q", args, out, stderr)
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if all := filesIn(t, dir); err != nil || string(text) != "something" || len(all) != 1 {
			t.Errorf("%s is %q (%v), among %q", name, text, err, all)
		}
	}
}

// What is not whole is neither backed up nor restored.
func TestBackupOfDamage(t *testing.T) {
	t.Parallel()
	boards := storedInSQLite(t)
	for _, test := range []struct {
		name   string
		damage func(d *damaged)
		code   int
		want   string // what is said by both
	}{
		{"a frame changed", func(d *damaged) {
			body := d.body(d.long, 3)
			body[20] ^= 1
			d.set(3, "body", d.bytes(body))
		}, 3, `seq 3: `},
		{"a frame missing", func(d *damaged) {
			d.exec(`DELETE FROM frames WHERE board_id = %s AND seq = 3`, d.id(d.long))
		}, 3, `seq 3: is missing`},
		{"cut short", func(d *damaged) { d.truncate(20_000) }, 3, `malformed`},
		{"a page is none", func(d *damaged) { d.overwrite("frames") }, 0, `malformed|integrity check`},
		{"no database", func(d *damaged) { d.overwrite("sqlite_schema") }, 3, `cannot open the store \S+: file is not a database`},
		{"empty", func(d *damaged) { d.truncate(0) }, 1, `there are no boards in it: no server has been there yet`},
		{"newer", func(d *damaged) {
			d.exec(`INSERT INTO collaboard_schema (version_id, is_applied) VALUES (999, TRUE)`)
		}, 1, `it has schema version 999, and this program knows only up to \d+: use a newer program`},
		{"missing", func(d *damaged) { _ = os.Remove(d.dsn) }, 1, `no such file or directory`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := boards.copy(t)
			test.damage(d)
			_ = d.db.Close()
			dir := t.TempDir()
			file := filepath.Join(dir, "new.db")
			for _, args := range [][]string{{"backup", file, "--store", d.store}, {"restore", d.dsn, "--store", "sqlite:" + file}} {
				p := command(t, args...).start()
				code := p.wait()
				if said := p.out.String() + p.err.String(); code == 0 || test.code != 0 && code != test.code || !regexp.MustCompile(test.want).MatchString(said) {
					t.Errorf("%q: exit code %d, said:\n%s", args, code, said)
				}
				if all := filesIn(t, dir); len(all) > 0 {
					t.Errorf("%q left %q", args, all)
				}
			}
		})
	}
}

// A byte that flips anywhere in a backup is found, or was of no log.
func TestFlippedBytesOfABackup(t *testing.T) {
	t.Parallel()
	boards := storedInSQLite(t)
	d := boards.copy(t)
	want := heads(t, d.store)
	whole, err := os.ReadFile(d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	const flips = 12
	found := 0
	for i := range flips {
		text := bytes.Clone(whole)
		text[(len(text)*i+i*1021)/flips] ^= 0x41
		dir := t.TempDir()
		file, target := filepath.Join(dir, "copy.db"), filepath.Join(dir, "new.db")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if code := command(t, "restore", file, "--store", "sqlite:"+target).start().wait(); code != 0 {
			found++
			if all := filesIn(t, dir); len(all) != 1 {
				t.Errorf("flip %d left %q", i, all)
			}
			continue
		}
		if diff := cmp.Diff(want, heads(t, "sqlite:"+target)); diff != "" {
			t.Errorf("flip %d was not found:\n%s", i, diff)
		}
	}
	t.Logf("%d of %d flips were found", found, flips)
}

// The boards of a store get other epochs when no server has it open, and not before.
func TestRenewEpochs(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, store string) {
		t.Helper()
		renew := func(code int) (out, stderr string) {
			t.Helper()
			return command(t, "renew-epochs", "--store", store).run(code)
		}
		server, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--store", store)
		cli := func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
		out, _ := cli("board", "create", "a board").run(0)
		board := strings.TrimSpace(out)
		cli("send", board).withInput(chat(1), 0)
		get := func() string {
			t.Helper()
			out, _ := cli("board", "get", board).run(0)
			return out
		}
		epoch := regexp.MustCompile(`(?m)^epoch .*\n`)
		before := get()
		if out, stderr := renew(1); out != "" || !regexp.MustCompile(`^collaboard: \S+ is in use: stop its servers first; `).MatchString(stderr) {
			t.Errorf("printed %q, complained %q", out, stderr)
		}
		if now := get(); now != before {
			t.Errorf("changed all the same:\n%s", now)
		}
		server.signal(os.Interrupt)
		if code := server.wait(); code != 0 {
			t.Fatalf("server ended with %d", code)
		}
		if out, stderr := renew(0); stderr != "" || !strings.HasSuffix(out, ": 1 boards have another epoch\n") {
			t.Errorf("printed %q, complained %q", out, stderr)
		}
		_, addr = serve(t, t.TempDir(), "127.0.0.1:0", "--store", store)
		now := get()
		if epoch.FindString(now) == epoch.FindString(before) || epoch.ReplaceAllString(now, "") != epoch.ReplaceAllString(before, "") {
			t.Errorf("before:\n%s\nafter:\n%s", before, now)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.New(t, nil).URL("postgres"))
	})
}
