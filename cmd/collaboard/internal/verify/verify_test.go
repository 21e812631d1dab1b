package verify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/verify"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

func TestWhole(t *testing.T) {
	t.Parallel()
	m := whole(t)
	m.board.Deleted = true
	found, sum := m.verify(t, 10)
	size := uint64(0)
	for _, rec := range m.frames {
		size += uint64(len(rec.Body))
	}
	sum.Seconds = 0
	if diff := cmp.Diff(verify.Summary{Boards: 1, Deleted: 1, Frames: 8, Bytes: size, Snapshots: 2, Files: 2, Content: 10}, sum); diff != "" || len(found) > 0 {
		t.Errorf("%s%q", diff, found)
	}
}

// Each damage is found at its seq, and nothing else is.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage func(t *testing.T, m *memory)
		want   []string // of those that end in a space or a colon only the beginnings
	}{
		"one missing": {func(_ *testing.T, m *memory) { m.frames = slices.Delete(m.frames, 3, 4) }, []string{"4: is missing"}},
		"three missing": {
			func(_ *testing.T, m *memory) { m.frames = slices.Delete(m.frames, 0, 3) },
			[]string{"1: is missing, and so is all up to seq 3"},
		},
		"two holes": {
			func(_ *testing.T, m *memory) { m.frames = append(m.frames[1:4:4], m.frames[5:]...) },
			[]string{"1: is missing", "5: is missing"},
		},
		"end missing": {
			func(_ *testing.T, m *memory) { m.frames = m.frames[:6] },
			[]string{"7: the log ends before it, and its head is 8"},
		},
		"all missing": {func(_ *testing.T, m *memory) { m.frames = nil }, []string{"1: the log ends before it, and its head is 8"}},
		"head too high": {
			func(_ *testing.T, m *memory) { m.board.Head += 1 << 40 },
			[]string{"9: the log ends before it, and its head is 1099511627784"},
		},
		"head negative": {
			func(_ *testing.T, m *memory) { m.board.Head, m.board.Beyond = 1<<64-1, 8 },
			[]string{"0: its head is -1", "1: 8 frames lie beyond the head, which is 0", "0: there are 0 objects after it, and the board says 1"},
		},
		"head too low": {
			func(_ *testing.T, m *memory) { m.board.Head, m.board.Beyond = 7, 1 },
			[]string{"8: 1 frames lie beyond the head, which is 7"},
		},
		"name":  {func(_ *testing.T, m *memory) { m.board.Name = "a\xffb" }, []string{"0: its name "}},
		"owner": {func(_ *testing.T, m *memory) { m.board.Owner = "\xc3" }, []string{"0: its name "}},
		"begin beyond the head": {
			func(_ *testing.T, m *memory) { m.board.First = 10 },
			[]string{"0: its log is said to begin at seq 10, and its head is 8"},
		},
		"frames before the begin": {
			func(_ *testing.T, m *memory) { m.board.Before = 2 },
			[]string{"0: of frames before seq 1, where its log begins, 2 are there, and the ids of 0"},
		},
		"no base": {
			func(t *testing.T, m *memory) { m.trim(t, 4); m.base = nil },
			[]string{"4: the log begins here, and there is no state to fold it from"},
		},
		"base elsewhere": {
			func(t *testing.T, m *memory) {
				m.trim(t, 4)
				m.board.First++
				m.board.Trimmed++
				m.frames = m.frames[1:]
			},
			[]string{"5: the log begins here, and there is no state to fold it from"},
		},
		"base damaged": {
			func(t *testing.T, m *memory) { m.trim(t, 4); m.base.Body[len(m.base.Body)-1] ^= 1 },
			[]string{"4: the state with which the log begins cannot be loaded: "},
		},
		"base of another log": {
			func(t *testing.T, m *memory) { m.trim(t, 4); m.frames[0].ID = m.frames[1].ID },
			[]string{"4: its body has id ", "4: the state with which the log begins is of a log that has frame ", "5: its id "},
		},
		"base of another state": {
			func(t *testing.T, m *memory) { m.snaps[0] = m.snaps[1]; m.trim(t, 8); m.rebase(t); m.snaps = nil },
			[]string{"8: there are 0 objects after it, and the board says 1"},
		},
		"frame missing behind the base": {
			func(t *testing.T, m *memory) { m.trim(t, 4); m.frames = slices.Delete(m.frames, 1, 2) },
			[]string{"5: is missing"},
		},
		"ids of removed frames missing": {
			func(t *testing.T, m *memory) { m.trim(t, 4); m.board.Trimmed-- },
			[]string{"0: of frames before seq 4, where its log begins, 0 are there, and the ids of 2"},
		},
		"frames removed, and there": {
			func(t *testing.T, m *memory) { m.trim(t, 4); m.board.Strays = 2 },
			[]string{"0: 2 ids of removed frames are of frames that are there, or said to be at seq 4 or after"},
		},
		"objects": {func(_ *testing.T, m *memory) { m.board.Objects++ }, []string{"8: there are 1 objects after it, and the board says 2"}},
		"file of another content": {
			func(_ *testing.T, m *memory) { m.files[1].Content = []byte("other") },
			[]string{"0: file "},
		},
		"files miscounted": {
			func(_ *testing.T, m *memory) { m.board.Totals = persistence.FileTotals{Files: 3, Bytes: 10} },
			[]string{"0: there are 2 files of 10 bytes, and its totals say 3 of 10"},
		},
		"bytes of files miscounted": {
			func(_ *testing.T, m *memory) { m.board.Counted.Bytes = 9 },
			[]string{"0: there are 2 files of 9 bytes, and its totals say 2 of 10"},
		},
		"unreadable file": {
			func(_ *testing.T, m *memory) { m.unread = &persistence.CorruptError{Err: errors.New("bad block")} },
			[]string{"0: file after 0000000000000000000000000000000000000000000000000000000000000000: cannot be read, nor can what follows: bad block"},
		},
		"snapshot changed": {
			func(_ *testing.T, m *memory) { m.snaps[0].Body[70] ^= 1 },
			[]string{"4: the snapshot at it cannot be loaded: its checksum is wrong"},
		},
		"snapshot of another state": {
			func(t *testing.T, m *memory) {
				m.forge(t, func(chunk *collaboardv1.BoardSnapshot, _ *snapshot.Origin) { chunk.GetObjects()[0].X++ })
			},
			[]string{"8: the snapshot at it is not what the log folds to"},
		},
		"snapshot without a tombstone": {
			func(t *testing.T, m *memory) {
				m.forge(t, func(chunk *collaboardv1.BoardSnapshot, _ *snapshot.Origin) {
					chunk.Objects = slices.DeleteFunc(chunk.GetObjects(), (*collaboardv1.Object).GetDeleted)
				})
			},
			[]string{"8: the snapshot at it is not what the log folds to"},
		},
		"snapshot of another log": {
			func(t *testing.T, m *memory) {
				m.forge(t, func(_ *collaboardv1.BoardSnapshot, of *snapshot.Origin) { of.Frame[0]++ })
			},
			[]string{"8: the snapshot at it is of a log that has frame "},
		},
		"snapshot ahead": {
			func(t *testing.T, m *memory) {
				m.forge(t, func(chunk *collaboardv1.BoardSnapshot, _ *snapshot.Origin) { chunk.Position.Seq = 9 })
			},
			[]string{"9: the snapshot at it is ahead of the head, which is 8"},
		},
		"unreadable snapshots": {
			func(_ *testing.T, m *memory) { m.lost = &persistence.CorruptError{Err: errors.New("bad block")} },
			[]string{"1: the snapshot at it, or after it, cannot be read, nor can those that follow: bad block"},
		},
		"unreadable": {
			func(_ *testing.T, m *memory) { m.broken = 5; m.board.Beyond = 7 },
			[]string{"1: cannot be read, nor can what follows: bad block"},
		},
		"swapped": {
			func(_ *testing.T, m *memory) { m.at(4).Seq, m.at(5).Seq = 5, 4 },
			[]string{"4: its body says that it is at seq 5", "5: its body says that it is at seq 4"},
		},
		"twice at a seq": {
			func(_ *testing.T, m *memory) { m.frames = append(m.frames, *m.at(3)) },
			[]string{"3: is there more than once"},
		},
		"same id": {
			func(t *testing.T, m *memory) {
				m.at(7).ID = m.at(2).ID
				m.edit(t, 7, func(f *collaboardv1.Frame) { f.Id = m.at(2).ID.String() })
			},
			[]string{"7: its id "},
		},
		"not a frame":   {func(_ *testing.T, m *memory) { m.at(4).Body = []byte{0xff, 0xff} }, []string{"4: its body of 2 bytes is not a frame"}},
		"empty":         {func(_ *testing.T, m *memory) { m.at(4).Body = nil }, []string{"4: its body says that it is at seq 0", "4:", "4:", "4:", "4:", "4:", "4:", "4:"}},
		"sender":        {func(_ *testing.T, m *memory) { m.at(4).Sender = "eve" }, []string{`4: its body is from "ada", its row from "eve"`}},
		"id":            {func(_ *testing.T, m *memory) { m.at(4).ID[3]++ }, []string{"4: its body has id "}},
		"time":          {func(_ *testing.T, m *memory) { m.at(4).Time = sometime }, []string{"4: its body is of 2026-05-04T03:02:05.987654Z, its row of "}},
		"kind":          {func(_ *testing.T, m *memory) { m.at(2).Kind = 25 }, []string{"2: its body carries chat_message, its row says custom"}},
		"unknown kind":  {func(_ *testing.T, m *memory) { m.at(2).Kind = 999 }, []string{"2: its body carries chat_message, its row says unknown kind 999"}},
		"unknown field": {func(_ *testing.T, m *memory) { m.at(2).Body = append(m.at(2).Body, 0xa8, 0x3e, 1) }, []string{"2: its body is not how a server writes "}},
		"wide number": { // 0x81 0x00 is 1
			func(t *testing.T, m *memory) {
				m.at(1).Body = []byte(strings.Replace(string(m.at(1).Body), "\x20\x01", "\x20\x81\x00", 1))
			},
			[]string{"1: its body is not how a server writes "},
		},
		"field of a request": {
			func(t *testing.T, m *memory) { m.edit(t, 4, func(f *collaboardv1.Frame) { f.AfterId = f.GetId() }) },
			[]string{"4: its body has fields that no stored frame has"},
		},
		"request": {
			func(t *testing.T, m *memory) {
				m.edit(t, 4, func(f *collaboardv1.Frame) { f.Status = collaboardv1.Status_STATUS_REQUEST })
			},
			[]string{"4: its body is not an event but has status STATUS_REQUEST"},
		},
		"other board": {
			func(t *testing.T, m *memory) {
				m.edit(t, 4, func(f *collaboardv1.Frame) { f.BoardId = uuid.NewString() })
			},
			[]string{"4: its body is of board "},
		},
		"not durable": {
			func(t *testing.T, m *memory) {
				m.at(2).Kind = persistence.KindNamed("ping")
				m.edit(t, 2, func(f *collaboardv1.Frame) { f.Payload = &collaboardv1.Frame_Ping{Ping: &collaboardv1.Ping{}} })
			},
			[]string{"2: its body carries ping, which no log holds"},
		},
		"too large": {
			func(t *testing.T, m *memory) {
				m.edit(t, 7, func(f *collaboardv1.Frame) { f.GetCustom().Data = make([]byte, board.MaxFrameBytes) })
			},
			[]string{"7: its body has "},
		},
		"update of nothing": {
			func(t *testing.T, m *memory) {
				m.edit(t, 4, func(f *collaboardv1.Frame) { f.GetObjectUpdate().Id = uuid.NewString() })
			},
			[]string{"4: it makes no sense for object "},
		},
		"version that does not follow": {
			func(t *testing.T, m *memory) {
				m.edit(t, 4, func(f *collaboardv1.Frame) { f.GetObjectUpdate().Version++ })
			},
			[]string{"4: it makes no sense for object "},
		},
		"delete of nothing": {
			func(t *testing.T, m *memory) {
				m.edit(t, 5, func(f *collaboardv1.Frame) { f.GetObjectDelete().Id = uuid.NewString() })
			},
			[]string{"5: it makes no sense for object "},
		},
		"create twice": {
			func(t *testing.T, m *memory) {
				m.edit(t, 3, func(f *collaboardv1.Frame) { f.GetObjectCreate().GetObject().Id = objects[0] })
			},
			[]string{"3: it makes no sense for object "},
		},
		"creator": {
			func(t *testing.T, m *memory) {
				m.edit(t, 3, func(f *collaboardv1.Frame) { f.GetObjectCreate().GetObject().CreatedBy = "eve" })
			},
			[]string{"3: object "},
		},
		"part of a batch": {
			func(t *testing.T, m *memory) {
				m.edit(t, 6, func(f *collaboardv1.Frame) { f.GetObjectBatch().GetOps()[3].GetDelete().Version = 1 })
			},
			[]string{"6: it makes no sense for object "},
		},
		"batch of nothing": {
			func(t *testing.T, m *memory) {
				m.edit(t, 6, func(f *collaboardv1.Frame) { f.GetObjectBatch().Ops = nil })
			},
			[]string{"6: it is a batch of nothing"},
		},
		"op of nothing": {
			func(t *testing.T, m *memory) {
				m.edit(t, 6, func(f *collaboardv1.Frame) { f.GetObjectBatch().GetOps()[3].Op = nil })
			},
			[]string{"6: one of its batch's ops says nothing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := whole(t)
			test.damage(t, m)
			found, sum := m.verify(t, 10)
			if !slices.EqualFunc(found, test.want, like) {
				t.Errorf("found %q, want %q", found, test.want)
			}
			if sum.Damaged != 1 || sum.Findings != uint64(len(test.want)) {
				t.Errorf("summary %+v", sum)
			}
		})
	}
}

