package main

import "syscall"

// childAttr has a server end with the thread that starts it. A group of its own keeps Ctrl-C from it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
