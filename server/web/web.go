// Package web is the way in for browsers: gRPC-Web over fetch and over WebSockets, on the port of native gRPC. It makes
// their calls to the native server, within the process, and knows nothing of what they are about.
package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/improbable-eng/grpc-web/go/grpcweb"
	"google.golang.org/grpc/test/bufconn"
)

const (
	requestTimeout = 30 * time.Second // for a request to come in, of a call over fetch
	idleTimeout    = 2 * time.Minute  // between requests
)

// Config tunes a Server; the zero value of a field means its default.
type Config struct {
	Page            fs.FS         // the built page, with an index.html; one that says how to build it
	AllowedOrigins  []string      // of pages of other hosts, as in "https://example.com"; none
	MaxMessageBytes int           // the largest message that the native server takes, or refuses with an answer; 4 MiB
	HeaderTimeout   time.Duration // how long a client has to say what it wants; 10 s
	WriteTimeout    time.Duration // how long it has to take a piece of an answer; 30 s
	PingInterval    time.Duration // between pings over a WebSocket; 4 s
	PingTimeout     time.Duration // how long it may be silent behind one; 5 s
}

func (c Config) withDefaults() Config {
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = 4 << 20
	}
	for value, standard := range map[*time.Duration]time.Duration{
		&c.HeaderTimeout: 10 * time.Second, &c.WriteTimeout: 30 * time.Second,
		&c.PingInterval: 4 * time.Second, &c.PingTimeout: 5 * time.Second,
	} {
		if *value <= 0 {
			*value = standard
		}
	}
	return c
}

// Server serves browsers.
type Server struct {
	cfg       Config
	http      *http.Server
	inside    *bufconn.Listener
	transport *http.Transport
	fetch     *grpcweb.WrappedGrpcServer
	page      http.Handler

	cutOff   context.CancelFunc // ends the context of every request
	stopped  context.Context    //nolint:containedctx // of the requests, whose parent it is
	draining chan struct{}

	mu     sync.Mutex // of closed, and of calls: it may not be added to any more
	closed bool
	calls  sync.WaitGroup
}

// New returns a server, which does nothing before Serve.
func New(log *slog.Logger, cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, inside: bufconn.Listen(pipeBytes), page: newPage(cfg.Page), draining: make(chan struct{})}
	s.transport = newTransport(s.inside)
	s.stopped, s.cutOff = context.WithCancel(context.Background())
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.http = &http.Server{
		Handler: s, ErrorLog: errorLog, ReadHeaderTimeout: cfg.HeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return s.stopped },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "native"})
			r.Out.Header.Del("Origin")
		},
		Transport: native{s.transport}, FlushInterval: -1, ErrorLog: errorLog,
	}
	s.fetch = grpcweb.WrapHandler(proxy, grpcweb.WithCorsForRegisteredEndpointsOnly(false),
		grpcweb.WithOriginFunc(func(origin string) bool { return slices.Contains(cfg.AllowedOrigins, origin) }))
	return s
}

// Native is where the native server takes the calls that browsers make.
func (s *Server) Native() net.Listener { return s.inside }

// Serve serves lis until Shutdown or Close, and then returns nil.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.http.Serve(lis); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Drain says that the server is about to stop: who has not said what it wants is sent away. It may be called once.
func (s *Server) Drain() { close(s.draining) }

// Shutdown waits until every call has ended. The native server ends them; Close cuts them off.
func (s *Server) Shutdown() {
	_ = s.http.Shutdown(s.stopped)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	s.transport.CloseIdleConnections()
}

// Close cuts off what has not ended. Shutdown then returns soon.
func (s *Server) Close() {
	s.cutOff()
	_ = s.http.Close()
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.calls.Add(1)
	s.mu.Unlock()
	defer s.calls.Done()
	conn := http.NewResponseController(w)
	_ = conn.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)) // the one before may be of a request that is long answered
	switch {
	case isWebSocket(r):
		s.serveWebSocket(w, r)
	case s.fetch.IsGrpcWebRequest(r):
		s.serveFetch(w, r)
	case s.fetch.IsAcceptableGrpcCorsRequest(r):
		s.fetch.ServeHTTP(w, r)
	default:
		s.page.ServeHTTP(&impatient{ResponseWriter: w, conn: conn, timeout: s.cfg.WriteTimeout}, r)
	}
}

// serveFetch serves a call whose request is one message: browsers send no stream over fetch.
func (s *Server) serveFetch(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" && !s.isAllowed(r) { // without one it is no browser
		http.Error(w, "this origin is not allowed", http.StatusForbidden)
		return
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxMessageBytes)+prefixBytes))
	if err != nil {
		http.Error(w, "the request is too large, or too slow", http.StatusRequestEntityTooLarge)
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	header, err := callHeader(r.Header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, key := range []string{"Content-Type", "Origin"} { // the wrapper's
		header[key] = r.Header[key]
	}
	r.Header, r.Body, r.ContentLength = header, io.NopCloser(bytes.NewReader(request)), -1
	s.fetch.ServeHTTP(&impatient{ResponseWriter: w, conn: conn, timeout: s.cfg.WriteTimeout}, r)
}

// isAllowed says whether the page that the request comes from may make calls: one of this host, or of an allowed origin.
func (s *Server) isAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if slices.Contains(s.cfg.AllowedOrigins, origin) {
		return true
	}
	from, err := url.Parse(origin)
	return err == nil && from.Host != "" && strings.EqualFold(from.Host, r.Host)
}

// impatient gives a client that does not read so long for each piece, and then closes its connection.
type impatient struct {
	http.ResponseWriter
	conn    *http.ResponseController
	timeout time.Duration
}

func (w *impatient) Write(p []byte) (int, error) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	return w.ResponseWriter.Write(p)
}

// Flush is for those who cannot see its error: the next Write has it, too.
func (w *impatient) Flush() {
	_ = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	_ = w.conn.Flush()
}