func like(found, want string) bool {
	return found == want || strings.TrimRight(want, " :") != want && strings.HasPrefix(found, want)
}

// A snapshot is not damaged because it is of the log before a restore, nor because a server wrote it meanwhile.
func TestSnapshotsThatAreNotJudged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, m *memory){
		"restored": func(t *testing.T, m *memory) {
			m.forge(t, func(_ *collaboardv1.BoardSnapshot, of *snapshot.Origin) { of.Epoch[0]++; of.Frame[0]++ })
		},
		"newer": func(t *testing.T, m *memory) {
			m.forge(t, func(chunk *collaboardv1.BoardSnapshot, _ *snapshot.Origin) { chunk.Position.Seq = 9 })
			m.grown = 1
		},
	} {
		m := whole(t)
		change(t, m)
		if found, sum := m.verify(t, 10); len(found) > 0 || sum.Snapshots != 2 {
			t.Errorf("%s: found %q, %+v", name, found, sum)
		}
	}
}

// trim makes the log begin at the seq of a snapshot.
func (m *memory) trim(t *testing.T, first persistence.Seq) {
	t.Helper()
	for i := range m.snaps {
		if m.snaps[i].Seq == first {
			base := m.snaps[i]
			base.Body, base.Base = slices.Clone(base.Body), true
			m.base = &base
		}
	}
	m.board.First, m.frames, m.board.Trimmed = first, m.frames[first-1:], uint64(first-1)
}

