//go:build !linux

package powerfail

import (
	"errors"
	"runtime"
)

type mounted struct{}

func (*FS) attach() error {
	return &UnavailableError{Err: errors.New("this is " + runtime.GOOS)}
}

func (*FS) detach() error { return errors.New("not mounted") }

func (*FS) abandon() error { return nil }
