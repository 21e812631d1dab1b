package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

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
	base    *persistence.Snapshot
	moving  func()          // what servers do when the board is read again
	lost    error           // of all snapshots
	broken  persistence.Seq // what the database cannot read, unless 0
	grown   persistence.Seq // how many frames have come since the boards were listed
	pages   int             // that were read
	largest int             // of them
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

func (m *memory) Base(context.Context, persistence.BoardID) (*persistence.Snapshot, error) {
	return m.base, nil
}

func (m *memory) Board(context.Context, persistence.BoardID) (persistence.StoredBoard, error) {
	if m.moving != nil {
		m.moving()
	}
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
