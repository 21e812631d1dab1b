package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestGoingBack: a board is drawn on, and brought back to a seq, a time, and from that; an object alone; and a frame is taken
// back but for what was set since.
func TestGoingBack(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	const object = "01a207ff-cf80-7e86-84ca-b9f95048f11b"
	cli("send", board).withInput(`{"objectCreate":{"object":{"id":"`+object+`","kind":"rectangle"}}}`+"\n", 0)
	cli("send", board).withInput(`{"objectUpdate":{"id":"`+object+`","x":1,"y":1}}
{"objectUpdate":{"id":"`+object+`","x":2}}
{"objectDelete":{"id":"`+object+`"}}
`, 0)
	type frame struct {
		Seq         string
		Time        time.Time
		ObjectBatch *struct {
			RestoredSeq, RevertedSeq string
			Ops                      []struct{ Update map[string]any }
		}
	}
	tail := func() []frame {
		out, _ := cli("tail", board).run(0)
		return decode[frame](t, out)
	}
	first := tail()[0].Time.Format(time.RFC3339Nano)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"revert", board, "2"}, "objects changed: 1, seq: 5\nleft alone: " + object + " x\n"},
		{[]string{"restore", board, "3"}, "objects changed: 1, seq: 6, before: 5\n"},
		{[]string{"restore", board, "3"}, "objects changed: 0, seq: 6\n"},
		{[]string{"restore", board, "0"}, "objects changed: 1, seq: 7, before: 6\n"},
		{[]string{"restore", board, first, "--object", object}, "objects changed: 1, seq: 8, before: 7\n"},
	} {
		if out, _ := cli(append([]string{"board"}, step.args...)...).run(0); out != step.want {
			t.Errorf("%v printed %q, want %q", step.args, out, step.want)
		}
	}
	frames := tail()
	if b := frames[4].ObjectBatch; b.RevertedSeq != "2" || b.Ops[0].Update["y"] != 0.0 || b.Ops[0].Update["x"] != nil {
		t.Errorf("the fifth frame is %+v", b)
	}
	if b := frames[5].ObjectBatch; b.RestoredSeq != "3" {
		t.Errorf("the sixth frame is %+v", b)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"restore", board, "yesterday"}, 1, `"yesterday" is no savepoint of the board, no seq, no time, .*`},
		{[]string{"restore", board, "1h"}, 1, `the board did not exist then: it was made at \S+Z`},
		{[]string{"restore", board, "99"}, 1, `the log ends at seq 8`},
		{[]string{"restore", board, "1", "--object", board}, 1, `object_id: object ` + board + ` was never on the board`},
		{[]string{"restore", board, "1", "--object", ""}, 1, `object_id: .*empty.*`},
		{[]string{"restore", object, "1"}, 1, `no such board`},
		{[]string{"revert", board, "99"}, 1, `.*`},
	} {
		_, stderr := cli(append([]string{"board"}, test.args...)...).run(test.code)
		if !regexp.MustCompile(`^collaboard: ` + test.want + `\n$`).MatchString(stderr) {
			t.Errorf("%v complained %q", test.args, stderr)
		}
	}
}

func TestSavepointCommands(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	cli("send", board).withInput(chat(1)+chat(2)+chat(3), 0)
	if out, _ := cli("board", "savepoint", "set", board, "the end").run(0); out != "3\n" {
		t.Errorf("set printed %q", out)
	}
	cli("board", "savepoint", "set", board, "two\nlines", "--seq", "2", "--user", "zoë").run(1) // nor can a board be called so
	cli("board", "savepoint", "set", board, "first", "--seq", "1", "--user", "zoë").run(0)
	out, _ := cli("board", "savepoint", "list", board).run(0)
	if want := `^SEQ +TIME +NAME +BY\n3    \S+Z  the end  anonymous\n1    \S+Z  first    zoë\n$`; !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("listed:\n%s", out)
	}
	if _, stderr := cli("board", "savepoint", "set", board, "nothing", "--seq", "0").run(2); !strings.Contains(stderr, "after a frame") {
		t.Errorf("complained %q", stderr)
	}
	if out, _ := cli("board", "restore", board, "first").run(0); out != "objects changed: 0, seq: 3\n" {
		t.Errorf("restore printed %q", out)
	}
	fork, _ := cli("board", "fork", board, "--at", "first", "--name", "copy").run(0)
	if out, _ := cli("tail", strings.TrimSpace(fork)).run(0); out != "" { // chat has no part in it
		t.Errorf("the fork has %s", out)
	}
	cli("board", "savepoint", "delete", board, "3").run(0)
	if _, stderr := cli("board", "savepoint", "delete", board, "3").run(1); stderr != "collaboard: the board has no savepoint at seq 3\n" {
		t.Errorf("complained %q", stderr)
	}
	type savepoint struct{ Seq, Name, CreatedBy string }
	out, _ = cli("board", "savepoint", "list", "--json", board).run(0)
	if diff := cmp.Diff([]savepoint{{"1", "first", "zoë"}}, decode[savepoint](t, out)); diff != "" {
		t.Error(diff)
	}
}
