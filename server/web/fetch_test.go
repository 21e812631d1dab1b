package web_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/collaboard-io/collaboard/server/web"
)

func (r *running) request(t *testing.T, ctx context.Context, method string, body []byte, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.addr+"/test.Service/Method", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestCallOverFetch(t *testing.T) {
	t.Parallel()
	headers := make(chan metadata.MD, 2)
	srv := serve(t, web.Config{}, func(stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		headers <- md
		var m wrapperspb.BytesValue
		if err := stream.RecvMsg(&m); err != nil {
			return err
		}
		for range 3 {
			if err := stream.SendMsg(&m); err != nil {
				return err
			}
		}
		return status.Error(codes.OutOfRange, "no more")
	})
	sent := message(4)[1:]
	for kind, encode := range map[string]func([]byte) []byte{
		"application/grpc-web+proto": bytes.Clone,
		"application/grpc-web-text":  func(p []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(p)) },
	} {
		res := srv.request(t, t.Context(), http.MethodPost, encode(sent), "Content-Type", kind, "X-Grpc-Web", "1", "User-Id", "ada", //nolint:bodyclose // see request
			"X-Forwarded-For", "1.2.3.4", "Via", "x", "Origin", "http://"+srv.addr)
		got, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", kind, res.Status, err)
		}
		if kind == "application/grpc-web-text" {
			var decoded []byte
			for part := range strings.SplitAfterSeq(string(got), "=") { // each part may be padded
				p, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(part, "="))
				decoded = append(decoded, p...)
			}
			got = decoded
		}
		messages, trailers := got[:min(len(got), 3*len(sent))], got[min(len(got), 3*len(sent)):]
		if !bytes.Equal(messages, bytes.Repeat(sent, 3)) {
			t.Errorf("%s: messages %q", kind, messages)
		}
		if !bytes.HasPrefix(trailers, []byte{0x80}) || !bytes.Contains(trailers, []byte("grpc-status: 11\r\n")) {
			t.Errorf("%s: trailers %q", kind, trailers)
		}
		md := await(t, "call", headers)
		if got := md.Get("user-id"); len(got) != 1 || got[0] != "ada" {
			t.Errorf("user-id %q", got)
		}
		for _, key := range []string{"x-forwarded-for", "via", "origin"} {
			if md.Get(key) != nil {
				t.Errorf("%s passed", key)
			}
		}
	}
}

func TestCallOverFetchThatFailsAtOnceHasTrailers(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{}, func(grpc.ServerStream) error { return status.Error(codes.NotFound, "gone") })
	res := srv.request(t, t.Context(), http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web") //nolint:bodyclose // see request
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Contains(got, []byte("grpc-status: 5\r\n")) || res.StatusCode != http.StatusOK {
		t.Errorf("%v, %q, %v", res.Status, got, err)
	}
}

func TestFetchThatIsAbortedCancels(t *testing.T) {
	t.Parallel()
	began, ended := make(chan grpc.ServerStream, 1), make(chan error, 1)
	srv := serve(t, web.Config{}, waits(began, ended, nil))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		stream := <-began
		_ = stream.SendMsg(wrapperspb.Bytes(nil)) // or there would be no response yet
	}()
	srv.request(t, ctx, http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web+proto") //nolint:bodyclose // see request
	cancel()
	_ = await(t, "end of the call", ended)
}

func TestTimeoutOfFetchPassesThrough(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	srv := serve(t, web.Config{}, func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		ended <- stream.Context().Err()
		return status.FromContextError(stream.Context().Err()).Err()
	})
	res := srv.request(t, t.Context(), http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web+proto", "Grpc-Timeout", "50m") //nolint:bodyclose // see request
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Contains(got, []byte("grpc-status: 4\r\n")) {
		t.Errorf("%v, %q, %v", res.Status, got, err)
	}
	_ = await(t, "end of the call", ended)
	res = srv.request(t, t.Context(), http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web+proto", "Grpc-Timeout", "soon") //nolint:bodyclose // see request
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("what is no timeout gives %s", res.Status)
	}
}

