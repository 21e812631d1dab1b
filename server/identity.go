package server

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server/auth"
)

// identity is who a call is made by.
type identity struct {
	user    string
	name    string
	color   string
	expires time.Time // when the caller's token ends; never, where zero
}

type identityKey struct{}

func identityFrom(ctx context.Context) identity {
	id, _ := ctx.Value(identityKey{}).(identity)
	return id
}

const anonymous = "anonymous"

var colorPattern = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// errTokenEnded is how a stream ends whose token does, and what is read of it after that.
var errTokenEnded = &auth.InvalidError{Reason: "the token has ended: come back with another, or renew it in time"}

// doorman finds out who calls. Without a verifier it takes the caller's word for it.
type doorman struct{ verifier auth.Verifier }

// identify reads a caller's metadata: with a verifier "authorization", a bearer token; else "user-id"; and in any case
// "display-name" and "color". Names are percent-encoded where they are not plain ASCII; that of a token goes before the
// caller's own.
func (d doorman) identify(ctx context.Context, method string) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	id := identity{user: anonymous}
	own := map[string]*string{"user-id": &id.user, "display-name": &id.name}
	var known auth.Identity
	if d.verifier != nil {
		delete(own, "user-id")
		if isPublic(method) {
			return context.WithValue(ctx, identityKey{}, id), nil
		}
		var err error
		if known, err = d.verify(ctx, md.Get("authorization")); err != nil {
			return nil, err
		}
		id.user, id.expires = known.User, known.Expires
	}
	for key, field := range own {
		values := md.Get(key)
		if len(values) == 0 || values[0] == "" {
			continue
		}
		text, err := url.PathUnescape(values[0])
		if err != nil || !auth.IsPrintable(text, auth.MaxNameRunes) {
			return nil, status.Errorf(codes.InvalidArgument, "metadata %q: 1 to %d printable characters, percent-encoded UTF-8", key, auth.MaxNameRunes)
		}
		*field = text
	}
	switch {
	case known.Name != "":
		id.name = known.Name
	case id.name == "":
		id.name = id.user
	}
	if values := md.Get("color"); len(values) > 0 && values[0] != "" {
		if !colorPattern.MatchString(values[0]) {
			return nil, status.Error(codes.InvalidArgument, `metadata "color": as in "#1e90ff"`)
		}
		id.color = values[0]
	}
	return context.WithValue(ctx, identityKey{}, id), nil
}

// isPublic says whether a method is for everybody: it tells of the server, and of no board.
func isPublic(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.") || strings.HasPrefix(method, "/grpc.reflection.")
}

// verify looks at what a call has for a token.
func (d doorman) verify(ctx context.Context, authorization []string) (auth.Identity, error) {
	if len(authorization) != 1 {
		return auth.Identity{}, &auth.InvalidError{Reason: "a bearer token is needed, in the metadata \"authorization\""}
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return auth.Identity{}, &auth.InvalidError{Reason: "the metadata \"authorization\" must be \"Bearer TOKEN\""}
	}
	return d.verifier.Verify(ctx, token)
}

func (d doorman) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := d.identify(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (d doorman) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := d.identify(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	if end := identityFrom(ctx).expires; !end.IsZero() && info.FullMethod != collaboardv1.CollaborationService_Collaborate_FullMethodName {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, end, errTokenEnded)
		defer cancel()
	}
	return handler(srv, &contextStream{ServerStream: ss, ctx: ctx})
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc's own way to give a stream a context
}

func (s *contextStream) Context() context.Context { return s.ctx }
