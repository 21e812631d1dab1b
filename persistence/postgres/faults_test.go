package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

const patience = time.Minute

func setup(t *testing.T, url string, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s := open(t, url, cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func createBoard(t *testing.T, s persistence.Store) persistence.BoardID {
	t.Helper()
	b := persistence.Board{
		ID: persistence.BoardID(uuid.Must(uuid.NewV7())), Epoch: persistence.Epoch(uuid.New()),
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	if err := s.CreateBoard(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b.ID
}

// add appends one frame to each board; inside runs in the transaction.
func add(ctx context.Context, s persistence.Store, inside func(), boards ...persistence.BoardID) error {
	var claims []persistence.Claim
	for _, b := range boards {
		claims = append(claims, persistence.Claim{Board: b, Applied: 1 << 40, IDs: []persistence.FrameID{{}}})
	}
	return s.Append(ctx, claims, func(locked []persistence.Locked) (exts []persistence.Extension, err error) {
		if inside != nil {
			inside()
		}
		for _, l := range locked {
			exts = append(exts, persistence.Extension{Board: l.Board, Records: []persistence.Record{{
				Seq: l.Head + 1, ID: persistence.FrameID(uuid.New()), Time: time.Now(), Body: []byte("x"),
			}}})
		}
		return exts, nil
	})
}

func head(t *testing.T, s persistence.Store, board persistence.BoardID) persistence.Seq {
	t.Helper()
	boards, err := s.Boards(t.Context(), board)
	if err != nil || len(boards) != 1 {
		t.Fatal(boards, err)
	}
	return boards[0].Head
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*persistence.UnavailableError](err); !ok {
		t.Fatalf("error is %T (%v), want *UnavailableError", err, err)
	}
}

func wantContended(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*persistence.ContendedError](err); !ok {
		t.Fatalf("error is %T (%v), want *ContendedError", err, err)
	}
}

func queryString(t *testing.T, url, sql string) (got string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, sql).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

// waitFor asks the database again and again until sql says true: it has no event to wait on.
func waitFor(t *testing.T, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for {
		var ok bool
		if err := conn.QueryRow(ctx, sql).Scan(&ok); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if ok {
			return
		}
		<-time.After(2 * time.Millisecond)
	}
}

const others = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'collaboard' AND `

// terminate ends the backends that are in a transaction, and waits until they are gone.
func terminate(t *testing.T, url, which string) {
	t.Helper()
	pgtest.Exec(t, url, `SELECT pg_terminate_backend(pid) `+others+which)
	waitFor(t, url, `SELECT NOT EXISTS (SELECT 1 `+others+which+`)`)
}

func TestTerminatedInTransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := setup(t, url, postgres.Config{})
	b := createBoard(t, s)
	err := add(t.Context(), s, func() { terminate(t, url, `state = 'idle in transaction'`) }, b)
	wantUnavailable(t, err)
	if got := head(t, s, b); got != 0 {
		t.Errorf("head is %d after a transaction that was terminated", got)
	}
	if err := add(t.Context(), s, nil, b); err != nil {
		t.Fatal(err)
	}
}

// TestCommitOfUnknownOutcome makes COMMIT wait for a standby that does not exist. The commit is done, on this server:
// whoever ends the waiting must not make it look as if all were well, nor as if nothing were written.
func TestCommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t, nil)
	url := c.URL("postgres")
	s := setup(t, url, postgres.Config{StatementTimeout: 100 * time.Millisecond}) // must not end it
	b := createBoard(t, s)
	standby := func(name string) {
		pgtest.Exec(t, url, `SET synchronous_commit = local`)
		pgtest.Exec(t, url, `ALTER SYSTEM SET synchronous_standby_names = '`+name+`'`)
		pgtest.Exec(t, url, `SELECT pg_reload_conf()`)
		waitFor(t, url, `SELECT current_setting('synchronous_standby_names') = '`+name+`'`)
	}
	const waiting = `wait_event = 'SyncRep'`
	want := persistence.Seq(0)
	for name, end := range map[string]func(cancel func()){
		"cancelled":          func(func()) { pgtest.Exec(t, url, `SELECT pg_cancel_backend(pid) `+others+waiting) },
		"terminated":         func(func()) { pgtest.Exec(t, url, `SELECT pg_terminate_backend(pid) `+others+waiting) },
		"caller gave up":     func(cancel func()) { cancel() },
		"standby came along": func(func()) {},
	} {
		standby("nobody")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- add(ctx, s, nil, b) }()
		waitFor(t, url, `SELECT EXISTS (SELECT 1 `+others+waiting+`)`)
		if name == "standby came along" {
			waitFor(t, url, `SELECT EXISTS (SELECT 1 `+others+waiting+` AND now() - query_start > interval '300 ms')`)
			standby("")
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			end(cancel)
			err := <-done
			t.Logf("%s: %v", name, err)
			wantUnavailable(t, err)
			standby("")
		}
		cancel()
		want++
		if got := head(t, s, b); got != want {
			t.Errorf("%s: head is %d, want %d: it was committed", name, got, want)
		}
	}
}

func TestLockTimeout(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, impatient := setup(t, url, postgres.Config{}), setup(t, url, postgres.Config{LockTimeout: 50 * time.Millisecond})
	b := createBoard(t, s)
	err := add(t.Context(), s, func() { wantContended(t, add(t.Context(), impatient, nil, b)) }, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := head(t, s, b); got != 1 {
		t.Errorf("head is %d, want 1", got)
	}
}

func TestNoWaitDoesNotWait(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, patient := setup(t, url, postgres.Config{}), setup(t, url, postgres.Config{LockTimeout: time.Hour})
	b := createBoard(t, s)
	err := add(t.Context(), s, func() {
		wantContended(t, patient.Append(t.Context(), []persistence.Claim{{Board: b, NoWait: true}},
			func([]persistence.Locked) ([]persistence.Extension, error) { return nil, nil }))
	}, b)
	if err != nil {
		t.Fatal(err)
	}
}

// TestKnownFrameIsAsDurableAsANewOne: a commit that gave up its wait for a standby is visible all the same. Who finds its
// frames in the log must not take them for durable before a commit of its own had an answer.
func TestKnownFrameIsAsDurableAsANewOne(t *testing.T) {
	t.Parallel()
	cluster := pgtest.New(t, nil)
	url := cluster.URL("postgres")
	s := setup(t, url, postgres.Config{})
	b := createBoard(t, s)
	standby := func(name string) {
		t.Helper()
		pgtest.Exec(t, url, `ALTER SYSTEM SET synchronous_standby_names = '`+name+`'`)
		pgtest.Exec(t, url, `SELECT pg_reload_conf()`)
	}
	attempt := func(id persistence.FrameID) (known bool, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = s.Append(ctx, []persistence.Claim{{Board: b, Applied: 1 << 40, IDs: []persistence.FrameID{id}}},
			func(l []persistence.Locked) ([]persistence.Extension, error) {
				if _, known = l[0].Known[id]; known {
					return nil, nil
				}
				return []persistence.Extension{{Board: b, Records: []persistence.Record{{Seq: l[0].Head + 1, ID: id, Time: time.Now()}}}}, nil
			})
		return known, err
	}
	standby("nobody")
	var id persistence.FrameID
	for err := error(nil); err == nil; { // the server takes a moment to learn that there should be a standby
		id = persistence.FrameID(uuid.New())
		_, err = attempt(id)
	}
	known, err := attempt(id)
	if !known {
		t.Fatalf("the frame is not visible: %v", err)
	}
	wantUnavailable(t, err)
	standby("")
	for err != nil && t.Context().Err() == nil {
		known, err = attempt(id)
	}
	if !known || err != nil {
		t.Errorf("known: %t, %v", known, err)
	}
}

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := setup(t, url, postgres.Config{StatementTimeout: 100 * time.Millisecond, LockTimeout: patience})
	b := createBoard(t, s)
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `BEGIN; LOCK TABLE frames, boards`); err != nil {
		t.Fatal(err)
	}
	_, err = s.Read(ctx, persistence.ReadParams{Board: b, Limit: 1})
	wantUnavailable(t, err)
	wantUnavailable(t, add(ctx, s, nil, b))
	if _, err := conn.Exec(ctx, `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := add(ctx, s, nil, b); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	b := createBoard(t, setup(t, url, postgres.Config{}))
	name := queryString(t, url, `SELECT current_database()`)
	pgtest.Exec(t, url, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	s := setup(t, url, postgres.Config{})
	wantUnavailable(t, s.Ping(t.Context()))
	wantUnavailable(t, add(t.Context(), s, nil, b))
	wantUnavailable(t, s.DeleteBoard(t.Context(), b, time.Now()))
	if got := head(t, s, b); got != 0 { // it can be read
		t.Errorf("head is %d", got)
	}
}

func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t, nil)
	s := setup(t, c.URL("postgres"), postgres.Config{MaxConns: 3})
	b := createBoard(t, s)
	var want persistence.Seq
	again := func() { // as long as connections of before are in the pool
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for err := add(ctx, s, nil, b); err != nil; err = add(ctx, s, nil, b) {
			wantUnavailable(t, err)
		}
		want++
		if got := head(t, s, b); got != want {
			t.Fatalf("head is %d, want %d", got, want)
		}
	}
	again()
	for name, stop := range map[string]func() error{
		"fast":      func() error { return c.Stop(pgtest.Fast) },
		"immediate": func() error { return c.Stop(pgtest.Immediate) },
		"kill":      c.Kill,
	} {
		t.Log(name)
		wantUnavailable(t, add(t.Context(), s, func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}, b))
		for range 5 {
			wantUnavailable(t, add(t.Context(), s, nil, b))
			wantUnavailable(t, s.Ping(t.Context()))
			_, err := s.Read(t.Context(), persistence.ReadParams{Board: b, Limit: 1})
			wantUnavailable(t, err)
		}
		if err := c.Restart(); err != nil {
			t.Fatal(err)
		}
		again()
	}

	// A server that does not answer is given up on when the caller's time is over.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantUnavailable(t, add(ctx, s, func() {
		if err := c.Pause(); err != nil {
			t.Error(err)
		}
	}, b))
	if err := c.Continue(); err != nil {
		t.Fatal(err)
	}
	// Whether that transaction was committed is unknown: a server that had read it before it froze goes on with it.
	waitFor(t, c.URL("postgres"), `SELECT count(*) = 0 `+others+`state <> 'idle'`)
	want = head(t, s, b)
	again()
}

