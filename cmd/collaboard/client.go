package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// clientFlags is how a command finds its server and says who it is.
type clientFlags struct {
	Server string `env:"COLLABOARD_SERVER" default:"127.0.0.1:8080" help:"Address of the server, HOST:PORT."`
	Token  string `env:"COLLABOARD_TOKEN" placeholder:"TOKEN" help:"Bearer token that says who you are."`
	User   string `env:"COLLABOARD_USER" placeholder:"ID" help:"User id to go by where no token is asked for."`
	Name   string `env:"COLLABOARD_NAME" placeholder:"NAME" help:"Name to show to others."`
}

// callTimeout bounds calls that answer at once.
const callTimeout = 10 * time.Second

// client is a connection to the server. It is made when it is first used, and again when it broke.
type client struct {
	*grpc.ClientConn
	server  string
	dialErr atomic.Pointer[error] // of the newest attempt; nil when that succeeded
}

// dial returns a client, which must be closed.
func (f *clientFlags) dial() (*client, error) {
	if _, _, err := net.SplitHostPort(f.Server); err != nil {
		return nil, usagef("--server %s: must be HOST:PORT, as in 127.0.0.1:8080", f.Server)
	}
	c := &client{server: f.Server}
	var err error
	c.ClientConn, err = f.dialAs(c)
	return c, err
}

// dialAs makes one more connection, whose errors c explains.
func (f *clientFlags) dialAs(c *client, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	md := f.metadata()
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(c.connect),
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
	conn, err := grpc.NewClient("passthrough:///"+f.Server, opts...)
	if err != nil {
		return nil, fmt.Errorf("--server %s: %w", f.Server, err)
	}
	return conn, nil
}

func (c *client) connect(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		c.dialErr.Store(&err)
		return nil, err
	}
	c.dialErr.Store(nil)
	return conn, nil
}

func (f *clientFlags) metadata() metadata.MD {
	md := metadata.MD{}
	for key, value := range map[string]string{"user-id": url.PathEscape(f.User), "display-name": url.PathEscape(f.Name)} {
		if value != "" {
			md.Set(key, value)
		}
	}
	if f.Token != "" {
		md.Set("authorization", "Bearer "+f.Token)
	}
	return md
}

func (c *client) boards() collaboardv1.BoardServiceClient {
	return collaboardv1.NewBoardServiceClient(c.ClientConn)
}

// explain puts the error of a call into the user's terms; other errors it returns as they are.
func (c *client) explain(err error) error {
	var call interface{ GRPCStatus() *status.Status }
	if err == nil || !errors.As(err, &call) {
		return err
	}
	message := call.GRPCStatus().Message()
	switch code := call.GRPCStatus().Code(); code {
	case codes.Unavailable:
		return c.explainUnavailable(message)
	case codes.DeadlineExceeded:
		return fmt.Errorf("the server at %s did not answer in time", c.server)
	case codes.Canceled:
		return errInterrupted
	case codes.Unauthenticated:
		return fmt.Errorf("the server does not know who you are: %s: see --token", message)
	case codes.PermissionDenied:
		return fmt.Errorf("the server does not allow this: %s", message)
	case codes.Unimplemented, codes.Unknown:
		return fmt.Errorf("the server at %s does not answer as a Collaboard server of this version does: %s", c.server, message)
	case codes.Internal:
		return fmt.Errorf("the server failed: %s", message)
	default:
		return errors.New(message)
	}
}

// explainUnavailable tells what the server said from what grpc says when there is none: it has one code for both.
func (c *client) explainUnavailable(message string) error {
	if dialErr := c.dialErr.Load(); dialErr != nil {
		return fmt.Errorf("cannot reach a server at %s (%w): start one with \"collaboard serve\", or name another with --server",
			c.server, innermost(*dialErr))
	}
	switch {
	case strings.HasPrefix(message, "connection error: "):
		return fmt.Errorf("what listens at %s does not answer as a Collaboard server does", c.server)
	case strings.HasPrefix(message, "error reading from server: "), strings.HasPrefix(message, "closing transport "),
		strings.Contains(message, "transport is closing"):
		return fmt.Errorf("the connection to %s was lost", c.server)
	default:
		return errors.New(message)
	}
}

// errEnded is a stream that the server was done with before we were.
var errEnded = status.Error(codes.Unavailable, "the server ended the stream")

// isTemporary says whether a stream that ended like this may be opened again.
func isTemporary(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted:
		return true
	default:
		return false
	}
}

// backoff is the pauses between attempts: they double, up to a few seconds, and are spread over their upper half.
type backoff struct{ next time.Duration }

const (
	backoffFirst = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

func (b *backoff) reset() { b.next = 0 }

// wait returns when it is time for the next attempt, or with the cause when ctx ends.
func (b *backoff) wait(ctx context.Context) error {
	b.next = min(max(2*b.next, backoffFirst), maxBackoff)
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
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

// retryable is the ERROR that a request was answered with as the error of a stream that may be opened again.
func retryable(e *collaboardv1.Error) error {
	return status.Error(codes.Unavailable, e.GetMessage())
}