// rebase makes the base one of an empty board.
func (m *memory) rebase(t *testing.T) {
	t.Helper()
	state := board.New()
	state.Load(&collaboardv1.BoardSnapshot{Position: &collaboardv1.Position{Seq: uint64(m.base.Seq)}})
	s, err := snapshot.Encode(state, snapshot.Origin{Board: m.board.ID, Epoch: m.board.Epoch, Frame: m.frames[0].ID}, sometime)
	if err != nil {
		t.Fatal(err)
	}
	m.base = &s
}

// A log that was trimmed is folded from its base, of whatever epoch, and whole whether the frames before it are gone or
// not.
func TestTrimmed(t *testing.T) {
	t.Parallel()
	for before := range uint64(4) {
		m := whole(t)
		m.trim(t, 4)
		m.board.Before, m.board.Trimmed = before, 3-before
		m.snaps, m.board.Epoch = nil, persistence.Epoch(uuid.New())
		if found, sum := m.verify(t, 10); len(found) > 0 || sum.Frames != 5 || sum.Unfolded != 0 {
			t.Errorf("found %q, %+v", found, sum)
		}
	}
}

// What a server trims meanwhile is no damage, and what it purges none either.
func TestTrimmedMeanwhile(t *testing.T) {
	t.Parallel()
	m := whole(t)
	m.moving = func() { m.board.First, m.board.Trimmed, m.moving = 4, 3, nil }
	m.trim(t, 4)
	m.board.First, m.board.Trimmed = 1, 0 // as it was read
	if found, sum := m.verify(t, 10); len(found) > 0 || sum.Frames != 5 || sum.Boards != 1 || sum.Unfolded != 0 {
		t.Errorf("found %q, %+v", found, sum)
	}
	m = whole(t)
	m.frames, m.board.Deleted = nil, true
	m.moving = func() { m.board.Purging = true }
	if found, sum := m.verify(t, 10); len(found) > 0 || sum.Deleted != 1 {
		t.Errorf("found %q, %+v", found, sum)
	}
}

