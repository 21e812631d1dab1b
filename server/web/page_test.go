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

// get asks for what is at the path, as it is written here, and returns the answer with its content as it was sent.
func (r *running) get(t *testing.T, method, path string, headers ...string) (*http.Response, string) {
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
	return res, string(content)
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
		res, content := srv.get(t, http.MethodGet, path)
		if res.StatusCode != http.StatusOK || content != want.content || res.ContentLength != int64(len(content)) {
			t.Errorf("%s: %s, %d bytes: %q", path, res.Status, res.ContentLength, content)
		}
		if got := res.Header.Get("Content-Type"); got != want.kind {
			t.Errorf("%s: content type %q, want %q", path, got, want.kind)
		}
		if got := res.Header.Get("Cache-Control"); got != want.cache {
			t.Errorf("%s: cache control %q, want %q", path, got, want.cache)
		}
		head, content := srv.get(t, http.MethodHead, path)
		if head.StatusCode != http.StatusOK || content != "" || head.ContentLength != res.ContentLength {
			t.Errorf("HEAD %s: %s, %d bytes: %q", path, head.Status, head.ContentLength, content)
		}
	}
}

func TestPageComesFromThisServerAlone(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{Page: builtPage(t)}, echo)
	for _, path := range []string{"/", "/b/1", "/assets/index-abc.js", "/assets/no.js", "/elsewhere"} {
		res, _ := srv.get(t, http.MethodGet, path)
		policy := res.Header.Get("Content-Security-Policy")
		for _, rule := range []string{
			"default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "style-src 'self' 'unsafe-inline'", "font-src 'self' data:",
			"img-src 'self' data: blob:", "worker-src 'self' blob:", "connect-src 'self'", "frame-src 'none'", "object-src 'none'",
			"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		} {
			if !strings.Contains(policy+";", rule+";") {
				t.Errorf("%s: no %q in %q", path, rule, policy)
			}
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, res.Header)
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
		res, content := srv.get(t, http.MethodGet, "/assets/index-abc.js", "Accept-Encoding", accept)
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != compressed {
			t.Errorf("accept %q: compressed is %t", accept, got)
		}
		if compressed {
			r, err := gzip.NewReader(strings.NewReader(content))
			if err != nil {
				t.Fatalf("accept %q: %v", accept, err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("accept %q: %v", accept, err)
			}
			content = string(plain)
		}
		if content != script || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("accept %q: vary %q, content %q", accept, res.Header.Get("Vary"), content)
		}
	}
	if res, _ := srv.get(t, http.MethodGet, "/assets/style-abc.css", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Error("what is not compressed says that it is")
	}
}

func TestPageIsNotSentAgain(t *testing.T) {
	t.Parallel()
	files := builtPage(t)
	srv := serve(t, web.Config{Page: files}, echo)
	first, _ := srv.get(t, http.MethodGet, "/")
	etag := first.Header.Get("Etag")
	for have, status := range map[string]int{
		etag: http.StatusNotModified, "W/" + etag: http.StatusNotModified, `"other", ` + etag: http.StatusNotModified,
		"*": http.StatusNotModified, `"other"`: http.StatusOK, "": http.StatusOK,
	} {
		res, content := srv.get(t, http.MethodGet, "/b/1", "If-None-Match", have)
		if res.StatusCode != status || (content == "") != (status == http.StatusNotModified) {
			t.Errorf("have %s: %s: %q", have, res.Status, content)
		}
	}
	files["index.html"].Data = []byte("another one")
	if res, content := srv.get(t, http.MethodGet, "/", "If-None-Match", etag); res.StatusCode != http.StatusOK || content != "another one" {
		t.Errorf("after a change: %s: %q", res.Status, content)
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
		res, _ := srv.get(t, http.MethodGet, path)
		if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		for _, path := range []string{"/", "/b/1", "/assets/style-abc.css"} {
			if res, _ := srv.get(t, method, path); res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, res.Status)
			}
		}
	}
}

func TestWithoutAPageItSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]web.Config{"none": {}, "not built": {Page: fstest.MapFS{".gitignore": {}}}} {
		srv := serve(t, cfg, echo)
		for _, path := range []string{"/", "/b/1"} {
			res, content := srv.get(t, http.MethodGet, path)
			if res.StatusCode != http.StatusOK || !strings.Contains(content, "make web") {
				t.Errorf("%s: %s: %s: %q", name, path, res.Status, content)
			}
		}
		if res, _ := srv.get(t, http.MethodGet, "/assets/index-abc.js"); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: an asset is %s", name, res.Status)
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
