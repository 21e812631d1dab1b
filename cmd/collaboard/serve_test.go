package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func TestServe(t *testing.T) {
	t.Parallel()
	p := command(t, "serve").env("COLLABOARD_ADDR=127.0.0.1:0", "COLLABOARD_LOG_FORMAT=json").start()
	var record struct {
		Addr  string `json:"addr"`
		Store string `json:"store"`
	}
	if err := json.Unmarshal([]byte(p.err.await(t, `"msg":"listening"`, 1)[0]), &record); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^127\.0\.0\.1:[1-9]\d*$`).MatchString(record.Addr) || record.Store != "sqlite:collaboard.db" {
		t.Errorf("logged %+v", record)
	}
	if _, err := os.Stat(filepath.Join(p.cmd.Dir, "collaboard.db")); err != nil {
		t.Error("the store is not in the working directory")
	}
	command(t, "board", "list", "--server", record.Addr).run(0)

	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := p.err.String()
	if !strings.Contains(log, `"deadline":"15s"`) {
		t.Error("a duration is not logged as on the command line")
	}
	if strings.Count(log, `"msg":"listening"`) != 1 || strings.Count(log, `"msg":"drained"`) != 1 {
		t.Errorf("logged:\n%s", log)
	}
	if strings.Contains(log, "UNPROTECTED") || p.out.String() != "" {
		t.Errorf("logged:\n%s\nprinted:\n%s", log, p.out)
	}
}

func TestServeTextLog(t *testing.T) {
	t.Parallel()
	p := command(t, "serve", "--addr", ":0", "--insecure").start()
	p.err.await(t, `level=WARN msg="UNPROTECTED: .* addr=\[::\]:\d+$`, 1)
	p.err.await(t, `level=INFO msg=listening addr=\[::\]:\d+ `, 1)
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A client whose process is stopped keeps its connection open, which a drain waits for.
func TestServeDrain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, timeout string
		more          []os.Signal
		want          string
	}{
		{"deadline", "50ms", nil, `(?m)^collaboard: not drained within 50ms: what had not ended was cut off$`},
		{"second signal", "1h", []os.Signal{syscall.SIGINT}, `(?m)^collaboard: second signal: ending at once$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--drain-timeout", test.timeout)
			out, _ := command(t, "board", "create", "x", "--server", addr).run(0)
			board := strings.TrimSpace(out)
			follower := command(t, "tail", "--follow", board, "--server", addr).start()
			command(t, "send", board, "--server", addr).withInput(`{"chatMessage":{"text":"x"}}`, 0)
			follower.out.await(t, "chatMessage", 1)
			follower.signal(syscall.SIGSTOP)
			var state syscall.WaitStatus // of the follower, once all of it stands still
			if _, err := syscall.Wait4(follower.cmd.Process.Pid, &state, syscall.WUNTRACED, nil); err != nil || !state.Stopped() {
				t.Fatalf("%v: %v", state, err)
			}
			t.Cleanup(func() { _ = follower.cmd.Process.Signal(syscall.SIGCONT) })

			p.signal(syscall.SIGTERM)
			p.err.await(t, `"msg":"draining"`, 1)
			for _, sig := range test.more {
				p.signal(sig)
			}
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !regexp.MustCompile(test.want).MatchString(p.err.String()) {
				t.Errorf("complained:\n%s", p.err)
			}
		})
	}
}

// What sends a signal to a process and to its group means one.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		second os.Signal
		after  time.Duration
		ends   bool
	}{
		{"same at once", syscall.SIGTERM, sameSignal / 2, false},
		{"same later", syscall.SIGTERM, 2 * sameSignal, true},
		{"another at once", os.Interrupt, sameSignal / 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				signals, done := make(chan os.Signal), make(chan struct{})
				interrupts := 0
				ended := make(chan bool, 1)
				go func() { ended <- awaitSecond(signals, done, func() { interrupts++ }) }()
				signals <- syscall.SIGTERM
				time.Sleep(test.after) //nolint:forbidigo // moves a false clock
				signals <- test.second
				synctest.Wait()
				close(done)
				if got := <-ended; got != test.ends {
					t.Errorf("ended: %t, want %t", got, test.ends)
				}
				if interrupts != 1 {
					t.Errorf("interrupted %d times", interrupts)
				}
			})
		})
	}
}

func TestServeProfiles(t *testing.T) {
	t.Parallel()
	p := command(t, "serve", "--addr", "127.0.0.1:0", "--debug-addr", "127.0.0.1:0", "--log-format", "json").start()
	var record struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(p.err.await(t, `"msg":"serving profiles"`, 1)[0]), &record); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, record.URL+"goroutine?debug=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasPrefix(string(body), "goroutine profile: total ") {
		t.Errorf("profile is %.100q, %v", body, err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, out := command(t, "serve", "--addr", "127.0.0.1:0", "--debug-addr", ":0").run(2); !strings.Contains(out, "must be a loopback address") {
		t.Errorf("a profile for the whole network gives %q", out)
	}
}

func TestServeBrowsers(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--allowed-origin", "https://a.example", "--allowed-origin", "https://b.example")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for origin, want := range map[string]string{"https://a.example": "https://a.example", "https://b.example": "https://b.example", "https://c.example": ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+addr+"/collaboard.v1.BoardService/ListBoards", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", http.MethodPost)
		req.Header.Set("Access-Control-Request-Headers", "content-type,x-grpc-web")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: allowed is %q, want %q", origin, got, want)
		}
	}
	for _, origin := range []string{"*", "null", "b.example", "https://b.example/", "https://B.example"} {
		if _, out := command(t, "serve", "--allowed-origin", origin).run(2); !strings.Contains(out, "--allowed-origin") {
			t.Errorf("%q gives %q", origin, out)
		}
	}
}

func TestServeFiles(t *testing.T) {
	t.Parallel()
	for flag, value := range map[string]string{"--max-files": "1", "--max-files-bytes": "199"} {
		_, addr := serve(t, t.TempDir(), "127.0.0.1:0", flag, value)
		out, _ := command(t, "board", "create", "x", "--server", addr).run(0)
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		for i, want := range []codes.Code{codes.OK, codes.FailedPrecondition} {
			_, err := collaboardv1.NewBoardServiceClient(conn).UploadFile(t.Context(), &collaboardv1.UploadFileRequest{
				BoardId: strings.TrimSpace(out), Content: append([]byte("GIF89a"), slices.Repeat([]byte{byte(i)}, 94)...), MediaType: "image/gif",
			})
			if status.Code(err) != want {
				t.Errorf("%s: file %d gives %v", flag, i, err)
			}
		}
	}
	if _, out := command(t, "serve", "--upload-bytes", "0").run(2); !strings.Contains(out, "--upload-bytes") {
		t.Errorf("--upload-bytes 0 gives %q", out)
	}
}
