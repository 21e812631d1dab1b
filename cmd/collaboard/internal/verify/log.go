package verify

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// log judges one board's log, frame by frame. It does no I/O.
type log struct {
	board    persistence.StoredBoard
	next     persistence.Seq // what comes next in a log without gaps
	ids      map[persistence.FrameID]persistence.Seq
	state    *board.Board
	base     *persistence.FrameID // the frame at which state is the base of a trimmed log
	folds    bool                 // state is the fold of all that came; what follows from damage is not judged
	chain    chain
	readable bool
	problems []problem
}

type problem struct {
	seq  persistence.Seq
	what string
}

func newLog(b persistence.StoredBoard, anchors []Anchor) *log {
	l := &log{ids: make(map[persistence.FrameID]persistence.Seq), state: board.New(), readable: true}
	// SQLite keeps whatever it is given; the contract does not, and one such board fails a whole page of a list.
	if !utf8.ValidString(b.Name) || !utf8.ValidString(b.Owner) {
		l.problemf(0, "its name %q, or its owner %q, is not UTF-8", b.Name, b.Owner)
	}
	if b.Head > math.MaxInt64 {
		l.problemf(0, "its head is %d", int64(b.Head))
		b.Head = 0
	}
	if b.First < 1 || b.First > b.Head+1 {
		l.problemf(0, "its log is said to begin at seq %d, and its head is %d", int64(b.First), b.Head)
		b.First = 1
	}
	// Frames before it are removed one after the other, and leave their ids.
	if kept := b.Before + b.Trimmed; kept != uint64(b.First-1) {
		l.problemf(0, "of frames before seq %d, where its log begins, %d are there, and the ids of %d", b.First, b.Before, b.Trimmed)
	}
	if b.Strays > 0 {
		l.problemf(0, "%d ids of removed frames are of frames that are there, or said to be at seq %d or after", b.Strays, b.First)
	}
	l.board, l.next = b, b.First
	l.folds = b.First == 1
	l.chain = newChain(b.First, anchors)
	return l
}

// begin gives a log that was trimmed the state with which it begins.
func (l *log) begin(base *persistence.Snapshot) {
	if base == nil || base.Seq != l.board.First {
		l.problemf(l.board.First, "the log begins here, and there is no state to fold it from")
		return
	}
	state, frame, err := snapshot.Decode(base)
	if err != nil {
		l.problemf(base.Seq, "the state with which the log begins cannot be loaded: %v", err)
		return
	}
	l.state, l.base, l.folds = state, &frame, true
}

func (l *log) problemf(seq persistence.Seq, format string, args ...any) {
	l.problems = append(l.problems, problem{seq, fmt.Sprintf(format, args...)})
}

// take returns the problems since it was last called.
func (l *log) take() []problem {
	p := l.problems
	l.problems = nil
	return p
}

// add judges the next frame that the log holds. Seqs must not descend.
func (l *log) add(rec persistence.Record) {
	before := len(l.problems)
	if rec.Seq < l.next {
		l.problemf(rec.Seq, "is there more than once")
	} else {
		l.missing(rec.Seq - 1)
		l.next = rec.Seq + 1
	}
	if first, known := l.ids[rec.ID]; !known {
		l.ids[rec.ID] = rec.Seq
	} else if first != rec.Seq {
		l.problemf(rec.Seq, "its id %s is that of seq %d, too", rec.ID, first)
	}
	frame, wrong := checkFrame(l.board.ID, rec)
	for _, w := range append(wrong, l.chain.add(rec, len(wrong) > 0)...) {
		l.problemf(rec.Seq, "%s", w)
	}
	if l.base != nil && rec.Seq == l.board.First { // its state has this frame
		if *l.base != rec.ID {
			l.problemf(rec.Seq, "the state with which the log begins is of a log that has frame %s there", *l.base)
			l.folds = false
		}
		return
	}
	if l.folds = l.folds && len(l.problems) == before; l.folds {
		if w := fold(l.state, frame); w != "" {
			l.problemf(rec.Seq, "%s", w)
			l.folds = false
		}
	}
}

// missing notes that the log has nothing from next to last.
func (l *log) missing(last persistence.Seq) {
	switch {
	case last < l.next:
		return
	case last == l.next:
		l.problemf(l.next, "is missing")
	default:
		l.problemf(l.next, "is missing, and so is all up to seq %d", last)
	}
	l.folds = false
}

// unreadable notes that the database does not give out what follows.
func (l *log) unreadable(err error) {
	l.problemf(l.next, "cannot be read, nor can what follows: %v", err)
	l.folds, l.readable = false, false
}

// end judges the board, when all frames up to its head have been added.
func (l *log) end() {
	b := &l.board
	for _, a := range l.chain.anchors {
		if a.Seq < b.First {
			l.problemf(a.Seq, "is in an anchor that cannot be compared: the log was trimmed, and begins at seq %d", b.First)
		} else {
			l.problemf(a.Seq, "is in an anchor, and the log does not have it")
		}
	}
	if l.readable {
		if b.Head >= l.next {
			l.problemf(l.next, "the log ends before it, and its head is %d", b.Head)
			l.folds = false
		}
		if b.Beyond > 0 {
			l.problemf(b.Head+1, "%d frames lie beyond the head, which is %d", b.Beyond, b.Head)
		}
	}
	if objects := uint64(l.state.Len()); l.folds && objects != b.Objects {
		l.problemf(b.Head, "there are %d objects after it, and the board says %d", objects, int64(b.Objects))
	}
}
