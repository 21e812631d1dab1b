package client

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

var (
	// ErrClosed means that the client was closed. Whether a frame that had not been acked is in the log is unknown.
	ErrClosed = errors.New("client is closed")
	// ErrOutboxFull means that as many frames, or bytes, wait to be acked as the client may hold; see [WithOutbox].
	ErrOutboxFull = errors.New("outbox is full")
	// ErrAlreadyJoined means that the client is a member of the board, or about to be.
	ErrAlreadyJoined = errors.New("board is joined already")
	// ErrLeft is how a board ends after [Board.Leave].
	ErrLeft = errors.New("left the board")
	// ErrIterating means that the board's iterator of that kind is in use.
	ErrIterating = errors.New("another loop is reading from this board")
	// ErrPayload means that a payload is not one that can be sent in this way.
	ErrPayload = errors.New("not a payload of this kind")
)

// FrameError means that the server refused a frame, or a join, for good: the same request cannot succeed later. Find it
// with errors.As, or its code with [Code].
type FrameError struct {
	Board   string // id of the board
	Frame   string // id of the frame; empty for a join
	Code    collaboardv1.ErrorCode
	Message string
	// CurrentVersion is the object's version now; only with STALE_UPDATE.
	CurrentVersion *uint64
	// Violations name the fields that are wrong; only with INVALID_FRAME and TOO_LARGE.
	Violations []*collaboardv1.FieldViolation
}

func (e *FrameError) Error() string {
	if e.Frame == "" {
		return fmt.Sprintf("board %s: %v: %s", e.Board, e.Code, e.Message)
	}
	return fmt.Sprintf("board %s: frame %s: %v: %s", e.Board, e.Frame, e.Code, e.Message)
}

// Code returns the code of the [FrameError] in err's tree, ERROR_CODE_UNSPECIFIED if there is none.
func Code(err error) collaboardv1.ErrorCode {
	if refused, ok := errors.AsType[*FrameError](err); ok {
		return refused.Code
	}
	return collaboardv1.ErrorCode_ERROR_CODE_UNSPECIFIED
}

func newFrameError(board, frame string, e *collaboardv1.Error) *FrameError {
	return &FrameError{
		Board: board, Frame: frame, Code: e.GetCode(), Message: e.GetMessage(),
		CurrentVersion: e.CurrentVersion, Violations: e.GetFieldViolations(),
	}
}

func boardNotFound(board, message string) *FrameError {
	return &FrameError{Board: board, Code: collaboardv1.ErrorCode_BOARD_NOT_FOUND, Message: message}
}

// ConnectionError means that the server will not serve this client as it is, and that the client has given up: the
// token is not valid; or at its first connection, the user may not connect, or the server does not speak the protocol.
type ConnectionError struct {
	Code codes.Code
	Err  error // the gRPC status
}

func (e *ConnectionError) Error() string {
	return fmt.Sprintf("the server refuses the connection: %v", e.Err)
}
func (e *ConnectionError) Unwrap() error { return e.Err }

// FlushError reports the frames that were refused for good since the last Flush. Everything else that was submitted is
// durable.
type FlushError struct {
	// Refused are the first of them, in the order in which they were refused; at most 100.
	Refused []*FrameError
	// More is how many there were besides.
	More int
}

func (e *FlushError) Error() string {
	return fmt.Sprintf("refused frames: %d, the first: %v", len(e.Refused)+e.More, e.Refused[0])
}

// Unwrap makes errors.Is and errors.As look at every one.
func (e *FlushError) Unwrap() []error {
	errs := make([]error, len(e.Refused))
	for i, r := range e.Refused {
		errs[i] = r
	}
	return errs
}

// ResyncError tells a reader of a log that it cannot have the frames after From, and goes on after To. What the
// application made of the log up to From must be made anew: the board's replica stands at To or later.
type ResyncError struct {
	Board    string
	From, To Position
	// Reason is the server's. Where it is unspecified, Err says why the client gave up its position.
	Reason collaboardv1.SnapshotReason
	Err    error // *DesyncError, or nil
}

func (e *ResyncError) Error() string {
	why := fmt.Sprint(e.Reason)
	if e.Err != nil {
		why = e.Err.Error()
	}
	return fmt.Sprintf("board %s: the log cannot be followed from %v, it goes on after %v: %s", e.Board, e.From, e.To, why)
}

func (e *ResyncError) Unwrap() error { return e.Err }

// Desync is a way in which a server can contradict itself.
type Desync int

const (
	// DesyncGap is an event whose seq is not the next one but a later one.
	DesyncGap Desync = iota + 1
	// DesyncBackwards is a position at or before one that the client has already.
	DesyncBackwards
	// DesyncEpoch is a position in another incarnation of the log than the one that was joined.
	DesyncEpoch
	// DesyncAnswer is an answer that lacks what makes it one, as a snapshot without its end.
	DesyncAnswer
)

func (d Desync) String() string {
	switch d {
	case DesyncGap:
		return "a gap"
	case DesyncBackwards:
		return "a step backwards"
	case DesyncEpoch:
		return "a foreign epoch"
	case DesyncAnswer:
		return "an incomplete answer"
	default:
		return fmt.Sprintf("Desync(%d)", int(d))
	}
}

// DesyncError means that what the server sent does not follow from what it sent before. The client logs and counts it
// (see [Board.Status]), ignores what was sent, and joins the board anew: from its position, or where that does not help
// from a snapshot, in which case the error is that of a [ResyncError].
type DesyncError struct {
	Board string
	Kind  Desync
	Have  Position // where the client stood
	Got   Position // what the server sent
}

func (e *DesyncError) Error() string {
	return fmt.Sprintf("board %s: the server sent %v: %v after %v", e.Board, e.Kind, e.Got, e.Have)
}
