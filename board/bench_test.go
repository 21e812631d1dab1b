package board_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Each iteration is one Decide and one Apply, as the server does for a frame.

func BenchmarkCreate(b *testing.B) {
	target := board.New()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		mustSubmit(b, target, createWith(n, func(o *collaboardv1.Object) {
			o.Props = props("stroke", "#1e1e1e", "fill", "transparent", "width", 2)
		}))
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
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				mustSubmit(b, target, move(n*7919%tc.objects, float64(n)))
			}
		})
	}
}

func BenchmarkBatch100(b *testing.B) {
	target := boardOf(b, 10_000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		batch := &collaboardv1.ObjectBatch{Ops: make([]*collaboardv1.ObjectOp, 100)}
		for i := range batch.Ops {
			batch.Ops[i] = op(move((n*7919+i*101)%10_000, float64(n)))
		}
		mustSubmit(b, target, batch)
	}
}

// One transaction with one frame, at worst: every tree node that is touched is shared, and copied.
func BenchmarkCloneAndMove(b *testing.B) {
	target := boardOf(b, 10_000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		overlay := target.Clone()
		mustSubmit(b, overlay, move(n*7919%10_000, float64(n)))
		target = overlay
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
	change := updateWith(1, func(u *collaboardv1.ObjectUpdate) { u.Props = props(id(3), "other") })
	b.ReportAllocs()
	for b.Loop() {
		mustSubmit(b, target, change)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	target := boardOf(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		for chunk := range target.Chunks(boardID) {
			if _, err := proto.Marshal(chunk); err != nil {
				b.Fatal(err)
			}
		}
	}
}
