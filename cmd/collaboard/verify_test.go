package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/verify"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// What is damaged is named by board and seq, and nothing else is.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	// Of a finding: LONG, SHORT and GONE are the boards.
	tests := []struct {
		name   string
		engine string // empty for both
		damage func(d *damaged)
		want   []string
	}{
		{"row deleted", "", func(d *damaged) {
			d.exec(`DELETE FROM frames WHERE board_id = %s AND seq = 4`, d.id(d.long))
		}, []string{`LONG  seq 4: is missing`}},
		{"newest row deleted", "", func(d *damaged) {
			d.exec(`DELETE FROM frames WHERE board_id = %s AND seq = 9`, d.id(d.long))
		}, []string{`LONG  seq 9: the log ends before it, and its head is 9`}},
		{"row of a deleted board deleted", "", func(d *damaged) {
			d.exec(`DELETE FROM frames WHERE board_id = %s AND seq = 1`, d.id(d.gone))
		}, []string{`GONE  seq 1: is missing`}},
		{"seqs swapped", "", func(d *damaged) {
			d.set(5, "seq", "1000")
			d.set(6, "seq", "5")
			d.set(1000, "seq", "6")
		}, []string{`LONG  seq 5: its body says that it is at seq 6`, `LONG  seq 6: its body says that it is at seq 5`}},
		{"byte flipped", "", func(d *damaged) {
			body := d.body(d.long, 7)
			body[10] ^= 1 // of its id
			d.set(7, "body", d.bytes(body))
		}, []string{`LONG  seq 7: its body has id .*, its row .*`}},
		{"byte of a name flipped", "", func(d *damaged) {
			body := d.body(d.long, 3)
			body[len(body)-36] ^= 1 // the last but its chain
			d.set(3, "body", d.bytes(body))
		}, []string{`LONG  seq 3: its chain is not that of what it says and of the frames before it: one of them was changed`}},
		{"chain cut off", "", func(d *damaged) {
			d.set(9, "body", "substr(body, 1, length(body) - 35)")
		}, []string{`LONG  seq 9: it has no chain, and a frame before it has one`}},
		{"body of another board", "", func(d *damaged) {
			d.set(3, "body", d.bytes(d.body(d.short, 3)))
		}, []string{`LONG  seq 3: its body has id .*`, `LONG  seq 3: its body is of board "SHORT"`, `LONG  seq 3: its body is of 20.*, its row of 20.*`}},
		{"body of no frame", "", func(d *damaged) {
			d.set(2, "body", d.bytes([]byte("\xff")))
		}, []string{`LONG  seq 2: its body of 1 bytes is not a frame`}},
		{"head too high", "", func(d *damaged) {
			d.exec(`UPDATE boards SET head_seq = 14 WHERE id = %s`, d.id(d.long))
		}, []string{`LONG  seq 10: the log ends before it, and its head is 14`}},
		{"head too low", "", func(d *damaged) {
			d.exec(`UPDATE boards SET head_seq = 8 WHERE id = %s`, d.id(d.long))
		}, []string{`LONG  seq 9: 1 frames lie beyond the head, which is 8`}},
		{"objects miscounted", "", func(d *damaged) {
			d.exec(`UPDATE boards SET object_count = 2 WHERE id = %s`, d.id(d.long))
		}, []string{`LONG  seq 9: there are 1 objects after it, and the board says 2`}},
		{"sender", "", func(d *damaged) { d.set(6, "sender", "'eve'") }, []string{`LONG  seq 6: its body is from "anonymous", its row from "eve"`}},
		{"kind", "", func(d *damaged) { d.set(2, "kind", "25") }, []string{`LONG  seq 2: its body carries chat_message, its row says custom`}},
		{"board gone", "", func(d *damaged) {
			d.exec(`DELETE FROM boards WHERE id = %s`, d.id(d.short))
		}, []string{`SHORT  has frames, files or snapshots, but there is no such board`}},
		{"file changed", "", func(d *damaged) {
			d.exec(`UPDATE files SET content = %s WHERE octet_length(content) = 100`, d.bytes(make([]byte, 100)))
		}, []string{`LONG  file [0-9a-f]{64}: its content is another`}},
		{"file cut off", "", func(d *damaged) {
			d.exec(`UPDATE files SET content = %s WHERE octet_length(content) = 130`, d.bytes([]byte("GIF89a")))
		}, []string{`GONE  there are 1 files of 6 bytes, and its totals say 1 of 130`, `GONE  file [0-9a-f]{64}: its content is another`}},
		{"file gone", "", func(d *damaged) {
			d.exec(`DELETE FROM files WHERE octet_length(content) = 100`)
		}, []string{`LONG  there are 1 files of 120 bytes, and its totals say 2 of 220`}},
		{"snapshot changed", "", func(d *damaged) {
			d.exec(`UPDATE snapshots SET body = substr(body, 1, 60) WHERE seq = 9`)
		}, []string{`LONG  seq 9: the snapshot at it cannot be loaded: its checksum is wrong`}},
		{"snapshot moved", "", func(d *damaged) {
			d.exec(`UPDATE snapshots SET seq = 8 WHERE seq = 9`)
		}, []string{`LONG  seq 8: the snapshot at it cannot be loaded: its checksum is wrong`}},
		{"snapshot of another board", "", func(d *damaged) {
			d.exec(`UPDATE snapshots SET board_id = %s WHERE seq = 5`, d.id(d.gone))
		}, []string{`GONE  seq 5: the snapshot at it cannot be loaded: its checksum is wrong`}},
		{"snapshot without a board", "", func(d *damaged) {
			d.exec(`UPDATE snapshots SET board_id = %s WHERE seq = 5`, d.id("01a207ff-cf80-7e86-84ca-b9f95048f11b"))
		}, []string{`01a207ff-cf80-7e86-84ca-b9f95048f11b  has frames, files or snapshots, but there is no such board`}},
		{"head before a snapshot", "", func(d *damaged) {
			d.exec(`DELETE FROM frames WHERE board_id = %s AND seq = 9`, d.id(d.long))
			d.exec(`UPDATE boards SET head_seq = 8 WHERE id = %s`, d.id(d.long))
		}, []string{`LONG  seq 9: the snapshot at it is ahead of the head, which is 8`}},
		{"index gone", "", func(d *damaged) { d.dropUniqueID() }, []string{`table frames has no .*unique index on \(board_id, id\)`}},
		{"id doubled", "", func(d *damaged) {
			d.dropUniqueID()
			d.set(7, "id", fmt.Sprintf("(SELECT id FROM frames WHERE board_id = %s AND seq = 2)", d.id(d.long)))
		}, []string{
			`table frames has no .*unique index on \(board_id, id\)`,
			`LONG  seq 7: its id .* is that of seq 2, too`, `LONG  seq 7: its body has id .*, its row .*`,
		}},
		{"row doubled", "postgres", func(d *damaged) {
			d.dropUniqueID()
			d.exec(`ALTER TABLE frames DROP CONSTRAINT frames_pkey`)
			d.exec(`INSERT INTO frames SELECT board_id, seq, id, time, sender, kind, body FROM frames WHERE board_id = %s AND seq = 4`, d.id(d.long))
		}, []string{
			`table frames has no valid unique index on \(board_id, (seq|id)\)`, `table frames has no valid unique index on \(board_id, (seq|id)\)`,
			`LONG  seq 4: is there more than once`,
		}},
		{"index damaged", "sqlite", func(d *damaged) { d.overwrite("frames_board_id_id") }, []string{
			`integrity check: .* page .*`, `integrity check: .* frames_board_id_id`, `the database's own check ended early: .*malformed.*`,
			`frames, files and snapshots without a board cannot be looked for: .*malformed.*`,
		}},
		{"table damaged", "sqlite", func(d *damaged) { d.overwrite("frames") }, nil},
		{"boards damaged", "sqlite", func(d *damaged) { d.overwrite("boards") }, nil},
		{"end cut off", "sqlite", func(d *damaged) { d.truncate(20_000) }, []string{`cannot be opened: .*malformed.*`}},
		{"head of the file damaged", "sqlite", func(d *damaged) { d.overwrite("sqlite_schema") }, []string{`cannot be opened: .*not a database.*`}},
	}
	onStoredBoards(t, func(t *testing.T, boards *storedBoards) {
		t.Run("none", func(t *testing.T) { verifyWhole(t, boards.copy(t)) })
		t.Run("table gone", func(t *testing.T) {
			d := boards.copy(t)
			d.exec(`DROP TABLE frames`)
			d.db.Close()
			out, stderr := command(t, "verify", "--store", d.store).run(3)
			if !strings.HasPrefix(out, "table frames has no ") || !strings.Contains(stderr, "to its end") {
				t.Errorf("printed:\n%s\ncomplained %q", out, stderr)
			}
		})
		for _, test := range tests {
			if test.engine != "" && test.engine != boards.engine {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				d := boards.copy(t)
				test.damage(d)
				d.db.Close()
				out, stderr := command(t, "verify", "--store", d.store).run(3)
				if stderr != "" {
					t.Errorf("complained %q", stderr)
				}
				d.expect(out, test.want)
				if test.name == "seqs swapped" {
					d.expectJSON()
				}
			})
		}
	})
}

