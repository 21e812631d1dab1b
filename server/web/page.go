package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

const notBuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Collaboard</title>
<h1>Collaboard</h1>
<p>This server is running, but the whiteboard is not built into it. To build it, install Node 20.19 or newer and run
<code>make web build</code>. Then start the server again.</p>
</html>
`

// contentSecurityPolicy lets the page load what this server has, and nothing from elsewhere. Excalidraw sets styles
// inline, and makes images smaller with WebAssembly.
const contentSecurityPolicy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
	"font-src 'self' data:; img-src 'self' data: blob:; worker-src 'self' blob:; connect-src 'self'; frame-src 'none'; " +
	"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// contentType returns the type of a file of the page, or "" where no page has such files. What the system knows of types
// differs from machine to machine.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".json":
		return "application/json"
	case ".png":
		return "image/png"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	default:
		return ""
	}
}

// page is the whiteboard. Its files are index.html, which names the others, and those under assets/: they never change,
// since a change gives them another name. One that ends in ".gz" is served under its name without that.
type page struct {
	files fs.FS
}

// newPage returns what is served at "/", at "/b/ID" for every board, and under "/assets/". Without files, or where these
// have no index.html, that is how to build them.
func newPage(files fs.FS) http.Handler {
	p := &page{files}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serveIndex)
	mux.HandleFunc("GET /b/{board}", p.serveIndex)
	mux.HandleFunc("GET /assets/", p.serveAsset)
	mux.HandleFunc("GET /assets", http.NotFound) // or the mux would redirect to what is not there either
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("Referrer-Policy", "no-referrer") // a board's address is all that one needs to open it
		header.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// serveIndex is asked every time, since it names the assets: the browser keeps it, and is told when it is current.
func (p *page) serveIndex(w http.ResponseWriter, r *http.Request) {
	content := []byte(notBuilt)
	if p.files != nil {
		if index, err := fs.ReadFile(p.files, "index.html"); err == nil {
			content = index
		}
	}
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	send(w, content, contentType("index.html"))
}

func (p *page) serveAsset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	kind := contentType(name)
	if p.files == nil || kind == "" {
		http.NotFound(w, r)
		return
	}
	content, err := fs.ReadFile(p.files, name) // it refuses names that are no clean paths
	gzipped := err != nil
	if gzipped {
		content, err = fs.ReadFile(p.files, name+".gz")
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	if gzipped {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			header.Set("Content-Encoding", "gzip")
		} else if content, err = unpack(content); err != nil {
			http.Error(w, "the page is damaged", http.StatusInternalServerError)
			return
		}
	}
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	send(w, content, kind)
}

func send(w http.ResponseWriter, content []byte, kind string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	for piece := range slices.Chunk(content, 32<<10) { // each has a deadline of its own
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// matches says whether etag is among those that the client has.
func matches(ifNoneMatch, etag string) bool {
	for have := range strings.SplitSeq(ifNoneMatch, ",") {
		have = strings.TrimPrefix(strings.TrimSpace(have), "W/")
		if have == etag || have == "*" {
			return true
		}
	}
	return false
}

// acceptsGzip says whether the client names gzip, and not to refuse it.
func acceptsGzip(r *http.Request) bool {
	for offer := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(offer, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(params), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}

func unpack(content []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
