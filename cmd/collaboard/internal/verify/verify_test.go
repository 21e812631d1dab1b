package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/verify"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// memory is an Inspector over one board, which can hold what no engine would.
type memory struct {
	persistence.Inspector
	board   persistence.StoredBoard
	frames  []persistence.Record
	files   []persistence.StoredFile // by id
	unread  error                    // of all files
	snaps   []persistence.Snapshot   // by seq
	lost    error                    // of all snapshots
	broken  persistence.Seq          // what the database cannot read, unless 0
	grown   persistence.Seq          // how many frames have come since the boards were listed
	pages   int                      // that were read
	largest int                      // of them
}

func (m *memory) Boards(_ context.Context, after persistence.BoardID, _ int) ([]persistence.StoredBoard, error) {
	if after != (persistence.BoardID{}) {
		return nil, nil
	}
	return []persistence.StoredBoard{m.board}, nil
}

func (m *memory) Frames(_ context.Context, r persistence.FrameRange) (page []persistence.Record, err error) {
	m.pages++
	for _, rec := range m.frames {
		if rec.Seq <= r.After || rec.Seq > r.Through {
			continue
		}
		if len(page) >= r.Limit && page[len(page)-1].Seq != rec.Seq {
			break
		}
		if rec.Seq == m.broken {
			return nil, &persistence.CorruptError{Err: errors.New("bad block")}
		}
		page = append(page, rec)
	}
	m.largest = max(m.largest, len(page))
	return page, nil
}

func (m *memory) NextFile(_ context.Context, _ persistence.BoardID, after persistence.FileID) (*persistence.StoredFile, error) {
	for i := range m.files {
		if bytes.Compare(m.files[i].ID[:], after[:]) > 0 {
			return &m.files[i], m.unread
		}
	}
	return nil, nil //nolint:nilnil // as the contract says
}

func (m *memory) NextSnapshot(_ context.Context, _ persistence.BoardID, after persistence.Seq) (*persistence.Snapshot, error) {
	for i := range m.snaps {
		if m.snaps[i].Seq > after {
			return &m.snaps[i], m.lost
		}
	}
	return nil, nil //nolint:nilnil // as the contract says
}

func (m *memory) Board(context.Context, persistence.BoardID) (persistence.StoredBoard, error) {
	now := m.board
	now.Head += m.grown
	return now, nil
}

func (m *memory) Orphans(context.Context, int) ([]persistence.BoardID, error) { return nil, nil }
func (m *memory) CheckEngine(context.Context) ([]string, error)               { return nil, nil }

func (m *memory) verify(t *testing.T, perBoard int) (found []string, sum verify.Summary) {
	t.Helper()
	slices.SortStableFunc(m.frames, func(a, b persistence.Record) int { return int(a.Seq) - int(b.Seq) })
	sum, err := verify.Run(t.Context(), m, verify.Config{PerBoard: perBoard}, func(f verify.Finding) error {
		if f.Board != m.board.ID.String() {
			t.Errorf("a finding of board %q", f.Board)
		}
		found = append(found, fmt.Sprintf("%d: %s", f.Seq, f.What))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, sum
}

// at is the frame at seq, to be changed.
func (m *memory) at(seq int) *persistence.Record { return &m.frames[seq-1] }

// edit changes the body of the frame at seq, all but its chain.
func (m *memory) edit(t *testing.T, seq int, change func(*collaboardv1.Frame)) {
	t.Helper()
	body, chain := board.SplitChain(m.at(seq).Body)
	f := &collaboardv1.Frame{}
	if err := proto.Unmarshal(body, f); err != nil {
		t.Fatal(err)
	}
	change(f)
	m.at(seq).Body = encode(t, f)
	if chain != (board.Chain{}) {
		m.at(seq).Body = chain.AppendTo(m.at(seq).Body)
	}
}

func encode(t *testing.T, f *collaboardv1.Frame) []byte {
	t.Helper()
	body, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

var (
	objects  = [...]string{uuid.NewString(), uuid.NewString(), uuid.NewString()}
	sometime = time.Date(2026, 5, 4, 3, 2, 1, 987654000, time.UTC)
)

// requests touch everything that a log can hold.
func requests() []*collaboardv1.Frame {
	create := func(id string) *collaboardv1.ObjectCreate {
		return &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: id, Kind: "note", X: 3, Props: map[string]*structpb.Value{
			"text": structpb.NewStringValue("ä"), "color": structpb.NewStringValue("red"), "n": structpb.NewNumberValue(7),
		}}}
	}
	update := &collaboardv1.ObjectUpdate{Id: objects[0], Y: proto.Float64(9), Props: map[string]*structpb.Value{
		"n": structpb.NewNullValue(), "m": structpb.NewBoolValue(true),
	}}
	return []*collaboardv1.Frame{
		{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: create(objects[0])}},
		{Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "hello"}}},
		{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: create(objects[1])}},
		{Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: update}},
		{Payload: &collaboardv1.Frame_ObjectDelete{ObjectDelete: &collaboardv1.ObjectDelete{Id: objects[1]}}},
		{Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{
			{Op: &collaboardv1.ObjectOp_Create{Create: create(objects[2])}},
			{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: objects[2], ZIndex: proto.String("")}}},
			{Op: &collaboardv1.ObjectOp_Update{Update: update}},
			{Op: &collaboardv1.ObjectOp_Delete{Delete: &collaboardv1.ObjectDelete{Id: objects[0]}}},
		}}}},
		{Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "x", Data: []byte{1, 2}}}},
		{Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "bye"}}},
	}
}

