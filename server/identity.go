package server

import (
	"context"
	"net/url"
	"regexp"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// identity is who a call is made by.
type identity struct {
	user  string
	name  string
	color string
}

type identityKey struct{}

func identityFrom(ctx context.Context) identity {
	id, _ := ctx.Value(identityKey{}).(identity)
	return id
}

const (
	anonymous    = "anonymous"
	maxNameRunes = 128
)

var colorPattern = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// identify takes the caller's word for who it is: metadata "user-id", "display-name" and "color", the first two
// percent-encoded where they are not plain ASCII.
func identify(ctx context.Context) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	id := identity{user: anonymous}
	for key, field := range map[string]*string{"user-id": &id.user, "display-name": &id.name} {
		values := md.Get(key)
		if len(values) == 0 || values[0] == "" {
			continue
		}
		text, err := url.PathUnescape(values[0])
		if err != nil || !isPrintable(text, maxNameRunes) {
			return nil, status.Errorf(codes.InvalidArgument, "metadata %q: 1 to %d printable characters, percent-encoded UTF-8", key, maxNameRunes)
		}
		*field = text
	}
	if id.name == "" {
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

func isPrintable(s string, maxRunes int) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxRunes {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func identifyUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := identify(ctx)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func identifyStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := identify(ss.Context())
	if err != nil {
		return err
	}
	return handler(srv, &contextStream{ServerStream: ss, ctx: ctx})
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc's own way to give a stream a context
}

func (s *contextStream) Context() context.Context { return s.ctx }
