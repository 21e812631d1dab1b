package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/bench"
)

type benchFillCmd struct {
	Objects  int      `default:"10000" help:"Objects on the board."`
	Frames   int      `default:"100000" help:"Frames in its log, those that make the objects among them; the others change them in turn."`
	Payload  byteSize `default:"200" help:"Bytes that a change sets."`
	Lengths  []int    `placeholder:"N,..." help:"Lengths of the log at which to measure what a frame costs."`
	Measured int      `default:"30000" help:"Frames that are measured there."`
	JSON     bool     `name:"json" help:"Print a JSON object instead of text."`
	clientFlags
}

// Help is shown by kong.
func (c *benchFillCmd) Help() string {
	return "The board is kept, and its id is printed: for \"bench join\"."
}

// Validate is called by kong.
func (c *benchFillCmd) Validate() error {
	if c.Objects < 1 || c.Payload < 1 || c.Measured < 1 {
		return errors.New("--objects, --payload and --measured must be greater than 0")
	}
	if c.Frames < c.Objects/100+1 {
		return errors.New("--frames must be enough to make the objects, a hundred with each")
	}
	for _, length := range c.Lengths {
		if length < c.Objects/100+1 || length+c.Measured > c.Frames {
			return fmt.Errorf("--lengths %d: must be reached after the objects were made, and --measured frames before --frames", length)
		}
	}
	return nil
}

// Run is called by kong.
func (c *benchFillCmd) Run(ctx context.Context) error {
	filled, err := measure(ctx, &c.clientFlags, bench.Fill, bench.FillConfig{
		Objects: c.Objects, Frames: c.Frames, Payload: int(c.Payload), Lengths: c.Lengths, Measured: c.Measured,
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(filled)
	}
	if err := printf("%s has %d objects and %d frames, after %.1f s\n", filled.Board, filled.Objects, filled.Frames, filled.Seconds); err != nil {
		return err
	}
	for _, cost := range filled.Costs {
		if err := printf("a frame after %d: %.1f µs\n", cost.Length, cost.Microseconds); err != nil {
			return err
		}
	}
	return nil
}

type benchJoinCmd struct {
	Board     string `arg:"" help:"Id of the board."`
	FromStart bool   `help:"Resume with all frames of the log, instead of a snapshot."`
	Times     int    `default:"5" help:"How often, one after the other."`
	JSON      bool   `name:"json" help:"Print a JSON object instead of text."`
	clientFlags
}

// Validate is called by kong.
func (c *benchJoinCmd) Validate() error {
	if c.Times < 1 {
		return errors.New("--times must be at least 1")
	}
	return nil
}

// Run is called by kong.
func (c *benchJoinCmd) Run(ctx context.Context) error {
	joined, err := measure(ctx, &c.clientFlags, bench.Join, bench.JoinConfig{Board: c.Board, FromStart: c.FromStart, Times: c.Times})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(joined)
	case c.FromStart:
		return printf("%d frames in %.1f ms, the first time in %.1f ms\n", joined.Frames, joined.Milliseconds, joined.First)
	}
	return printf("%d objects in %.1f ms, the first time in %.1f ms\n", joined.Objects, joined.Milliseconds, joined.First)
}

type benchIdleCmd struct {
	Streams       int `default:"1000" help:"Streams to hold."`
	PerConnection int `default:"1" help:"Streams that share a connection."`
	Boards        int `default:"100" help:"Boards that they join."`
	clientFlags
}

// Help is shown by kong.
func (c *benchIdleCmd) Help() string {
	return `It says "ready" when all have joined, and holds them until its input ends, or it is interrupted. ` + leftBehind
}

// Validate is called by kong.
func (c *benchIdleCmd) Validate() error {
	if c.Streams < 1 || c.Boards < 1 || c.PerConnection < 1 {
		return errors.New("--streams, --per-connection and --boards must be at least 1")
	}
	return nil
}

// Run is called by kong.
func (c *benchIdleCmd) Run(ctx context.Context) error {
	e, err := c.endpoint()
	if err != nil {
		return err
	}
	holding, release := context.WithCancel(ctx)
	defer release()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		release()
	}()
	err = bench.Idle(holding, bench.IdleConfig{
		Streams: c.Streams, PerConnection: c.PerConnection, Boards: c.Boards,
	}, e.dial, func() error { return printf("ready\n") })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && holding.Err() == nil {
		return e.explain(err)
	}
	return nil
}
