// Package verify checks that what a database holds is what servers write: logs without gaps, of frames that say the
// same as their rows and fold to what their board says; snapshots that are what the log folds to; and files whose contents
// are what their names say.
//
// It may run beside servers. A board's row is read first, and then its log up to the head that the row had: those frames
// never change any more, and those after them are not looked at. Whether there are frames beyond the head is asked in the
// statement that reads the row, so that a commit shows in both or in neither. Where the log was trimmed meanwhile, what seems
// wrong is looked at again.
//
// A log that was trimmed is folded from its base. Whether that is what the removed frames fold to nobody can tell.
//
// A frame's chain sums up all that was said on its board until then: a change shows, unless all chains behind it were made
// anew. That shows only by an anchor: a chain that was noted before, somewhere else.
package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/persistence"
)

const (
	boardsPage = 256     // boards in one read
	framesPage = 1024    // frames in one read
	bytesPage  = 4 << 20 // bytes of bodies in one read, after one frame at the earliest
	orphansMax = 1000    // boards that are not there, and are named
)

// Finding is one thing that is wrong.
type Finding struct {
	Board string `json:"board,omitempty"` // id; empty for the database as a whole
	Seq   uint64 `json:"seq,omitempty"`   // 0 for the board as a whole
	What  string `json:"what"`
}

// Summary is what was checked and found.
type Summary struct {
	Boards    uint64  `json:"boards"`
	Deleted   uint64  `json:"deleted"` // of the boards
	Frames    uint64  `json:"frames"`
	Bytes     uint64  `json:"bytes"` // of frames' bodies
	Snapshots uint64  `json:"snapshots"`
	Files     uint64  `json:"files"`
	Content   uint64  `json:"file_bytes"`
	Unfolded  uint64  `json:"unfolded"` // boards whose log could not be folded to its end
	Findings  uint64  `json:"findings"` // all, also those that were not told
	Damaged   uint64  `json:"damaged_boards"`
	Seconds   float64 `json:"seconds"`
}

// Config says what to check.
type Config struct {
	// Board restricts the check to one board, which need not exist. Nil means all, and the engine's own check.
	Board *persistence.BoardID
	// PerBoard is how many findings of one board are told; at least 1. How many more there are is told as one more.
	PerBoard int
	// Anchors are chains that frames have, if nothing was changed. A frame that is not there is a finding.
	Anchors []Anchor
	// Head, if not nil, is called for each board without findings whose last frame has a chain, with that.
	Head func(Anchor) error
}

// Run checks, and calls found with each finding, board by board, by ascending seq as far as seqs ascend. An error of found
// ends it. It needs memory for the fold of one board at a time, for one of its snapshots, and for the ids of its frames. It fails when it could not
// check: with *persistence.BoardNotFoundError for a board of which nothing is there at all.
func Run(ctx context.Context, in persistence.Inspector, cfg Config, found func(Finding) error) (Summary, error) {
	r := &run{in: in, cfg: cfg, found: found, anchors: make(map[persistence.BoardID][]Anchor)}
	for _, a := range cfg.Anchors {
		r.anchors[a.Board] = append(r.anchors[a.Board], a)
	}
	begin := time.Now()
	var err error
	if cfg.Board != nil {
		err = r.one(ctx, *cfg.Board)
	} else {
		err = r.all(ctx)
	}
	if err == nil {
		err = r.lost()
	}
	r.sum.Seconds = time.Since(begin).Seconds()
	return r.sum, err
}

type run struct {
	in    persistence.Inspector
	cfg   Config
	found func(Finding) error
	sum   Summary

	anchors map[persistence.BoardID][]Anchor // of boards that were not checked yet
}

