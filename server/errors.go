package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/auth"
	"github.com/collaboard-io/collaboard/server/room"
)

// defaultRetryAfter is what a sender is told to wait where nobody knows better.
const defaultRetryAfter = time.Second

// fault is how one kind of error looks on the wire: as an ERROR frame, and as the status of a call. Text of the database
// never gets into its message.
type fault struct {
	code    collaboardv1.ErrorCode
	status  codes.Code
	message string
	retry   time.Duration // 0: not retryable
}

// classify is the one place where domain errors get their code.
func classify(err error) fault {
	var (
		rule        *board.Error
		token       *auth.InvalidError
		noToken     *auth.UnavailableError
		notFound    *persistence.BoardNotFoundError
		noFile      *persistence.FileNotFoundError
		fileLimit   *persistence.FileLimitError
		trimmed     *persistence.TrimmedError
		full        *persistence.QueueFullError
		refused     *persistence.RefusedError
		unavailable *persistence.UnavailableError
		contended   *persistence.ContendedError
		ahead       *room.AheadError
		notYet      *room.NotYetError
		unloaded    *room.LoadError
	)
	switch {
	case errors.As(err, &rule):
		return fault{rule.Code, ruleStatus(rule.Code), rule.Message, 0}
	case errors.As(err, &token):
		return fault{collaboardv1.ErrorCode_UNAUTHENTICATED, codes.Unauthenticated, token.Reason, 0}
	case errors.As(err, &noToken):
		return fault{collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, "tokens cannot be checked at the moment", defaultRetryAfter}
	case errors.As(err, &notFound), errors.Is(err, room.ErrDeleted):
		return fault{collaboardv1.ErrorCode_BOARD_NOT_FOUND, codes.NotFound, "no such board", 0}
	case errors.As(err, &unloaded): // for whatever reason: its clients keep what they have to say until it is mended
		return fault{collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, "the board cannot be loaded at the moment", defaultRetryAfter}
	case errors.As(err, &noFile):
		return fault{collaboardv1.ErrorCode_INVALID_FRAME, codes.NotFound, "the board has no such file", 0}
	case errors.As(err, &fileLimit):
		return fault{
			collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.FailedPrecondition, // no call later has room
			fmt.Sprintf("a board may have %d files of %d bytes together", fileLimit.Limit.Files, fileLimit.Limit.Bytes), 0,
		}
	case errors.Is(err, errUploads):
		return fault{collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.ResourceExhausted, errUploads.Error(), defaultRetryAfter}
	case errors.Is(err, errMaking):
		return fault{collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.ResourceExhausted, errMaking.Error(), defaultRetryAfter}
	case errors.As(err, &trimmed):
		return fault{
			collaboardv1.ErrorCode_INVALID_FRAME, codes.OutOfRange,
			fmt.Sprintf("the log begins at seq %d", trimmed.First), 0,
		}
	case errors.As(err, &notYet):
		return fault{collaboardv1.ErrorCode_INVALID_FRAME, codes.OutOfRange, notYet.Error(), 0}
	case errors.As(err, &ahead):
		return fault{collaboardv1.ErrorCode_INVALID_FRAME, codes.OutOfRange, ahead.Error(), 0}
	case errors.Is(err, persistence.ErrNoFrame): // it was trimmed just now
		return fault{collaboardv1.ErrorCode_INVALID_FRAME, codes.OutOfRange, persistence.ErrNoFrame.Error(), 0}
	case errors.Is(err, persistence.ErrSavepointLimit):
		return fault{collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.FailedPrecondition, persistence.ErrSavepointLimit.Error(), 0}
	case errors.As(err, &full):
		return fault{collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.ResourceExhausted, "the server's queue is full", full.RetryAfter}
	case errors.Is(err, persistence.ErrPredecessorRefused):
		return fault{
			collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable,
			"after_id names a frame that was refused, or not the one sent just before: resend that first", defaultRetryAfter,
		}
	case errors.As(err, &refused):
		return fault{
			collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable,
			"the frame could not be stored in time: resend it under the same id", max(refused.RetryAfter, defaultRetryAfter),
		}
	case errors.As(err, &unavailable), errors.As(err, &contended), errors.Is(err, persistence.ErrDraining),
		errors.Is(err, persistence.ErrStaleLog), errors.Is(err, room.ErrInvalid), errors.Is(err, context.DeadlineExceeded):
		return fault{collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, "the board cannot be reached at the moment", defaultRetryAfter}
	case errors.Is(err, context.Canceled):
		return fault{collaboardv1.ErrorCode_CANCELLED, codes.Canceled, "cancelled", 0}
	default:
		return fault{collaboardv1.ErrorCode_INTERNAL, codes.Internal, "internal error", 0}
	}
}

