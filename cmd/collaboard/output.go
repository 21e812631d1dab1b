package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jsonLines prints messages as JSON, one a line. What protojson returns is spaced differently from build to build, by
// intent; its lines are not.
type jsonLines struct {
	format protojson.MarshalOptions
	w      *bufio.Writer
	line   bytes.Buffer
}

func newJSONLines(w io.Writer) *jsonLines { return &jsonLines{w: bufio.NewWriterSize(w, 64<<10)} }

func (j *jsonLines) print(m proto.Message) error {
	text, err := j.format.Marshal(m)
	if err != nil {
		return fmt.Errorf("cannot show a message as JSON: %w", err)
	}
	j.line.Reset()
	if err := json.Compact(&j.line, text); err != nil {
		return fmt.Errorf("cannot show a message as JSON: %w", err)
	}
	j.line.WriteByte('\n')
	_, err = j.w.Write(j.line.Bytes())
	return outputError(err)
}

// printNow is for somebody who waits for the line.
func (j *jsonLines) printNow(m proto.Message) error {
	if err := j.print(m); err != nil {
		return err
	}
	return j.flush()
}

func (j *jsonLines) flush() error { return outputError(j.w.Flush()) }

var errOutputClosed = errors.New("standard output was closed")

func outputError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errOutputClosed
	}
	if err != nil {
		return fmt.Errorf("cannot write the output: %w", innermost(err))
	}
	return nil
}

// unlessClosed is for commands that only print: when nobody reads any more, they are done.
func unlessClosed(err error) error {
	if errors.Is(err, errOutputClosed) {
		return nil
	}
	return err
}
