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
	var unavailable *persistence.UnavailableError
	var contended *persistence.ContendedError
	if err == nil || errors.As(err, &unavailable) || errors.As(err, &contended) {
		return err
	}
	var e *pgconn.PgError
	var connecting *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connecting),
		errors.As(err, &network),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &persistence.UnavailableError{Err: err}
	case errors.As(err, &e):
		switch classOf(e) {
		case gaveUp:
			return &persistence.UnavailableError{Err: err}
		case locked:
			return &persistence.ContendedError{Err: err}
		}
	case pgconn.SafeToRetry(err): // a connection that was found dead
		return &persistence.UnavailableError{Err: err}
	}
	return err
}

type class int

const (
	permanent class = iota
	gaveUp
	locked
)

// classOf sorts the codes of https://www.postgresql.org/docs/current/errcodes-appendix.html.
func classOf(e *pgconn.PgError) class {
	switch e.Code {
	case "40001", // serialization_failure
		"40P01", // deadlock_detected
		"55P03": // lock_not_available: lock_timeout
		return locked
	case "25006", // read_only_sql_transaction: a standby, or a primary that was fenced off
		"25P03", // idle_in_transaction_session_timeout
		"25P04", // transaction_timeout
		"57014": // query_canceled: statement_timeout, or somebody was tired of it; nothing says that it cannot succeed
		return gaveUp
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", // connection_exception
		"53", // insufficient_resources: disk full, out of memory, too many connections
		"57", // operator_intervention: shutdown, crash of another backend, starting up
		"58": // system_error: I/O error
		return gaveUp
	}
	if e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC" { // the connection is gone with it
		return gaveUp
	}
	return permanent
}
