package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "collaboard-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // for the test that runs it as somebody else
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		binary = filepath.Join(dir, "collaboard")
		args := []string{"build", "-o", binary}
		if raceEnabled {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// patience is how long an event is waited for that should come at once.
const patience = 60 * time.Second

// program is a command, before it is run or while it runs.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *lines
	err   *lines
}

// command returns the program with these arguments, in a directory of its own and without our environment.
func command(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	return commandUntil(ctx, t, args...)
}

// commandUntil is command for a program that may run until ctx ends: a server is there for as long as its test, which may
// have to wait for others.
func commandUntil(ctx context.Context, t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.CommandContext(ctx, binary, args...), out: newLines(), err: newLines()}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + p.cmd.Dir}
	return p
}

func (p *program) env(vars ...string) *program {
	p.cmd.Env = append(p.cmd.Env, vars...)
	return p
}

// start runs the program until the test ends, if it does not end before.
func (p *program) start() *program {
	p.t.Helper()
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if p.t.Failed() {
			p.t.Logf("%s\nstdout:\n%s\nstderr:\n%s", strings.Join(p.cmd.Args[1:], " "), p.out, p.err)
		}
	})
	return p
}

func (p *program) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %v: %v", sig, err)
	}
}

// wait returns the exit code.
func (p *program) wait() int {
	p.t.Helper()
	_ = p.stdin.Close()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs the program to its end, and fails the test if the exit code is another one.
func (p *program) run(wantCode int) (stdout, stderr string) {
	p.t.Helper()
	code := p.start().wait()
	if code != wantCode {
		p.t.Fatalf("%v: exit code %d, want %d", p.cmd.Args[1:], code, wantCode)
	}
	return p.out.String(), p.err.String()
}

// lines is output that can be waited for.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced with each write
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await returns the first n whole lines that match.
func (l *lines) await(t *testing.T, pattern string, n int) []string {
	t.Helper()
	match := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		changed, text := l.changed, l.text.String()
		l.mu.Unlock()
		var found []string
		for line := range strings.Lines(text) {
			if line, whole := strings.CutSuffix(line, "\n"); whole && match.MatchString(line) {
				found = append(found, line)
			}
		}
		if len(found) >= n {
			return found[:n]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %d lines like %s in:\n%s", n, pattern, text)
		}
	}
}

// serve starts a server on a store in dir, and returns it with its address.
func serve(t *testing.T, dir, addr string, args ...string) (*program, string) {
	t.Helper()
	p := commandUntil(context.Background(), t, append([]string{
		"serve", "--addr", addr, "--store", "sqlite:" + filepath.Join(dir, "test.db"), "--log-format", "json",
	}, args...)...).start()
	var record struct {
		Addr string `json:"addr"`
	}
	if err := json.Unmarshal([]byte(p.err.await(t, `"msg":"listening"`, 1)[0]), &record); err != nil {
		t.Fatal(err)
	}
	return p, record.Addr
}

// setup starts a server, and returns a function that makes commands for it, and a board.
func setup(t *testing.T) (cli func(args ...string) *program, board string) {
	t.Helper()
	_, addr := serve(t, t.TempDir(), "127.0.0.1:0")
	cli = func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
	out, _ := cli("board", "create", "test").run(0)
	return cli, strings.TrimSpace(out)
}

// withInput runs the program on input.
func (p *program) withInput(input string, wantCode int) (stdout, stderr string) {
	p.t.Helper()
	p.start()
	if _, err := io.WriteString(p.stdin, input); err != nil && !errors.Is(err, syscall.EPIPE) {
		p.t.Fatal(err)
	}
	if code := p.wait(); code != wantCode {
		p.t.Fatalf("%v: exit code %d, want %d", p.cmd.Args[1:], code, wantCode)
	}
	return p.out.String(), p.err.String()
}

// decode reads JSON lines.
func decode[T any](t *testing.T, text string) []T {
	t.Helper()
	var all []T
	scanner := bufio.NewScanner(strings.NewReader(text))
	scanner.Buffer(nil, 1<<24)
	for scanner.Scan() {
		var v T
		if err := json.Unmarshal(scanner.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", scanner.Bytes(), err)
		}
		all = append(all, v)
	}
	return all
}

