package board_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func TestChunks(t *testing.T) {
	t.Parallel()
	sized := func(n, bytes int) *collaboardv1.ObjectCreate {
		return createWith(n, func(o *collaboardv1.Object) { o.Props = props("s", strings.Repeat("x", bytes)) })
	}
	for _, tc := range []struct {
		name  string
		board func(*board.Board)
		want  []int // objects in each chunk
	}{
		{"empty", func(*board.Board) {}, []int{0}},
		{"one", func(b *board.Board) { mustSubmit(t, b, create(1)) }, []int{1}},
		{"a tombstone", func(b *board.Board) { mustSubmit(t, b, create(1), &collaboardv1.ObjectDelete{Id: id(1)}) }, []int{1}},
		{"full", func(b *board.Board) {
			for n := range 256 {
				mustSubmit(t, b, create(n))
			}
		}, []int{256}},
		{"by number", func(b *board.Board) {
			for n := range 600 {
				mustSubmit(t, b, create(599-n))
			}
		}, []int{256, 256, 88}},
		{"by size", func(b *board.Board) {
			mustSubmit(t, b, sized(1, 200<<10), sized(2, 100<<10), sized(3, 100<<10), sized(4, 230<<10), create(5))
		}, []int{1, 2, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := board.New()
			tc.board(b)
			chunks := slices.Collect(b.Chunks(boardID))
			got := []int{}
			ids := []string{}
			for i, chunk := range chunks {
				got = append(got, len(chunk.GetObjects()))
				if n := proto.Size(chunk); n > 256<<10 {
					t.Errorf("chunk %d has %d bytes", i, n)
				}
				if chunk.GetLast() != (i == len(chunks)-1) {
					t.Errorf("chunk %d of %d: last is %v", i, len(chunks), chunk.GetLast())
				}
				if d := diff(&collaboardv1.Position{Epoch: boardID, Seq: b.Seq()}, chunk.GetPosition()); d != "" {
					t.Errorf("position (-want +got):\n%s", d)
				}
				for _, o := range chunk.GetObjects() {
					ids = append(ids, o.GetId())
				}
			}
			if !slices.Equal(got, tc.want) || !slices.IsSorted(ids) {
				t.Errorf("chunks of %v objects, want %v", got, tc.want)
			}
			loaded := board.New()
			for _, chunk := range slices.Backward(chunks) {
				loaded.Load(chunk)
			}
			mustEqual(t, "loaded board", b, loaded)
			// It is a board like any other.
			mustSubmit(t, b, create(1000))
			mustSubmit(t, loaded, create(1000))
			mustEqual(t, "loaded board, a frame later", b, loaded)
		})
	}
}

// A chunk is as full as it may be, to the byte.
func TestChunkIsFilled(t *testing.T) {
	t.Parallel()
	for extra, want := range []int{2, 3} {
		b := board.New()
		mustSubmit(t, b, create(0), create(1), create(2))
		grow := func(n, bytes int) {
			mustSubmit(t, b, updateWith(n, func(u *collaboardv1.ObjectUpdate) { u.Props = props("s", strings.Repeat("x", bytes)) }))
		}
		grow(0, 230<<10) // a chunk of its own
		grow(1, 200<<10)
		grow(2, 50<<10)
		chunks := slices.Collect(b.Chunks(boardID))
		room := 256<<10 - proto.Size(chunks[1])
		grow(2, 50<<10+room+extra)
		if got := len(slices.Collect(b.Chunks(boardID))); got != want {
			t.Errorf("%d bytes over: %d chunks, want %d", extra, got, want)
		}
	}
}

func TestIterationStops(t *testing.T) {
	t.Parallel()
	b := board.New()
	for n := range 600 {
		mustSubmit(t, b, create(n))
	}
	for range b.Chunks(boardID) {
		break
	}
	n := 0
	for range b.Objects() {
		if n++; n == 3 {
			break
		}
	}
	for range b.Stack() {
		if n++; n == 6 {
			break
		}
	}
	if n != 6 {
		t.Errorf("%d objects, want 6", n)
	}
}

func TestLoadLeavesOutNonsense(t *testing.T) {
	t.Parallel()
	b := board.New()
	mustSubmit(t, b, create(1), create(2))
	var objects []*collaboardv1.Object
	for o := range b.Objects() {
		objects = append(objects, o)
	}
	sameID := proto.Clone(objects[0]).(*collaboardv1.Object)
	sameID.ZIndex = "a9"
	sameZ := proto.Clone(objects[0]).(*collaboardv1.Object)
	sameZ.Id = id(3)
	noVersion := proto.Clone(objects[0]).(*collaboardv1.Object)
	noVersion.Id, noVersion.ZIndex, noVersion.Version = id(4), "a8", 0
	loaded := board.New()
	loaded.Load(&collaboardv1.BoardSnapshot{
		Position: &collaboardv1.Position{Seq: 2},
		Objects:  []*collaboardv1.Object{nil, objects[1], {}, objects[0], sameID, sameZ, noVersion},
	})
	mustEqual(t, "loaded board", b, loaded)
	board.New().Load(nil)
}
