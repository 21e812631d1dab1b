package main

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "modernc.org/sqlite"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/snapshot"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// storedBoards is a database on either engine, written by a server that has ended.
type storedBoards struct {
	engine            string
	long, short, gone string // ids of boards: of 9 frames, of 3, and of 2 frames and deleted
	copyTo            func(t *testing.T) (store, driver, dsn string)
}

// damaged is a copy of it.
type damaged struct {
	*storedBoards
	t     *testing.T
	store string // as of --store
	db    *sql.DB
	dsn   string // or path, on SQLite
}

func onStoredBoards(t *testing.T, test func(t *testing.T, boards *storedBoards)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, storedInSQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		cluster := pgtest.New(t, nil)
		pgtest.Exec(t, cluster.URL("postgres"), "CREATE DATABASE whole")
		var copies atomic.Int32
		test(t, fill(t, "postgres", cluster.URL("whole"), func(t *testing.T) (store, driver, dsn string) {
			t.Helper()
			name := fmt.Sprintf("damaged%d", copies.Add(1))
			pgtest.Exec(t, cluster.URL("postgres"), "CREATE DATABASE "+name+" TEMPLATE whole")
			return cluster.URL(name), "pgx", cluster.URL(name)
		}))
	})
}

func storedInSQLite(t *testing.T) *storedBoards {
	t.Helper()
	path := filepath.Join(t.TempDir(), "whole.db")
	return fill(t, "sqlite", "sqlite:"+path, func(t *testing.T) (store, driver, dsn string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + to, "sqlite", to
	})
}

func fill(t *testing.T, engine, store string, copyTo func(t *testing.T) (store, driver, dsn string)) *storedBoards {
	t.Helper()
	s := &storedBoards{engine: engine, copyTo: copyTo}
	server, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--store", store)
	cli := func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
	const object = `{"objectCreate":{"object":{"id":"0a0a0a0a-0000-4000-8000-000000000001","kind":"note"}}}` + "\n"
	for id, input := range map[*string]string{
		&s.long: object + strings.Repeat(chat(1), 3) + strings.Replace(object, "0001", "0002", 1) + chat(1) +
			`{"objectUpdate":{"id":"0a0a0a0a-0000-4000-8000-000000000001","x":7}}` + "\n" +
			`{"objectDelete":{"id":"0a0a0a0a-0000-4000-8000-000000000002"}}` + "\n" + chat(1),
		&s.short: strings.Repeat(chat(1), 3),
		&s.gone:  object + chat(1),
	} {
		out, _ := cli("board", "create", "a board").run(0)
		*id = strings.TrimSpace(out)
		cli("send", *id).withInput(input, 0)
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for size, id := range map[int]string{100: s.long, 120: s.long, 130: s.gone} {
		_, err := collaboardv1.NewBoardServiceClient(conn).UploadFile(t.Context(), &collaboardv1.UploadFileRequest{
			BoardId: id, Content: append([]byte("GIF89a"), make([]byte, size-6)...), MediaType: "image/gif",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cli("board", "delete", s.gone).run(0)
	defer s.snapshots(t, store)
	server.signal(os.Interrupt)
	if code := server.wait(); code != 0 {
		t.Fatalf("server ended with %d", code)
	}
	return s
}

// snapshots stores those of the long board at 5 and 9, as a server does that has more frames.
func (s *storedBoards) snapshots(t *testing.T, database string) {
	t.Helper()
	spec, err := parseStore(database)
	if err != nil {
		t.Fatal(err)
	}
	store, err := spec.open(t.Context(), storeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	id, err := persistence.ParseBoardID(s.long)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []persistence.Seq{5, 9} {
		state, epoch, err := room.NewHub(store, slog.New(slog.DiscardHandler), room.Config{}).StateAt(t.Context(), id, seq)
		if err != nil {
			t.Fatal(err)
		}
		frames, err := store.Read(t.Context(), persistence.ReadParams{Board: id, After: seq - 1, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		snap, err := snapshot.Encode(state, snapshot.Origin{Board: id, Epoch: epoch, Frame: frames[0].ID}, frames[0].Time)
		if err == nil {
			err = store.PutSnapshot(t.Context(), snap)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *storedBoards) copy(t *testing.T) *damaged {
	t.Helper()
	d := &damaged{storedBoards: s, t: t}
	var driver string
	var err error
	d.store, driver, d.dsn = s.copyTo(t)
	if d.db, err = sql.Open(driver, d.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.db.Close() })
	return d
}

// id is a board's or frame's id in SQL.
func (d *damaged) id(text string) string {
	if d.engine == "postgres" {
		return "'" + text + "'::uuid"
	}
	return "x'" + strings.ReplaceAll(text, "-", "") + "'"
}

func (d *damaged) bytes(b []byte) string {
	if d.engine == "postgres" {
		return `'\x` + hex.EncodeToString(b) + `'::bytea`
	}
	return "x'" + hex.EncodeToString(b) + "'"
}

func (d *damaged) exec(query string, args ...any) {
	d.t.Helper()
	query = fmt.Sprintf(query, args...)
	result, err := d.db.Exec(query)
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	if n, _ := result.RowsAffected(); n == 0 && !strings.HasPrefix(query, "DROP") && !strings.HasPrefix(query, "ALTER") {
		d.t.Fatalf("%s: no row", query)
	}
}

func (d *damaged) body(board string, seq int) (body []byte) {
	d.t.Helper()
	query := fmt.Sprintf(`SELECT body FROM frames WHERE board_id = %s AND seq = %d`, d.id(board), seq)
	if err := d.db.QueryRow(query).Scan(&body); err != nil {
		d.t.Fatal(err)
	}
	return body
}

// set changes a column of the frame at seq of the long board.
func (d *damaged) set(seq int, column, value string) {
	d.t.Helper()
	d.exec(`UPDATE frames SET %s = %s WHERE board_id = %s AND seq = %d`, column, value, d.id(d.long), seq)
}

func (d *damaged) dropUniqueID() {
	d.t.Helper()
	if d.engine == "postgres" {
		d.exec(`ALTER TABLE frames DROP CONSTRAINT frames_board_id_id`)
	} else {
		d.exec(`DROP INDEX frames_board_id_id`)
	}
}

// overwrite fills the first page of a table or index of SQLite with what is none.
func (d *damaged) overwrite(name string) {
	d.t.Helper()
	const pageSize = 4096
	var page int64
	const query = `SELECT rootpage FROM (SELECT name, rootpage FROM sqlite_schema UNION ALL SELECT 'sqlite_schema', 1) WHERE name = ?`
	if err := d.db.QueryRow(query, name).Scan(&page); err != nil {
		d.t.Fatal(err)
	}
	if err := d.db.Close(); err != nil {
		d.t.Fatal(err)
	}
	file, err := os.OpenFile(d.dsn, os.O_RDWR, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(slices.Repeat([]byte{0x5a}, pageSize), (page-1)*pageSize); err != nil {
		d.t.Fatal(err)
	}
}

// truncate leaves only the beginning of the file.
func (d *damaged) truncate(size int64) {
	d.t.Helper()
	if err := d.db.Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Truncate(d.dsn, size); err != nil {
		d.t.Fatal(err)
	}
}
