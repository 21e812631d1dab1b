package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	// maxTokenBytes is far more than any issuer puts into one.
	maxTokenBytes = 16 << 10
	// maxKeysBytes is how much an issuer may answer.
	maxKeysBytes = 1 << 20
	// keysTimeout is how long it may take to do so.
	keysTimeout = 5 * time.Second
	// keysInterval is how often an issuer's keys are read again: one that is withdrawn is of no use after that.
	keysInterval = 10 * time.Minute
	// unknownKeyInterval is how often they are, besides, for a token whose key is not known: an issuer that has a new key is
	// asked soon, and not by everybody who makes one up.
	unknownKeyInterval = 10 * time.Second
)

// JWTConfig says which JSON Web Tokens are good.
type JWTConfig struct {
	Issuer   string        // "iss", and where to ask for its keys if there is neither Keys nor KeysURL
	Audience string        // one of "aud"
	Keys     []byte        // a JWK Set, which may hold secrets of HS256, HS384 and HS512
	KeysURL  string        // or where there is one, with HTTPS, or of a loopback address
	Skew     time.Duration // how far clocks may differ; 30 s
}

// JWT checks JSON Web Tokens (RFC 7519): "sub" is the user's id, "name" or "preferred_username" the name to show, and "exp"
// must be there.
type JWT struct {
	parser *jwt.Parser
	keys   keyfunc.Keyfunc
	skew   time.Duration
}

// NewJWT returns a verifier that reads keys of its issuer until ctx ends. Where they cannot be read yet it tries again.
func NewJWT(ctx context.Context, log *slog.Logger, cfg JWTConfig) (*JWT, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("an issuer and an audience are needed: any other token of the issuer would do")
	}
	if cfg.Skew <= 0 {
		cfg.Skew = 30 * time.Second
	}
	keys, err := cfg.keys(ctx, log)
	if err != nil {
		return nil, err
	}
	return &JWT{keys: keys, skew: cfg.Skew, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
		}),
		jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience), jwt.WithExpirationRequired(), jwt.WithLeeway(cfg.Skew),
	)}, nil
}

type claims struct {
	jwt.RegisteredClaims

	Name              string `json:"name"`
	PreferredUsername string `json:"preferred_username"`
}

// Verify is as of Verifier.
func (j *JWT) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > maxTokenBytes {
		return Identity{}, invalidf("the token is larger than %d bytes", maxTokenBytes)
	}
	c := &claims{}
	_, err := j.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		key, err := j.keys.KeyfuncCtx(ctx)(t)
		if err != nil {
			if all, readErr := j.keys.Storage().KeyReadAll(ctx); readErr != nil || len(all) == 0 {
				return nil, errNoKeys
			}
		}
		return key, err
	})
	if err != nil {
		return Identity{}, refusal(err)
	}
	if !isName(c.Subject) {
		return Identity{}, invalidf("the token's sub must be 1 to %d printable characters", MaxNameRunes)
	}
	id := Identity{User: c.Subject, Expires: c.ExpiresAt.Add(j.skew)}
	for _, name := range []string{c.Name, c.PreferredUsername} {
		if isName(name) {
			id.Name = name
			break
		}
	}
	return id, nil
}

// refusal says why a token is refused, and nothing of the keys.
func refusal(err error) error {
	switch {
	case errors.Is(err, errNoKeys):
		return &UnavailableError{Err: errNoKeys}
	case errors.Is(err, jwt.ErrTokenExpired):
		return invalidf("the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return invalidf("the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return invalidf("the token is for another audience")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return invalidf("the token is of another issuer")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return invalidf("the token lacks a claim: sub, iss, aud and exp are needed")
	default:
		return invalidf("the token is not valid")
	}
}

func (c JWTConfig) keys(ctx context.Context, log *slog.Logger) (keyfunc.Keyfunc, error) {
	if c.Keys != nil {
		keys, err := keyfunc.NewJWKSetJSON(c.Keys)
		if err != nil {
			return nil, errors.New("the keys are no JWK Set") // the reason would quote them
		}
		all, err := keys.Storage().KeyReadAll(ctx)
		if err != nil || len(all) == 0 {
			return nil, errors.New("the JWK Set has no key that can be used")
		}
		return keys, nil
	}
	client := &http.Client{Timeout: keysTimeout, Transport: limited{http.DefaultTransport}}
	if c.KeysURL == "" {
		found, err := discover(ctx, client, c.Issuer)
		if err != nil {
			return nil, fmt.Errorf("ask the issuer for its keys: %w", err)
		}
		c.KeysURL = found
	}
	if err := checkURL(c.KeysURL); err != nil {
		return nil, err
	}
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{c.KeysURL}, keyfunc.Override{
		Client:            client,
		HTTPTimeout:       keysTimeout,
		RefreshInterval:   keysInterval,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownKeyInterval), 1),
		RateLimitWaitMax:  keysTimeout, // for a turn, which at most one has in sight, and the answer together
		RefreshErrorHandlerFunc: func(u string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				log.WarnContext(ctx, "keys of tokens cannot be read", "url", u, "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("read the keys of tokens: %w", err)
	}
	return keys, nil
}

// discover asks an issuer where its keys are (OpenID Connect Discovery 1.0).
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	if err := checkURL(issuer); err != nil {
		return "", err
	}
	at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", at, resp.Status)
	}
	var found struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	if found.Issuer != issuer {
		return "", fmt.Errorf("%s is of another issuer, %q", at, found.Issuer)
	}
	return found.KeysURL, nil
}

// checkURL refuses what somebody on the way could answer.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL", text)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "https" || (u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback())) {
		return nil
	}
	return fmt.Errorf("%s must begin with https://, or be of a loopback address", text)
}

// limited cuts off an issuer that answers without end.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxKeysBytes), resp.Body}
	}
	return resp, err
}
