package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
}

// Help is shown by kong.
func (c *verifyCmd) Help() string {
	return "It reads every log and checks that no frame is missing, doubled or beyond its board's head, that each frame says the " +
		"same as its row and is one that a server stores, and that the log folds to the objects that the board counts, " +
		"and to each snapshot that is stored of it; a log that was trimmed is folded from the state with which it begins, and the " +
		"ids of what was before are counted; and of every file that its content is what its name says. " +
		"On SQLite it also runs the database's own integrity check; on PostgreSQL it looks for the unique indexes, and pg_amcheck " +
		"looks into them. What was said on a board is not summed up anywhere: a change in it that leaves a frame " +
		"well-formed cannot be told. Nor can that frames are missing to the end of a log, and from its board's head with it: an " +
		"old backup is whole, and so is a SQLite file that was copied without its -wal. Compare the counts.\n\n" +
		"Servers may run meanwhile: what they add is not judged. Nothing is written. The memory of the largest board is needed, as a " +
		"server needs it, once more for a snapshot of it, and about 50 bytes for each of its frames.\n\n" +
		"Exit codes: 0 when all is well, 3 when there is damage, 1 when none was found and not all could be checked. Damage in a log is not mended by " +
		"a server: restore a backup, and give its boards another epoch."
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
	show := printFinding
	if c.JSON {
		show = func(f verify.Finding) error { return printJSON(f) }
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
