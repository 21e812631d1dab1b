package sqlite

import "context"

// What the kernel says of a file system is not a test's to choose.
var (
	JudgeFileSystem = judgeFileSystem
	JudgeSpace      = judgeSpace
)

// WithWriter lets a test run a statement on the connection that writes, as long as it is the same one.
func (s *Store) WithWriter(query string) error {
	w := <-s.writer
	defer func() { s.writer <- w }()
	return w.exec(query)
}

// WriterString is what a pragma of the connection that writes says.
func (s *Store) WriterString(ctx context.Context, query string) (got string, err error) {
	w := <-s.writer
	defer func() { s.writer <- w }()
	err = w.conn.QueryRowContext(ctx, query).Scan(&got)
	return got, err
}
