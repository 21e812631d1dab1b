// Command collaboard is a collaboration server, and what its operators and developers use beside it: boards are made,
// listened to, written to and measured with the same binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

const description = "Collaboard is a collaboration server: people and programs share boards, and a board is a log of " +
	"frames that are durable before anyone hears of them.\n\n" +
	"Exit codes: 0 when all went well, 1 when something failed (the reason is on standard error, or in an answer), " +
	"2 when the command line cannot be carried out as it is, 3 when damage was found in what is stored."

type commands struct {
	Serve serveCmd `cmd:"" help:"Run the server."`
	Board boardCmd `cmd:"" help:"Create, list, rename and delete boards."`
	Tail  tailCmd  `cmd:"" help:"Print a board's log, one JSON frame a line."`
	Send  sendCmd  `cmd:"" help:"Send JSON frames, one a line, and print the answers."`
	Bench benchCmd `cmd:"" help:"Measure a running server, or a store without one."`

	Export exportCmd `cmd:"" help:"Write a board into a file: its whole log with its files, or a drawing."`
	Import importCmd `cmd:"" help:"Make a new board of such a file, and print its id."`

	Verify verifyCmd `cmd:"" help:"Check that what a store holds is whole: every log, every frame."`
	Doctor doctorCmd `cmd:"" help:"Check that a store is fit to be relied on, before going live."`

	Backup      backupCmd      `cmd:"" help:"Copy a SQLite store into a file, while servers run."`
	Restore     restoreCmd     `cmd:"" help:"Make a SQLite store of a backup, with other epochs."`
	RenewEpochs renewEpochsCmd `cmd:"" help:"Give the boards of a store that was restored by other means other epochs."`

	Version kong.VersionFlag `help:"Print the version, and end."`
}

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitDamaged = 3
)

func main() {
	// A reader that has gone away shows as an error of the write, so that each command can end in its own way.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("collaboard"), kong.Description(description),
		kong.Vars{"version": version()}, environment(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}))
	if err != nil {
		return report(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(usage(err))
	}
	ctx, stop := interruptible()
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return report(parsed.Run())
}

// usageError is a command line that cannot be carried out as it is.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func usage(err error) error {
	command := "collaboard"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	return usagef("%w (see %s --help)", err, command)
}

var (
	// errReported is a failure that needs no more words.
	errReported = errors.New("failed")
	// errDamaged is another, with an exit code of its own.
	errDamaged = errors.New("damaged")
)

// report prints what went wrong, on one line, and returns the exit code.
func report(err error) int {
	var bad usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errDamaged):
		return exitDamaged
	case errors.As(err, &bad):
		complain(err)
		return exitUsage
	default:
		complain(err)
		return exitFailed
	}
}

// complain prints one line on stderr.
func complain(err error) {
	fmt.Fprintln(os.Stderr, "collaboard: "+strings.Join(strings.Fields(err.Error()), " "))
}

func complainf(format string, args ...any) { complain(fmt.Errorf(format, args...)) }

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that SIGINT or SIGTERM ends. A second signal ends the process at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		if awaitSecond(signals, done, func() { cancel(errInterrupted) }) {
			complainf("second signal: ending at once")
			os.Exit(exitFailed)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// sameSignal is the time within which two equal signals are one: timeout(1) and some supervisors send a signal to the
// process and to its group.
const sameSignal = 200 * time.Millisecond

// awaitSecond calls interrupt at the first signal, and returns true at the second, or false when done is closed.
func awaitSecond(signals <-chan os.Signal, done <-chan struct{}, interrupt func()) bool {
	var first os.Signal
	var at time.Time
	for {
		select {
		case sig := <-signals:
			switch {
			case first == nil:
				first, at = sig, time.Now()
				interrupt()
			case sig != first || time.Since(at) > sameSignal:
				return true
			}
		case <-done:
			return false
		}
	}
}

// environment gives every flag its variable: COLLABOARD_FLAG for those of serve, and COLLABOARD_COMMAND_FLAG for
// those of the other commands. Flags that several commands share name theirs in a tag.
func environment() kong.Option {
	name := func(words ...string) string {
		return strings.ToUpper(strings.ReplaceAll(strings.Join(words, "_"), "-", "_"))
	}
	var visit func(node *kong.Node, prefix string)
	visit = func(node *kong.Node, prefix string) {
		for _, flag := range node.Flags {
			if flag.Name == "help" || flag.Name == "version" || len(flag.Envs) > 0 {
				continue
			}
			flag.Envs = []string{name(prefix, flag.Name)}
			flag.Tag.Envs = flag.Envs
		}
		for _, child := range node.Children {
			visit(child, prefix)
		}
	}
	return kong.PostBuild(func(k *kong.Kong) error {
		for _, command := range k.Model.Children {
			prefix := "collaboard"
			if command.Name != "serve" {
				prefix = name(prefix, command.Name)
			}
			visit(command, prefix)
		}
		return nil
	})
}

// version is that of the module or, built from a working copy, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "dev"
}
