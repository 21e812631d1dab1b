package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/bench"
)

type benchCmd struct {
	Run   benchRunCmd   `cmd:"" default:"withargs" help:"Measure a running server. This is what \"bench\" does by itself."`
	Fill  benchFillCmd  `cmd:"" help:"Make a board with a long log, and measure what a frame costs as it grows."`
	Join  benchJoinCmd  `cmd:"" help:"Measure how long it takes to join a board."`
	Idle  benchIdleCmd  `cmd:"" help:"Hold streams open that have joined boards and do nothing."`
	Store benchStoreCmd `cmd:"" help:"Measure a store without a server."`
}

// Help is shown by kong.
func (c *benchCmd) Help() string {
	return `Without a command it is "bench run", and takes its flags: see "collaboard bench run --help". ` + leftBehind
}

// leftBehind is told of every command that deletes the boards it made.
const leftBehind = `The boards that it makes are deleted at the end, as with "board delete": the list does not show ` +
	`them, but they and their frames stay in the database. Let it have a database that can be thrown away.`

type benchRunCmd struct {
	Clients     int           `short:"c" default:"64" help:"Clients that send, each on a connection of its own."`
	InFlight    int           `default:"16" help:"Frames that each client has sent before the first of them is acknowledged."`
	Boards      int           `default:"64" help:"Boards to spread them over."`
	Payload     byteSize      `default:"200" help:"Size of a frame's content."`
	Kind        string        `enum:"custom,object_update,chat" default:"custom" help:"What the frames carry: custom, object_update or chat."`
	Duration    time.Duration `short:"d" default:"10s" help:"How long to measure."`
	WarmUp      time.Duration `default:"1s" help:"How long to drive the server before that."`
	Rate        float64       `default:"0" help:"Frames a second in all, on schedule whatever the server does; 0 for as many as it answers."`
	Cursors     float64       `default:"0" help:"Cursor moves a second of each client that sends, which is a member of its board then."`
	Subscribers int           `default:"0" help:"Members of each board that only listen, each on a connection of its own."`
	Stalled     int           `default:"0" help:"Members of each board that join and then read nothing, each on a connection of its own."`
	Decode      bool          `help:"Let the members that listen decode what they get, as an application must."`
	Keep        bool          `help:"Do not delete the boards at the end."`
	JSON        bool          `name:"json" help:"Print a JSON object instead of tables."`
	clientFlags
}

// Help is shown by kong.
func (c *benchRunCmd) Help() string { return leftBehind }

// Validate is called by kong.
func (c *benchRunCmd) Validate() error {
	switch {
	case c.Clients < 1 || c.Clients > 1<<16-1:
		return errors.New("--clients must be from 1 to 65535")
	case c.InFlight < 1:
		return errors.New("--in-flight must be at least 1")
	case c.Boards < 1:
		return errors.New("--boards must be at least 1")
	case c.Payload < 1:
		return errors.New("--payload must be at least 1")
	case c.Duration <= 0 || c.WarmUp < 0:
		return errors.New("--duration must be greater than 0, and --warm-up not negative")
	case c.Rate < 0 || c.Cursors < 0:
		return errors.New("--rate and --cursors must not be negative")
	case c.Subscribers < 0 || c.Stalled < 0:
		return errors.New("--subscribers and --stalled must not be negative")
	case c.Decode && c.Subscribers == 0:
		return errors.New("--decode needs --subscribers, which are who decodes")
	}
	return nil
}

// Run is called by kong.
func (c *benchRunCmd) Run(ctx context.Context) error {
	progress, wipe := progressLine()
	report, err := measure(ctx, &c.clientFlags, bench.Run, bench.Config{
		Clients: c.Clients, InFlight: c.InFlight, Boards: c.Boards, Subscribers: c.Subscribers, Stalled: c.Stalled, Decode: c.Decode,
		Kind: bench.Kind(c.Kind), Payload: int(c.Payload), Rate: c.Rate, Cursors: c.Cursors,
		WarmUp: c.WarmUp, Duration: c.Duration, Keep: c.Keep, Progress: progress,
	})
	wipe()
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(report)
	} else {
		err = outputError(report.Print(os.Stdout))
	}
	if err == nil && report.Acks.Count == 0 {
		err = errors.New("no frame was acknowledged in the time that was measured")
	}
	return err
}

// measure runs a benchmark of the server, and puts what went wrong into the user's terms.
func measure[C, R any](ctx context.Context, f *clientFlags, run func(context.Context, C, bench.Dial) (R, error), cfg C) (result R, err error) {
	e, err := f.endpoint()
	if err != nil {
		return result, err
	}
	result, err = run(ctx, cfg, e.dial)
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	return result, e.explain(err)
}

// progressLine returns a function that shows progress where somebody looks on, and one that removes it again.
func progressLine() (show func(elapsed time.Duration, acks, deliveries int64), wipe func()) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil, func() {}
	}
	const clearLine = "\r\x1b[K"
	show = func(elapsed time.Duration, acks, deliveries int64) {
		fmt.Fprintf(os.Stderr, clearLine+"%s: %d acks, %d deliveries", elapsed.Round(time.Second), acks, deliveries)
	}
	return show, func() { fmt.Fprint(os.Stderr, clearLine) }
}

func printJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return printf("%s\n", text)
}
