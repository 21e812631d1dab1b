package client

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// Option changes how a [Client] works.
type Option func(*config)

type config struct {
	creds       credentials.TransportCredentials
	token       func(context.Context) (string, error)
	identity    []string // metadata: key, value, key, value …
	window      int
	outbox      struct{ frames, bytes int }
	backoff     backoff
	heartbeat   time.Duration
	timeout     time.Duration
	log         *slog.Logger
	dialOptions []grpc.DialOption
}

func newConfig(opts []Option) config {
	cfg := config{
		creds:     credentials.NewTLS(nil),
		window:    1024,
		backoff:   backoff{min: 100 * time.Millisecond, max: 15 * time.Second},
		heartbeat: 20 * time.Second,
		timeout:   10 * time.Second,
		log:       slog.New(slog.DiscardHandler),
	}
	cfg.outbox.frames, cfg.outbox.bytes = 4096, 16<<20
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// WithInsecure connects without TLS, for a server on this machine or behind a proxy that terminates TLS. A token would
// cross the network readable.
func WithInsecure() Option { return WithTransportCredentials(insecure.NewCredentials()) }

// WithTransportCredentials connects with these credentials. The default is TLS with the system's roots.
func WithTransportCredentials(creds credentials.TransportCredentials) Option {
	return func(c *config) { c.creds = creds }
}

// WithToken sends a bearer token with every call.
func WithToken(token string) Option {
	return WithTokenSource(func(context.Context) (string, error) { return token, nil })
}

// WithTokenSource asks for a bearer token at every connection and every unary call, so that a token that expires can be
// renewed. The source may be called by several goroutines; an error counts as a failed connection, and is retried.
func WithTokenSource(source func(context.Context) (string, error)) Option {
	return func(c *config) { c.token = source }
}

// WithUserID says who the user is, to a server that does not authenticate. 1 to 128 printable characters.
func WithUserID(id string) Option { return withIdentity("user-id", url.PathEscape(id)) }

// WithDisplayName is the name that other members see. 1 to 128 printable characters.
func WithDisplayName(name string) Option { return withIdentity("display-name", url.PathEscape(name)) }

// WithColor is the colour in which other members see this one, as "#rrggbb".
func WithColor(color string) Option { return withIdentity("color", color) }

func withIdentity(key, value string) Option {
	return func(c *config) { c.identity = append(c.identity, key, value) }
}

// WithWindow is how many durable frames are in flight at most, at least 1. The default is what the server allows, up to
// 1,024; more than that it does not allow.
func WithWindow(frames int) Option { return func(c *config) { c.window = max(frames, 1) } }

// WithOutbox is how many durable frames, and how many encoded bytes, may wait for their acks before Submit waits for
// room. The default is 4,096 frames and 16 MiB. One frame always fits, be it larger.
func WithOutbox(frames, bytes int) Option {
	return func(c *config) { c.outbox.frames, c.outbox.bytes = max(frames, 1), max(bytes, 1) }
}

// WithBackoff bounds the pause before a reconnect, and before anything else is tried again: it is chosen evenly between
// 0 and a limit that begins at shortest and doubles up to longest. The default is 100 ms and 15 s.
func WithBackoff(shortest, longest time.Duration) Option {
	return func(c *config) { c.backoff = backoff{min: max(shortest, 1), max: max(longest, shortest, 1)} }
}

// WithHeartbeat says when the client makes sure that the connection is alive: when nothing came for interval it sends a
// ping, and when still nothing came for timeout it gives the connection up. A new connection has timeout until the
// server's welcome. The default is 20 s, which spares the radio of a phone, and 10 s.
func WithHeartbeat(interval, timeout time.Duration) Option {
	return func(c *config) { c.heartbeat, c.timeout = max(interval, 1), max(timeout, 1) }
}

// WithLogger is where connections that are made and that end, and servers that contradict themselves, are logged. The
// default is nowhere. Its handler must not call the client.
func WithLogger(log *slog.Logger) Option { return func(c *config) { c.log = log } }

// WithDialOptions passes options on to grpc, after the client's own.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(c *config) { c.dialOptions = append(c.dialOptions, opts...) }
}

// streamOptions are those of the connection that the stream has to itself.
func (c *config) streamOptions() []grpc.DialOption {
	return append([]grpc.DialOption{
		grpc.WithTransportCredentials(c.creds),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec())),
		grpc.WithDisableServiceConfig(),
	}, c.dialOptions...)
}

// unaryOptions are those of the connection for everything else, which grpc itself keeps.
func (c *config) unaryOptions() []grpc.DialOption {
	return append([]grpc.DialOption{
		grpc.WithTransportCredentials(c.creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: c.heartbeat, Timeout: c.timeout}),
		grpc.WithChainUnaryInterceptor(c.identifyUnary),
		grpc.WithChainStreamInterceptor(c.identifyStream),
	}, c.dialOptions...)
}

// identify adds to the outgoing metadata who the caller is.
func (c *config) identify(ctx context.Context) (context.Context, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, c.identity...)
	if c.token == nil {
		return ctx, nil
	}
	token, err := c.token(ctx)
	if err != nil || token == "" {
		return ctx, err
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), nil
}

func (c *config) identifyUnary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	ctx, err := c.identify(ctx)
	if err != nil {
		return err
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (c *config) identifyStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, err := c.identify(ctx)
	if err != nil {
		return nil, err
	}
	return streamer(ctx, desc, cc, method, opts...)
}