// expect compares the findings in out, unless want is nil, and looks for the verdict.
func (d *damaged) expect(out string, want []string) {
	d.t.Helper()
	names := strings.NewReplacer("LONG", d.long, "SHORT", d.short, "GONE", d.gone)
	printed := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if last := printed[len(printed)-1]; !strings.HasPrefix(last, "DAMAGED: ") {
		d.t.Errorf("printed at the end %q", last)
	}
	found := slices.DeleteFunc(printed, func(line string) bool {
		return regexp.MustCompile(`^(DAMAGED: |.*: checked \d+ boards|\d+ logs could not be folded)`).MatchString(line)
	})
	if want != nil && !slices.EqualFunc(found, want, func(line, pattern string) bool {
		return regexp.MustCompile("^" + names.Replace(pattern) + "$").MatchString(line)
	}) {
		d.t.Errorf("printed:\n%s\nwant %q", out, want)
	}
	if len(found) == 0 {
		d.t.Error("nothing was found")
	}
}

// expectJSON compares what is printed as JSON with itself.
func (d *damaged) expectJSON() {
	d.t.Helper()
	out, _ := command(d.t, "verify", "--store", d.store, "--json").run(3)
	head, last, _ := strings.Cut(out, `{"store":`)
	var end struct {
		Store   string         `json:"store"`
		Summary verify.Summary `json:"summary"`
	}
	if err := json.Unmarshal([]byte(`{"store":`+last), &end); err != nil {
		d.t.Fatalf("%v in:\n%s", err, out)
	}
	findings := decode[verify.Finding](d.t, head)
	if len(findings) == 0 || uint64(len(findings)) != end.Summary.Findings {
		d.t.Errorf("printed:\n%s", out)
	}
	for _, f := range findings {
		if f.What == "" {
			d.t.Errorf("printed:\n%s", out)
		}
	}
}

