package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"
)

// Keys of a call's end, as net/http spells them.
const (
	statusKey  = "Grpc-Status"
	messageKey = "Grpc-Message"
	detailsKey = "Grpc-Status-Details-Bin"
)

// pipeBytes is how much of a connection within the process may be under way, each way.
const pipeBytes = 32 << 10

// receiveWindow is how many bytes of a call may have left the native server, and not been taken by the browser's
// connection. The server's own windows bound the other way.
const receiveWindow = 256 << 10

// newTransport returns the way to the native server at the other end of lis: HTTP/2 without TLS.
func newTransport(lis *bufconn.Listener) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return lis.DialContext(ctx) },
		Protocols:          protocols,
		DisableCompression: true,
		HTTP2:              &http.HTTP2Config{MaxReceiveBufferPerStream: receiveWindow},
	}
}

// native makes calls of the native server. Whatever becomes of a call, there is a response, and when its body has been
// read its trailers have a grpc-status.
type native struct{ http.RoundTripper }

func (n native) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	// When the time of a call is over the native server breaks it off: a native client knows by itself why.
	cutOff := func() http.Header {
		if timeout, ok := timeoutOf(req.Header); ok && time.Since(began) >= timeout {
			return end(codes.DeadlineExceeded, "the time of the call is over")
		}
		return end(codes.Unavailable, "the server is stopping, or cut off the call")
	}
	res, err := n.RoundTripper.RoundTrip(req)
	if err != nil {
		return &http.Response{ //nolint:nilerr // it is told as the end of the call
			StatusCode: http.StatusOK, ProtoMajor: 2, Request: req, Body: http.NoBody, ContentLength: -1,
			Header: http.Header{"Content-Type": {"application/grpc+proto"}}, Trailer: cutOff(),
		}, nil
	}
	if res.Header.Get(statusKey) != "" { // a call that ended before it answered: its end is its header
		res.Trailer = http.Header{}
		for _, key := range []string{statusKey, messageKey, detailsKey} {
			if values := res.Header.Values(key); values != nil {
				res.Trailer[key] = values
				res.Header.Del(key)
			}
		}
	}
	res.StatusCode = http.StatusOK
	res.Body = &body{ReadCloser: res.Body, res: res, cutOff: cutOff}
	return res, nil
}

// end is the trailers of a call. The message must be plain ASCII.
func end(code codes.Code, message string) http.Header {
	return http.Header{statusKey: {strconv.Itoa(int(code))}, messageKey: {message}}
}

// body ends a response that breaks off as one that ended.
type body struct {
	io.ReadCloser
	res    *http.Response
	cutOff func() http.Header
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.res.Trailer.Get(statusKey) == "" {
		b.res.Trailer = b.cutOff()
	}
	if err != nil {
		err = io.EOF
	}
	return n, err
}
