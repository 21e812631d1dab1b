package board

import (
	"fmt"
	"strings"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Error is why [Board.Decide] refused a frame. The board being what it is, the same frame would be refused again.
// A server may refuse with it what does not reach the board, for reasons of its own: NOT_JOINED, CANCELLED.
type Error struct {
	// Code is INVALID_FRAME, OBJECT_NOT_FOUND, OBJECT_EXISTS, STALE_UPDATE or TOO_LARGE; or INTERNAL, when the Stamp
	// makes no sense.
	Code collaboardv1.ErrorCode
	// Message begins with the path of what is wrong, as in "object_batch.ops[3].update: …". It quotes nothing of the
	// frame but ids and keys.
	Message string
	// CurrentVersion is the object's version; only with STALE_UPDATE.
	CurrentVersion *uint64
	// Violations name the fields that are wrong; only with INVALID_FRAME and TOO_LARGE, and never empty then. Of a
	// batch they are those of the first op that is wrong.
	Violations []*collaboardv1.FieldViolation
}

func (e *Error) Error() string { return fmt.Sprintf("%v: %s", e.Code, e.Message) }

// refuse starts an Error about one field, with a path relative to whatever the caller looks at; empty for all of it.
func refuse(code collaboardv1.ErrorCode, field, description string) *Error {
	return &Error{Code: code, Violations: []*collaboardv1.FieldViolation{{Field: field, Description: description}}}
}

// within puts the path of what the callee looked at before the paths it gave.
func (e *Error) within(path string) *Error {
	for _, v := range e.Violations {
		v.Field = strings.TrimSuffix(path+"."+v.GetField(), ".")
	}
	return e
}

// finish makes the message, once the paths are complete.
func (e *Error) finish() *Error {
	e.Message = e.Violations[0].GetField() + ": " + e.Violations[0].GetDescription()
	if e.Code != collaboardv1.ErrorCode_INVALID_FRAME && e.Code != collaboardv1.ErrorCode_TOO_LARGE {
		e.Violations = nil
	}
	return e
}
