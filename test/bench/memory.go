package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/collaboard-io/collaboard/test/bench/internal/process"
)

// memory is what a server has of it, in bytes.
type memory struct {
	live     int64 // heap and stacks, after a collection
	resident int64 // of the process, before that
}

func memoryOf(ctx context.Context, s *process.Server) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		return m, err
	}
	if m.resident, err = field(status, "VmRSS:"); err != nil {
		return m, err
	}
	m.resident <<= 10
	stats, err := s.Profile(ctx, "heap?gc=1&debug=1")
	if err != nil {
		return m, err
	}
	for _, name := range []string{"# HeapAlloc =", "# Stack ="} {
		bytes, err := field(stats, name)
		if err != nil {
			return m, err
		}
		m.live += bytes
	}
	return m, nil
}

// field is the number behind the name, at the beginning of a line.
func field(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %q", name)
}
