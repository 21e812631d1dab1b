package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collaboard-io/collaboard/test/issuer"
)

// TestServeWithTokens: keys are discovered, or in a file; who has no token is told what to do, and no token is logged.
func TestServeWithTokens(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	iss.Rotate("HS256")
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, iss.Keys(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string][]string{"discovered": nil, "file": {"--auth-keys", file}, "URL": {"--auth-keys", iss.KeysURL()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, addr := serve(t, t.TempDir(), "127.0.0.1:0",
				append([]string{"--auth", "jwt", "--auth-issuer", iss.URL, "--auth-audience", issuer.Audience, "--log-level", "debug"}, more...)...)
			token := iss.Token("ada", time.Hour)
			id, _ := command(t, "board", "create", "hers", "--server", addr, "--token", token).run(0)
			command(t, "send", strings.TrimSpace(id), "--server", addr, "--token", token).withInput(chat(1), 0)
			out, _ := command(t, "tail", strings.TrimSpace(id), "--server", addr, "--token", token).run(0)
			if !strings.Contains(out, `"from":"ada"`) {
				t.Errorf("the log is %s", out)
			}
			for _, args := range [][]string{nil, {"--token", "x"}, {"--token", iss.Token("ada", -time.Hour)}} {
				_, stderr := command(t, append([]string{"board", "list", "--server", addr, "--user", "ada"}, args...)...).run(1)
				if !strings.Contains(stderr, "token") || strings.Contains(stderr, "internal") {
					t.Errorf("%v: %s", args, stderr)
				}
			}
			if log := p.err.String(); strings.Contains(log, token) || strings.Contains(log, strings.Split(token, ".")[2]) {
				t.Errorf("a token is in the log")
			}
		})
	}
}
