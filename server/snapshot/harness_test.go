package snapshot_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// boardOf has so many objects, with props as the whiteboard's have them.
func boardOf(tb testing.TB, objects int) *board.Board {
	tb.Helper()
	b := board.New()
	for n := range objects {
		submit(tb, b, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{Object: shape(tb, n)}}})
	}
	return b
}

func shape(tb testing.TB, n int) *collaboardv1.Object {
	tb.Helper()
	props, err := structpb.NewStruct(map[string]any{
		"strokeColor": "#1e1e1e", "backgroundColor": "transparent", "fillStyle": "solid", "strokeWidth": 2, "strokeStyle": "solid",
		"roughness": 1, "opacity": 100, "seed": n * 7919, "locked": false, "roundness": map[string]any{"type": 3},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &collaboardv1.Object{
		Id: uuid.NewString(), Kind: "rectangle", X: float64(n%100) * 13.5, Y: float64(n/100) * 7.25, Width: 100, Height: 50, Props: props.GetFields(),
	}
}

// submit decides a request and applies it.
func submit(tb testing.TB, b *board.Board, req *collaboardv1.Frame) {
	tb.Helper()
	req.Id, req.BoardId = uuid.NewString(), uuid.NewString()
	event, err := b.Decide(req, board.Stamp{Seq: b.Seq() + 1, Time: time.Unix(int64(b.Seq()), 1000).UTC(), From: "ada"})
	if err != nil {
		tb.Fatal(err)
	}
	b.Apply(event)
}