func TestFsyncOff(t *testing.T) {
	t.Parallel()
	c := pgtest.New(t, pgtest.Settings{"fsync": "off"})
	url := c.URL("postgres")
	_, err := postgres.Open(t.Context(), url, postgres.Config{})
	var off *postgres.FsyncOffError
	if !errors.As(err, &off) || !strings.Contains(err.Error(), "--unsafe-allow-no-fsync") {
		t.Fatalf("error is %v, want *FsyncOffError that names the flag", err)
	}
	if got := queryString(t, url, `SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'`); got != "0" {
		t.Errorf("%s tables were made in a database that was refused", got)
	}
	s := setup(t, url, postgres.Config{AllowNoFsync: true})
	if err := add(t.Context(), s, nil, createBoard(t, s)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), "postgres://127.0.0.1:1/x", postgres.Config{})
	wantUnavailable(t, err)
	for _, bad := range []string{"postgres://%", "nonsense"} {
		_, err := postgres.Open(t.Context(), bad, postgres.Config{})
		var unavailable *persistence.UnavailableError
		if err == nil || errors.As(err, &unavailable) {
			t.Errorf("%s: error is %v, want a permanent one", bad, err)
		}
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	code := func(c string) error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Severity: "ERROR", Code: c}) }
	for _, tc := range []struct {
		err  error
		want string
	}{
		{code("08006"), "unavailable"},
		{code("57P01"), "unavailable"},
		{code("57P03"), "unavailable"},
		{code("53100"), "unavailable"}, // disk full
		{code("53300"), "unavailable"}, // too many connections
		{code("58030"), "unavailable"}, // I/O error
		{code("25006"), "unavailable"},
		{code("25P03"), "unavailable"},
		{code("57014"), "unavailable"},
		{code("40001"), "contended"},
		{code("40P01"), "contended"},
		{code("55P03"), "contended"},
		{code("23505"), "permanent"},
		{code("22021"), "permanent"},
		{code("42P01"), "permanent"},
		{code("XX000"), "permanent"},
		{code(""), "permanent"},
		{&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "XX000"}, "unavailable"},
		{io.ErrUnexpectedEOF, "unavailable"},
		{syscall.ECONNREFUSED, "unavailable"},
		{syscall.ECONNRESET, "unavailable"},
		{context.DeadlineExceeded, "unavailable"},
		{errors.New("something else"), "permanent"},
		{&persistence.BoardNotFoundError{}, "permanent"},
	} {
		got := "permanent"
		var unavailable *persistence.UnavailableError
		var contended *persistence.ContendedError
		switch err := postgres.Classify(tc.err); {
		case errors.As(err, &unavailable):
			got = "unavailable"
		case errors.As(err, &contended):
			got = "contended"
		}
		if got != tc.want {
			t.Errorf("%v is %s, want %s", tc.err, got, tc.want)
		}
	}
}
