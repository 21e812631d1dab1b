package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/server/auth"
)

const authNone = "none"

// authFlags say whom the server believes.
type authFlags struct {
	Auth         string        `enum:"none,jwt" default:"none" help:"How callers show who they are: none takes their word, jwt wants a JSON Web Token."`
	AuthIssuer   string        `placeholder:"URL" help:"Issuer of the tokens (iss), which is asked for its keys (OpenID Connect) but for --auth-keys."`
	AuthAudience string        `placeholder:"NAME" help:"Whom the tokens must be for (aud)."`
	AuthKeys     string        `placeholder:"FILE|URL" help:"Keys of the issuer, a JWK Set; in a file they may be secrets, of HS256."`
	AuthSkew     time.Duration `default:"30s" help:"How far the issuer's clock may differ."`
	Insecure     bool          `help:"Listen for other machines although nobody is asked who they are: with --auth none, as behind a proxy that asks."`
}

// check is called when the flags are validated.
func (f *authFlags) check() error {
	if f.Auth == authNone {
		if f.AuthIssuer != "" || f.AuthAudience != "" || f.AuthKeys != "" {
			return errors.New("--auth-issuer, --auth-audience and --auth-keys are for --auth jwt")
		}
		return nil
	}
	if f.AuthIssuer == "" || f.AuthAudience == "" {
		return errors.New("--auth jwt needs --auth-issuer and --auth-audience: any other token would do")
	}
	if f.AuthSkew <= 0 {
		return errors.New("--auth-skew must be greater than 0")
	}
	return nil
}

// verifier reads keys until ctx ends. It is nil where everybody is believed.
func (f *authFlags) verifier(ctx context.Context, log *slog.Logger) (auth.Verifier, error) {
	if f.Auth == authNone {
		return nil, nil //nolint:nilnil // nobody is asked
	}
	cfg := auth.JWTConfig{Issuer: f.AuthIssuer, Audience: f.AuthAudience, Skew: f.AuthSkew}
	if strings.HasPrefix(f.AuthKeys, "https://") || strings.HasPrefix(f.AuthKeys, "http://") {
		cfg.KeysURL = f.AuthKeys
	} else if f.AuthKeys != "" {
		keys, err := os.ReadFile(f.AuthKeys)
		if err != nil {
			return nil, fmt.Errorf("cannot read --auth-keys: %w", err)
		}
		cfg.Keys = keys
	}
	jwt, err := auth.NewJWT(ctx, log, cfg)
	if err != nil {
		return nil, fmt.Errorf("--auth jwt: %w", err)
	}
	return jwt, nil
}
