package postgres_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// TestRoundTrips counts how often a connection is written to after it was read from.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	var trips atomic.Int64
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &countingConn{Conn: conn, trips: &trips}, err
	}
	url := pgtest.Database(t)
	s := setup(t, url, postgres.Config{MaxConns: 1, Dial: dial})
	boards := []persistence.BoardID{createBoard(t, s), createBoard(t, s), createBoard(t, s)}
	ctx := t.Context()
	behind := func() error {
		return s.Append(ctx, []persistence.Claim{{Board: boards[0]}, {Board: boards[1]}}, func([]persistence.Locked) ([]persistence.Extension, error) {
			return nil, nil
		})
	}
	refused := func() error {
		no := errors.New("no")
		err := s.Append(ctx, []persistence.Claim{{Board: boards[0], Applied: 1 << 40}}, func([]persistence.Locked) ([]persistence.Extension, error) {
			return nil, no
		})
		if errors.Is(err, no) {
			return nil
		}
		return err
	}
	for _, tc := range []struct {
		name string
		call func() error
		want int64
	}{
		{"append", func() error { return add(ctx, s, nil, boards...) }, 2},
		{"append of a server that is behind", behind, 3}, // one to catch up, one to roll back
		{"append that is refused", refused, 2},
		{"read", func() error {
			_, err := s.Read(ctx, persistence.ReadParams{Board: boards[0], Limit: 10, MaxBytes: 100})
			return err
		}, 1},
	} {
		if err := tc.call(); err != nil { // prepares the statements
			t.Fatalf("%s: %v", tc.name, err)
		}
		trips.Store(0)
		if err := tc.call(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := trips.Load(); got != tc.want {
			t.Errorf("%s takes %d round trips, want %d", tc.name, got, tc.want)
		}
	}
}

// countingConn is used by one goroutine at a time, as far as pgx's reads and writes go.
type countingConn struct {
	net.Conn
	wrote atomic.Bool
	trips *atomic.Int64
}

func (c *countingConn) Write(b []byte) (int, error) {
	if !c.wrote.Swap(true) {
		c.trips.Add(1)
	}
	return c.Conn.Write(b)
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.wrote.Store(false)
	}
	return n, err
}

// TestSessions: whatever the database is set to, a session of the store is durable, sees what it must, and gives up.
func TestSessions(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	name := queryString(t, url, `SELECT current_database()`)
	for _, set := range []string{"synchronous_commit = off", "default_transaction_isolation = serializable", "lock_timeout = 0", "statement_timeout = 0"} {
		pgtest.Exec(t, url, `ALTER DATABASE `+name+` SET `+set)
	}
	s := setup(t, url, postgres.Config{})
	for setting, want := range map[string]string{
		"synchronous_commit":                  "on",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "10s",
		"idle_in_transaction_session_timeout": "5s",
		"tcp_keepalives_idle":                 "15",
		"application_name":                    "collaboard",
	} {
		var got string
		if err := s.Pool().QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	// A transaction that has waited for another sees what that has done, which SERIALIZABLE would refuse.
	b := createBoard(t, s)
	id := persistence.FrameID(uuid.New())
	second := make(chan error, 1)
	claim := []persistence.Claim{{Board: b, IDs: []persistence.FrameID{id}}}
	err := s.Append(t.Context(), claim, func([]persistence.Locked) ([]persistence.Extension, error) {
		go func() {
			second <- s.Append(t.Context(), claim, func(l []persistence.Locked) ([]persistence.Extension, error) {
				if l[0].Head != 1 || l[0].Known[id] != 1 || len(l[0].Missed) != 1 {
					t.Errorf("after the wait it found %+v", l[0])
				}
				return nil, nil
			})
		}()
		waitFor(t, url, `SELECT EXISTS (SELECT 1 `+others+`wait_event_type = 'Lock')`)
		recs := []persistence.Record{{Seq: 1, ID: id, Time: time.Now()}}
		return []persistence.Extension{{Board: b, Records: recs}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// TestPlans: every statement goes by a key, whatever the planner thinks of the tables' sizes, and the rows of boards are
// locked in the order of their ids: LockRows is right above what sorts.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := setup(t, pgtest.Database(t), postgres.Config{MaxConns: 1})
	ctx := t.Context()
	explain := func(name, args string) string {
		rows, err := s.Pool().Query(ctx, `EXPLAIN (COSTS OFF) EXECUTE `+name+` (`+args+`)`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	for name, st := range postgres.Statements {
		if _, err := s.Pool().Exec(ctx, `PREPARE `+name+` AS `+st[0]); err != nil {
			t.Fatal(err)
		}
	}
	for _, fill := range []string{
		``, // the tables are empty
		`INSERT INTO boards (id, name, epoch, owner, created_at, updated_at)
			SELECT gen_random_uuid(), '', gen_random_uuid(), '', now(), now() FROM generate_series(1, 20000)`,
		`INSERT INTO frames SELECT id, 1, gen_random_uuid(), now(), '', 1, '' FROM boards`,
		`ANALYZE`,
	} {
		if _, err := s.Pool().Exec(ctx, fill); err != nil {
			t.Fatal(err)
		}
		for name, st := range postgres.Statements {
			plan := explain(name, st[1])
			if strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index Scan") {
				t.Errorf("%s does not go by a key:\n%s", name, plan)
			}
			// The index gives the rows of an array in its own order, which is that of the ids.
			sorted := strings.HasPrefix(plan, "LockRows\n  ->  Index Scan using boards_pkey on boards\n") ||
				strings.HasPrefix(plan, "LockRows\n  ->  Sort\n") && strings.Contains(plan, "Sort Key: id\n")
			if name == "lock" && !sorted {
				t.Errorf("rows are not locked in the order of their ids:\n%s", plan)
			}
		}
	}
}

// TestCommitsLeaveTheIndexAlone: nothing that a commit changes of a board is in an index, and there is room for the new
// version beside the old, so that updates are heap-only.
//
// It is not parallel to the others: while a transaction is open, in whatever database, the room of old versions may not be
// used again.
func TestCommitsLeaveTheIndexAlone(t *testing.T) {
	url := pgtest.Database(t)
	s := setup(t, url, postgres.Config{MaxConns: 1})
	var boards []persistence.BoardID
	for range 50 {
		boards = append(boards, createBoard(t, s))
	}
	for range 60 {
		if err := add(t.Context(), s, nil, boards...); err != nil {
			t.Fatal(err)
		}
	}
	s.Pool().Reset() // a session that ends hands in its statistics
	// With pages filled to the brim it is 2,937 on PostgreSQL 15.
	const stats = `FROM pg_stat_user_tables WHERE relname = 'boards'`
	waitFor(t, url, `SELECT n_tup_upd = 3000 `+stats)
	if got := queryString(t, url, `SELECT n_tup_hot_upd::text `+stats+` AND n_tup_hot_upd < 2990 UNION ALL SELECT ''`); got != "" {
		t.Errorf("%s of 3000 updates were heap-only", got)
	}
}
