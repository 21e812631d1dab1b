package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// maxLine is above the largest frame, written as JSON at its most verbose.
const maxLine = 16 << 20

// line is a frame of the input.
type line struct {
	number int // of the line, from 1
	index  int // of the frame: blank lines do not count
	frame  *collaboardv1.Frame
	answer *collaboardv1.Frame // nil while there is none
}

// readFrames calls fn for each line of in that is not blank. What is wrong with a line ends it.
func readFrames(in io.Reader, fn func(*line) error) error {
	index := 0
	return readLines(in, func(number int, text []byte) error {
		l := &line{number: number, index: index, frame: &collaboardv1.Frame{}}
		if err := protojson.Unmarshal(text, l.frame); err != nil {
			return fmt.Errorf("line %d: %s", number, jsonProblem(err))
		}
		if err := fn(l); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		index++
		return nil
	})
}

// readLines calls fn for each line of in that is not blank.
func readLines(in io.Reader, fn func(number int, text []byte) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	number := 0
	for scanner.Scan() {
		number++
		if text := bytes.TrimSpace(scanner.Bytes()); len(text) > 0 {
			if err := fn(number, text); err != nil {
				return err
			}
		}
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d: longer than %d MiB", number+1, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("line %d: %w", number+1, innermost(err))
	}
	return nil
}

// jsonProblem is what protojson found, without its prefix and its position in a line that we number ourselves.
func jsonProblem(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool {
		return r == ' ' || r == '\u00a0' // it varies its spaces, by intent
	}), " ")
	text = strings.TrimPrefix(text, "proto: ")
	text = strings.TrimPrefix(text, "syntax error ")
	if text == io.ErrUnexpectedEOF.Error() {
		return "the JSON is cut short"
	}
	if rest, ok := strings.CutPrefix(text, "(line 1:"); ok {
		if column, what, ok := strings.Cut(rest, "): "); ok {
			return fmt.Sprintf("column %s: %s", column, what)
		}
	}
	return text
}

// reader reads the frames of a file while they are being sent.
type reader struct {
	lines    chan *line    // closed when there are no more
	skipping chan struct{} // closed when nobody takes them any more
	regular  bool          // the file ends soon

	done chan struct{} // closed once the fields below are set for good
	last int           // number of the last line
	bad  error         // why there are no more
}

// newReader starts reading. It ends with the file; a read of a terminal that never ends goes with the process.
func newReader(file *os.File, prepare func(*line) error) *reader {
	r := &reader{
		lines: make(chan *line), skipping: make(chan struct{}), done: make(chan struct{}), regular: isRegular(file),
	}
	go func() {
		defer close(r.done)
		defer close(r.lines)
		r.bad = readFrames(file, func(l *line) error {
			if err := prepare(l); err != nil {
				return err
			}
			r.last = l.number
			select {
			case r.lines <- l:
			case <-r.skipping:
			}
			return nil
		})
	}()
	return r
}

func isRegular(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// err waits for the end of the input, and returns why it came early, if it did.
func (r *reader) err() error {
	<-r.done
	return r.bad
}

// skipRest reads what is left, and returns the number of the last line, unless it does not end.
func (r *reader) skipRest() (last int, known bool) {
	close(r.skipping)
	var limit <-chan time.Time
	if !r.regular {
		limit = time.After(200 * time.Millisecond)
	}
	select {
	case <-r.done:
		return r.last, r.bad == nil
	case <-limit:
		return 0, false
	}
}
