package verify_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/verify"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// seal gives the frames from a seq on their chains, anew where they have some.
func (m *memory) seal(from int) {
	var chain board.Chain
	for i := range m.frames {
		body, has := board.SplitChain(m.frames[i].Body)
		if i+1 >= from {
			has = chain.Next(body)
			m.frames[i].Body = has.AppendTo(bytes.Clone(body))
		}
		chain = has
	}
}

// anchor is that of the frame at seq, as it is now.
func (m *memory) anchor(seq int) verify.Anchor {
	_, chain := board.SplitChain(m.at(seq).Body)
	return verify.Anchor{Board: m.board.ID, Seq: persistence.Seq(seq), Chain: chain}
}

func (m *memory) verifyAnchors(t *testing.T, anchors ...verify.Anchor) (found []string, heads []verify.Anchor) {
	t.Helper()
	cfg := verify.Config{PerBoard: 10, Anchors: anchors, Head: func(a verify.Anchor) error {
		heads = append(heads, a)
		return nil
	}}
	_, err := verify.Run(t.Context(), m, cfg, func(f verify.Finding) error {
		found = append(found, fmt.Sprintf("%d: %s", f.Seq, f.What))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, heads
}

// A sound log gives the anchor of its head, and has all that were noted on the way.
func TestAnchors(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(m *memory){
		"whole":   func(m *memory) { m.seal(1) },
		"old log": func(m *memory) { m.seal(4) },
		"trimmed": func(m *memory) { m.seal(1) },
	} {
		m := whole(t)
		change(m)
		anchors := []verify.Anchor{m.anchor(8), m.anchor(4), m.anchor(6)}
		if name == "trimmed" {
			m.trim(t, 4)
		}
		found, heads := m.verifyAnchors(t, anchors...)
		if len(found) > 0 || !slices.Equal(heads, anchors[:1]) {
			t.Errorf("%s: found %q, heads %v", name, found, heads)
		}
	}
	m := whole(t)
	if found, heads := m.verifyAnchors(t); len(found) > 0 || len(heads) > 0 {
		t.Errorf("without chains: found %q, heads %v", found, heads)
	}
}

// Whatever was changed in a chained log is found at its seq, or, when all chains behind it were made anew, by an anchor.
func TestDamageInAChainedLog(t *testing.T) {
	t.Parallel()
	const changed = "its chain is not that of what it says and of the frames before it: one of them was changed"
	say := func(t *testing.T, m *memory, seq int, text string) {
		t.Helper()
		m.edit(t, seq, func(f *collaboardv1.Frame) { f.GetChatMessage().Text = text })
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, m *memory)
		want   []string // of those that end in a space only the beginnings
	}{
		"what was said": {
			func(_ *testing.T, m *memory) { m.at(2).Body[bytes.Index(m.at(2).Body, []byte("hello"))]++ },
			[]string{"2: " + changed},
		},
		"said without a chain": {
			func(t *testing.T, m *memory) {
				say(t, m, 2, "hi")
				m.at(2).Body, _ = board.SplitChain(m.at(2).Body)
			},
			[]string{"2: it has no chain, and a frame before it has one"},
		},
		"said last": {func(t *testing.T, m *memory) { say(t, m, 8, "hi") }, []string{"8: " + changed}},
		"its chain": {
			func(_ *testing.T, m *memory) { m.at(5).Body[len(m.at(5).Body)-1]++ },
			[]string{"5: " + changed},
		},
		"chains made anew, one missed": {
			func(t *testing.T, m *memory) {
				say(t, m, 2, "hi")
				last := m.at(8).Body
				m.seal(1)
				m.at(8).Body = last
			},
			[]string{"8: " + changed},
		},
		"without chains to the end": {
			func(_ *testing.T, m *memory) {
				for i := range m.frames[6:] {
					m.frames[6+i].Body, _ = board.SplitChain(m.frames[6+i].Body)
				}
			},
			[]string{"7: it has no chain, and a frame before it has one", "8: it has no chain, and a frame before it has one"},
		},
		"one missing": {func(_ *testing.T, m *memory) { m.frames = slices.Delete(m.frames, 3, 4) }, []string{"4: is missing"}},
		"not a frame": {
			func(_ *testing.T, m *memory) { m.at(4).Body = []byte{0xff, 0xff} },
			[]string{"4: its body of 2 bytes is not a frame"},
		},
		"of another sender": {
			func(_ *testing.T, m *memory) { m.at(4).Sender = "eve" },
			[]string{`4: its body is from "ada", its row from "eve"`},
		},
		"two chains": {
			func(_ *testing.T, m *memory) {
				m.at(8).Body = board.Chain{1}.AppendTo(m.at(8).Body)
				_, before := board.SplitChain(m.at(7).Body)
				body, _ := board.SplitChain(m.at(8).Body)
				m.at(8).Body = before.Next(body).AppendTo(bytes.Clone(body))
			},
			[]string{"8: its body has fields that no stored frame has"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := whole(t)
			m.seal(1)
			test.damage(t, m)
			if found, heads := m.verifyAnchors(t); !slices.EqualFunc(found, test.want, like) || len(heads) > 0 {
				t.Errorf("found %q, want %q; heads %v", found, test.want, heads)
			}
		})
	}
}

// Only an anchor tells of a log that was written anew as a server might have.
func TestOnlyAnAnchorTellsOfARewrittenLog(t *testing.T) {
	t.Parallel()
	for name, rewrite := range map[string]func(m *memory){
		"chained anew": func(m *memory) { m.seal(1) },
		"as if it had been old": func(m *memory) {
			for i := range m.frames[:2] {
				m.frames[i].Body, _ = board.SplitChain(m.frames[i].Body)
			}
			m.seal(3)
		},
	} {
		m := whole(t)
		m.seal(1)
		before, after := m.anchor(1), m.anchor(5)
		m.edit(t, 2, func(f *collaboardv1.Frame) { f.GetChatMessage().Text = "hi" })
		rewrite(m)
		if found, _ := m.verifyAnchors(t); len(found) > 0 {
			t.Errorf("%s: found without an anchor %q", name, found)
		}
		if found, _ := m.verifyAnchors(t, after); len(found) != 1 || !strings.HasPrefix(found[0], "5: its chain is ") {
			t.Errorf("%s: found with an anchor %q", name, found)
		}
		if found, _ := m.verifyAnchors(t, before); name == "chained anew" && len(found) > 0 {
			t.Errorf("%s: found with an anchor before it %q", name, found)
		}
	}
}

// An anchor that cannot be compared with anything is a finding, and does not stand in the way of others.
func TestAnchorOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	m := whole(t)
	m.seal(1)
	behind, trimmed, sound, other := m.anchor(8), m.anchor(2), m.anchor(6), m.anchor(7)
	behind.Seq, other.Board = 9, persistence.BoardID(uuid.New())
	m.trim(t, 4)
	found, _ := m.verifyAnchors(t, behind, trimmed, sound, other)
	want := []string{
		"9: is in an anchor, and the log does not have it",
		"2: is in an anchor that cannot be compared: the log was trimmed, and begins at seq 4",
		"7: is in an anchor, and there is no such board",
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

// In a chained log no bit flips unnoticed, and what is found is at its frame first.
func TestFlippedBitsOfAChainedLog(t *testing.T) {
	t.Parallel()
	for _, seq := range []int{1, 4, 7} {
		m := whole(t)
		m.snaps = nil // which would tell
		m.seal(1)
		sound := m.at(seq).Body
		for i := range sound {
			bit := i % 8
			m.at(seq).Body = slices.Clone(sound)
			m.at(seq).Body[i] ^= 1 << bit
			if found, _ := m.verify(t, 1); len(found) == 0 || !strings.HasPrefix(found[0], fmt.Sprintf("%d: ", seq)) {
				t.Errorf("seq %d, byte %d, bit %d: found %q", seq, i, bit, found)
			}
		}
	}
}