func TestEveryFlagHasAVariable(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commands{}, kong.Name("collaboard"), kong.Vars{"version": "test"}, environment())
	if err != nil {
		t.Fatal(err)
	}
	var visit func(node *kong.Node)
	visit = func(node *kong.Node) {
		seen := map[string]bool{}
		for _, flag := range node.Flags {
			if flag.Name == "help" || flag.Name == "version" {
				continue
			}
			if len(flag.Envs) != 1 || !regexp.MustCompile(`^COLLABOARD_[A-Z0-9_]+$`).MatchString(flag.Envs[0]) || seen[flag.Envs[0]] {
				t.Errorf("%s --%s has variables %q", node.FullPath(), flag.Name, flag.Envs)
			} else {
				seen[flag.Envs[0]] = true
			}
			if flag.Help == "" {
				t.Errorf("%s --%s has no help", node.FullPath(), flag.Name)
			}
		}
		for _, child := range node.Children {
			visit(child)
		}
	}
	visit(parser.Model.Node)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"--help"},
		{"serve", "--help"},
		{"board", "--help"},
		{"board", "create", "--help"},
		{"tail", "--help"},
		{"send", "--help"},
		{"bench", "--help"},
		{"bench", "run", "--help"},
		{"bench", "store", "--help"},
		{"verify", "--help"},
		{"doctor", "--help"},
		{"backup", "--help"},
		{"restore", "--help"},
		{"renew-epochs", "--help"},
	} {
		if out, _ := command(t, args...).run(0); !strings.Contains(out, "Usage: collaboard") {
			t.Errorf("%q printed %q", args, out)
		}
	}
	for want, args := range map[string][]string{
		"Exit codes: 0":              {"--help"},
		"collaboard bench run --h":   {"bench", "--help"},
		"--in-flight":                {"bench", "run", "--help"},
		"stay in the database":       {"bench", "store", "--help"},
		"3 when there is damage":     {"verify", "--help"},
		"1 when one fails":           {"doctor", "--help"},
		"when the store is damaged":  {"backup", "--help"},
		"when the backup is damaged": {"restore", "--help"},
		"refuses while a server is":  {"renew-epochs", "--help"},
	} {
		out, _ := command(t, args...).run(0)
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%q does not say %q:\n%s", args, want, out)
		}
	}
}

