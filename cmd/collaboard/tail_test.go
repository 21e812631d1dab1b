package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frame is what the tests look at of a frame.
type frame struct {
	ID, ParentID, BoardID string
	Seq                   string // as JSON has 64-bit numbers
	Status                string
	Ack                   *struct{ Duplicate bool }
	Error                 *struct{ Code string }
	ChatMessage           *struct{ Text string }
}

func chat(n int) string { return fmt.Sprintf(`{"chatMessage":{"text":"message %d"}}`+"\n", n) }

func seqs(frames []frame) (all []string) {
	for _, f := range frames {
		all = append(all, f.Seq)
	}
	return all
}

func TestTail(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	cli("send", board).withInput(chat(1)+chat(2)+chat(3), 0)

	out, _ := cli("tail", board).run(0)
	frames := decode[frame](t, out)
	if diff := cmp.Diff([]string{"1", "2", "3"}, seqs(frames)); diff != "" {
		t.Error(diff)
	}
	if f := frames[1]; f.ChatMessage.Text != "message 2" || f.BoardID != board || f.Status != "STATUS_EVENT" || f.ID == "" {
		t.Errorf("frame is %+v", f)
	}
	if strings.Contains(out, `": `) || strings.Contains(out, `, "`) {
		t.Errorf("not compact: %s", out)
	}
	out, _ = cli("tail", board, "--after", "2").run(0)
	if diff := cmp.Diff([]string{"3"}, seqs(decode[frame](t, out))); diff != "" {
		t.Error(diff)
	}
	if out, _ := cli("tail", board, "--after", "3").run(0); out != "" {
		t.Errorf("printed %q at the head", out)
	}
	for _, args := range [][]string{{"--after", "4"}, {"--after", "4", "--follow"}} {
		_, stderr := cli(append([]string{"tail", board}, args...)...).run(1)
		if stderr != "collaboard: --after 4 is ahead of the log, which ends at seq 3\n" {
			t.Errorf("complained %q", stderr)
		}
	}
}

func TestTailFilters(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	const object = "6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01"
	cli("send", board, "--user", "ada").withInput(
		`{"objectCreate":{"object":{"id":"`+object+`","kind":"line"}}}`+"\n"+chat(2)+`{"objectUpdate":{"id":"`+object+`","x":1}}`+"\n", 0)
	cli("send", board, "--user", "bob").withInput(chat(4)+`{"objectDelete":{"id":"`+object+`"}}`+"\n", 0)
	for _, test := range []struct {
		args string
		want []string
	}{
		{"--from bob", []string{"4", "5"}},
		{"--object " + object, []string{"1", "3", "5"}},
		{"--object " + object + " --from ada --after 1", []string{"3"}},
		{"--kind chat_message,object_delete", []string{"2", "4", "5"}},
		{"--kind chat_message --kind object_delete --from eve", nil},
		{"--since 1h", []string{"1", "2", "3", "4", "5"}},
		{"--since 2999-01-01T00:00:00Z", nil},
		{"--until 2999-01-01T00:00:00.5Z --kind chat_message", []string{"2", "4"}},
	} {
		out, _ := cli(append([]string{"tail", board}, strings.Fields(test.args)...)...).run(0)
		if diff := cmp.Diff(test.want, seqs(decode[frame](t, out))); diff != "" {
			t.Errorf("%s: %s", test.args, diff)
		}
	}
	if _, stderr := cli("tail", board, "--since", "1h", "--until", "2h").run(1); !strings.Contains(stderr, "to_time") {
		t.Errorf("complained %q", stderr)
	}
	for args, want := range map[string]string{
		"--since yesterday":   "neither a time",
		"--since 1h --follow": "can't be used together",
		"-f --object x":       "can't be used together",
	} {
		if _, stderr := cli(append([]string{"tail", board}, strings.Fields(args)...)...).run(2); !strings.Contains(stderr, want) {
			t.Errorf("%s: complained %q", args, stderr)
		}
	}
}