// verifyWhole checks what is not damaged, and then one board apart from others that are.
func verifyWhole(t *testing.T, d *damaged) {
	t.Helper()
	out, stderr := command(t, "verify", "--store", d.store).run(0)
	if stderr != "" || !regexp.MustCompile(
		`^\S+: checked 3 boards \(1 of them deleted\) with 14 frames of \d+ bytes, 2 snapshots and 3 files of 3\d\d bytes in \d+\.\d s\nno damage found\n$`).MatchString(out) {
		t.Errorf("printed:\n%s\ncomplained %q", out, stderr)
	}
	// Nor is one of a log that was restored under another epoch.
	d.exec(`UPDATE boards SET epoch = id WHERE id = %s`, d.id(d.long))
	for board, frames := range map[string]string{d.long: "9 frames", d.gone: "2 frames"} {
		if out, _ := command(t, "verify", "--store", d.store, board).run(0); !strings.Contains(out, frames) {
			t.Errorf("printed:\n%s", out)
		}
	}
	// Damage elsewhere is not a board's.
	d.exec(`DELETE FROM frames WHERE board_id = %s AND seq < 3`, d.id(d.short))
	command(t, "verify", "--store", d.store, d.long).run(0)
	if out, _ := command(t, "verify", "--store", d.store, "--show", "1", d.short).run(3); !strings.Contains(out, "and so is all up to seq 2") {
		t.Errorf("printed:\n%s", out)
	}
	d.exec(`DELETE FROM boards WHERE id = %s`, d.id(d.long))
	if out, _ := command(t, "verify", "--store", d.store, d.long).run(3); !strings.Contains(out, "there is no such board") {
		t.Errorf("printed:\n%s", out)
	}
	_, stderr = command(t, "verify", "--store", d.store, "01a207ff-cf80-7e86-84ca-b9f95048f11b").run(1)
	if stderr != "collaboard: no such board\n" {
		t.Errorf("complained %q", stderr)
	}
}

