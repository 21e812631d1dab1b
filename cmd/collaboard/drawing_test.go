package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// drawing is what the tests look at of a drawing.
type drawing struct {
	Elements []map[string]any
	Files    map[string]struct{ MimeType, DataURL string }
}

func readDrawing(t *testing.T, path string) (d drawing) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// common is what of elements is the same for everybody: see web/page/src/whiteboard/normalise.ts.
func common(d drawing) []map[string]any {
	var all []map[string]any
	for _, e := range d.Elements {
		if deleted, _ := e["isDeleted"].(bool); deleted {
			continue
		}
		for _, key := range []string{"version", "versionNonce", "updated", "lastCommittedPoint", "boundElements", "status", "index"} {
			delete(e, key)
		}
		for key, value := range e {
			if value == nil {
				delete(e, key)
			}
		}
		all = append(all, e)
	}
	return all
}

var whenChanged = regexp.MustCompile(`"(updated|created)": \d+`)

// throughBoards imports a drawing, exports it, and does so again: what comes out first and last.
func throughBoards(t *testing.T, at func(args ...string) *program, path string) (first, last string) {
	t.Helper()
	dir := t.TempDir()
	first, last = filepath.Join(dir, "first.excalidraw"), filepath.Join(dir, "last.excalidraw")
	from := path
	for _, to := range []string{first, last} {
		out, _ := at("import", from).run(0)
		_, stderr := at("export", strings.TrimSpace(out), to).run(0)
		if stderr != "" {
			t.Errorf("complained %q", stderr)
		}
		from = to
	}
	return first, last
}

// Drawings that people made come back as they were.
func TestDrawings(t *testing.T) {
	t.Parallel()
	dir, named := os.LookupEnv("COLLABOARD_DRAWINGS")
	if !named {
		dir = filepath.Join("..", "..", "..", "shared", "data", "drawings")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.excalidraw"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skipf("there are none in %s: name a directory in $COLLABOARD_DRAWINGS", dir)
	}
	cli, _ := setup(t)
	for _, path := range paths {
		first, last := throughBoards(t, cli, path)
		was, got := readDrawing(t, path), readDrawing(t, first)
		if diff := cmp.Diff(common(was), common(got)); diff != "" {
			t.Errorf("%s comes back as another:\n%.3000s", filepath.Base(path), diff)
		}
		for _, e := range was.Elements {
			id, _ := e["fileId"].(string)
			if want, ok := was.Files[id]; ok && got.Files[id] != want {
				t.Errorf("%s: file %s comes back as another", filepath.Base(path), id)
			}
		}
		sameTexts(t, first, last)
	}
}

func sameTexts(t *testing.T, paths ...string) {
	t.Helper()
	texts := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[whenChanged.ReplaceAllString(string(text), "")] = true
	}
	if len(texts) != 1 {
		t.Errorf("what was exported, imported and exported is another")
	}
}

// A drawing of our own, for where there are no others.
func TestDrawing(t *testing.T) {
	t.Parallel()
	cli, _ := setup(t)
	image := "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n and more"))
	drawn := `{"type":"excalidraw","version":2,"elements":[
		{"id":"below","type":"rectangle","x":1.5,"y":-2,"width":1e300,"height":0,"angle":1,"groupIds":["g"],"index":"zz","frameId":null},
		{"id":"above","type":"text","text":"ä\u2028<&>","originalText":"ä\u2028<&>","containerId":"below","index":"a0"},
		{"id":"gone","type":"line","isDeleted":true},
		{"id":"i","type":"image","fileId":"f","scale":[1,1]},
		{"id":"stroke","type":"freedraw","points":[[0,0],[1,2]],"pressures":[]}
	],"files":{"f":{"mimeType":"image/png","id":"f","dataURL":"` + image + `"}}}`
	path := filepath.Join(t.TempDir(), "mine.excalidraw")
	if err := os.WriteFile(path, []byte(drawn), 0o600); err != nil {
		t.Fatal(err)
	}
	first, last := throughBoards(t, cli, path)
	was, got := readDrawing(t, path), readDrawing(t, first)
	if got.Files["f"].DataURL != image || len(got.Files) != 1 {
		t.Errorf("files: %v", got.Files)
	}
	for _, e := range common(got) { // what every element has
		for _, key := range []string{"x", "y", "width", "height", "angle", "isDeleted"} {
			if deleted, ok := e[key].(bool); e[key] == 0.0 || ok && !deleted {
				delete(e, key)
			}
		}
	}
	delete(was.Elements[0], "height")
	if diff := cmp.Diff(common(was), common(got)); diff != "" {
		t.Errorf("it comes back as another:\n%s", diff)
	}
	sameTexts(t, first, last)
	out, _ := cli("board", "list").run(0)
	if !strings.Contains(out, "mine") || !strings.Contains(out, "first") {
		t.Errorf("boards are called otherwise:\n%s", out)
	}

	before, _ := cli("board", "list").run(0)
	for name, test := range map[string]struct{ old, replacement, want string }{
		"another format": {`"excalidraw"`, `"other"`, `the file is not a drawing of Excalidraw`},
		"twice":          {`"id":"above"`, `"id":"below"`, `element 1 of those that are not deleted, a "text": object_create: object .* is, or was, on the board`},
		"too deep":       {`"scale":[1,1]`, `"scale":` + strings.Repeat("[", 17) + strings.Repeat("]", 17), `element 2 of .* nests deeper than 16`},
		"too large":      {`"ä`, `"` + strings.Repeat("x", 250<<10), `element 1 of .* at most 245760 are allowed`},
		"no image":       {"iVBORw0KGgo", "AAAAAAAAAAA", `file.media_type: the content of .* is not of this type`},
	} {
		if !strings.Contains(drawn, test.old) {
			t.Fatalf("%s: %q is not there", name, test.old)
		}
		_, stderr := cli("import", "-", "--format", "excalidraw", "--name", "bad").withInput(strings.Replace(drawn, test.old, test.replacement, 1), 1)
		if !regexp.MustCompile(`^collaboard: ` + test.want + `\n$`).MatchString(stderr) {
			t.Errorf("%s: complained %q, want %s", name, stderr, test.want)
		}
	}
	if after, _ := cli("board", "list").run(0); after != before {
		t.Errorf("there are boards:\n%s", after)
	}
}
