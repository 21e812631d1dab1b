package main

import (
	"fmt"
	"os"
	"syscall"
)

// childAttr has a server end with the thread that starts it. A group of its own keeps Ctrl-C from it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// own takes a directory for this process, until what it returns is closed, or the process ends.
func own(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another run uses %s: %w", dir, err)
	}
	return f, nil
}