// What --heads prints of each board --anchor takes, of one board or of all, and only it tells of what was written anew.
func TestVerifyAnchors(t *testing.T) {
	t.Parallel()
	onStoredBoards(t, func(t *testing.T, boards *storedBoards) {
		d := boards.copy(t)
		verify := func(code int, args ...string) (out, stderr string) {
			t.Helper()
			return command(t, append([]string{"verify", "--store", d.store}, args...)...).run(code)
		}
		out, _ := verify(0, "--heads")
		heads := regexp.MustCompile(`(?m)^[0-9a-f-]{36}@\d+:[0-9a-f]{64}$`).FindAllString(out, -1)
		if len(heads) != 3 {
			t.Fatalf("printed:\n%s", out)
		}
		verify(0, "--anchor", heads[0], "--anchor", heads[1], "--anchor", heads[2])
		if out, _ := verify(0, "--heads", "--json", d.short); !strings.HasPrefix(out, `{"anchor":"`+d.short+`@3:`) {
			t.Errorf("printed:\n%s", out)
		}
		i := slices.IndexFunc(heads, func(head string) bool { return strings.HasPrefix(head, d.long) })
		_, head, _ := strings.Cut(heads[i], "@")
		verify(0, d.long, "--anchor", head)
		for _, args := range [][]string{
			{d.long, "--anchor", head + "0"},
			{d.long, "--anchor", "9"},
			{d.long, "--anchor", "0:" + head[2:]},
			{d.long, "--anchor", "x@" + head},
			{d.short, "--anchor", heads[i]},
			{"--anchor", head},
		} {
			if out, stderr := verify(2, args...); out != "" || !strings.Contains(stderr, "anchor") {
				t.Errorf("%q: printed %q, complained %q", args, out, stderr)
			}
		}

		// The last but one of a name, and all chains behind it.
		chain := [32]byte(d.body(d.long, 2)[len(d.body(d.long, 2))-32:])
		for seq := 3; seq <= 9; seq++ {
			body := d.body(d.long, seq)
			at := len(body) - 35
			if seq == 3 {
				body[at-1] ^= 1
			}
			chain = sha256.Sum256(append(chain[:], body[:at]...))
			d.set(seq, "body", d.bytes(append(body[:at+3], chain[:]...)))
		}
		verify(0)
		verify(0, "--anchor", "2:"+hex.EncodeToString(d.body(d.long, 2)[len(d.body(d.long, 2))-32:]), d.long)
		verify(0, "--anchor", "2:"+base64.StdEncoding.EncodeToString(d.body(d.long, 2)[len(d.body(d.long, 2))-32:]), d.long)
		if out, _ := verify(3, "--anchor", heads[i]); !strings.Contains(out, d.long+"  seq 9: its chain is ") {
			t.Errorf("printed:\n%s", out)
		}
		if out, _ := verify(3, d.long, "--anchor", "10:"+head[2:]); !strings.Contains(out, d.long+"  seq 10: is in an anchor, and the log does not have it") {
			t.Errorf("printed:\n%s", out)
		}
		const nowhere = "01a207ff-cf80-7e86-84ca-b9f95048f11b"
		if out, _ := verify(3, nowhere, "--anchor", head); !strings.Contains(out, nowhere+"  seq 9: is in an anchor, and there is no such board") {
			t.Errorf("printed:\n%s", out)
		}
	})
}

// A log that grows while it is read, and is trimmed, is not damaged.
func TestVerifyBesideAServer(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, store string) {
		t.Helper()
		_, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--store", store, "--snapshot-every", "20", "--retain-log", "300", "--retain-interval", "50ms")
		bench := command(t, "bench", "--server", addr, "--duration", "2s", "--warm-up", "0s", "--boards", "3", "--clients", "8",
			"--kind", "object_update").start()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = bench.cmd.Wait()
		}()
		for checks := 0; ; checks++ {
			out, _ := command(t, "verify", "--store", store).run(0)
			if !strings.Contains(out, "no damage found") {
				t.Errorf("printed:\n%s", out)
			}
			select {
			case <-ended:
				t.Logf("%d checks; the last: %s", checks+1, out)
				return
			default:
			}
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

// Who only checks makes nothing and changes nothing.
func TestVerifyMakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing, empty := filepath.Join(dir, "missing.db"), filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	database := pgtest.New(t, nil).URL("postgres")
	for store, want := range map[string]string{
		"sqlite:" + missing: `no such file or directory`,
		"sqlite:" + empty:   `there are no boards in it: no server has been there yet`,
		"sqlite:" + dir:     `it is a directory`,
		database:            `there are no boards in it: no server has been there yet`,
	} {
		_, stderr := command(t, "verify", "--store", store).run(1)
		if !regexp.MustCompile(`^collaboard: cannot open the store \S+: ` + want + `\n$`).MatchString(stderr) {
			t.Errorf("%s: complained %q", store, stderr)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("files are %v (%v)", files, err)
	}
	if info, err := os.Stat(empty); err != nil || info.Size() != 0 {
		t.Errorf("the empty file is %v (%v)", info, err)
	}
	var tables int
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables > 0 {
		t.Errorf("%d tables (%v)", tables, err)
	}
}
