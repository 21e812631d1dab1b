//go:build unix && !linux

package main

import (
	"os"
	"syscall"
)

// childAttr keeps Ctrl-C from a server.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// own does not keep other processes away here.
func own(dir string) (*os.File, error) { return os.Open(dir) }
