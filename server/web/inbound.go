package web

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc/codes"
)

// inbound is what the client sends.
type inbound struct {
	ws    *websocket.Conn
	first chan []byte // the first message, capacity 1
	body  *io.PipeReader
	pipe  *io.PipeWriter

	taking span // not waiting for the client: what it sent, or a pong, is being taken
}

func newInbound() *inbound {
	in := &inbound{first: make(chan []byte, 1)}
	in.body, in.pipe = io.Pipe()
	return in
}

// stop makes the pump read no more data: the call has ended.
func (in *inbound) stop() { _ = in.body.Close() }

func (in *inbound) silentSince(then time.Time) bool { return in.taking.idleSince(then) }

// errEnded means that the call takes no more: it has ended before its client did, and has its own end to tell.
var errEnded = errors.New("the call has ended")

// pump reads until the client is gone, or sends what it must not, which is a refusal. It takes no more from the connection
// than the call takes from it, and returns nil when that has ended. It goes on after the client has half-closed, or nobody
// would see it go.
func (in *inbound) pump(ctx context.Context) error {
	err := in.read(ctx)
	_ = in.pipe.CloseWithError(err)
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

func (in *inbound) read(ctx context.Context) error {
	r, err := in.next(ctx)
	if err != nil {
		return err
	}
	header, err := io.ReadAll(io.LimitReader(r, maxHeaderBytes+1))
	if err != nil {
		return err
	}
	if len(header) > maxHeaderBytes {
		return &refusal{codes.ResourceExhausted, "the headers are too large"}
	}
	in.first <- header
	chunk := make([]byte, chunkBytes)
	for closed := false; ; {
		r, err := in.next(ctx)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(r, chunk[:1]); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil {
			return invalid("a message must not be empty")
		}
		switch {
		case closed:
			return invalid("nothing may follow the end")
		case chunk[0] == 1:
			if n, err := r.Read(chunk); n > 0 || !errors.Is(err, io.EOF) {
				return invalid("the end must be a message of one byte")
			}
			closed = true
			_ = in.pipe.Close()
		case chunk[0] != 0:
			return invalid("a message must begin with 0, or be 1")
		default:
			if err := in.copy(r, chunk); err != nil {
				return err
			}
		}
	}
}

func (in *inbound) next(ctx context.Context) (io.Reader, error) {
	kind, r, err := in.ws.Reader(ctx)
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageBinary {
		return nil, invalid("messages must be binary")
	}
	return r, nil
}

// copy hands the rest of a message to the call.
func (in *inbound) copy(r io.Reader, chunk []byte) error {
	for {
		n, err := r.Read(chunk)
		if n > 0 {
			in.taking.begin()
			if _, err := in.pipe.Write(chunk[:n]); err != nil {
				return errEnded // still taking: nobody reads the answer to a ping
			}
			in.taking.end()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
