package snapshot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// What is loaded from a snapshot, with the rest of the log, is the fold of the log: it has the same bytes, and the same
// answers to whatever is asked next.
func TestSnapshotWithItsTailIsTheFoldOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		folded := board.New()
		var log []*collaboardv1.Frame
		for range rapid.IntRange(0, 40).Draw(t, "requests") {
			if f, err := decide(folded, anyRequest.Draw(t, "request")); err == nil {
				folded.Apply(f)
				log = append(log, f)
			}
		}
		of := anyOrigin()
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		begun := board.New()
		for _, f := range log[:cut] {
			begun.Apply(f)
		}
		before := begun.Snapshot()
		s, err := snapshot.Encode(begun, of, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		loaded, frame, err := snapshot.Decode(&s)
		if err != nil || frame != of.Frame {
			t.Fatalf("frame %v, %v", frame, err)
		}
		if !bytes.Equal(loaded.Snapshot(), before) || !bytes.Equal(begun.Snapshot(), before) {
			t.Fatal("what is loaded is not what was stored")
		}
		for _, f := range log[cut:] {
			loaded.Apply(proto.Clone(f).(*collaboardv1.Frame))
		}
		for range rapid.IntRange(0, 20).Draw(t, "further requests") {
			if !bytes.Equal(loaded.Snapshot(), folded.Snapshot()) || loaded.Len() != folded.Len() {
				t.Fatal("another state than that of the fold")
			}
			if !slices.EqualFunc(slices.Collect(loaded.Stack()), slices.Collect(folded.Stack()), func(a, b *collaboardv1.Object) bool { return proto.Equal(a, b) }) {
				t.Fatal("another order")
			}
			req := anyRequest.Draw(t, "further request")
			want, wantErr := decide(folded, req)
			got, err := decide(loaded, req)
			if !proto.Equal(got, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("%v is decided as %v (%v), by the fold as %v (%v)", req, got, err, want, wantErr)
			}
			if err == nil {
				folded.Apply(want)
				loaded.Apply(got)
			}
		}
	})
}

func decide(b *board.Board, req *collaboardv1.Frame) (*collaboardv1.Frame, error) {
	req = proto.Clone(req).(*collaboardv1.Frame)
	req.Id, req.BoardId = uuid.Nil.String(), uuid.Nil.String()
	return b.Decide(req, board.Stamp{Seq: b.Seq() + 1, Time: time.Unix(int64(b.Seq()), 7000).UTC(), From: "ada"})
}

// The generators draw from few ids, places and keys, so that requests get in each other's way.
var (
	anyID    = rapid.SampledFrom([]string{"018f0000-0000-7000-8000-00000000000a", "018f0000-0000-7000-8000-00000000000b", "018f0000-0000-7000-8000-00000000000c", "018f0000-0000-7000-8000-00000000000d"})
	anyPlace = rapid.SampledFrom([]string{"", "a0", "a1", "a0V", "Zz"})
	anyValue = rapid.SampledFrom([]*structpb.Value{
		structpb.NewNullValue(), structpb.NewNumberValue(3), structpb.NewStringValue("drei"), structpb.NewBoolValue(false),
		structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNullValue(), structpb.NewNumberValue(math.Copysign(0, -1))}}),
		structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"k": structpb.NewStringValue(""), "l": structpb.NewNullValue()}}),
	})
	anyProps = rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), anyValue, 0, 3)
	anyOp    = rapid.Custom(func(t *rapid.T) *collaboardv1.ObjectOp {
		id, place := anyID.Draw(t, "id"), anyPlace.Draw(t, "place")
		switch rapid.IntRange(0, 3).Draw(t, "op") {
		case 0:
			return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{
				Id: id, Kind: "rectangle", X: rapid.Float64Range(-1, 1).Draw(t, "x"), ZIndex: place, Props: anyProps.Draw(t, "props"),
			}}}}
		case 1:
			return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Delete{Delete: &collaboardv1.ObjectDelete{Id: id}}}
		case 2:
			return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: id, Deleted: proto.Bool(rapid.Bool().Draw(t, "deleted"))}}}
		default:
			return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{
				Id: id, ZIndex: &place, Props: anyProps.Draw(t, "props"), GroupId: proto.String(anyID.Draw(t, "group")),
			}}}
		}
	})
	anyRequest = rapid.Custom(func(t *rapid.T) *collaboardv1.Frame {
		if rapid.IntRange(0, 9).Draw(t, "chat") == 0 {
			return &collaboardv1.Frame{Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "hello"}}}
		}
		ops := rapid.SliceOfN(anyOp, 1, 3).Draw(t, "ops")
		return &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: &collaboardv1.ObjectBatch{Ops: ops}}}
	})
)

