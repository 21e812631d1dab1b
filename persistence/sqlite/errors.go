package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/collaboard-io/collaboard/persistence"
)

// classify makes what the driver returned an error of package persistence. What it does not know it returns as it is:
// the call can never succeed.
func classify(err error) error {
	if _, ok := errors.AsType[*persistence.UnavailableError](err); ok || err == nil {
		return err
	}
	if _, ok := errors.AsType[*persistence.ContendedError](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return &persistence.UnavailableError{Err: err}
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	const primary = 0xff // the rest says more about the same
	switch e.Code() & primary {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return &persistence.ContendedError{Err: err}
	case lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY,
		lib.SQLITE_NOMEM, lib.SQLITE_PROTOCOL, lib.SQLITE_INTERRUPT:
		return &persistence.UnavailableError{Err: err}
	}
	return err
}
