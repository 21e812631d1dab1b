package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// clientFlags is how a command finds its server and says who it is.
type clientFlags struct {
	Server      string `env:"COLLABOARD_SERVER" default:"127.0.0.1:8080" help:"Address of the server, HOST:PORT."`
	TLS         bool   `name:"tls" env:"COLLABOARD_TLS" help:"Speak TLS with the server, or with the proxy before it."`
	CA          string `name:"ca" env:"COLLABOARD_CA" placeholder:"FILE" help:"Trust the certificates in this PEM file, not the system's; with --tls."`
	Token       string `env:"COLLABOARD_TOKEN" placeholder:"TOKEN" help:"Bearer token that says who you are."`
	User        string `env:"COLLABOARD_USER" placeholder:"ID" help:"User id to go by where no token is asked for."`
	DisplayName string `env:"COLLABOARD_DISPLAY_NAME" placeholder:"NAME" help:"Name under which others see you."`
}

// callTimeout bounds calls that answer at once.
const callTimeout = 10 * time.Second

// endpoint is the server of a command: how to reach it, and what became of that.
type endpoint struct {
	flags   *clientFlags
	creds   credentials.TransportCredentials
	dialErr atomic.Pointer[error] // of the newest attempt; nil when that succeeded
}

// endpoint looks at the flags. It does not connect.
func (f *clientFlags) endpoint() (*endpoint, error) {
	host, _, err := net.SplitHostPort(f.Server)
	if err != nil {
		return nil, usagef("--server %s: must be HOST:PORT, as in 127.0.0.1:8080", f.Server)
	}
	creds, err := f.credentials()
	if err != nil {
		return nil, err
	}
	if f.Token != "" && !f.TLS && !isLoopbackHost(host) {
		complainf("warning: the token crosses the network readable, for want of --tls")
	}
	return &endpoint{flags: f, creds: creds}, nil
}

func (f *clientFlags) credentials() (credentials.TransportCredentials, error) {
	switch {
	case !f.TLS && f.CA != "":
		return nil, usagef("--ca is of no use without --tls")
	case !f.TLS:
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", f.CA, innermost(err))
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", f.CA)
		}
	}
	return credentials.NewTLS(cfg), nil
}

func isLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// target hands grpc the address as it is: resolving it is connect's.
func (e *endpoint) target() string { return "passthrough:///" + e.flags.Server }

// dial returns a connection, which is made when it is first used, and again when it broke. It must be closed.
func (e *endpoint) dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	md := e.flags.metadata()
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(e.creds),
		grpc.WithContextDialer(e.connect),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
			invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
		) error {
			return invoke(metadata.NewOutgoingContext(ctx, md), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
			open grpc.Streamer, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return open(metadata.NewOutgoingContext(ctx, md), desc, cc, method, opts...)
		}),
	}, opts...)
	conn, err := grpc.NewClient(e.target(), opts...)
	if err != nil {
		return nil, fmt.Errorf("--server %s: %w", e.flags.Server, err)
	}
	return conn, nil
}

// maxBackoff is the longest pause between two attempts to connect.
const maxBackoff = 5 * time.Second

// sdk returns a client that reconnects by itself, and tells n about it. It must be closed.
func (e *endpoint) sdk(n *narrator, opts ...client.Option) (*client.Client, error) {
	opts = append([]client.Option{
		client.WithTransportCredentials(e.creds),
		client.WithDialOptions(grpc.WithContextDialer(e.connect)),
		client.WithBackoff(100*time.Millisecond, maxBackoff),
		client.WithLogger(n.logger()),
	}, opts...)
	f := e.flags
	if f.Token != "" {
		opts = append(opts, client.WithToken(f.Token))
	}
	if f.User != "" {
		opts = append(opts, client.WithUserID(f.User))
	}
	if f.DisplayName != "" {
		opts = append(opts, client.WithDisplayName(f.DisplayName))
	}
	c, err := client.Dial(e.target(), opts...)
	if err != nil {
		return nil, fmt.Errorf("--server %s: %w", f.Server, err)
	}
	return c, nil
}