// What is found is bounded for each board, and what there is more is counted; what is read comes in pages.
func TestBounds(t *testing.T) {
	t.Parallel()
	m := whole(t)
	state := board.New()
	m.board.Head, m.board.Objects, m.frames, m.snaps = 0, 0, nil, nil
	const frames = 3000
	for range frames {
		m.decide(t, state, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "x"}}})
	}
	for i := range m.frames {
		m.frames[i].Sender = "eve"
	}
	found, sum := m.verify(t, 4)
	if len(found) != 5 || found[4] != "0: and 2996 more" || sum.Findings != frames || sum.Damaged != 1 || sum.Unfolded != 1 {
		t.Errorf("found %q, %+v", found, sum)
	}
	if m.pages != 3 || m.largest != 1024 {
		t.Errorf("%d pages, of up to %d frames", m.pages, m.largest)
	}
}

// A bit that flips in a frame's envelope, or in an object's identity, is found. In what its sender said it is found only
// where it leaves no well-formed frame, as long as there are no chains: the share is told, so that nobody takes this for a
// checksum.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	flips, missed := 0, 0
	for _, seq := range []int{1, 4, 5, 7} { // create, update, delete, custom
		m := whole(t)
		m.snaps = nil // which would tell
		f := &collaboardv1.Frame{}
		if err := proto.Unmarshal(m.at(seq).Body, f); err != nil {
			t.Fatal(err)
		}
		sound := m.at(seq).Body
		f.Payload = nil
		envelope := proto.Size(f) // and it comes first
		for i := range sound {
			for bit := range 8 {
				m.at(seq).Body = slices.Clone(sound)
				m.at(seq).Body[i] ^= 1 << bit
				found, _ := m.verify(t, 1)
				flips++
				if len(found) == 0 {
					missed++
				}
				if len(found) == 0 && i < envelope {
					t.Errorf("seq %d: nobody notices that bit %d of byte %d of the envelope is another", seq, bit, i)
				} else if len(found) > 0 && !strings.HasPrefix(found[0], fmt.Sprintf("%d: ", seq)) &&
					!strings.Contains(found[0], "makes no sense for object") && !strings.Contains(found[0], "objects after it") {
					t.Errorf("seq %d, byte %d, bit %d: found %q", seq, i, bit, found)
				}
			}
		}
	}
	t.Logf("%d of %d flipped bits leave a log that a server could have written", missed, flips)
}
