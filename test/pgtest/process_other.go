//go:build unix && !linux

package pgtest

import (
	"fmt"
	"os/exec"
	"syscall"
)

// childAttr cannot have the server end with us here: a killed test leaves it behind.
func childAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setpgid: true}
}

func childrenOf(pid int) (children []int, err error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	for rest := string(out); rest != ""; {
		var child, parent, n int
		if n, err = fmt.Sscan(rest, &child, &parent); n < 2 {
			break
		}
		if parent == pid {
			children = append(children, child)
		}
		i := 0
		for i < len(rest) && rest[i] != '\n' {
			i++
		}
		rest = rest[min(i+1, len(rest)):]
	}
	return children, nil
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
