package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/collaboard-io/collaboard/server/auth"
	"github.com/collaboard-io/collaboard/test/issuer"
)

func verifier(t *testing.T, cfg auth.JWTConfig) *auth.JWT {
	t.Helper()
	v, err := auth.NewJWT(t.Context(), slog.New(slog.DiscardHandler), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantRefused is the reason that whoever sent the token is told.
func wantRefused(t *testing.T, v auth.Verifier, token, reason string) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	if invalid, ok := errors.AsType[*auth.InvalidError](err); !ok || !strings.Contains(invalid.Reason, reason) {
		t.Errorf("%v, %v, want a refusal for %q", id, err, reason)
	}
}

// TestTokensOfEveryAlgorithm, with keys in a file, of a URL, and discovered.
func TestTokensOfEveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA", "HS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			iss := issuer.New(t)
			iss.Rotate(alg)
			for how, cfg := range map[string]auth.JWTConfig{
				"file": {Keys: iss.Keys()}, "URL": {KeysURL: iss.KeysURL()}, "discovered": {},
			} {
				cfg.Issuer, cfg.Audience = iss.URL, issuer.Audience
				v := verifier(t, cfg)
				id, err := v.Verify(t.Context(), iss.Token("ada", time.Hour, map[string]any{"name": "Ada L"}))
				left := time.Until(id.Expires)
				if err != nil || id.User != "ada" || id.Name != "Ada L" || left < 59*time.Minute || left > 61*time.Minute {
					t.Errorf("%s: %+v, %v", how, id, err)
				}
				iss2 := issuer.New(t)
				iss2.Rotate(alg)
				wantRefused(t, v, iss2.Token("ada", time.Hour, map[string]any{"iss": iss.URL}), "not valid") // another's key
			}
		})
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	v := verifier(t, auth.JWTConfig{Issuer: iss.URL, Audience: issuer.Audience, Keys: iss.Keys()})
	good := iss.Token("ada", time.Hour)
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"iss": iss.URL, "aud": issuer.Audience, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ token, reason string }{
		"expired":         {iss.Token("ada", -time.Minute), "has expired"},
		"no exp":          {iss.Token("ada", 0, map[string]any{"exp": nil}), "lacks a claim"},
		"not yet":         {iss.Token("ada", time.Hour, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), "not valid yet"},
		"other audience":  {iss.Token("ada", time.Hour, map[string]any{"aud": "mail"}), "another audience"},
		"no audience":     {iss.Token("ada", time.Hour, map[string]any{"aud": nil}), ""},
		"other issuer":    {iss.Token("ada", time.Hour, map[string]any{"iss": "https://x.example"}), "another issuer"},
		"no issuer":       {iss.Token("ada", time.Hour, map[string]any{"iss": nil}), ""},
		"nobody":          {iss.Token("", time.Hour), "sub"},
		"no sub":          {iss.Token("", time.Hour, map[string]any{"sub": nil}), "sub"},
		"name of NUL":     {iss.Token("a\x00", time.Hour), "sub"},
		"long name":       {iss.Token(strings.Repeat("a", 129), time.Hour), "sub"},
		"sub is a number": {iss.Token("", time.Hour, map[string]any{"sub": 7}), "not valid"},
		"no signature":    {head + "." + body + ".", "not valid"},
		"unsigned":        {none, "not valid"},
		"other body":      {head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bob"}`)) + "." + signature, "not valid"},
		"empty":           {"", "not valid"},
		"no token":        {"hello", "not valid"},
		"dots":            {strings.Repeat(".", 1000), "not valid"},
		"huge":            {strings.Repeat("a", 20<<10), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, v, tc.token, tc.reason)
		})
	}
	if id, err := v.Verify(t.Context(), iss.Token("ada", -time.Second)); err != nil || id.Expires.Before(time.Now()) {
		t.Errorf("within the skew: %v, %v", id, err)
	}
}

// TestPublicKeyIsNoSecret: a token that is signed with the issuer's public key, as if that were a secret of HS256.
func TestPublicKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	iss.Rotate("RS256")
	v := verifier(t, auth.JWTConfig{Issuer: iss.URL, Audience: issuer.Audience, Keys: iss.Keys()})
	var set struct {
		Keys []struct{ Kid, N string }
	}
	if err := json.Unmarshal(iss.Keys(), &set); err != nil {
		t.Fatal(err)
	}
	public, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []any{set.Keys[0].Kid, nil} {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": iss.URL, "aud": issuer.Audience, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
		})
		if kid != nil {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(public)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, v, text, "not valid")
	}
}

// TestKeysThatChange: a new key is known with its first token, and who makes keys up does not have the issuer asked again.
func TestKeysThatChange(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	v := verifier(t, auth.JWTConfig{Issuer: iss.URL, Audience: issuer.Audience})
	old := iss.Token("ada", time.Hour)
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	iss.Rotate("ES256")
	if _, err := v.Verify(t.Context(), iss.Token("ada", time.Hour)); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	wantRefused(t, v, old, "not valid")
	asked := iss.Asked()
	for range 100 {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{})
		token.Header["kid"] = "made up"
		text, err := token.SignedString([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, v, text, "not valid")
	}
	if n := iss.Asked(); n != asked {
		t.Errorf("the issuer was asked %d times more", n-asked)
	}
}

// TestIssuerThatIsAway: what it had said before is known, and before that nobody can say whose a token is.
func TestIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	cfg := auth.JWTConfig{Issuer: iss.URL, Audience: issuer.Audience, KeysURL: iss.KeysURL()}
	before := verifier(t, cfg)
	iss.SetDown(true)
	if _, err := before.Verify(t.Context(), iss.Token("ada", time.Hour)); err != nil {
		t.Errorf("with the keys of before: %v", err)
	}
	v := verifier(t, cfg)
	_, err := v.Verify(t.Context(), iss.Token("ada", time.Hour))
	if _, ok := errors.AsType[*auth.UnavailableError](err); !ok {
		t.Errorf("without keys: %v", err)
	}
}

// TestIssuersThatCannotBeUsed are found when the server starts.
func TestIssuersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	answer := func(text string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(text))
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	for name, tc := range map[string]struct {
		cfg  auth.JWTConfig
		want string
	}{
		"no issuer":    {auth.JWTConfig{Audience: "x", Keys: []byte("{}")}, "issuer"},
		"no audience":  {auth.JWTConfig{Issuer: "x", Keys: []byte("{}")}, "audience"},
		"no JSON":      {auth.JWTConfig{Issuer: "x", Audience: "x", Keys: []byte("secret")}, "no JWK Set"},
		"no keys":      {auth.JWTConfig{Issuer: "x", Audience: "x", Keys: []byte(`{"keys":[]}`)}, "no key"},
		"plain text":   {auth.JWTConfig{Issuer: "x", Audience: "x", KeysURL: "http://issuer.example/keys"}, "https"},
		"plain issuer": {auth.JWTConfig{Issuer: "http://issuer.example", Audience: "x"}, "https"},
		"no URL":       {auth.JWTConfig{Issuer: "issuer", Audience: "x"}, "no URL"},
		"other issuer": {auth.JWTConfig{Issuer: answer(`{"issuer":"https://x.example","jwks_uri":"https://x.example/k"}`), Audience: "x"}, "another issuer"},
		"no discovery": {auth.JWTConfig{Issuer: answer(`<html>`), Audience: "x"}, "openid-configuration"},
		"without end":  {auth.JWTConfig{Issuer: answer(`{"a":"` + strings.Repeat("x", 2<<20) + `"}`), Audience: "x"}, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.NewJWT(t.Context(), slog.New(slog.DiscardHandler), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