func (r *run) all(ctx context.Context) error {
	problems, err := r.in.CheckEngine(ctx)
	for _, p := range problems {
		if err := r.tell("", p); err != nil {
			return err
		}
	}
	if err := r.damage("the database's own check ended early", err); err != nil {
		return err
	}
	for after := (persistence.BoardID{}); ; {
		page, err := r.in.Boards(ctx, after, boardsPage)
		if err != nil {
			if err := r.damage("boards after "+after.String()+" cannot be read", err); err != nil {
				return err
			}
			break
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			if err := r.board(ctx, page[i]); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
	orphans, err := r.in.Orphans(ctx, orphansMax)
	if err != nil {
		return r.damage("frames, files and snapshots without a board cannot be looked for", err)
	}
	for _, id := range orphans {
		if err := r.orphan(id); err != nil {
			return err
		}
	}
	if len(orphans) == orphansMax {
		return r.tell("", "there may be more frames, files or snapshots without a board")
	}
	return nil
}

func (r *run) one(ctx context.Context, id persistence.BoardID) error {
	b, err := r.in.Board(ctx, id)
	if err == nil {
		return r.board(ctx, b)
	}
	if _, ok := errors.AsType[*persistence.BoardNotFoundError](err); !ok {
		return r.damage("board "+id.String()+" cannot be read", err)
	}
	frames, readErr := r.in.Frames(ctx, persistence.FrameRange{Board: id, Through: 1 << 62, Limit: 1, MaxBytes: 1})
	if readErr != nil {
		return r.damage("frames of board "+id.String()+" cannot be read", readErr)
	}
	file, readErr := r.in.NextFile(ctx, id, persistence.FileID{})
	if readErr != nil {
		return r.damage("files of board "+id.String()+" cannot be read", readErr)
	}
	snap, readErr := r.in.NextSnapshot(ctx, id, 0)
	if readErr == nil && snap == nil {
		snap, readErr = r.in.Base(ctx, id)
	}
	if readErr != nil {
		return r.damage("snapshots of board "+id.String()+" cannot be read", readErr)
	}
	if len(frames) > 0 || file != nil || snap != nil {
		return r.orphan(id)
	}
	if len(r.anchors) > 0 {
		return nil // it is more than a wrong id
	}
	return err
}

// lost tells of anchors whose boards were not found.
func (r *run) lost() error {
	for _, a := range r.cfg.Anchors {
		if len(r.anchors[a.Board]) > 0 {
			if err := r.tellAt(a.Board.String(), a.Seq, "is in an anchor, and there is no such board"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) orphan(id persistence.BoardID) error {
	r.sum.Damaged++
	return r.tell(id.String(), "has frames, files or snapshots, but there is no such board")
}

// board checks one board, its log, its snapshots and its files. One whose log was trimmed meanwhile is checked once more.
func (r *run) board(ctx context.Context, b persistence.StoredBoard) error {
	before := r.sum
	for {
		err := r.check(ctx, b)
		if !errors.Is(err, errTrimmed) {
			return err
		}
		r.sum = before
		b, err = r.in.Board(ctx, b.ID)
		if _, purged := errors.AsType[*persistence.BoardNotFoundError](err); purged {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// errTrimmed means that what was found of a board, and not told yet, may come from a server that trims its log.
var errTrimmed = errors.New("log was trimmed meanwhile")

func (r *run) check(ctx context.Context, b persistence.StoredBoard) error {
	r.sum.Boards++
	if b.Deleted {
		r.sum.Deleted++
	}
	if b.Purging {
		delete(r.anchors, b.ID)
		return nil // it goes away
	}
	l := newLog(b, r.anchors[b.ID])
	delete(r.anchors, b.ID)
	if err := r.base(ctx, l); err != nil {
		return err
	}
	told := &told{run: r, log: l, of: b}
	tell := func() error { return told.tell(ctx) }
	snaps := &snapshots{run: r, log: l}
	if err := snaps.next(ctx, 0); err != nil {
		return err
	}
	if err := r.frames(ctx, l, snaps, tell); err != nil {
		return err
	}
	l.end()
	if err := snaps.rest(ctx); err != nil {
		return err
	}
	if err := tell(); err != nil {
		return err
	}
	if err := r.files(ctx, b, l.problemf, tell); err != nil {
		return err
	}
	if !l.folds {
		r.sum.Unfolded++
	}
	if told.count == 0 {
		return r.head(l)
	}
	r.sum.Damaged++
	if more := told.count - r.cfg.PerBoard; more > 0 {
		return r.found(Finding{Board: b.ID.String(), What: fmt.Sprintf("and %d more", more)})
	}
	return nil
}

// head reports the chain of a sound log's last frame.
func (r *run) head(l *log) error {
	if r.cfg.Head == nil || l.chain.head == (board.Chain{}) {
		return nil
	}
	return r.cfg.Head(Anchor{Board: l.board.ID, Seq: l.chain.seq, Chain: l.chain.head})
}

// base gives a log that was trimmed the state with which it begins.
func (r *run) base(ctx context.Context, l *log) error {
	if l.board.First == 1 {
		return nil
	}
	base, err := r.in.Base(ctx, l.board.ID)
	if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
		l.problemf(l.board.First, "the state with which the log begins cannot be read: %v", corrupt.Err)
		return nil
	}
	if err == nil {
		l.begin(base)
	}
	return err
}

// frames gives the log its frames, and the snapshots what they are compared with.
func (r *run) frames(ctx context.Context, l *log, snaps *snapshots, tell func() error) error {
	for after, head := l.board.First-1, l.board.Head; after < head; {
		page, err := r.in.Frames(ctx, persistence.FrameRange{
			Board: l.board.ID, After: after, Through: head, Limit: framesPage, MaxBytes: bytesPage,
		})
		if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
			l.unreadable(corrupt.Err)
			return nil
		}
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			l.add(page[i])
			if err := snaps.check(ctx, page[i]); err != nil {
				return err
			}
			r.sum.Bytes += uint64(len(page[i].Body))
		}
		r.sum.Frames += uint64(len(page))
		after = page[len(page)-1].Seq
		if err := tell(); err != nil {
			return err
		}
	}
	return nil
}

// told is what was told of one board.
type told struct {
	run   *run
	log   *log
	of    persistence.StoredBoard // as it was read: what the log says of it may be better
	count int
}

// tell tells the problems of the log since it was last called. It fails with errTrimmed where they may come from a server
// that trims the log; once something was told they are dropped instead.
func (t *told) tell(ctx context.Context) error {
	problems := t.log.take()
	if len(problems) == 0 {
		return nil
	}
	now, err := t.run.in.Board(ctx, t.of.ID)
	_, purged := errors.AsType[*persistence.BoardNotFoundError](err)
	switch {
	case err != nil && !purged:
		return err
	case !purged && now.First == t.of.First && now.Purging == t.of.Purging:
	case t.count == 0:
		return errTrimmed
	default:
		t.log.folds = false
		return nil
	}
	for _, p := range problems {
		if t.count++; t.count > t.run.cfg.PerBoard {
			t.run.sum.Findings++
			continue
		}
		if err := t.run.tellAt(t.of.ID.String(), p.seq, p.what); err != nil {
			return err
		}
	}
	return nil
}

// files checks the files of one board.
func (r *run) files(
	ctx context.Context, b persistence.StoredBoard, problemf func(seq persistence.Seq, format string, args ...any), tell func() error,
) error {
	if b.Counted != b.Totals {
		problemf(0, "there are %d files of %d bytes, and its totals say %d of %d",
			b.Counted.Files, b.Counted.Bytes, b.Totals.Files, b.Totals.Bytes)
	}
	for after := (persistence.FileID{}); ; {
		f, err := r.in.NextFile(ctx, b.ID, after)
		if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
			problemf(0, "file after %s: cannot be read, nor can what follows: %v", after, corrupt.Err)
			return tell()
		}
		if err != nil {
			return err
		}
		if f == nil {
			return tell()
		}
		if sha256.Sum256(f.Content) != f.ID {
			problemf(0, "file %s: its content is another", f.ID)
		}
		r.sum.Files++
		r.sum.Content += uint64(len(f.Content))
		after = f.ID
		if err := tell(); err != nil {
			return err
		}
	}
}

func (r *run) tell(id, what string) error { return r.tellAt(id, 0, what) }

func (r *run) tellAt(id string, seq persistence.Seq, what string) error {
	r.sum.Findings++
	return r.found(Finding{Board: id, Seq: uint64(seq), What: what})
}

// damage makes a finding of an error that says that the database is damaged, and returns any other.
func (r *run) damage(what string, err error) error {
	if corrupt, ok := errors.AsType[*persistence.CorruptError](err); ok {
		return r.tell("", what+": "+corrupt.Err.Error())
	}
	return err
}
