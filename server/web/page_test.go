package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/collaboard-io/collaboard/server/web"
)

const (
	index  = `<!doctype html><script type="module" src="/assets/index-abc.js"></script>`
	script = `console.log("a page")`
)

func builtPage(t *testing.T) fstest.MapFS {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, script); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		".gitignore":               {Data: []byte("*")},
		"index.html":               {Data: []byte(index)},
		"assets/index-abc.js.gz":   {Data: packed.Bytes()},
		"assets/style-abc.css":     {Data: []byte("a {}")},
		"assets/fonts/A/a.woff2":   {Data: []byte("font")},
		"assets/icon-abc.svg":      {Data: []byte("<svg/>")},
		"assets/locale-abc.json":   {Data: []byte("{}")},
		"assets/what-is-this.blob": {Data: []byte("?")},
	}
}

// answer is an answer, with its content as it was sent.
type answer struct {
	status  int
	header  http.Header
	length  int64 // as announced
	content string
}

// ask asks for what is at the path, as it is written here.
func (r *running) ask(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "//" + r.addr + path
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, res.ContentLength, string(content)}
}

func TestPageIsServedWhole(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{Page: builtPage(t)}, echo)
	const forEver = "public, max-age=31536000, immutable"
	for path, want := range map[string]struct{ kind, cache, content string }{
		"/":                       {"text/html; charset=utf-8", "no-cache", index},
		"/?from=elsewhere":        {"text/html; charset=utf-8", "no-cache", index},
		"/b/0198b4c4-a-board":     {"text/html; charset=utf-8", "no-cache", index},
		"/assets/index-abc.js":    {"text/javascript; charset=utf-8", forEver, script},
		"/assets/style-abc.css":   {"text/css; charset=utf-8", forEver, "a {}"},
		"/assets/fonts/A/a.woff2": {"font/woff2", forEver, "font"},
		"/assets/icon-abc.svg":    {"image/svg+xml", forEver, "<svg/>"},
		"/assets/locale-abc.json": {"application/json", forEver, "{}"},
	} {
		got := srv.ask(t, http.MethodGet, path)
		if got.status != http.StatusOK || got.content != want.content || got.length != int64(len(want.content)) {
			t.Errorf("%s: %d, %d bytes: %q", path, got.status, got.length, got.content)
		}
		if kind := got.header.Get("Content-Type"); kind != want.kind {
			t.Errorf("%s: content type %q, want %q", path, kind, want.kind)
		}
		if cache := got.header.Get("Cache-Control"); cache != want.cache {
			t.Errorf("%s: cache control %q, want %q", path, cache, want.cache)
		}
		if head := srv.ask(t, http.MethodHead, path); head.status != http.StatusOK || head.content != "" || head.length != got.length {
			t.Errorf("HEAD %s: %d, %d bytes: %q", path, head.status, head.length, head.content)
		}
	}
}

