package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	_ "modernc.org/sqlite"
)

// The environment variables that make a program of this package, or its test, a process that opens a SQLite file: one
// that serves the file system below must not do that itself.
const (
	sqliteFile      = "ROBUSTNESS_SQLITE_FILE"
	sqliteStatement = "ROBUSTNESS_SQLITE_STATEMENT"
)

// execSQLite runs a statement on a file, beside its server, in a process of its own, which keeps its connection until
// release is called: what it has locked stays locked.
func execSQLite(ctx context.Context, file, statement string) (release func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), sqliteFile+"="+file, sqliteStatement+"="+statement)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = childAttr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOnThread(cmd); err != nil {
		return nil, err
	}
	release = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", statement, err), release())
	}
	return release, nil
}

// servesSQLite is that process: it is true when there was something to do, and it is done.
func servesSQLite() bool {
	file := os.Getenv(sqliteFile)
	if file == "" {
		return false
	}
	if err := holdSQLite(file, os.Getenv(sqliteStatement)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func holdSQLite(file, statement string) (err error) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, statement); err != nil {
		return err
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