func TestTailIntoClosedPipe(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	cli("send", board).withInput(chat(1), 0)
	for _, args := range [][]string{{"tail", board}, {"tail", "--follow", board}, {"board", "list"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		p := cli(args...)
		p.cmd.Stdout, p.cmd.Stderr = w, p.err
		if err := p.cmd.Run(); err != nil {
			t.Errorf("%v: %v: %s", args, err, p.err)
		}
		w.Close()
		if p.err.String() != "" {
			t.Errorf("%v: complained %q", args, p.err)
		}
	}
}

// Whoever stops reading need not wait for the next frame to get rid of it.
func TestTailFollowReaderLeaves(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	cli("send", board).withInput(chat(1), 0)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := cli("tail", "--follow", board)
	p.cmd.Stdout, p.cmd.Stderr = w, p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || !strings.Contains(line, "message 1") {
		t.Errorf("read %q, %v", line, err)
	}
	r.Close()
	if err := p.cmd.Wait(); err != nil || p.err.String() != "" {
		t.Errorf("%v, complained %q", err, p.err)
	}
}

func TestTailFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, addr := serve(t, dir, "127.0.0.1:0")
	cli := func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
	out, _ := cli("board", "create", "x").run(0)
	board := strings.TrimSpace(out)
	cli("send", board).withInput(chat(1)+chat(2), 0)

	follower := cli("tail", "--follow", "--after", "1", board).start()
	follower.out.await(t, "message 2", 1)
	cli("send", board).withInput(chat(3), 0)
	follower.out.await(t, "message 3", 1)

	// Killed and started again, and again: each time it goes on where it was.
	want := []string{"2", "3"}
	for n := 4; n <= 6; n++ {
		server.signal(syscall.SIGKILL)
		server.wait()
		follower.err.await(t, `^collaboard: the connection to .* was lost: reconnecting$`, n-3)
		server, _ = serve(t, dir, addr)
		cli("send", board).withInput(chat(n), 0)
		follower.out.await(t, fmt.Sprintf("message %d", n), 1)
		follower.err.await(t, `^collaboard: connected again$`, n-3)
		want = append(want, fmt.Sprint(n))
	}
	// A server that is drained, too.
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("server ended with %d", code)
	}
	follower.err.await(t, `^collaboard: the server is shutting down: .*: reconnecting$`, 1)
	serve(t, dir, addr)
	cli("send", board).withInput(chat(7), 0)
	follower.out.await(t, "message 7", 1)

	follower.signal(syscall.SIGINT)
	if code := follower.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if diff := cmp.Diff(append(want, "7"), seqs(decode[frame](t, follower.out.String()))); diff != "" {
		t.Error(diff)
	}
}

// A database that was restored from a backup has lost frames that the follower has printed.
func TestTailFollowRestoredBoard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	database := filepath.Join(dir, "test.db")
	server, addr := serve(t, dir, "127.0.0.1:0")
	cli := func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
	out, _ := cli("board", "create", "x").run(0)
	board := strings.TrimSpace(out)
	cli("send", board).withInput(chat(1), 0)
	stop := func() {
		server.signal(syscall.SIGTERM)
		if code := server.wait(); code != 0 {
			t.Errorf("server ended with %d", code)
		}
	}
	stop()
	backup, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	server, _ = serve(t, dir, addr)
	cli("send", board).withInput(chat(2), 0)
	follower := cli("tail", "--follow", board).start()
	follower.out.await(t, "message 2", 1)
	stop()
	if err := os.WriteFile(database, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, addr)
	if code := follower.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	follower.err.await(t, `^collaboard: the log does not go on after seq 2: it was trimmed or restored from a backup; `+
		`"collaboard board get `+board+`" shows where it is$`, 1)
}

func TestTailFollowDeletedBoard(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	cli("send", board).withInput(chat(1), 0)
	follower := cli("tail", "--follow", board).start()
	follower.out.await(t, "message 1", 1)
	cli("board", "delete", board).run(0)
	if code := follower.wait(); code != 1 || follower.err.String() != "collaboard: the board was deleted\n" {
		t.Errorf("exit code %d, complained %q", code, follower.err)
	}
}