func (e *endpoint) connect(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		e.dialErr.Store(&err)
		return nil, err
	}
	e.dialErr.Store(nil)
	return conn, nil
}

func (f *clientFlags) metadata() metadata.MD {
	md := metadata.MD{}
	for key, value := range map[string]string{"user-id": url.PathEscape(f.User), "display-name": url.PathEscape(f.DisplayName)} {
		if value != "" {
			md.Set(key, value)
		}
	}
	if f.Token != "" {
		md.Set("authorization", "Bearer "+f.Token)
	}
	return md
}

// getBoard finds out whether there is such a server, and such a board on it.
func getBoard(ctx context.Context, boards collaboardv1.BoardServiceClient, id boardID) (*collaboardv1.Board, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return boards.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: string(id)})
}

// explain puts the error of a call into the user's terms; other errors it returns as they are.
func (e *endpoint) explain(err error) error {
	if refused, ok := errors.AsType[*client.FrameError](err); ok {
		return errors.New(refused.Message)
	}
	var call interface{ GRPCStatus() *status.Status }
	if err == nil || !errors.As(err, &call) {
		return err
	}
	message := call.GRPCStatus().Message()
	switch code := call.GRPCStatus().Code(); code {
	case codes.Unavailable:
		return e.explainUnavailable(message)
	case codes.DeadlineExceeded:
		return fmt.Errorf("the server at %s did not answer in time", e.flags.Server)
	case codes.Canceled:
		return errInterrupted
	case codes.Unauthenticated:
		return fmt.Errorf("the server does not know who you are: %s: see --token", message)
	case codes.PermissionDenied:
		return fmt.Errorf("the server does not allow this: %s", message)
	case codes.Unimplemented, codes.Unknown:
		return fmt.Errorf("the server at %s does not answer as a Collaboard server of this version does: %s", e.flags.Server, message)
	case codes.Internal:
		return fmt.Errorf("the server failed: %s", message)
	default:
		return errors.New(message)
	}
}

// explainUnavailable tells what the server said from what grpc says when there is none: it has one code for both.
func (e *endpoint) explainUnavailable(message string) error {
	if dialErr := e.dialErr.Load(); dialErr != nil {
		return fmt.Errorf("cannot reach a server at %s (%w): start one with \"collaboard serve\", or name another with --server",
			e.flags.Server, innermost(*dialErr))
	}
	if quoted, ok := strings.CutPrefix(message, "connection error: desc = "); ok {
		what, err := strconv.Unquote(quoted)
		if err != nil {
			what = quoted
		}
		return e.explainNoConnection(what)
	}
	switch {
	case strings.HasPrefix(message, "error reading from server: "), strings.HasPrefix(message, "closing transport "),
		strings.Contains(message, "transport is closing"):
		return fmt.Errorf("the connection to %s was lost", e.flags.Server)
	default:
		return errors.New(message)
	}
}

// explainNoConnection is about an address at which somebody listens.
func (e *endpoint) explainNoConnection(what string) error {
	_, handshake, failed := strings.Cut(what, "authentication handshake failed: ")
	switch {
	case e.flags.TLS && failed:
		return fmt.Errorf("no TLS connection to %s: %s", e.flags.Server, strings.TrimPrefix(handshake, "tls: "))
	case e.flags.TLS:
		return fmt.Errorf("what listens at %s does not answer as a Collaboard server does", e.flags.Server)
	default:
		return fmt.Errorf("what listens at %s does not answer as a Collaboard server does; if it speaks TLS, say --tls", e.flags.Server)
	}
}

// boardID is a board's id on the command line.
type boardID string

// UnmarshalText is called by kong.
func (id *boardID) UnmarshalText(text []byte) error {
	parsed, err := uuid.Parse(string(text))
	if err != nil || len(text) != 36 {
		return fmt.Errorf("%q is not a board's id; \"collaboard board list\" shows them", text)
	}
	*id = boardID(parsed.String())
	return nil
}
