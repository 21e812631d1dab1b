package postgres

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/collaboard-io/collaboard/persistence"
)

// classify makes what the driver returned an error of package persistence. What it does not know it returns as it is:
// the call can never succeed.
func classify(err error) error {
	if err == nil || is[*persistence.UnavailableError](err) || is[*persistence.ContendedError](err) {
		return err
	}
	if is[*pgconn.ConnectError](err) || is[net.Error](err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return &persistence.UnavailableError{Err: err}
	}
	e, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case answered && gaveWay(e):
		return &persistence.ContendedError{Err: err}
	case answered && gaveUp(e):
		return &persistence.UnavailableError{Err: err}
	case !answered && pgconn.SafeToRetry(err): // a connection that was found dead
		return &persistence.UnavailableError{Err: err}
	default:
		return err
	}
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// gaveWay and gaveUp sort the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html.

// gaveWay is true when there was somebody else.
func gaveWay(e *pgconn.PgError) bool {
	switch e.Code {
	case "40001", // serialization_failure
		"40P01", // deadlock_detected
		"55P03": // lock_not_available: lock_timeout
		return true
	}
	return false
}

// gaveUp is true when the server could not do now what it may do later.
func gaveUp(e *pgconn.PgError) bool {
	switch e.Code {
	case "25006", // read_only_sql_transaction: a standby, or a primary that was fenced off
		"25P03", // idle_in_transaction_session_timeout
		"25P04": // transaction_timeout
		return true
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", // connection_exception
		"53", // insufficient_resources: disk full, out of memory, too many connections
		"57", // operator_intervention: shutdown, crash of another backend, starting up, and query_canceled: statement_timeout
		"58": // system_error: I/O error
		return true
	}
	// The connection is gone with it.
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}
