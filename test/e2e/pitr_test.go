package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// TestPointInTime takes a cluster back to a moment after its base backup, as docs/backup.md says: the boards are as of then, and
// have other epochs.
func TestPointInTime(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "collaboard-e2e-") //nolint:usetesting // whoever PostgreSQL runs as may not go into the test's own
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	archive, base, data := filepath.Join(dir, "archive"), filepath.Join(dir, "base"), filepath.Join(dir, "data")
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	cluster := pgtest.NewAt(t, data, pgtest.Settings{
		"wal_level": "replica", "archive_mode": "on", "archive_command": fmt.Sprintf("test ! -f %[1]s/%%f && cp %%p %[1]s/%%f", archive),
		"hot_standby": "off", // so that who waits for the server waits for the end of its recovery
	})
	store := cluster.URL("postgres")
	srv := start(t, "127.0.0.1:0", store)
	board := createBoard(t, srv.addr)
	e := edit(t, srv.addr, board, "ada")
	say := func(n int) {
		t.Helper()
		for range n {
			p, err := e.board.Submit(t.Context(), &collaboardv1.ChatMessage{Text: "hello"})
			if err == nil {
				_, err = p.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	say(20)
	run(t, pgtest.Program(t, "pg_basebackup"), "--dbname="+store, "--pgdata="+base, "--wal-method=stream", "--checkpoint=fast")
	run(t, pgtest.Program(t, "pg_verifybackup"), base)
	say(10)
	moment := clock(t, store)
	say(5)
	before := getBoard(t, srv.addr, board)
	if err := srv.terminate(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Stop(pgtest.Fast); err != nil {
		t.Fatal(err)
	}

	const asWritten = `set -e
mv "$DATA" "$DATA.old" && cp -a "$BASE" "$DATA"
rm -rf "$DATA"/pg_wal/* && cp -a "$DATA.old"/pg_wal/0* "$DATA"/pg_wal/
cat >> "$DATA"/postgresql.conf <<END
restore_command = 'cp $ARCHIVE/%f %p'
recovery_target_time = '$MOMENT'
recovery_target_action = 'promote'
END
touch "$DATA"/recovery.signal
chown -R --reference="$DATA.old" "$DATA"`
	shell := exec.CommandContext(t.Context(), "sh", "-c", asWritten)
	shell.Env = append(os.Environ(), "DATA="+data, "BASE="+base, "ARCHIVE="+archive, "MOMENT="+moment.Format("2006-01-02 15:04:05.999999+00"))
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	run(t, binary, "renew-epochs", "--store", store)
	run(t, binary, "verify", "--store", store)
	after := getBoard(t, start(t, "127.0.0.1:0", store).addr, board)
	if after.GetHeadSeq() != 30 || before.GetHeadSeq() != 35 || after.GetEpoch() == before.GetEpoch() {
		t.Errorf("the board was %v, and is %v", before, after)
	}
}

// clock is what the database's says.
func clock(t *testing.T, url string) (now time.Time) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	return now.UTC()
}

func getBoard(t *testing.T, addr, id string) *collaboardv1.Board {
	t.Helper()
	b, err := collaboardv1.NewBoardServiceClient(dial(t, addr)).GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: id})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