// TestFetchesAboveTheStreamsOfAConnection has more calls under way than the native server takes on one: none waits for another.
func TestFetchesAboveTheStreamsOfAConnection(t *testing.T) {
	t.Parallel()
	const calls = 5 * maxStreams / 2
	began, until := make(chan grpc.ServerStream, calls), make(chan struct{})
	srv := serve(t, web.Config{}, waits(began, nil, until))
	ends := make(chan string, calls)
	for range calls {
		go func() {
			res := srv.request(t, t.Context(), http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web+proto") //nolint:bodyclose // see request
			got, err := io.ReadAll(res.Body)
			ends <- fmt.Sprintf("%q, %v", got, err)
		}()
	}
	for range calls {
		await(t, "call", began)
	}
	close(until)
	for range calls {
		if got := await(t, "end", ends); !strings.Contains(got, "grpc-status: 14") {
			t.Errorf("a call ended with %s", got)
		}
	}
}

// TestFetchDuringADrain has a call that is under way go on, and others on connections that are open refused with a status.
func TestFetchDuringADrain(t *testing.T) {
	t.Parallel()
	began, until := make(chan grpc.ServerStream, 2), make(chan struct{})
	wait, calls := waits(began, nil, until), atomic.Int32{}
	srv := serve(t, web.Config{}, func(stream grpc.ServerStream) error {
		if calls.Add(1) > 1 { // it came in before the connection within the process heard of the end
			return status.Error(codes.Unavailable, "too early")
		}
		return wait(stream)
	})
	other := &http.Transport{MaxIdleConnsPerHost: 1}
	defer other.CloseIdleConnections()
	page, err := other.RoundTrip(httptest.NewRequest(http.MethodGet, "http://"+srv.addr+"/", nil))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, page.Body) // so that the connection is kept
	_ = page.Body.Close()
	ended := make(chan string, 1)
	go func() {
		res := srv.request(t, t.Context(), http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web+proto") //nolint:bodyclose // see request
		got, _ := io.ReadAll(res.Body)
		ended <- string(got)
	}()
	stream := await(t, "call", began)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		srv.stop()
	}()
	draining := func() bool { // GracefulStop has closed the listener within the process
		conn, err := srv.web.Native().(interface {
			DialContext(ctx context.Context) (net.Conn, error)
		}).DialContext(t.Context())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}
	for !draining() {
		runtime.Gosched()
	}
	for came := int32(0); came != calls.Load(); { // until one is refused that did not come to the handler
		came = calls.Load()
		req := httptest.NewRequest(http.MethodPost, "http://"+srv.addr+"/test.Service/Method", bytes.NewReader(message(0)[1:]))
		req.Header.Set("Content-Type", "application/grpc-web+proto")
		res, err := other.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Contains(got, []byte("grpc-status: 14\r\n")) {
			t.Fatalf("%s, %q, %v", res.Status, got, err)
		}
	}
	if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, 5))); err != nil {
		t.Errorf("the call under way was broken: %v", err)
	}
	close(until)
	if got := await(t, "end of the call", ended); !strings.Contains(got, "grpc-status: 14") || len(got) < 20 {
		t.Errorf("the call under way ended with %q", got)
	}
	await(t, "end of the server", stopped)
}

func TestOriginsOfFetch(t *testing.T) {
	t.Parallel()
	const friend = "https://boards.example"
	srv := serve(t, web.Config{AllowedOrigins: []string{friend}}, echo)
	for origin, want := range map[string]int{
		"http://evil.example": 403, "null": 403, friend: 200, "http://" + srv.addr: 200,
	} {
		res := srv.request(t, t.Context(), http.MethodPost, message(0)[1:], "Content-Type", "application/grpc-web+proto", "Origin", origin) //nolint:bodyclose // see request
		if res.StatusCode != want {
			t.Errorf("origin %q gives %s", origin, res.Status)
		}
	}
	for origin, want := range map[string]string{friend: friend, "http://evil.example": ""} {
		res := srv.request(t, t.Context(), http.MethodOptions, nil, "Origin", origin, "Access-Control-Request-Method", "POST", //nolint:bodyclose // see request
			"Access-Control-Request-Headers", "content-type,x-grpc-web")
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("a preflight from %q allows %q", origin, got)
		}
	}
}

func TestLargeFetchIsRefused(t *testing.T) {
	t.Parallel()
	srv := serve(t, web.Config{MaxMessageBytes: 1 << 10}, echo)
	res := srv.request(t, t.Context(), http.MethodPost, make([]byte, 2<<10), "Content-Type", "application/grpc-web+proto") //nolint:bodyclose // see request
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("it gives %s", res.Status)
	}
}
