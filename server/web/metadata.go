package web

import (
	"encoding/base64"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// refusal is why a call is ended that the client did not make as it should have. It is told to the client.
type refusal struct {
	code    codes.Code
	message string // plain ASCII
}

func (r *refusal) Error() string { return r.message }

func invalid(message string) error { return &refusal{codes.InvalidArgument, message} }

var (
	keyPattern   = regexp.MustCompile(`^[0-9a-z_.-]+$`)
	valuePattern = regexp.MustCompile(`^[\x20-\x7e]*$`)
	typePattern  = regexp.MustCompile(`^application/grpc-web(\+proto)?$`)
)

const timeoutKey = "Grpc-Timeout"

// timeoutOf returns the time that the call has, and whether it says so as gRPC does.
func timeoutOf(header http.Header) (time.Duration, bool) {
	value := header.Get(timeoutKey)
	if len(value) < 2 || len(value) > 9 {
		return 0, false
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	unit, ok := units[value[len(value)-1]]
	n, err := strconv.ParseUint(value[:len(value)-1], 10, 32)
	if n > uint64(math.MaxInt64/time.Hour) { // as good as for ever
		unit = min(unit, time.Minute)
	}
	return time.Duration(n) * unit, ok && err == nil
}

// notMetadata are headers that are about the connection, the browser or a proxy, and none of the call's. A name that
// ends with "-" stands for all that begin so.
//
//nolint:gochecknoglobals // a table
var notMetadata = []string{
	"connection", "content-encoding", "content-length", "content-type", "expect", "host", "http2-settings", "keep-alive", "proxy-", "te",
	"trailer", "transfer-encoding", "upgrade", // of one hop
	"forwarded", "via", "x-forwarded-", "x-real-ip", "client-ip", "true-client-ip", "cf-", "x-envoy-", // what a proxy says
	"accept", "accept-", "cache-control", "cookie", "origin", "pragma", "referer", "sec-", "x-grpc-web", // of the browser
	"grpc-", // gRPC's own; the timeout is taken by itself
}

func isMetadata(key string) bool {
	for _, name := range notMetadata {
		if key == name || strings.HasSuffix(name, "-") && strings.HasPrefix(key, name) {
			return false
		}
	}
	return true
}

// callHeader returns what of a browser's header goes with the call to the native server.
func callHeader(from http.Header) (http.Header, error) {
	header := http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}}
	if timeout := from.Get(timeoutKey); timeout != "" {
		header.Set(timeoutKey, timeout)
		if _, ok := timeoutOf(header); !ok {
			return nil, invalid("grpc-timeout must be up to 8 digits and one of H, M, S, m, u, n")
		}
	}
	for name, values := range from {
		key := strings.ToLower(name)
		if !isMetadata(key) {
			continue
		}
		for _, value := range values {
			if !valuePattern.MatchString(value) {
				return nil, invalid("a header's value must be printable ASCII")
			}
			if strings.HasSuffix(key, "-bin") && !isBase64(value) {
				return nil, invalid("a header whose name ends with -bin must be base64")
			}
		}
		header[name] = values
	}
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{""} // or net/http would give its own
	}
	return header, nil
}

func isBase64(value string) bool {
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	return err == nil
}

// parseHeader reads the first message of a WebSocket: lines of "key: value".
func parseHeader(text []byte) (http.Header, error) {
	header := http.Header{}
	for line := range strings.SplitSeq(string(text), "\r\n") {
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key = strings.ToLower(key)
		if !ok || !keyPattern.MatchString(key) {
			return nil, invalid("the first message must be headers: lines of key: value")
		}
		header.Add(key, strings.TrimSpace(value))
	}
	if !typePattern.MatchString(header.Get("Content-Type")) {
		return nil, invalid("content-type must be application/grpc-web+proto")
	}
	return header, nil
}
