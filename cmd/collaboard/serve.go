package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/web"
	"github.com/collaboard-io/collaboard/web/page"
)

type serveCmd struct {
	Addr  string `default:"127.0.0.1:8080" help:"Address to listen on, HOST:PORT; port 0 takes a free one, and the log says which."`
	Store string `default:"sqlite:collaboard.db" help:"Where boards are kept: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE."`

	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"What to log: debug, info, warn or error."`
	LogFormat string `enum:"text,json" default:"text" help:"How to log, on stderr: text or json."`

	DebugAddr string `help:"Loopback address, HOST:PORT, on which to serve Go's profiles (pprof) under /debug/pprof/; nowhere by default."`

	AllowedOrigin []string `help:"Origin of web pages that may call this server beside its own, as in https://boards.example; may be given more than once."`

	authFlags

	DrainTimeout time.Duration `default:"15s" help:"How long streams have to end when the server is asked to stop."`

	PostgresConns      int  `default:"16" help:"Connections to PostgreSQL, at most."`
	UnsafeAllowNoFsync bool `help:"Accept a PostgreSQL with fsync off, which forgets acknowledged frames when its machine fails."`

	CommitShards      int           `default:"0" help:"Transactions at a time; 0 means 1 for SQLite, and 2 to 4 for PostgreSQL, as many as there are cores."`
	CommitBatchFrames int           `default:"2048" help:"Frames in a transaction, at most."`
	CommitQueueFrames int           `default:"16384" help:"Frames that wait for each transaction, at most; more are refused, to be sent again."`
	CommitQueueBytes  byteSize      `default:"64MiB" help:"The same in bytes."`
	CommitTimeout     time.Duration `default:"10s" help:"How long a frame waits for a failing store before it is refused, to be sent again."`
	AttemptTimeout    time.Duration `default:"5s" help:"How long one transaction may take before it is given up and tried again."`

	InFlightFrames int      `default:"256" help:"Requests of one client that are worked on at a time; meanwhile its stream is not read."`
	InFlightBytes  byteSize `default:"1MiB" help:"The same in bytes."`
	MaxBoards      int      `default:"64" help:"Boards that one client may have joined at a time."`
	EphemeralRate  int      `default:"200" help:"Cursors and the like of one client that are passed on in a second; above it the newest of each kind waits."`

	MaxFiles      int      `default:"10000" help:"Files that one board may have."`
	MaxFilesBytes byteSize `default:"1GiB" help:"The same in bytes."`
	UploadBytes   byteSize `default:"64MiB" help:"Bytes of files that are stored at a time, one file at the least; more are refused, to be sent again."`

	TailBytes    byteSize      `default:"1MiB" help:"Newest frames of a board that are kept in memory for its members; slower ones are sent from the store."`
	RoomIdle     time.Duration `default:"1m" help:"How long a board that nobody uses stays in memory."`
	PollInterval time.Duration `default:"250ms" help:"How often to look for frames that other servers wrote."`

	RetainLog      room.Retention `default:"forever" help:"What to keep of each log: forever, frames as in 100000, or an age as in 30d; the rest is removed."`
	RetainInterval time.Duration  `default:"10m" help:"How often to look for logs to trim, and for boards to remove that were deleted 30 days ago."`

	SnapshotEvery int `default:"4096" help:"Frames, or 16 MiB, of a board after which its state is stored, to load it from there; a quarter if nobody uses it."`
}

// Validate is called by kong: the zero of a setting means its default to the server, and would surprise here.
func (c *serveCmd) Validate() error {
	for name, value := range map[string]int64{
		"drain-timeout": int64(c.DrainTimeout), "postgres-conns": int64(c.PostgresConns),
		"commit-batch-frames": int64(c.CommitBatchFrames), "commit-queue-frames": int64(c.CommitQueueFrames),
		"commit-queue-bytes": int64(c.CommitQueueBytes), "commit-timeout": int64(c.CommitTimeout),
		"attempt-timeout": int64(c.AttemptTimeout), "in-flight-frames": int64(c.InFlightFrames),
		"in-flight-bytes": int64(c.InFlightBytes), "max-boards": int64(c.MaxBoards), "ephemeral-rate": int64(c.EphemeralRate),
		"max-files": int64(c.MaxFiles), "max-files-bytes": int64(c.MaxFilesBytes), "upload-bytes": int64(c.UploadBytes),
		"tail-bytes": int64(c.TailBytes), "room-idle": int64(c.RoomIdle), "poll-interval": int64(c.PollInterval),
		"snapshot-every": int64(c.SnapshotEvery), "retain-interval": int64(c.RetainInterval),
	} {
		if value <= 0 {
			return fmt.Errorf("--%s must be greater than 0", name)
		}
	}
	for _, origin := range c.AllowedOrigin {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme+"://"+strings.ToLower(u.Host) != origin {
			return fmt.Errorf("--allowed-origin %s: must be SCHEME://HOST or SCHEME://HOST:PORT in lower case, as in https://boards.example", origin)
		}
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.CommitShards < 0 {
		return errors.New("--commit-shards must not be negative")
	}
	return nil
}

// Run is called by kong.
func (c *serveCmd) Run(ctx context.Context) error {
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return usagef("--addr %s: must be HOST:PORT, as in 127.0.0.1:8080 or :8080", c.Addr)
	}
	log := c.logger()

	// Taken before the store is opened: a second server by mistake should not get as far as the database.
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w: choose another address with --addr", c.Addr, innermost(err))
	}
	defer lis.Close()
	if c.Auth == authNone && !isLoopback(lis.Addr()) && !c.Insecure {
		return usagef("--addr %s: other machines could reach a server that asks nobody who they are; "+
			"listen on 127.0.0.1, ask for tokens with --auth jwt, or say --insecure", c.Addr)
	}
	store, err := spec.open(ctx, storeConfig{conns: c.PostgresConns, allowNoFsync: c.UnsafeAllowNoFsync})
	if err != nil {
		return err
	}
	err = c.serve(ctx, log, lis, store, spec)
	if closing := store.Close(); closing != nil {
		log.ErrorContext(ctx, "cannot close the store", "error", closing)
	}
	return err
}

// gcPercent lets the heap grow to five times what is in use before it is collected. A server's frames are short-lived and
// its state is small beside them: at Go's default a quarter of its time went into collecting. GOGC overrides it.
const gcPercent = 400

func (c *serveCmd) serve(ctx context.Context, log *slog.Logger, lis net.Listener, store persistence.Store, spec storeSpec) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	cfg := c.config(spec)
	var err error
	if cfg.Auth, err = c.verifier(ctx, log); err != nil {
		return err
	}
	srv, err := server.New(store, log, cfg)
	if err != nil {
		return err
	}
	if c.DebugAddr != "" {
		stop, err := serveDebug(ctx, log, c.DebugAddr)
		if err != nil {
			return err
		}
		defer stop()
	}
	if c.Auth == authNone && !isLoopback(lis.Addr()) {
		log.WarnContext(ctx, "UNPROTECTED: other machines can reach this server, and nobody is asked who they are; "+
			"listen on 127.0.0.1, or let only a proxy that authenticates reach it", "addr", lis.Addr().String())
	}
	if c.UnsafeAllowNoFsync {
		log.WarnContext(ctx, "UNSAFE: a database with fsync off is accepted, and may forget what was acknowledged")
	}
	log.InfoContext(ctx, "listening", "addr", lis.Addr().String(), "store", spec.shown, "version", version(), "auth", c.Auth)
	err = srv.Serve(ctx, lis)
	if errors.Is(err, server.ErrDrainDeadline) {
		return fmt.Errorf("not drained within %s: what had not ended was cut off", c.DrainTimeout)
	}
	return err
}

func (c *serveCmd) config(spec storeSpec) server.Config {
	shards := c.CommitShards
	if shards == 0 {
		shards = spec.shards()
	}
	return server.Config{
		Version:        version(),
		MaxBoards:      c.MaxBoards,
		InFlightFrames: c.InFlightFrames,
		InFlightBytes:  int(c.InFlightBytes),
		MaxFiles:       c.MaxFiles,
		MaxFilesBytes:  int64(c.MaxFilesBytes),
		UploadBytes:    int(c.UploadBytes),
		EphemeralRate:  c.EphemeralRate,
		DrainTimeout:   c.DrainTimeout,
		Commit: persistence.CommitterConfig{
			Shards:         shards,
			BatchFrames:    c.CommitBatchFrames,
			QueueFrames:    c.CommitQueueFrames,
			QueueBytes:     int(c.CommitQueueBytes),
			CommitTimeout:  c.CommitTimeout,
			AttemptTimeout: c.AttemptTimeout,
		},
		Room: room.Config{
			TailBytes: int(c.TailBytes), PollInterval: c.PollInterval, IdleTimeout: c.RoomIdle, SnapshotFrames: c.SnapshotEvery,
			Retain: c.RetainLog, RetainInterval: c.RetainInterval,
		},
		Web: web.Config{Page: page.FS(), AllowedOrigins: c.AllowedOrigin},
	}
}

func (c *serveCmd) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // one of the enum
	opts := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		opts.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration { // as in the text format, and on the command line
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
