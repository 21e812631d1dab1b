package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/collaboard-io/collaboard/persistence/internal/contract"
)

// copyPages is how many pages a step of Copy copies, and syncs: 4 MiB.
const copyPages = 1024

// Copy makes the file to, which must not be there, a copy of the database at from as it is at one moment, with what is in its
// log. It is one file, synced, and not in WAL mode: it can be read where nothing can be written. A copy that fails, or whose
// context ends, may leave something in its place. It does not check what it copies. Errors are as those of Inspect.
//
// Servers may write meanwhile. The pages are read in one transaction, for which no writer waits, but while it lasts the log
// cannot begin again at its start: its file grows by what is written. VACUUM INTO reads as long, and leaves it to the system when
// what it writes comes to the disk: commits waited for that for over a second where it was measured, and 0.1 s for this.
func Copy(ctx context.Context, from, to string) error {
	if err := makeCopy(ctx, from, to); err != nil {
		return fmt.Errorf("copy SQLite database %s: %w", from, inspected(err))
	}
	return nil
}

func makeCopy(ctx context.Context, from, to string) (err error) {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if to, err = filepath.Abs(to); err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	db, err := existing(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer tx.Close()
	if err := beginReading(ctx, tx); err != nil {
		return err
	}
	if err := tx.Raw(func(conn any) error { return copyAll(ctx, conn, to, file) }); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "ROLLBACK"); err != nil {
		return err
	}
	if err := leaveWAL(ctx, to); err != nil {
		return err
	}
	return file.Sync()
}

// beginReading fixes what the connection sees. A copy of several steps begins again where that changes.
func beginReading(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	var tables int
	return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
}

// copyAll copies from the connection to the path, at which file is. Each step is synced: what lies about unwritten is what
// the next sync of a server's log would wait for.
func copyAll(ctx context.Context, conn any, path string, file *os.File) (err error) {
	source, ok := conn.(interface {
		NewBackup(dst string) (*sqlite.Backup, error)
	})
	if !ok {
		return fmt.Errorf("driver's %T has no backup", conn)
	}
	b, err := source.NewBackup(location(path, "_pragma=journal_mode(off)", "_synchronous=OFF", "_error_rc=1"))
	if err != nil {
		return err
	}
	defer func() {
		if finished := b.Finish(); err == nil { // which says again what a step said
			err = finished
		}
	}()
	for more := true; more; {
		if err := contract.Ended(ctx); err != nil {
			return err
		}
		if more, err = b.Step(copyPages); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// leaveWAL turns a database that nobody else uses away from write-ahead logging.
func leaveWAL(ctx context.Context, path string) (err error) {
	db, err := connections(path, Config{}, 1, "mode=rw")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("the copy's journal mode is %q", mode)
	}
	return nil
}
