package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// certificate makes one for 127.0.0.1 that signs itself, and a file in which it can be trusted.
func certificate(t *testing.T) (cert tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, file := certificate(t)
	addr := serveFake(t, func(stream collaborateStream) error {
		for seq := uint64(1); ; seq++ {
			request, err := stream.Recv()
			if err != nil {
				return nil //nolint:nilerr // the end of input
			}
			if err := stream.Send(done(request, seq)); err != nil {
				return err
			}
		}
	}, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	board := uuid.NewString()
	cli := func(args ...string) *program {
		return command(t, append(args, board, "--display-name", "Ada", "--user", "ada")...).env("COLLABOARD_SERVER="+addr, "COLLABOARD_TOKEN=right")
	}
	for _, vars := range [][]string{
		{"COLLABOARD_TLS=true", "COLLABOARD_CA=" + file},
		{"COLLABOARD_TLS=true", "SSL_CERT_FILE=" + file, "SSL_CERT_DIR=/nowhere"}, // where Go finds the system's
	} {
		out, stderr := cli("board", "get").env(vars...).run(0)
		if !strings.Contains(out, "owner    ada\n") || !strings.Contains(out, "name     Ada\n") || stderr != "" {
			t.Errorf("printed %q, complained %q", out, stderr)
		}
		for _, args := range [][]string{{"send"}, {"send", "--retry"}} {
			if out, stderr := cli(args...).env(vars...).withInput(chat(1), 0); !strings.Contains(out, `"seq":"1"`) || stderr != "" {
				t.Errorf("%v: printed %q, complained %q", args, out, stderr)
			}
		}
	}
	_, stderr := cli("board", "get", "--tls").run(1)
	if want := "collaboard: no TLS connection to " + addr + ": failed to verify certificate: "; !strings.HasPrefix(stderr, want) {
		t.Errorf("complained %q", stderr)
	}
	_, stderr = cli("board", "get").run(1)
	if want := "collaboard: what listens at " + addr + " does not answer as a Collaboard server does; if it speaks TLS, say --tls\n"; stderr != want {
		t.Errorf("complained %q", stderr)
	}
	_, stderr = cli("board", "get", "--tls", "--ca", file, "--token", "wrong").run(1)
	if want := "collaboard: the server does not know who you are: not a good token: see --token\n"; stderr != want {
		t.Errorf("complained %q", stderr)
	}
}

func TestTokenInPlainText(t *testing.T) {
	t.Parallel()
	const warning = "collaboard: warning: the token crosses the network readable, for want of --tls\n"
	for server, want := range map[string]bool{"0.0.0.0:1": true, "127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false} {
		_, stderr := command(t, "board", "list", "--server", server, "--token", "x").run(1)
		if got := strings.HasPrefix(stderr, warning); got != want {
			t.Errorf("%s: complained %q", server, stderr)
		}
	}
	if _, stderr := command(t, "board", "list", "--server", "0.0.0.0:1", "--tls", "--token", "x").run(1); strings.Contains(stderr, "warning") {
		t.Errorf("with TLS: complained %q", stderr)
	}
}