// whole is a board with a sound log of 8 frames, and one object on it.
func whole(t *testing.T) *memory {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	m := &memory{board: persistence.StoredBoard{Board: persistence.Board{ID: persistence.BoardID(id), First: 1}}}
	state := board.New()
	for _, req := range requests() {
		m.decide(t, state, req)
		if m.board.Head%4 == 0 {
			m.snapshot(t, state)
		}
	}
	m.board.Objects = uint64(state.Len())
	for _, content := range []string{"one", "another"} {
		m.files = append(m.files, persistence.StoredFile{
			File: persistence.File{ID: sha256.Sum256([]byte(content)), Size: len(content)}, Content: []byte(content),
		})
	}
	slices.SortFunc(m.files, func(a, b persistence.StoredFile) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	m.board.Totals = persistence.FileTotals{Files: 2, Bytes: 10}
	m.board.Counted = m.board.Totals
	return m
}

// snapshot adds one of a state.
func (m *memory) snapshot(t *testing.T, state *board.Board) {
	t.Helper()
	of := snapshot.Origin{Board: m.board.ID, Epoch: m.board.Epoch, Frame: m.frames[len(m.frames)-1].ID}
	s, err := snapshot.Encode(state, of, sometime)
	if err != nil {
		t.Fatal(err)
	}
	m.snaps = append(m.snaps, s)
}

// forge puts another state, or frame, in the place of the second snapshot.
func (m *memory) forge(t *testing.T, change func(chunk *collaboardv1.BoardSnapshot, of *snapshot.Origin)) {
	t.Helper()
	state, frame, err := snapshot.Decode(&m.snaps[1])
	if err != nil {
		t.Fatal(err)
	}
	of := snapshot.Origin{Board: m.board.ID, Epoch: m.board.Epoch, Frame: frame}
	forged := board.New()
	for chunk := range state.Chunks("") {
		chunk = proto.CloneOf(chunk)
		change(chunk, &of)
		forged.Load(chunk)
	}
	if m.snaps[1], err = snapshot.Encode(forged, of, sometime); err != nil {
		t.Fatal(err)
	}
}

func (m *memory) decide(t *testing.T, state *board.Board, req *collaboardv1.Frame) {
	t.Helper()
	frameID := uuid.Must(uuid.NewV7())
	req.Id, req.BoardId = frameID.String(), m.board.ID.String()
	m.board.Head++
	at := sometime.Add(time.Duration(m.board.Head) * time.Second)
	event, err := state.Decide(req, board.Stamp{Seq: uint64(m.board.Head), Time: at, From: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	state.Apply(event)
	m.frames = append(m.frames, persistence.Record{
		Seq: m.board.Head, ID: persistence.FrameID(frameID), Time: at, Sender: "ada", Kind: persistence.KindOf(event), Body: encode(t, event),
	})
}

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
			func(_ *testing.T, m *memory) { m.board.First, m.board.Before = 3, 2 },
			[]string{"0: 2 frames lie before seq 3, where its log begins"},
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

// A log whose begin was trimmed is whole from there on.
func TestTrimmed(t *testing.T) {
	t.Parallel()
	m := whole(t)
	m.board.First, m.frames = 4, m.frames[3:]
	if found, sum := m.verify(t, 10); len(found) > 0 || sum.Frames != 5 || sum.Unfolded != 1 {
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
