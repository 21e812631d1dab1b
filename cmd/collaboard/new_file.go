package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// newFile has a database built, and puts it at path when it is whole and on disk, unless there is one: until then nobody can take
// it for one, and afterwards it is not lost. It returns its size. The directory in which it is built is removed.
func newFile(path string, build func(path string) error) (size int64, err error) {
	var dir string
	if err = isFree(path); err == nil {
		dir, err = os.MkdirTemp(filepath.Dir(path), filepath.Base(path)+".partial-*")
	}
	if err != nil {
		return 0, fmt.Errorf("cannot make %s: %w", path, innermost(err))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	built := filepath.Join(dir, filepath.Base(path))
	if err := build(built); err != nil {
		return 0, err
	}
	files, err := os.ReadDir(dir)
	if err == nil && len(files) > 1 {
		err = fmt.Errorf("parts of it are in %s", files) // and would be left behind
	}
	if err == nil {
		size, err = syncFile(built)
	}
	if err == nil {
		err = publish(built, path)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot make %s: %w", path, innermost(err))
	}
	return size, nil
}

// isFree fails where there is a database, or the log of one, which SQLite would take for that of the next.
func isFree(path string) error {
	for _, of := range []string{path + "-wal", path + "-shm", path + "-journal"} {
		if _, err := os.Lstat(of); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is %s, of a database that is or was in its place: move them away, together", of)
		}
	}
	info, err := os.Lstat(path)
	if err == nil && (info.Size() > 0 || !info.Mode().IsRegular()) {
		err = errors.New("it is there already, and is not overwritten")
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

func syncFile(path string) (size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), file.Sync()
}

// publish gives the file its name. That takes nobody's file away, as a rename would where somebody made one meanwhile; it is
// a rename where the file system has no links.
func publish(built, path string) error {
	if err := isFree(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one
		return err
	}
	err := os.Link(built, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(built, path)
	}
	if err != nil {
		return err
	}
	_, err = syncFile(filepath.Dir(path))
	return err
}
