package web

import "net/http"

const placeholder = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Collaboard</title>
<h1>Collaboard</h1>
<p>This server is running. The whiteboard is not built into it yet.</p>
</html>
`

// newPage returns what is served at "/", and nothing elsewhere.
func newPage() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write([]byte(placeholder))
	})
	return mux
}
