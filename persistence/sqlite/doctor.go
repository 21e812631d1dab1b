package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/collaboard-io/collaboard/migrations"
	"github.com/collaboard-io/collaboard/persistence/checkup"
)

// Doctor checks whether a Store could rely on the file at path, which need not be there, and on the directory, which must
// be. It makes no database and leaves no file.
func Doctor(ctx context.Context, path string, checks *checkup.Checks) {
	dir := filepath.Dir(path)
	permissions(path, checks)
	checkFileSystem(dir, checks)
	if err := measureFsync(ctx, dir, checks); err != nil {
		checks.Fail("fsync", "cannot be measured: "+err.Error(), "")
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		checks.Warn("database", "there is no such file yet", "the first server makes it; if there should be boards, it is another path")
	case err != nil:
		checks.Fail("database", err.Error(), "")
	case !info.Mode().IsRegular():
		checks.Fail("database", "it is not a regular file", "")
	default:
		if err := checkDatabase(ctx, path, checks); err != nil {
			checks.Fail("database", "cannot be read: "+err.Error(), "")
		}
	}
}

// checkDatabase looks at a file that is there.
func checkDatabase(ctx context.Context, path string, checks *checkup.Checks) (err error) {
	db, err := existing(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	v, err := migrations.SQLiteVersion(ctx, db)
	if err != nil {
		return err
	}
	checks.Schema(v.Database, v.Program)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := checkDurable(ctx, conn); err != nil {
		checks.Warn("journal", err.Error(), "a server turns it to WAL when it opens the file")
		return nil
	}
	checks.OK("journal", "WAL, and synchronous = FULL in every session of a server")
	return nil
}

func permissions(path string, checks *checkup.Checks) {
	const others, sticky = 0o002, os.ModeSticky
	var found, open []string
	for _, p := range []string{filepath.Dir(path), path} {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		found = append(found, fmt.Sprintf("%s %s", p, info.Mode()))
		if info.Mode()&others != 0 && info.Mode()&sticky == 0 {
			open = append(open, p)
		}
	}
	if len(open) > 0 {
		checks.Warn("permissions", strings.Join(found, ", "), "everybody on this machine can write to "+strings.Join(open, ", "))
	} else {
		checks.OK("permissions", strings.Join(found, ", "))
	}
}

// measureFsync writes to a file of its own as SQLite writes its log: a page, and then fsync.
func measureFsync(ctx context.Context, dir string, checks *checkup.Checks) error {
	const page, pages = 4096, 64
	file, err := os.CreateTemp(dir, ".collaboard-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	text := make([]byte, page)
	if _, err := file.Write(make([]byte, page*pages)); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	at := int64(0)
	l, err := checkup.Measure(ctx, func(ctx context.Context) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		text[0]++
		if _, err := file.WriteAt(text, at); err != nil {
			return err
		}
		at = (at + page) % (page * pages)
		return file.Sync()
	})
	if err != nil {
		return err
	}
	checks.Flush("fsync", l.String(), l.Median())
	return nil
}
