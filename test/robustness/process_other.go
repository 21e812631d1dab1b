//go:build unix && !linux

package main

import "syscall"

// childAttr keeps Ctrl-C from a server.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