// Whoever uses the command for the first time should be told in a line what is wrong, and what to do.
func TestErrors(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, t.TempDir(), "127.0.0.1:0")
	missing := "01a207ff-cf80-7e86-84ca-b9f95048f11b"
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("this is no database, and long enough to be told from an empty one"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := func(args ...string) []string { return append([]string{"serve", "--addr", "127.0.0.1:0"}, args...) }
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"bored"}, 2, `unexpected argument bored, did you mean "board"\? \(see collaboard --help\)`},
		{[]string{"board", "create"}, 2, `expected "<name>" \(see collaboard board create --help\)`},
		{[]string{"board", "get", "x"}, 2, `<board>: "x" is not a board's id; "collaboard board list" shows them \(see .*\)`},
		{[]string{"board", "get", missing}, 1, `no such board`},
		{[]string{"board", "create", ""}, 2, `<name>: a name cannot be empty \(see collaboard board create --help\)`},
		{[]string{"board", "savepoint", "set", missing, ""}, 2, `<name>: a name cannot be empty \(see collaboard board savepoint set --help\)`},
		{[]string{"board", "rename", missing, strings.Repeat("ä", 201)}, 2, `<name>: a name of 201 characters is longer than 200 .*`},
		{[]string{"board", "retain", missing, "2w"}, 2, `<keep>: "2w" is not "forever", a number of frames as in 100000, or an age as in 30d or 12h .*`},
		{[]string{"board", "retain", missing, "30d"}, 1, `no such board`},
		{[]string{"serve", "--addr", ":0"}, 2, `--addr :0: other machines could reach a server that asks nobody who they are; .* --insecure`},
		{[]string{"serve", "--auth", "jwt", "--auth-issuer", "https://x.example"}, 2, `serve: --auth jwt needs --auth-issuer and --auth-audience.*`},
		{[]string{"serve", "--auth-issuer", "https://x.example"}, 2, `serve: --auth-issuer, .* are for --auth jwt.*`},
		{server("--auth", "jwt", "--auth-issuer", "x", "--auth-audience", "x", "--auth-keys", "nowhere"), 1, `cannot read --auth-keys: .*`},
		{server("--auth", "jwt", "--auth-issuer", "http://x.example", "--auth-audience", "x"), 1, `--auth jwt: .* must begin with https://.*`},
		{[]string{"serve", "--retain-log", "0"}, 2, `--retain-log: "0" is not "forever", .*`},
		{[]string{"serve", "--retain-interval", "0s"}, 2, `serve: --retain-interval must be greater than 0 .*`},
		{[]string{"send", missing, "--retry"}, 1, `no such board`},
		{[]string{"board", "list", "--ca", "x"}, 2, `--ca is of no use without --tls`},
		{[]string{"board", "list", "--tls", "--ca", "nowhere"}, 1, `cannot read nowhere: no such file or directory`},
		{[]string{"board", "list", "--tls", "--ca", file}, 1, file + ` holds no certificate in PEM form`},
		{[]string{"board", "list", "--tls"}, 1, `no TLS connection to ` + addr + `: first record does not look like a TLS handshake`},
		{[]string{"bench", "--decode"}, 2, `.*--decode needs --subscribers, which are who decodes .*`},
		{[]string{"tail", missing}, 1, `no such board`},
		{[]string{"tail", "--follow", missing}, 1, `no such board`},
		{[]string{"send", missing, "--file", "nowhere"}, 1, `cannot read nowhere: no such file or directory`},
		{[]string{"board", "list", "--server", "localhost"}, 2, `--server localhost: must be HOST:PORT, as in 127.0.0.1:8080`},
		{
			[]string{"board", "list", "--server", "127.0.0.1:1"},
			1,
			`cannot reach a server at 127.0.0.1:1 \(connection refused\): start one with "collaboard serve", or name another with --server`,
		},
		{[]string{"tail", missing, "--follow", "--server", "127.0.0.1:1"}, 1, `cannot reach a server at 127.0.0.1:1 .*`},
		{[]string{"send", missing, "--retry", "--server", "127.0.0.1:1"}, 1, `cannot reach a server at 127.0.0.1:1 .*`},
		{[]string{"bench", "--server", "127.0.0.1:1"}, 1, `cannot reach a server at 127.0.0.1:1 .*`},
		{[]string{"bench", "--clients", "0"}, 2, `.*--clients must be from 1 to 65535.*`},
		{[]string{"serve", "--addr", addr}, 1, `cannot listen on ` + addr + `: address already in use: choose another address with --addr`},
		{[]string{"serve", "--addr", "here"}, 2, `--addr here: must be HOST:PORT, as in .*`},
		{server("--store", "mysql://x"), 2, `--store must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE`},
		{server("--store", "sqlite:"), 2, `--store sqlite: needs the path of a file, .*`},
		{server("--store", "postgres:x"), 2, `--store: not a postgres:// URL; .*`},
		{server("--store", "sqlite:nowhere/x.db"), 1, `cannot open the store sqlite:nowhere/x.db: there is no directory nowhere`},
		{server("--store", "sqlite:"+file), 1, `cannot open the store sqlite:` + file + `: file is not a database.*`},
		{server("--store", "sqlite:"+file+"/x"), 1, `cannot open the store .*: ` + file + ` is not a directory`},
		{server("--store", "sqlite:."), 1, `cannot open the store sqlite:.: it is a directory`},
		{[]string{"verify", "--store", "mysql://x"}, 2, `--store must be sqlite:PATH or .*`},
		{[]string{"verify", "--show", "0"}, 2, `.*--show must be greater than 0.*`},
		{[]string{"doctor", "--store", "mysql://x"}, 2, `--store must be sqlite:PATH or .*`},
		{[]string{"doctor", "--postgres-conns", "0"}, 2, `.*--postgres-conns must be greater than 0.*`},
		{[]string{"backup"}, 2, `expected "<file>" \(see collaboard backup --help\)`},
		{[]string{"backup", "new.db", "--store", "mysql://x"}, 2, `--store must be sqlite:PATH or .*`},
		{[]string{"backup", "new.db", "--store", "postgres://me:pa55word@127.0.0.1:1/db"}, 2, `backup is for SQLite; for PostgreSQL use pg_dump .*`},
		{[]string{"backup", "new.db", "--store", "sqlite:nowhere.db"}, 1, `cannot open the store sqlite:nowhere.db: no such file or directory`},
		{[]string{"restore", "x", "--store", "postgres://me:pa55word@127.0.0.1:1/db"}, 2, `restore is for SQLite; .* renew-epochs .*`},
		{[]string{"restore", "nowhere.db"}, 1, `cannot open the store nowhere.db: no such file or directory`},
		{[]string{"renew-epochs", "--store", "sqlite:nowhere.db"}, 1, `cannot open the store sqlite:nowhere.db: no such file or directory`},
		{[]string{"renew-epochs", "--store", "postgres://me:pa55word@127.0.0.1:1/db"}, 1, `cannot open the store .*: connection refused`},
		{[]string{"verify", "x"}, 2, `\[<board>\]: "x" is not a board's id; .*`},
		{[]string{"verify", "--store", "postgres://me:pa55word@127.0.0.1:1/db"}, 1, `cannot open the store .*: connection refused`},
		{server("--in-flight-bytes", "lots"), 2, `.*"lots" is not a size, as in 65536, 64KiB or 1MiB.*`},
		{server("--tail-bytes", "0"), 2, `.*--tail-bytes must be greater than 0.*`},
		{
			server("--store", "postgres://me:pa55word@127.0.0.1:1/db"), 1,
			`cannot open the store postgres://me:xxxxx@127.0.0.1:1/db: connection refused`,
		},
		{server("--store", "postgres://me:pa55@word@127.0.0.1:1/db"), 2, `--store: more than one @ .*; percent-encode .*%40`},
		{server("--store", "postgres://me:word@pa55:word@127.0.0.1:1/db"), 2, `--store: more than one @ .*`},
		{server("--store", "postgres://me:pa55/word@127.0.0.1:1/db"), 2, `--store: not a postgres:// URL; .*`},
		{server("--store", "postgres://me:pa55#word@127.0.0.1:1/db"), 2, `--store: not a postgres:// URL; .*`},
		{server("--store", "postgres://me:1?pa55word@127.0.0.1:1/db"), 2, `--store: not a postgres:// URL; .*`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			out, stderr := command(t, test.args...).env("COLLABOARD_SERVER=" + addr).run(test.code)
			if out != "" {
				t.Errorf("printed %q", out)
			}
			if !regexp.MustCompile(`^collaboard: ` + test.want + `\n$`).MatchString(stderr) {
				t.Errorf("complained %q, want %s", stderr, test.want)
			}
			if strings.Contains(stderr, "pa55") {
				t.Errorf("showed the password: %q", stderr)
			}
		})
	}
}

func TestUnwritableDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	p := command(t, "serve", "--addr", "127.0.0.1:0", "--store", "sqlite:"+filepath.Join(dir, "test.db"))
	if os.Geteuid() == 0 { // who may write everywhere
		p.cmd.Dir = "/"
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	_, stderr := p.run(1)
	if !regexp.MustCompile(`^collaboard: cannot open the store sqlite:.*permission denied\n$`).MatchString(stderr) {
		t.Errorf("complained %q", stderr)
	}
}

func TestBoards(t *testing.T) {
	t.Parallel()
	cli, first := setup(t)
	out, _ := cli("board", "create", "two words").run(0)
	second := strings.TrimSpace(out)

	type board struct{ ID, Name string }
	list := func() []board {
		out, _ := cli("board", "list", "--json").run(0)
		return decode[board](t, out)
	}
	if diff := cmp.Diff([]board{{second, "two words"}, {first, "test"}}, list()); diff != "" {
		t.Error(diff)
	}
	out, _ = cli("board", "list").run(0)
	want := `^ID +NAME +HEAD +OBJECTS +UPDATED\n` + second + `  two words  0     0        \S+Z\n` + first + `  test       0     0        \S+Z\n$`
	if !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("listed:\n%s", out)
	}
	if out, _ := cli("board", "rename", first, "renamed").run(0); out != "" {
		t.Errorf("rename printed %q", out)
	}
	cli("board", "delete", second).run(0)
	if diff := cmp.Diff([]board{{first, "renamed"}}, list()); diff != "" {
		t.Error(diff)
	}
	cli("board", "undelete", second).run(0)
	if len(list()) != 2 {
		t.Error("undelete did not bring the board back")
	}
	out, _ = cli("board", "get", first).run(0)
	if !regexp.MustCompile(`(?m)^id +` + first + `\nname +renamed\nowner +anonymous\nepoch .*\nlog +empty\nkept +as the server says\n`).MatchString(out) {
		t.Errorf("got:\n%s", out)
	}
	for _, keep := range []string{"30d", "100000", "forever", "default"} {
		cli("board", "retain", first, keep).run(0)
		want := keep
		if keep == "default" {
			want = "as the server says"
		}
		if out, _ := cli("board", "get", first).run(0); !strings.Contains(out, "\nkept     "+want+"\n") {
			t.Errorf("keeps %s:\n%s", keep, out)
		}
	}
	out, _ = cli("board", "get", "--json", first).run(0)
	if diff := cmp.Diff([]board{{first, "renamed"}}, decode[board](t, out)); diff != "" {
		t.Error(diff)
	}
	listed, _ := cli("board", "list", "--json").run(0)
	for _, text := range []string{out, listed} {
		if !strings.Contains(text, `"headSeq":"0"`) || !strings.Contains(text, `"objectCount":"0"`) {
			t.Errorf("left out what is 0: %s", text)
		}
	}
	cli("send", first).withInput(chat(1), 0)
	out, _ = cli("board", "list", "--long").run(0)
	want = `^ID +NAME +FIRST +HEAD +OBJECTS +LOG +SNAPSHOTS +FILES +UPDATED\n` + second + `  two words  1      0     0        0    0          0      \S+Z\n` +
		first + `  renamed    1      1     0        \d{3}  0          0      \S+Z\n$`
	if !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("listed at length:\n%s", out)
	}
	out, _ = cli("board", "list", "--long", "--json").run(0)
	type usage struct {
		Board    board
		LogBytes string
	}
	if all := decode[usage](t, out); len(all) != 2 || all[1].Board.Name != "renamed" || len(all[1].LogBytes) != 3 || all[0].LogBytes != "0" {
		t.Errorf("listed at length:\n%s", out)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"zoë's": "zoë's", "two\nlines": `"two\nlines"`, "\x1b[2J": `"\x1b[2J"`} {
		if got := printable(name); got != want {
			t.Errorf("%q is shown as %s", name, got)
		}
	}
}

// A list goes on over pages of a thousand.
func TestListPages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes a thousand boards")
	}
	cli, _ := setup(t)
	const boards = 1003
	cli("bench", "--boards", fmt.Sprint(boards-1), "--clients", "1", "--duration", "2s", "--warm-up", "0s", "--keep", "--json").run(0)
	out, _ := cli("board", "list").run(0)
	if got := strings.Count(out, "\n") - 1; got != boards {
		t.Errorf("listed %d boards, want %d", got, boards)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	cli, _ := setup(t)
	out, _ := cli("board", "create", "x", "--user", "zoë 100%").run(0)
	out, _ = cli("board", "get", "--json", strings.TrimSpace(out)).run(0)
	if got := decode[struct{ Owner string }](t, out)[0].Owner; got != "zoë 100%" {
		t.Errorf("owner is %q", got)
	}
}