func encode(tb testing.TB, objects int) persistence.Snapshot {
	tb.Helper()
	s, err := snapshot.Encode(boardOf(tb, objects), anyOrigin(), time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Several chunks, and no object at all.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, objects := range []int{0, 1, 256, 1000} {
		of := anyOrigin()
		state := boardOf(t, objects)
		s, err := snapshot.Encode(state, of, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if want := (persistence.Position{Epoch: of.Epoch, Seq: persistence.Seq(objects)}); s.Position != want || s.Board != of.Board {
			t.Errorf("it is of %v, %v", s.Board, s.Position)
		}
		loaded, frame, err := snapshot.Decode(&s)
		if err != nil || frame != of.Frame || !bytes.Equal(loaded.Snapshot(), state.Snapshot()) {
			t.Errorf("%d objects: frame %v, %v", objects, frame, err)
		}
	}
}

// A snapshot of another epoch is of the same state and frame, and one that is damaged is not mended by it.
func TestRenew(t *testing.T) {
	t.Parallel()
	of, epoch := anyOrigin(), anyOrigin().Epoch
	state := boardOf(t, 300)
	s, err := snapshot.Encode(state, of, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := snapshot.Renew(s, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if want := (persistence.Position{Epoch: epoch, Seq: s.Seq}); renewed.Position != want || renewed.Board != s.Board || !renewed.CreatedAt.Equal(s.CreatedAt) {
		t.Errorf("it is of %v, %v, %v", renewed.Board, renewed.Position, renewed.CreatedAt)
	}
	loaded, frame, err := snapshot.Decode(&renewed)
	if err != nil || frame != of.Frame || !bytes.Equal(loaded.Snapshot(), state.Snapshot()) {
		t.Errorf("frame %v, %v", frame, err)
	}
	s.Body[len(s.Body)-1] ^= 1
	if _, err := snapshot.Renew(s, epoch); err == nil {
		t.Error("a damaged one is whole under another epoch")
	}
}

// Whatever happens to a body, or where it lies, it is not taken for a snapshot.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := encode(t, 3)
	damaged := func(what string, change func(s *persistence.Snapshot)) {
		t.Helper()
		s := whole
		s.Body = slices.Clone(s.Body)
		change(&s)
		if _, _, err := snapshot.Decode(&s); err == nil {
			t.Errorf("%s: it is loaded", what)
		}
	}
	for bit := range len(whole.Body) * 8 {
		damaged("a flipped bit", func(s *persistence.Snapshot) { s.Body[bit/8] ^= 1 << (bit % 8) })
	}
	for n := range len(whole.Body) {
		damaged("cut short", func(s *persistence.Snapshot) { s.Body = s.Body[:n] })
	}
	damaged("none", func(s *persistence.Snapshot) { s.Body = nil })
	damaged("longer", func(s *persistence.Snapshot) { s.Body = append(s.Body, 0) })
	damaged("of another board", func(s *persistence.Snapshot) { s.Board[15]++ })
	damaged("of another epoch", func(s *persistence.Snapshot) { s.Epoch[15]++ })
	damaged("of another seq", func(s *persistence.Snapshot) { s.Seq++ })
}

// sealed is a snapshot at seq 9 with this content and the right checksum, as the package describes it.
func sealed(of snapshot.Origin, content []byte) *persistence.Snapshot {
	s := &persistence.Snapshot{Board: of.Board, Position: persistence.Position{Epoch: of.Epoch, Seq: 9}}
	hash := sha256.New()
	hash.Write([]byte{1})
	hash.Write(s.Board[:])
	hash.Write(s.Epoch[:])
	hash.Write(binary.BigEndian.AppendUint64(nil, uint64(s.Seq)))
	hash.Write(of.Frame[:])
	hash.Write(content)
	s.Body = slices.Concat([]byte{1}, of.Frame[:], hash.Sum(nil), content)
	return s
}

func compress(tb testing.TB, content []byte) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		tb.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

// A checksum says that a content is what was written, not that it was written well.
func TestContentThatMakesNoBoard(t *testing.T) {
	t.Parallel()
	var objects []*collaboardv1.Object
	for o := range boardOf(t, 3).Objects() {
		objects = append(objects, o)
	}
	nonsense := proto.Clone(objects[0]).(*collaboardv1.Object)
	nonsense.Id, nonsense.ZIndex = uuid.NewString(), "!"
	for name, test := range map[string]struct {
		chunks func(position *collaboardv1.Position) []*collaboardv1.BoardSnapshot
		after  []byte
		want   string // how the error begins; empty for none
	}{
		"sound": {chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: p, Objects: objects[:1]}, {Position: p, Objects: objects[1:], Last: true}}
		}},
		"an object twice": {want: "1 of its objects", chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: p, Objects: objects}, {Position: p, Objects: objects[1:2], Last: true}}
		}},
		"an object that is none": {want: "1 of its objects", chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: p, Objects: append(objects[:2:2], nonsense), Last: true}}
		}},
		"no end": {want: "decode: ", chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: p, Objects: objects}}
		}},
		"another seq": {want: "a part of it", chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: &collaboardv1.Position{Epoch: p.GetEpoch(), Seq: 8}, Last: true}}
		}},
		"another epoch": {want: "a part of it", chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: &collaboardv1.Position{Epoch: uuid.NewString(), Seq: 9}, Last: true}}
		}},
		"something behind it": {want: "it goes on", after: []byte{0}, chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			return []*collaboardv1.BoardSnapshot{{Position: p, Objects: objects, Last: true}}
		}},
		"a message that is too large": {want: "decode: ", chunks: func(p *collaboardv1.Position) []*collaboardv1.BoardSnapshot {
			large := proto.Clone(objects[0]).(*collaboardv1.Object)
			large.Props = map[string]*structpb.Value{"a": structpb.NewStringValue(strings.Repeat("x", 1<<20))}
			return []*collaboardv1.BoardSnapshot{{Position: p, Objects: []*collaboardv1.Object{large}, Last: true}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := anyOrigin()
			var content bytes.Buffer
			for _, chunk := range test.chunks(&collaboardv1.Position{Epoch: of.Epoch.String(), Seq: 9}) {
				if _, err := protodelim.MarshalTo(&content, chunk); err != nil {
					t.Fatal(err)
				}
			}
			content.Write(test.after)
			_, _, err := snapshot.Decode(sealed(of, compress(t, content.Bytes())))
			if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("decoded: %v, want %q", err, test.want)
			}
		})
	}
	for name, content := range map[string][]byte{
		"nothing": nil, "no compression": []byte("something that is no frame of zstd"), "empty": compress(t, nil),
		"two frames": slices.Concat(compress(t, nil), compress(t, []byte{0})),
	} {
		if _, _, err := snapshot.Decode(sealed(anyOrigin(), content)); err == nil {
			t.Errorf("%s: it is loaded", name)
		}
	}
}