// ruleStatus is how a call ends that a board refuses: mostly for its form.
func ruleStatus(code collaboardv1.ErrorCode) codes.Code {
	switch code {
	case collaboardv1.ErrorCode_OBJECT_NOT_FOUND:
		return codes.NotFound
	case collaboardv1.ErrorCode_TOO_LARGE:
		return codes.FailedPrecondition
	default:
		return codes.InvalidArgument
	}
}

// frameError is err as the payload of an ERROR frame.
func frameError(err error) *collaboardv1.Error {
	f := classify(err)
	e := &collaboardv1.Error{Code: f.code, Message: f.message, Retryable: f.retry > 0}
	if f.retry > 0 {
		e.RetryAfter = durationpb.New(f.retry)
	}
	if rule, ok := errors.AsType[*board.Error](err); ok {
		e.CurrentVersion = rule.CurrentVersion
		e.FieldViolations = rule.Violations
	}
	return e
}

// callError is err as the status of a unary or server-streaming call.
func callError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	f := classify(err)
	s := status.New(f.status, f.message)
	if f.retry > 0 {
		s = withDetails(s, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.retry)})
	}
	if _, ok := errors.AsType[*persistence.FileLimitError](err); ok {
		s = withDetails(s, &errdetails.ErrorInfo{Reason: "FILE_QUOTA_EXCEEDED", Domain: "collaboard.v1"})
	}
	if trimmed, ok := errors.AsType[*persistence.TrimmedError](err); ok && f.status == codes.OutOfRange {
		s = withDetails(s, &errdetails.ErrorInfo{
			Reason: "LOG_TRIMMED", Domain: "collaboard.v1", Metadata: map[string]string{"first_seq": strconv.FormatUint(uint64(trimmed.First), 10)},
		})
	}
	if rule, ok := errors.AsType[*board.Error](err); ok && len(rule.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range rule.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.GetField(), Description: v.GetDescription(),
			})
		}
		s = withDetails(s, bad)
	}
	return s.Err()
}

func withDetails(s *status.Status, detail protoadapt.MessageV1) *status.Status {
	if detailed, err := s.WithDetails(detail); err == nil {
		return detailed
	}
	return s
}

// invalid is a refusal of one frame, or call, for its form.
func invalid(field, description string) error {
	return &board.Error{
		Code:       collaboardv1.ErrorCode_INVALID_FRAME,
		Message:    field + ": " + description,
		Violations: []*collaboardv1.FieldViolation{{Field: field, Description: description}},
	}
}

// violations turns what protovalidate found into a refusal; other errors of it are defects.
func violations(err error) error {
	var found *protovalidate.ValidationError
	if !errors.As(err, &found) {
		return fmt.Errorf("validate: %w", err)
	}
	e := &board.Error{Code: collaboardv1.ErrorCode_INVALID_FRAME}
	for _, v := range found.Violations {
		e.Violations = append(e.Violations, &collaboardv1.FieldViolation{
			Field:       protovalidate.FieldPathString(v.Proto.GetField()),
			Description: v.Proto.GetMessage(),
		})
	}
	e.Message = e.Violations[0].GetField() + ": " + e.Violations[0].GetDescription()
	return e
}
