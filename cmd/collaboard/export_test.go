package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// boardsAt is the server's BoardService.
func boardsAt(t *testing.T, addr string) collaboardv1.BoardServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return collaboardv1.NewBoardServiceClient(conn)
}

// anyFrames are n random frames as JSON lines, some of which are refused; and objects that name a file.
func anyFrames(n int, sha256 string) string {
	var lines strings.Builder
	objects := []string{uuid.NewString()}
	object := func() string { return objects[rand.N(len(objects))] }
	create := func(props string) string {
		objects = append(objects, uuid.NewString())
		return fmt.Sprintf(`"objectCreate":{"object":{"id":%q,"kind":"line","x":%v,"props":{%s}}}`, objects[len(objects)-1], rand.Float64(), props)
	}
	for i := range n {
		var payload string
		switch rand.N(7) {
		case 0:
			payload = create(`"fileSha256":"` + sha256 + `"`)
		case 1:
			payload = create(`"name":"` + strings.Repeat("0", 64) + `","list":[1,null,{"a":"<ä>"}]`)
		case 2:
			payload = fmt.Sprintf(`"objectUpdate":{"id":%q,"y":%v,"zIndex":"","props":{"gone":null,"n":%d}}`, object(), -rand.Float64(), i)
		case 3:
			payload = fmt.Sprintf(`"objectDelete":{"id":%q}`, object())
		case 4:
			payload = fmt.Sprintf(`"objectBatch":{"ops":[{"update":{"id":%q,"deleted":false}},{"update":{"id":%q,"width":3}}]}`, object(), object())
		case 5:
			payload = `"custom":{"type":"t","data":"AAEC/w=="}`
		default:
			payload = `"chatMessage":{"text":"\u2028 \\ <&> \u0001 ` + fmt.Sprint(i) + `"}`
		}
		lines.WriteString("{" + payload + "}\n")
	}
	return lines.String()
}

var ownOfBoard = regexp.MustCompile(`"(board_id|epoch)":"[-0-9a-f]{36}"`)

func withoutOwn(export string) string { return ownOfBoard.ReplaceAllString(export, `"$1":""`) }

// What is exported and imported is exported as the same bytes again, by another server, too.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	_, from := serve(t, t.TempDir(), "127.0.0.1:0")
	_, to := serve(t, t.TempDir(), "127.0.0.1:0")
	at := func(addr string, args ...string) *program { return command(t, append(args, "--server", addr)...) }
	dir := t.TempDir()
	content := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{0, 1, 255}, 1<<20)...)
	for n := range 4 {
		out, _ := at(from, "board", "create", fmt.Sprintf("board %d <ü>", n)).run(0)
		board := strings.TrimSpace(out)
		file, err := boardsAt(t, from).UploadFile(context.Background(), &collaboardv1.UploadFileRequest{
			BoardId: board, Content: content, MediaType: "image/png",
		})
		if err != nil {
			t.Fatal(err)
		}
		code := 1 // some are refused
		if n == 0 {
			code = 0
		}
		at(from, "send", board, "--user", "ada", "--display-name", "Ada").withInput(anyFrames(100*n, file.GetSha256()), code)

		path := filepath.Join(dir, fmt.Sprint(n))
		at(from, "export", board, path).run(0)
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if printed, _ := at(from, "export", board).run(0); printed != string(first) {
			t.Error("what is printed is not what is written")
		}
		if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		for _, addr := range []string{from, to} {
			out, _ := at(addr, "import", path).run(0)
			second, _ := at(addr, "export", strings.TrimSpace(out)).run(0)
			if withoutOwn(second) != withoutOwn(string(first)) || second == string(first) {
				t.Errorf("the export of an import is another, of %d bytes in the place of %d:\n%.500s\n%.500s", len(second), len(first), second, first)
			}
		}
		if has := strings.Contains(string(first), `{"file":{"sha256":"`+file.GetSha256()); has != (n > 0) {
			t.Errorf("the file is exported: %v", has)
		}
	}
	out, _ := at(to, "import", filepath.Join(dir, "1"), "--name", "another").run(0)
	if got, _ := at(to, "board", "get", strings.TrimSpace(out)).run(0); !strings.Contains(got, "name     another\n") {
		t.Error(got)
	}
	first, err := os.ReadFile(filepath.Join(dir, "2"))
	if err != nil {
		t.Fatal(err)
	}
	at(to, "import", "-").withInput(strings.ReplaceAll(string(first), "\n", "\r\n\r\n"), 0) // as it may come from elsewhere
}

