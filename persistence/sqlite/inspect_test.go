package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/checkup"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

// Who inspects a file leaves the directory as it was: no new database, and no files of a log.
func TestInspectLeavesNoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if in, err := sqlite.Inspect(t.Context(), filepath.Join(dir, "missing.db")); err == nil {
		t.Error(in.Close())
	}
	path := filepath.Join(dir, "boards.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	in, err := sqlite.Inspect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.CheckEngine(t.Context()); err != nil {
		t.Error(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("files are %v (%v), want boards.db alone", files, err)
	}
}

// What a crash left is not touched by who inspects it or asks the doctor: the next server takes it in.
func TestInspectLeavesTheLogOfACrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	board, err := createBoard(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string][]byte)
	crashed := filepath.Join(t.TempDir(), "boards.db")
	for _, suffix := range []string{"", "-wal"} { // as they are without a last close
		text, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(crashed+suffix, text, 0o600)
		}
		if err != nil || len(text) == 0 {
			t.Fatalf("%d bytes in boards.db%s (%v)", len(text), suffix, err)
		}
		left[crashed+suffix] = text
	}
	in, err := sqlite.Inspect(t.Context(), crashed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Board(t.Context(), board); err != nil {
		t.Errorf("the board is only in the log: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	var checks checkup.Checks
	if sqlite.Doctor(t.Context(), crashed, &checks); checks.Failed() {
		t.Errorf("doctor: %+v", checks.All)
	}
	for file, was := range left {
		if is, err := os.ReadFile(file); err != nil || !bytes.Equal(is, was) {
			t.Errorf("%s had %d bytes and has %d others (%v)", filepath.Base(file), len(was), len(is), err)
		}
	}
}

func TestInspectWantsTheProgramsSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, version := range []int64{99, 0} {
		execute(t, path, `DELETE FROM collaboard_schema WHERE version_id > 0`)
		execute(t, path, `INSERT OR IGNORE INTO collaboard_schema (version_id, is_applied) VALUES (?, 1)`, version)
		_, err := sqlite.Inspect(t.Context(), path)
		if e, ok := errors.AsType[*persistence.SchemaError](err); !ok || e.Database != version || e.Program < 1 {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// An id that is none is damage, and not the end of the process.
func TestDamagedIDIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "boards.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, err := sqlite.Inspect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	board, err := createBoard(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := add(t.Context(), s, board, 1, nil); err != nil {
		t.Fatal(err)
	}
	corrupt := func(what string, err error) {
		t.Helper()
		if _, ok := errors.AsType[*persistence.CorruptError](err); !ok {
			t.Errorf("%s: error is %T (%v), want *CorruptError", what, err, err)
		}
	}
	execute(t, path, `PRAGMA ignore_check_constraints = ON; UPDATE frames SET id = x'0102'`)
	_, err = s.Read(t.Context(), persistence.ReadParams{Board: board, Limit: 9})
	corrupt("Read", err)
	_, err = in.Frames(t.Context(), persistence.FrameRange{Board: board, Through: 9, Limit: 9, MaxBytes: 9})
	corrupt("Frames", err)
	execute(t, path, `PRAGMA ignore_check_constraints = ON; UPDATE frames SET board_id = x'0102'`)
	_, err = in.Orphans(t.Context(), 9)
	corrupt("Orphans", err)
	execute(t, path, `PRAGMA ignore_check_constraints = ON; UPDATE boards SET epoch = x'0102'`)
	_, err = s.Boards(t.Context(), board)
	corrupt("Boards", err)
	_, err = in.Board(t.Context(), board)
	corrupt("Board", err)
}
