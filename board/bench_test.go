package board_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Where nothing else is said an iteration is one Decide and one Apply, as the server does for a frame. The requests are
// made beforehand, and come around again.

func BenchmarkCreate(b *testing.B) {
	requests := make([]*collaboardv1.Frame, 10_000)
	for n := range requests {
		requests[n] = frame(createWith(n, func(o *collaboardv1.Object) {
			o.Props = props("stroke", "#1e1e1e", "fill", "transparent", "width", 2)
		}))
	}
	target := board.New()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%len(requests) == 0 {
			target = board.New()
		}
		accept(b, target, requests[n%len(requests)])
	}
}

func BenchmarkMove(b *testing.B) {
	for _, tc := range []struct {
		name    string
		objects int
		props   int // bytes
	}{
		{"10k-objects", 10_000, 100},
		{"200KiB-object", 1, 200 << 10},
	} {
		b.Run(tc.name, func(b *testing.B) {
			target := board.New()
			for n := range tc.objects {
				mustSubmit(b, target, createWith(n, func(o *collaboardv1.Object) {
					o.Props = props("points", strings.Repeat("x", tc.props/2), "more", strings.Repeat("x", tc.props/2))
				}))
			}
			requests := moves(tc.objects)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				accept(b, target, requests[n%len(requests)])
			}
		})
	}
}

func BenchmarkReorder(b *testing.B) {
	target := boardOf(b, 10_000)
	requests := make([]*collaboardv1.Frame, 20_000)
	for n := range requests { // each onto a place that is taken
		under := object(b, target, (n*101+n/10_000+1)%10_000).GetZIndex()
		requests[n] = frame(updateWith(n*7919%10_000, func(u *collaboardv1.ObjectUpdate) { u.ZIndex = &under }))
	}
	start := target
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%len(requests) == 0 { // places between two others become longer and longer
			target = start.Clone()
		}
		accept(b, target, requests[n%len(requests)])
	}
}

func BenchmarkDelete(b *testing.B) {
	full := boardOf(b, 10_000)
	requests := make([]*collaboardv1.Frame, 10_000)
	for n := range requests {
		requests[n] = frame(&collaboardv1.ObjectDelete{Id: id(n * 7919 % len(requests))})
	}
	target := full
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%len(requests) == 0 {
			target = full.Clone()
		}
		accept(b, target, requests[n%len(requests)])
	}
}

func BenchmarkBatch100(b *testing.B) {
	target := boardOf(b, 10_000)
	requests := make([]*collaboardv1.Frame, 200)
	for n := range requests {
		batch := &collaboardv1.ObjectBatch{Ops: make([]*collaboardv1.ObjectOp, 100)}
		for i := range batch.Ops {
			batch.Ops[i] = op(move((n*7919+i*101)%10_000, float64(n)))
		}
		requests[n] = frame(batch)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		accept(b, target, requests[n%len(requests)])
	}
}

// One transaction with one frame, at worst: every tree node that is touched is shared, and copied.
func BenchmarkCloneAndMove(b *testing.B) {
	target := boardOf(b, 10_000)
	requests := moves(10_000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		target = target.Clone()
		accept(b, target, requests[n%len(requests)])
	}
}

func BenchmarkChangeProp(b *testing.B) {
	target := board.New()
	mustSubmit(b, target, createWith(1, func(o *collaboardv1.Object) {
		o.Props = map[string]*structpb.Value{}
		for n := range 32 {
			o.Props[id(n)] = structpb.NewStringValue("value")
		}
	}))
	change := frame(updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = props(id(3), "other") }))
	b.ReportAllocs()
	for b.Loop() {
		accept(b, target, change)
	}
}

// What leaves no object is decided all the same.
func BenchmarkChat(b *testing.B) {
	target := board.New()
	request := frame(&collaboardv1.ChatMessage{Text: strings.Repeat("x", 200)})
	b.ReportAllocs()
	for b.Loop() {
		accept(b, target, request)
	}
}

// An iteration is one Decide.
func BenchmarkRefuse(b *testing.B) {
	target := boardOf(b, 10_000)
	stale := frame(updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.X, u.IfVersion = proto.Float64(1), proto.Uint64(77) }))
	at := stamp(target)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := target.Decide(stale, at); err == nil {
			b.Fatal("not refused")
		}
	}
}

// An iteration is a log of 10,000 frames, decoded and applied, as a room is loaded.
func BenchmarkFold(b *testing.B) {
	const objects, frames = 1000, 10_000
	source := board.New()
	var log [][]byte
	for n := range frames {
		request := frame(move(n*7919%objects, float64(n)))
		if n < objects {
			request = frame(create(n))
		}
		body, err := proto.Marshal(accept(b, source, request))
		if err != nil {
			b.Fatal(err)
		}
		log = append(log, body)
	}
	b.ReportAllocs()
	for b.Loop() {
		target := board.New()
		for _, body := range log {
			event := &collaboardv1.Frame{}
			if err := proto.Unmarshal(body, event); err != nil {
				b.Fatal(err)
			}
			target.Apply(event)
		}
		if target.Len() != objects {
			b.Fatalf("%d objects", target.Len())
		}
	}
	b.ReportMetric(float64(b.N)*frames/b.Elapsed().Seconds(), "frames/s")
}

// An iteration is a snapshot of 10,000 objects, encoded.
func BenchmarkSnapshot(b *testing.B) {
	target := boardOf(b, 10_000)
	b.ReportAllocs()
	bytes := 0
	for b.Loop() {
		bytes = 0
		for chunk := range target.Chunks(boardID) {
			body, err := proto.Marshal(chunk)
			if err != nil {
				b.Fatal(err)
			}
			bytes += len(body)
		}
	}
	b.SetBytes(int64(bytes))
}

// moves returns requests that never move an object to where it is.
func moves(objects int) []*collaboardv1.Frame {
	requests := make([]*collaboardv1.Frame, 2*objects)
	for n := range requests {
		requests[n] = frame(move(n*7919%objects, float64(n)))
	}
	return requests
}

func stamp(target *board.Board) board.Stamp {
	return board.Stamp{Seq: target.Seq() + 1, Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), From: "ada", Name: "Ada"}
}

func accept(b *testing.B, target *board.Board, request *collaboardv1.Frame) *collaboardv1.Frame {
	b.Helper()
	event, err := target.Decide(request, stamp(target))
	if err != nil {
		b.Fatal(err)
	}
	target.Apply(event)
	return event
}
