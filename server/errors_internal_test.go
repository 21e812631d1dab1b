package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestErrorsOnTheWire has a text of the database inside of every error that can wrap one.
func TestErrorsOnTheWire(t *testing.T) {
	t.Parallel()
	const secret = "secret text of the database"
	driver := errors.New(secret)
	id := persistence.BoardID{}
	for _, test := range []struct {
		err    error
		frame  collaboardv1.ErrorCode
		call   codes.Code
		retry  time.Duration
		inText string
	}{
		{&persistence.BoardNotFoundError{Board: id}, collaboardv1.ErrorCode_BOARD_NOT_FOUND, codes.NotFound, 0, "no such board"},
		{room.ErrDeleted, collaboardv1.ErrorCode_BOARD_NOT_FOUND, codes.NotFound, 0, "no such board"},
		{&persistence.FileNotFoundError{Board: id}, collaboardv1.ErrorCode_INVALID_FRAME, codes.NotFound, 0, "no such file"},
		{
			&persistence.FileLimitError{Limit: persistence.FileLimit{Files: 812}}, collaboardv1.ErrorCode_RESOURCE_EXHAUSTED,
			codes.FailedPrecondition, 0, "812",
		},
		{errUploads, collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.ResourceExhausted, defaultRetryAfter, "as many files"},
		{&persistence.TrimmedError{First: 812}, collaboardv1.ErrorCode_INVALID_FRAME, codes.OutOfRange, 0, "812"},
		{&room.AheadError{Head: 7}, collaboardv1.ErrorCode_INVALID_FRAME, codes.OutOfRange, 0, "7"},
		{&persistence.QueueFullError{RetryAfter: 3 * time.Second}, collaboardv1.ErrorCode_RESOURCE_EXHAUSTED, codes.ResourceExhausted, 3 * time.Second, "full"},
		{&persistence.RefusedError{Err: driver}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, "same id"},
		{&persistence.RefusedError{Err: driver, RetryAfter: time.Hour}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, time.Hour, "same id"},
		{
			&persistence.RefusedError{Err: persistence.ErrPredecessorRefused}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable,
			defaultRetryAfter, "after_id",
		},
		{&persistence.UnavailableError{Err: driver}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{&persistence.ContendedError{Err: driver}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{persistence.ErrDraining, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{persistence.ErrStaleLog, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{room.ErrInvalid, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{&room.LoadError{Err: driver}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, "cannot be loaded"},
		{&room.LoadError{Err: &persistence.TrimmedError{First: 812}}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{&room.LoadError{Err: context.Canceled}, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{&room.LoadError{Err: &persistence.BoardNotFoundError{Board: id}}, collaboardv1.ErrorCode_BOARD_NOT_FOUND, codes.NotFound, 0, "no such board"},
		{context.DeadlineExceeded, collaboardv1.ErrorCode_UNAVAILABLE, codes.Unavailable, defaultRetryAfter, ""},
		{context.Canceled, collaboardv1.ErrorCode_CANCELLED, codes.Canceled, 0, "cancelled"},
		{driver, collaboardv1.ErrorCode_INTERNAL, codes.Internal, 0, "internal error"},
	} {
		err := fmt.Errorf("%s: %w", secret, test.err)
		e := frameError(err)
		if e.GetCode() != test.frame || e.GetRetryable() != (test.retry > 0) || e.GetRetryAfter().AsDuration() != test.retry ||
			(e.GetRetryAfter() != nil) != (test.retry > 0) || e.GetMessage() == "" || !strings.Contains(e.GetMessage(), test.inText) {
			t.Errorf("%v: frame %v", test.err, e)
		}
		s := status.Convert(callError(err))
		var retry time.Duration
		for _, d := range s.Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok {
				retry = info.GetRetryDelay().AsDuration()
			}
		}
		if s.Code() != test.call || s.Message() != e.GetMessage() || retry != test.retry || len(s.Details()) > 1 {
			t.Errorf("%v: status %v, retry after %v", test.err, s, retry)
		}
		if strings.Contains(e.String()+s.String(), secret) {
			t.Errorf("%v: text of the database in %v or %v", test.err, e, s)
		}
	}
	if callError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestRefusalByARuleKeepsItsDetails(t *testing.T) {
	t.Parallel()
	version := uint64(7)
	e := frameError(fmt.Errorf("decide: %w", &board.Error{
		Code: collaboardv1.ErrorCode_STALE_UPDATE, Message: "stale", CurrentVersion: &version,
		Violations: []*collaboardv1.FieldViolation{{Field: "f", Description: "d"}},
	}))
	if e.GetCode() != collaboardv1.ErrorCode_STALE_UPDATE || e.GetMessage() != "stale" || e.GetCurrentVersion() != version ||
		e.GetRetryable() || len(e.GetFieldViolations()) != 1 || e.GetFieldViolations()[0].GetField() != "f" {
		t.Errorf("got %v", e)
	}
}
