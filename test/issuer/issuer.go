// Package issuer is an OpenID Connect issuer for tests: it says where its keys are, and makes tokens.
package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Audience is for whom the tokens are.
const Audience = "collaboard"

// Issuer serves its keys until the test ends. It is safe for concurrent use.
type Issuer struct {
	URL string

	t testing.TB

	mu    sync.Mutex
	keys  []key
	down  bool
	asked int
}

type key struct {
	id     string
	method jwt.SigningMethod
	secret any
}

// New returns an issuer with one key, of EdDSA.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.configuration)
	mux.HandleFunc("GET /keys", i.serveKeys)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.URL = srv.URL
	i.Rotate("EdDSA")
	return i
}

// KeysURL is where the keys are.
func (i *Issuer) KeysURL() string { return i.URL + "/keys" }

// Rotate makes a new key, with which tokens are signed from now on, and withdraws the others.
func (i *Issuer) Rotate(alg string) {
	i.t.Helper()
	method := jwt.GetSigningMethod(alg)
	var secret any
	var err error
	switch method.(type) {
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		secret, err = rsa.GenerateKey(rand.Reader, 2048)
	case *jwt.SigningMethodECDSA:
		secret, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case *jwt.SigningMethodEd25519:
		_, secret, err = ed25519.GenerateKey(rand.Reader)
	default:
		bytes := make([]byte, 64)
		_, err = rand.Read(bytes)
		secret = bytes
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []key{{id: alg + " " + time.Now().Format(time.RFC3339Nano), method: method, secret: secret}}
}

// SetDown makes the issuer answer with errors.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Asked is how often its keys were asked for.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// Token returns a token of the user that is good for so long, with other claims where there are some; a nil one takes a claim
// away.
func (i *Issuer) Token(user string, life time.Duration, more ...map[string]any) string {
	i.t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"iss": i.URL, "aud": Audience, "sub": user, "iat": now.Unix(), "exp": float64(now.Add(life).UnixMilli()) / 1e3}
	for _, m := range more {
		maps.Copy(claims, m)
	}
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	i.mu.Lock()
	k := i.keys[0]
	i.mu.Unlock()
	token := jwt.NewWithClaims(k.method, claims)
	token.Header["kid"] = k.id
	text, err := token.SignedString(k.secret)
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// Keys is the JWK Set, with secrets where the keys are such.
func (i *Issuer) Keys() []byte {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	set := jwkset.JWKSMarshal{}
	for _, k := range i.keys {
		secret := k.secret
		if pair, ok := secret.(crypto.Signer); ok {
			secret = pair.Public()
		}
		_, symmetric := secret.([]byte)
		jwk, err := jwkset.NewJWKFromKey(secret, jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: k.id, ALG: jwkset.ALG(k.method.Alg())},
			Marshal:  jwkset.JWKMarshalOptions{Private: symmetric},
		})
		if err != nil {
			i.t.Error(err)
			continue
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(set)
	if err != nil {
		i.t.Error(err)
	}
	return text
}

func (i *Issuer) configuration(w http.ResponseWriter, _ *http.Request) {
	i.answer(w, map[string]string{"issuer": i.URL, "jwks_uri": i.KeysURL()})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.asked++
	i.mu.Unlock()
	i.answer(w, json.RawMessage(i.Keys()))
}

func (i *Issuer) answer(w http.ResponseWriter, what any) {
	i.mu.Lock()
	down := i.down
	i.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		i.t.Log(err)
	}
}