func TestPageComesFromThisServerAlone(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{Page: builtPage(t)}, echo)
	for _, path := range []string{"/", "/b/1", "/assets/index-abc.js", "/assets/no.js", "/elsewhere"} {
		header := srv.ask(t, http.MethodGet, path).header
		policy := header.Get("Content-Security-Policy")
		for _, rule := range []string{
			"default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "style-src 'self' 'unsafe-inline'", "font-src 'self' data:",
			"img-src 'self' data: blob:", "worker-src 'self' blob:", "connect-src 'self'", "frame-src 'none'", "object-src 'none'",
			"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		} {
			if !strings.Contains(policy+";", rule+";") {
				t.Errorf("%s: no %q in %q", path, rule, policy)
			}
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestPageIsCompressedForWhoTakesIt(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{Page: builtPage(t)}, echo)
	for accept, compressed := range map[string]bool{
		"gzip": true, "gzip, deflate, br": true, "deflate;q=0.5, GZIP;q=1.0": true, "br,gzip;q=0.001": true,
		"": false, "br": false, "identity": false, "gzip;q=0": false, "gzip; q=0.0, br": false, "xgzip": false,
	} {
		got := srv.ask(t, http.MethodGet, "/assets/index-abc.js", "Accept-Encoding", accept)
		if is := got.header.Get("Content-Encoding") == "gzip"; is != compressed {
			t.Errorf("accept %q: compressed is %t", accept, is)
		}
		if compressed {
			r, err := gzip.NewReader(strings.NewReader(got.content))
			if err != nil {
				t.Fatalf("accept %q: %v", accept, err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("accept %q: %v", accept, err)
			}
			got.content = string(plain)
		}
		if got.content != script || got.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("accept %q: vary %q, content %q", accept, got.header.Get("Vary"), got.content)
		}
	}
	if got := srv.ask(t, http.MethodGet, "/assets/style-abc.css", "Accept-Encoding", "gzip"); got.header.Get("Content-Encoding") != "" {
		t.Error("what is not compressed says that it is")
	}
}

func TestPageIsNotSentAgain(t *testing.T) {
	t.Parallel()
	files := builtPage(t)
	srv := serve(t, web.Config{Page: files}, echo)
	etag := srv.ask(t, http.MethodGet, "/").header.Get("ETag")
	for have, status := range map[string]int{
		etag: http.StatusNotModified, "W/" + etag: http.StatusNotModified, `"other", ` + etag: http.StatusNotModified,
		"*": http.StatusNotModified, `"other"`: http.StatusOK, "": http.StatusOK,
	} {
		got := srv.ask(t, http.MethodGet, "/b/1", "If-None-Match", have)
		if got.status != status || (got.content == "") != (status == http.StatusNotModified) {
			t.Errorf("have %s: %d: %q", have, got.status, got.content)
		}
	}
	files["index.html"].Data = []byte("another one")
	if got := srv.ask(t, http.MethodGet, "/", "If-None-Match", etag); got.status != http.StatusOK || got.content != "another one" {
		t.Errorf("after a change: %d: %q", got.status, got.content)
	}
}

func TestPageHasNothingElse(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{Page: builtPage(t)}, echo)
	for _, path := range []string{
		"/index.html", "/.gitignore", "/assets", "/assets/", "/assets/fonts/", "/assets/fonts/A", "/assets/index-abc.js.gz",
		"/assets/index-abc", "/assets/no.js", "/assets/what-is-this.blob", "/b", "/b/", "/b/1/2", "/elsewhere", "/favicon.ico",
		"/assets/..%2findex.html", "/assets/%2e%2e/index.html", "/assets/..%5cindex.html", "/assets/a%00.js", "/assets/fonts/A/a.woff2/",
	} {
		if got := srv.ask(t, http.MethodGet, path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		for _, path := range []string{"/", "/b/1", "/assets/style-abc.css"} {
			if got := srv.ask(t, method, path); got.status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
		}
	}
}

func TestWithoutAPageItSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]web.Config{"none": {}, "not built": {Page: fstest.MapFS{".gitignore": {}}}} {
		srv := serve(t, cfg, echo)
		for _, path := range []string{"/", "/b/1"} {
			got := srv.ask(t, http.MethodGet, path)
			if got.status != http.StatusOK || !strings.Contains(got.content, "make web") {
				t.Errorf("%s: %s: %d: %q", name, path, got.status, got.content)
			}
		}
		if got := srv.ask(t, http.MethodGet, "/assets/index-abc.js"); got.status != http.StatusNotFound {
			t.Errorf("%s: an asset is %d", name, got.status)
		}
	}
}

// The connections of those who do not read what they asked for are closed: Shutdown, in stop, waits for every request.
func TestWhoDoesNotReadThePageIsCutOff(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"index.html": {}, "assets/large.js": {Data: make([]byte, 64<<20)}}
	srv := serve(t, web.Config{Page: files, WriteTimeout: 200 * time.Millisecond}, echo)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+srv.addr+"/assets/large.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	srv.stop()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("all of it came: %d bytes", n)
	}
}
