// Command hold takes the write lock of an SQLite database, and keeps it until its standard input ends. To a server on the
// same database this is an outage: it can read, and not write.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"

	_ "modernc.org/sqlite"
)

func main() {
	if err := hold(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

func hold(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", path+"?_txlock=exclusive&_busy_timeout=10000")
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
