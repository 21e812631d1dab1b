package main

import (
	"fmt"
	"strconv"
	"strings"
)

// byteSize is a number of bytes: "65536", "64KiB", "1MiB", "2GiB".
type byteSize int

// UnmarshalText is called by kong.
func (s *byteSize) UnmarshalText(text []byte) error {
	digits, factor := string(text), 1
	for unit, bytes := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, factor = rest, bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a size, as in 65536, 64KiB or 1MiB", text)
	}
	*s = byteSize(int(n) * factor)
	return nil
}