// Whatever is wrong with a file, one line says it, and there is no board.
func TestImportComplains(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	cli("send", board).withInput(chat(1)+chat(2)+`{"objectCreate":{"object":{"id":"6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01","kind":"line"}}}`+"\n", 0)
	good, _ := cli("export", board).run(0)
	lines := strings.SplitAfter(good, "\n")
	header, end := lines[0], lines[4]
	replace := func(old, replacement string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	deep := func(n int) string {
		return replace(`"kind":"line"`, `"kind":"line","props":{"a":`+strings.Repeat("[", n)+strings.Repeat("]", n)+`}`)
	}
	for name, test := range map[string]struct{ file, want string }{
		"empty":               {"", `the file is empty`},
		"blank":               {"\n\n", `the file is empty`},
		"binary":              {"\x89PNG\r\n\x1a\n", `line 1: is not the first one of an export of a board`},
		"another format":      {`{"type":"excalidraw"}`, `line 1: is not the first one of an export of a board`},
		"a log without":       {strings.Join(lines[1:], ""), `line 1: is not the first one of an export of a board`},
		"of tomorrow":         {replace(`"version":1`, `"version":2`), `line 1: is of an export of version 2; this program reads version 1`},
		"of no version":       {replace(`"version":1,`, ``), `line 1: is of an export of version 0; .*`},
		"no name":             {replace(`"name":"test"`, `"name":""`), `begin.name: must be 1 to 200 .*`},
		"cut short":           {header + lines[1], `the file is cut short: line 2, its last, does not say that it is the end`},
		"cut in a line":       {good[:len(header)+40], `line 2: the JSON is cut short`},
		"only a header":       {header, `the file is cut short: line 1, .*`},
		"a frame is missing":  {header + lines[1] + lines[3] + end, `frame: of seq 2: seq: must be 2`},
		"the last is missing": {header + lines[1] + lines[2] + end, `end: says 3 frames and 0 files, but there were 2 and 0`},
		"two files in one":    {good + good, `line 6: is behind the end`},
		"a second header":     {header + good, `line 2: .*unknown field "collaboard".*`},
		"unknown":             {replace(`"status"`, `"future":1,"status"`), `line 2: .*unknown field "future".*`},
		"twice":               {replace(`"status"`, `"seq":"1","status"`), `line 2: .*duplicate field "seq".*`},
		"another type":        {replace(`"seq":"1"`, `"seq":{}`), `line 2: .*`},
		"an array":            {header + "[]\n" + end, `line 2: .*`},
		"a foreign frame":     {replace(`"kind":"line"`, `"kind":"line","deleted":true`), `frame: of seq 3: event: is not as a server makes them`},
		"deep":                {deep(17), `frame: of seq 3: object_create.object.props\["a"\].* nests deeper than 16`},
		"deeper":              {deep(200), `line 4: .*recursion.*`},
		"deepest":             {deep(1 << 20), `line 4: .*`},
		"huge":                {header + strings.Repeat(" ", 17<<20), `line 2: longer than 16 MiB`},
		"no file":             {replace(end, `{"file":{"sha256":"00"}}`+"\n"+end), `file.sha256: must be 64 .*`},
	} {
		out, stderr := cli("import", "-").withInput(test.file, 1)
		if out != "" || !regexp.MustCompile(`^collaboard: `+test.want+`\n$`).MatchString(stderr) {
			t.Errorf("%s: printed %q, complained %q, want %s", name, out, stderr, test.want)
		}
	}
	if out, _ := cli("board", "list", "--json").run(0); strings.Count(out, "\n") != 1 {
		t.Errorf("there are boards:\n%s", out)
	}
	cli("import", "-").withInput(deep(16), 0) // as deep as may be
	_, stderr := cli("import", "nowhere").run(1)
	if stderr != "collaboard: cannot read nowhere: no such file or directory\n" {
		t.Error(stderr)
	}
	_, stderr = cli("export", board, "nowhere/x").run(1)
	if stderr != "collaboard: cannot write nowhere/x: no such file or directory\n" {
		t.Error(stderr)
	}
}

// A failed export leaves the file alone that was there.
func TestExportFails(t *testing.T) {
	t.Parallel()
	cli, _ := setup(t)
	path := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := cli("export", uuid.NewString(), path).run(1)
	if got, err := os.ReadFile(path); err != nil || string(got) != "mine" || stderr != "collaboard: no such board\n" {
		t.Errorf("%q, %v; complained %q", got, err, stderr)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestBoardFork(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	const object = `{"objectCreate":{"object":{"id":"6f1f7bd0-5a0e-4b0c-9b3e-0f0d3c5f9a01","kind":"line"}}}`
	cli("send", board).withInput(chat(1)+object+"\n"+strings.Replace(object, "9a01", "9a02", 1)+"\n", 0)
	for at, want := range map[string]string{"0": "empty", "1": "empty", "2": "1 to 1", "0s": "1 to 1"} {
		out, _ := cli("board", "fork", board, "--at", at, "--name", "then").run(0)
		got, _ := cli("board", "get", strings.TrimSpace(out)).run(0)
		if !strings.Contains(got, "name     then\n") || !strings.Contains(got, "log      "+want+"\n") {
			t.Errorf("forked at %s: %s", at, got)
		}
	}
	_, stderr := cli("board", "fork", board, "--at", "4", "--name", "then").run(1)
	if stderr != "collaboard: the log ends at seq 3\n" {
		t.Error(stderr)
	}
	cli("board", "fork", board, "--name", "then").run(2)
}
