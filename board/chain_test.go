package board_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// What is appended is the field of the contract, and what it holds is what the contract says.
func TestChainIsTheFieldOfTheFrame(t *testing.T) {
	t.Parallel()
	var c board.Chain
	for _, text := range []string{"a", "b"} {
		encoded, err := proto.Marshal(&collaboardv1.Frame{
			Seq: 7, Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: text}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256(slices.Concat(c[:], encoded))
		c = c.Next(encoded)
		body := c.AppendTo(bytes.Clone(encoded))
		if len(body) != len(encoded)+board.ChainBytes {
			t.Errorf("%d bytes for a chain, not %d", len(body)-len(encoded), board.ChainBytes)
		}
		f := &collaboardv1.Frame{}
		if err := proto.Unmarshal(body, f); err != nil || !bytes.Equal(f.GetChain(), want[:]) || f.GetChatMessage().GetText() != text {
			t.Errorf("%v (%v), want chain %x", f, err, want)
		}
		if frame, chain := board.SplitChain(body); !bytes.Equal(frame, encoded) || chain != want {
			t.Errorf("split into %x and %x", frame, chain)
		}
	}
}

// What ends as a chain does, and is none, is left alone.
func TestSplitChainOfABodyWithoutOne(t *testing.T) {
	t.Parallel()
	c := board.Chain{1, 2, 3}
	data, err := proto.Marshal(&collaboardv1.Frame{
		Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: c.AppendTo([]byte("mine"))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"nothing":           nil,
		"short":             []byte("\x20\x01"),
		"a frame":           []byte("\x20\x01\x38\x06"),
		"bytes of a custom": data,
		"zeros":             board.Chain{}.AppendTo([]byte("\x20\x01")),
		"no frame":          c.AppendTo([]byte("\xff")),
	} {
		if frame, chain := board.SplitChain(body); !bytes.Equal(frame, body) || chain != (board.Chain{}) {
			t.Errorf("%s: split into %x and %x", name, frame, chain)
		}
	}
}

// An event that would be too large with its chain is refused.
func TestLargestEventLeavesRoomForItsChain(t *testing.T) {
	t.Parallel()
	decide := func(size int) (*collaboardv1.Frame, error) {
		return board.New().Decide(&collaboardv1.Frame{
			Id: "0a0a0a0a-0000-4000-8000-000000000001", BoardId: "0a0a0a0a-0000-4000-8000-000000000002",
			Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: make([]byte, size)}},
		}, board.Stamp{Seq: 1, Time: time.Unix(1, 0), From: "ada"})
	}
	const some = board.MaxFrameBytes - 1000
	event, err := decide(some)
	if err != nil {
		t.Fatal(err)
	}
	most := some + board.MaxFrameBytes - board.ChainBytes - proto.Size(event)
	if _, err := decide(most); err != nil {
		t.Errorf("the largest event is refused: %v", err)
	}
	if event, err := decide(most + 1); err == nil {
		t.Errorf("an event of %d bytes is accepted", proto.Size(event))
	}
}