// A content that decompresses to more than a state may take ends as an error, and takes no memory.
func TestContentIsBounded(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w, err := zstd.NewWriter(&bomb, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	of := anyOrigin()
	chunk := &collaboardv1.BoardSnapshot{Position: &collaboardv1.Position{Epoch: of.Epoch.String(), Seq: 9}}
	chunk.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1000, protowire.BytesType), make([]byte, 1<<20-100)))
	for n := range 129 {
		chunk.Last = n == 128
		if _, err := protodelim.MarshalTo(w, chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := snapshot.Decode(sealed(of, bomb.Bytes())); err == nil || !strings.HasPrefix(err.Error(), "decode: ") {
		t.Errorf("%v", err)
	}
	if w, err = zstd.NewWriter(nil, zstd.WithWindowSize(2<<20)); err != nil {
		t.Fatal(err)
	}
	wide := w.EncodeAll(make([]byte, 4<<20), nil)
	if _, _, err := snapshot.Decode(sealed(of, wide)); !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		t.Errorf("a window of 2 MiB: %v", err)
	}
}

func TestBoardThatIsTooLarge(t *testing.T) {
	t.Parallel()
	state := board.New()
	props := map[string]*structpb.Value{"text": structpb.NewStringValue(strings.Repeat("x", 230<<10))}
	for range 128<<20/(230<<10) + 1 {
		submit(t, state, &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: uuid.NewString(), Kind: "text", Props: props},
		}}})
	}
	if _, err := snapshot.Encode(state, anyOrigin(), time.Now()); !errors.Is(err, snapshot.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(compress(f, []byte{4, 18, 2, 8, 1}))
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _, _ = snapshot.Decode(sealed(snapshot.Origin{}, content)) // it does not panic
		_, _, _ = snapshot.Decode(&persistence.Snapshot{Body: content})
	})
}
