package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/verify"
	"github.com/collaboard-io/collaboard/persistence"
)

// checkedStore names the store of a server, as the server's own flag and variable do.
type checkedStore struct {
	Store string `default:"sqlite:collaboard.db" env:"COLLABOARD_STORE" help:"What to check: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE."`
}

type verifyCmd struct {
	checkedStore

	Board boardID `arg:"" optional:"" help:"Id of the one board to check; without it all are, also deleted ones, and the database itself."`
	Show  int     `default:"10" help:"How many findings of one board to print, at most."`
	JSON  bool    `name:"json" help:"Print one JSON object a line: the findings, and at the end the summary."`

	Heads  bool     `help:"Print the anchor of each board's last frame, if all is well with the board."`
	Anchor []anchor `help:"A frame's chain as it was noted once: [BOARD@]SEQ:HASH. May be given more than once." placeholder:"ANCHOR" sep:"none"`
}

// anchor is one on the command line. Without a board it is of the one that is checked.
type anchor verify.Anchor

// UnmarshalText is called by kong.
func (a *anchor) UnmarshalText(text []byte) (err error) {
	rest := string(text)
	if id, of, found := strings.Cut(rest, "@"); found {
		if a.Board, err = persistence.ParseBoardID(id); err != nil {
			return err
		}
		rest = of
	}
	seq, hash, _ := strings.Cut(rest, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || n < 1 {
		return fmt.Errorf("%q must be [BOARD@]SEQ:HASH, and SEQ a number greater than 0", text)
	}
	a.Seq = persistence.Seq(n)
	chain, err := hex.DecodeString(hash)
	if err != nil {
		chain, err = base64.StdEncoding.DecodeString(hash) // as a frame in JSON has it
	}
	if err != nil || len(chain) != len(a.Chain) {
		return fmt.Errorf("%q must be [BOARD@]SEQ:HASH, and HASH %d hexadecimal digits, or the chain that \"tail\" prints", text, 2*len(a.Chain))
	}
	a.Chain = board.Chain(chain)
	return nil
}

// Help is shown by kong.
func (c *verifyCmd) Help() string {
	return "It reads every log and checks that no frame is missing, doubled or beyond its board's head, that each frame says the " +
		"same as its row and is one that a server stores, and that the log folds to the objects that the board counts, " +
		"and to each snapshot that is stored of it; a log that was trimmed is folded from the state with which it begins, and the " +
		"ids of what was before are counted; and of every file that its content is what its name says. " +
		"On SQLite it also runs the database's own integrity check; on PostgreSQL it looks for the unique indexes, and pg_amcheck " +
		"looks into them. Each frame has a chain: a hash of it and of all frames before it. A frame that was changed shows at its " +
		"seq, unless whoever changed it made all chains behind it anew; and frames of before there were chains have none. " +
		"Nothing in a log tells that frames are missing to its end, and from its board's head with it: an " +
		"old backup is whole, and so is a SQLite file that was copied without its -wal.\n\n" +
		"Both show by an anchor that was noted, out of reach of who could change the database: --heads prints them " +
		"(BOARD@SEQ:HASH), every client has them (seq and chain of an event, as \"tail\" prints them), and --anchor compares. " +
		"With the right chain at a frame all frames up to it are those of then, as far back as they have chains. " +
		"Of a log that is trimmed note a new one before the frame " +
		"of the old one goes: what is not there cannot be compared, and that is a finding, too.\n\n" +
		"Savepoints and settings of boards are not judged. Servers may run meanwhile, nor is what they add. Nothing is written. " +
		"The memory of the largest board is needed, as a " +
		"server needs it, once more for a snapshot of it, and about 50 bytes for each of its frames.\n\n" +
		"Exit codes: 0 when all is well, 3 when there is damage, 1 when none was found and not all could be checked. Damage in a log is not mended by " +
		"a server: restore a backup."
}

// Validate is called by kong.
func (c *verifyCmd) Validate() error {
	if c.Show < 1 {
		return errors.New("--show must be greater than 0")
	}
	return nil
}

// Run is called by kong.
func (c *verifyCmd) Run(ctx context.Context) error {
	spec, err := parseStore(c.Store)
	if err != nil {
		return err
	}
	cfg := verify.Config{PerBoard: c.Show}
	if c.Board != "" {
		id, err := persistence.ParseBoardID(string(c.Board))
		if err != nil {
			return err
		}
		cfg.Board = &id
	}
	for _, a := range c.Anchor {
		switch {
		case a.Board != persistence.BoardID{} && cfg.Board != nil && a.Board != *cfg.Board:
			return usagef("--anchor of board %s, and %s is checked", a.Board, *cfg.Board)
		case a.Board == persistence.BoardID{} && cfg.Board == nil:
			return usagef("--anchor %d:%x must say of which board it is: BOARD@SEQ:HASH", a.Seq, a.Chain)
		case cfg.Board != nil:
			a.Board = *cfg.Board
		}
		cfg.Anchors = append(cfg.Anchors, verify.Anchor(a))
	}
	show := printFinding
	if c.JSON {
		show = func(f verify.Finding) error { return printJSON(f) }
	}
	if c.Heads {
		cfg.Head = func(a verify.Anchor) error {
			if c.JSON {
				return printJSON(map[string]string{"anchor": a.String()})
			}
			return printf("%s\n", a)
		}
	}
	sum, err := spec.verify(ctx, cfg, show)
	if _, missing := errors.AsType[*persistence.BoardNotFoundError](err); missing {
		return errors.New("no such board")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && sum.Findings > 0 {
		complain(err)
		return errDamaged
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(struct {
			Store   string         `json:"store"`
			Summary verify.Summary `json:"summary"`
		}{spec.shown, sum})
	} else {
		err = printSummary(spec, sum)
	}
	if err == nil && sum.Findings > 0 {
		err = errDamaged
	}
	return err
}

// verify checks the store. One that is damaged so that it cannot be opened has one finding.
func (s storeSpec) verify(ctx context.Context, cfg verify.Config, found func(verify.Finding) error) (sum verify.Summary, err error) {
	in, err := s.inspect(ctx)
	if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
		return verify.Summary{Findings: 1}, found(verify.Finding{What: "cannot be opened: " + corrupt.Err.Error()})
	}
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	sum, err = verify.Run(ctx, in, cfg, found)
	if _, missing := errors.AsType[*persistence.BoardNotFoundError](err); err != nil && !missing {
		err = fmt.Errorf("cannot check %s to its end: %w", s.shown, innermost(err))
	}
	return sum, err
}

func printFinding(f verify.Finding) error {
	switch {
	case f.Board == "":
		return printf("%s\n", f.What)
	case f.Seq == 0:
		return printf("%s  %s\n", f.Board, f.What)
	default:
		return printf("%s  seq %d: %s\n", f.Board, f.Seq, f.What)
	}
}

func printSummary(spec storeSpec, sum verify.Summary) error {
	text := fmt.Sprintf("%s: checked %d boards (%d of them deleted) with %d frames of %d bytes, %d snapshots and %d files of %d bytes in %.1f s\n",
		spec.shown, sum.Boards, sum.Deleted, sum.Frames, sum.Bytes, sum.Snapshots, sum.Files, sum.Content, sum.Seconds)
	if sum.Unfolded > 0 {
		text += fmt.Sprintf("%d logs could not be folded to their end: their boards' objects were not counted\n", sum.Unfolded)
	}
	if sum.Findings == 0 {
		text += "no damage found\n"
	} else {
		text += fmt.Sprintf("DAMAGED: %d findings, %d boards\n", sum.Findings, sum.Damaged)
	}
	_, err := os.Stdout.WriteString(text)
	return outputError(err)
}
