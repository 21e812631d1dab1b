// Package auth tells whose a bearer token is.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxNameRunes is how long a user's id or name may be.
const MaxNameRunes = 128

// Identity is whom a token is of, and for how long.
type Identity struct {
	User    string    // id: 1 to MaxNameRunes printable characters
	Name    string    // to show; empty where the token says none
	Expires time.Time // when the token ends to be one; never, where zero
}

// Verifier checks bearer tokens. It is safe for concurrent use.
type Verifier interface {
	// Verify returns whose a token is. It fails with *InvalidError, or with *UnavailableError where that cannot be known at
	// the moment.
	Verify(ctx context.Context, token string) (Identity, error)
}

// InvalidError means that a token is none, or none any more. Its text may be told to who sent the token.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

// UnavailableError means that nobody can say whose a token is at the moment.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "tokens cannot be checked: " + e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

// IsPrintable says whether s is valid UTF-8 of at most maxRunes characters that can be seen, and spaces. The empty text is.
func IsPrintable(s string, maxRunes int) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxRunes {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func isName(s string) bool { return s != "" && IsPrintable(s, MaxNameRunes) }

var errNoKeys = errors.New("no key of the issuer is known yet")

func invalidf(format string, args ...any) error {
	return &InvalidError{Reason: fmt.Sprintf(format, args...)}
}
