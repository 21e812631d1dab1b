package room_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// BenchmarkLoad loads a board of 10,000 objects from SQLite, each time into another hub.
func BenchmarkLoad(b *testing.B) {
	const objects = 10_000
	for _, tc := range []struct {
		name           string
		creates, moves int // frames; the creates make all objects together
		snapshot       int // frames before its end; -1 for none
	}{
		{"1k-frames", 1000, 0, -1},
		{"10k-frames", 10_000, 0, -1},
		{"100k-frames", 10_000, 90_000, -1},
		{"100k-frames-snapshot", 10_000, 90_000, 0},
		{"100k-frames-snapshot-1k-behind", 10_000, 90_000, 1024},
		{"100k-frames-snapshot-4k-behind", 10_000, 90_000, 4096},
	} {
		b.Run(tc.name, func(b *testing.B) {
			w := newWorld(b, room.Config{})
			log := newLogger(b, w)
			ids := make([]string, objects)
			for n := range ids {
				ids[n] = uuid.NewString()
			}
			for at := 0; at < objects; at += objects / tc.creates {
				batch := &collaboardv1.ObjectBatch{}
				for _, id := range ids[at : at+objects/tc.creates] {
					batch.Ops = append(batch.Ops, &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: &collaboardv1.ObjectCreate{Object: shape(b, id)}}})
				}
				log.add(&collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch}})
			}
			for n := range tc.moves {
				if tc.moves-n == tc.snapshot {
					log.snapshot()
				}
				log.add(&collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{
					Id: ids[n*7919%objects], X: proto.Float64(float64(n)),
				}}})
			}
			log.flush()
			if tc.snapshot == 0 {
				log.snapshot()
			}
			b.ReportAllocs()
			for b.Loop() {
				r, err := w.newHub(room.Config{}).Acquire(b.Context(), w.id)
				if err != nil || r.Position().Seq != log.head {
					b.Fatal(r, err)
				}
			}
		})
	}
}

// shape is an object with props as the whiteboard's have them.
func shape(tb testing.TB, id string) *collaboardv1.Object {
	tb.Helper()
	props, err := structpb.NewStruct(map[string]any{
		"strokeColor": "#1e1e1e", "backgroundColor": "transparent", "fillStyle": "solid", "strokeWidth": 2, "strokeStyle": "solid",
		"roughness": 1, "opacity": 100, "seed": len(id) * 7919, "locked": false, "roundness": map[string]any{"type": 3},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &collaboardv1.Object{Id: id, Kind: "rectangle", Width: 100, Height: 50, Props: props.GetFields()}
}

// logger writes a long log in large transactions.
type logger struct {
	tb      testing.TB
	w       *world
	state   *board.Board
	head    persistence.Seq
	last    persistence.FrameID
	pending []persistence.Record
}

func newLogger(tb testing.TB, w *world) *logger {
	tb.Helper()
	return &logger{tb: tb, w: w, state: board.New()}
}

func (l *logger) add(req *collaboardv1.Frame) {
	l.tb.Helper()
	id := uuid.New()
	req.Id, req.BoardId = id.String(), l.w.id.String()
	l.head++
	at := time.Unix(int64(l.head), 0).UTC()
	event, err := l.state.Decide(req, board.Stamp{Seq: uint64(l.head), Time: at, From: "ada"})
	if err != nil {
		l.tb.Fatal(err)
	}
	body, err := proto.Marshal(event)
	if err != nil {
		l.tb.Fatal(err)
	}
	l.state.Apply(event)
	l.last = persistence.FrameID(id)
	l.pending = append(l.pending, persistence.Record{
		Seq: l.head, ID: l.last, Time: at, Sender: "ada", Kind: persistence.KindOf(event), Body: body,
	})
	if len(l.pending) == 2000 {
		l.flush()
	}
}

func (l *logger) flush() {
	l.tb.Helper()
	err := l.w.store.Append(l.tb.Context(), []persistence.Claim{{Board: l.w.id, Applied: 1 << 40}},
		func([]persistence.Locked) ([]persistence.Extension, error) {
			if len(l.pending) == 0 {
				return nil, nil
			}
			return []persistence.Extension{{Board: l.w.id, Records: l.pending, Objects: uint64(l.state.Len())}}, nil
		})
	if err != nil {
		l.tb.Fatal(fmt.Errorf("append: %w", err))
	}
	l.pending = nil
}

// snapshot stores the state as it is now.
func (l *logger) snapshot() {
	l.tb.Helper()
	l.flush()
	s, err := snapshot.Encode(l.state, snapshot.Origin{Board: l.w.id, Epoch: l.w.epoch, Frame: l.last}, time.Now())
	if err == nil {
		err = l.w.store.PutSnapshot(l.tb.Context(), s)
	}
	if err != nil {
		l.tb.Fatal(err)
	}
}
