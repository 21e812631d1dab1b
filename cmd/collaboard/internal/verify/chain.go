package verify

import (
	"fmt"
	"slices"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/persistence"
)

// Anchor is the chain that a frame had when somebody noted it: proof of that frame, and of all before it.
type Anchor struct {
	Board persistence.BoardID
	Seq   persistence.Seq
	Chain board.Chain
}

func (a Anchor) String() string { return fmt.Sprintf("%s@%d:%x", a.Board, a.Seq, a.Chain) }

// chain judges how the frames of one log are chained, and compares them with the anchors of it.
type chain struct {
	head    board.Chain     // of the last frame
	seq     persistence.Seq // of the last frame
	linked  bool            // head is what the next frame's chain must build on
	begun   bool            // there was a frame that has one
	anchors []Anchor        // that the log has not come to
}

func newChain(first persistence.Seq, anchors []Anchor) chain {
	// What the first frame of a trimmed log builds on is not there.
	return chain{seq: first - 1, linked: first == 1, anchors: anchors}
}

// add returns what is wrong with the next frame's chain. What is wrong with it follows from the damage where there is other,
// and so may what is wrong with that of the frame behind.
func (c *chain) add(rec persistence.Record, damaged bool) (wrong []string) {
	frame, has := board.SplitChain(rec.Body)
	none := has == board.Chain{}
	switch {
	case damaged:
	case none && c.begun:
		wrong = append(wrong, "it has no chain, and a frame before it has one")
	case !none && c.linked && rec.Seq == c.seq+1 && has != c.head.Next(frame):
		wrong = append(wrong, "its chain is not that of what it says and of the frames before it: one of them was changed")
	}
	c.head, c.seq = has, rec.Seq
	c.linked = !damaged && len(wrong) == 0
	c.begun = c.begun || !none
	c.anchors = slices.DeleteFunc(c.anchors, func(a Anchor) bool {
		if a.Seq == rec.Seq && a.Chain != has {
			wrong = append(wrong, fmt.Sprintf("its chain is %x, and by an anchor %x: it, or a frame before it, was changed", has, a.Chain))
		}
		return a.Seq == rec.Seq
	})
	return wrong
}
