package board_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// The generators draw from few ids, places and keys, so that requests get in each other's way. Some are invalid.
var (
	anyID    = rapid.Custom(func(t *rapid.T) int { return rapid.IntRange(1, 6).Draw(t, "n") })
	anyPlace = rapid.SampledFrom([]string{"", "", "a0", "a1", "a0V", "Zz", "b00", "a00", "zz" + strings.Repeat("z", 25)})
	anyCoord = rapid.SampledFrom([]float64{0, 1, -1, 1e300, math.Copysign(0, -1), math.NaN()})
	anyGroup = rapid.SampledFrom([]string{"", id(1), strings.ToUpper(id(0xabc)), "x"})
	anyKind  = rapid.SampledFrom([]string{"rectangle", "line", ""})
	anyValue = rapid.SampledFrom([]*structpb.Value{
		structpb.NewNullValue(), structpb.NewNumberValue(3), structpb.NewStringValue("three"), structpb.NewBoolValue(false),
		nested(16), nested(17), structpb.NewNumberValue(math.Inf(1)),
		structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNullValue()}}),
	})
	anyProps = rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), anyValue, 0, 3)
)

// maybe draws nil most of the time, so that most requests are valid although each field may not be.
func maybe[T any](t *rapid.T, values *rapid.Generator[T], label string) *T {
	if rapid.IntRange(0, 3).Draw(t, "has "+label) > 0 {
		return nil
	}
	v := values.Draw(t, label)
	return &v
}

func orZero[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

var anyOp = rapid.Custom(func(t *rapid.T) proto.Message {
	n := anyID.Draw(t, "id")
	switch rapid.IntRange(0, 4).Draw(t, "op") {
	case 0, 1:
		return createWith(n, func(o *collaboardv1.Object) {
			o.X, o.Y = orZero(maybe(t, anyCoord, "x")), orZero(maybe(t, anyCoord, "y"))
			o.ZIndex = orZero(maybe(t, anyPlace, "z_index"))
			o.GroupId = orZero(maybe(t, anyGroup, "group_id"))
			o.Props = orZero(maybe(t, anyProps, "props"))
		})
	case 2, 3:
		return updateWith(n, func(u *collaboardv1.ObjectUpdate) {
			u.X, u.Width = maybe(t, anyCoord, "x"), maybe(t, anyCoord, "width")
			u.Kind, u.GroupId = maybe(t, anyKind, "kind"), maybe(t, anyGroup, "group_id")
			u.ZIndex = maybe(t, anyPlace, "z_index")
			u.Props = orZero(maybe(t, anyProps, "props"))
			u.Deleted = maybe(t, rapid.Bool(), "deleted")
			u.IfVersion = maybe(t, rapid.Uint64Range(1, 4), "if_version")
		})
	default:
		return &collaboardv1.ObjectDelete{Id: id(n), IfVersion: maybe(t, rapid.Uint64Range(1, 4), "if_version")}
	}
})

var anyRequest = rapid.Custom(func(t *rapid.T) proto.Message {
	switch rapid.IntRange(0, 9).Draw(t, "payload") {
	case 0:
		return &collaboardv1.ChatMessage{Text: "hello"}
	case 1, 2:
		batch := new(collaboardv1.ObjectBatch)
		for range rapid.IntRange(1, 5).Draw(t, "ops") {
			batch.Ops = append(batch.Ops, op(anyOp.Draw(t, "op")))
		}
		return batch
	default:
		return anyOp.Draw(t, "op")
	}
})

// anyBoard draws a board with a history, and its log.
func anyBoard(t *rapid.T) (*board.Board, []*collaboardv1.Frame) {
	b := board.New()
	var log []*collaboardv1.Frame
	for range rapid.IntRange(0, 30).Draw(t, "requests") {
		if f, err := submit(b, anyRequest.Draw(t, "request")); err == nil {
			log = append(log, f)
		}
	}
	return b, log
}

// The properties are checked one after another: rapid gives a shared generator its name when it is first drawn from,
// without a lock.

// Boards that fold the same log are the same, byte for byte: the one that decided it, one that got it over the wire,
// and one that began with a snapshot. The log is not changed by being applied.
func TestReplicasAreEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decided, log := anyBoard(t)
		checkInvariants(t, decided)

		var kept []*collaboardv1.Frame
		for _, f := range log {
			kept = append(kept, proto.Clone(f).(*collaboardv1.Frame))
		}
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		replica, fromSnapshot := board.New(), board.New()
		for _, f := range log[:cut] {
			replica.Apply(overWire(t, f))
		}
		for chunk := range replica.Chunks(boardID) {
			fromSnapshot.Load(proto.Clone(chunk).(*collaboardv1.BoardSnapshot))
		}
		mustEqual(t, "snapshot", replica, fromSnapshot)
		for _, f := range log[cut:] {
			replica.Apply(overWire(t, f))
			fromSnapshot.Apply(f)
		}
		mustEqual(t, "replica", decided, replica)
		mustEqual(t, "snapshot with its tail", decided, fromSnapshot)
		if d := cmp.Diff(kept, log, protocmp.Transform()); d != "" {
			t.Fatalf("the log changed:\n%s", d)
		}
	})
}

// A clone that is dropped leaves no trace, nor do clones of it; and what happens to the board leaves none in a clone.
func TestDroppedClonesLeaveNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, _ := anyBoard(t)
		boards := []*board.Board{b}
		want := [][]byte{b.Snapshot()}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, len(boards)-1).Draw(t, "board")
			if rapid.IntRange(0, 2).Draw(t, "clone") == 0 {
				boards, want = append(boards, boards[i].Clone()), append(want, want[i])
				continue
			}
			if _, err := submit(boards[i], anyRequest.Draw(t, "request")); err == nil {
				want[i] = boards[i].Snapshot()
			}
			for j, b := range boards {
				if !slices.Equal(b.Snapshot(), want[j]) {
					t.Fatalf("a step of board %d changed board %d", i, j)
				}
				checkInvariants(t, b)
			}
		}
	})
}

// A batch does what its ops would do one after the other, or nothing.
func TestBatchIsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, _ := anyBoard(t)
		stamp := next(b)
		single := b.Clone()
		batch := new(collaboardv1.ObjectBatch)
		for _, payload := range rapid.SliceOfN(anyOp, 1, 10).Draw(t, "ops") {
			s := stamp
			s.Seq = single.Seq() + 1
			if f, err := single.Decide(frame(payload), s); err == nil {
				single.Apply(f)
				batch.Ops = append(batch.Ops, op(payload))
			}
		}
		if len(batch.GetOps()) == 0 {
			t.Skip("no op was accepted")
		}

		failing := proto.Clone(batch).(*collaboardv1.ObjectBatch)
		at := rapid.IntRange(0, len(batch.GetOps())).Draw(t, "failing op")
		failing.Ops = slices.Insert(failing.GetOps(), at, op(move(99, 1)))
		before := b.Snapshot()
		_, err := b.Decide(frame(failing), stamp)
		e := refusal(t, err)
		if want := "object_batch.ops[" + string(rune('0'+at/10)) + string(rune('0'+at%10)); e.Code != collaboardv1.ErrorCode_OBJECT_NOT_FOUND ||
			!strings.HasPrefix(e.Message, strings.Replace(want, "[0", "[", 1)+"].update: ") {
			t.Fatalf("op %d fails: %v", at, e)
		}
		if !slices.Equal(b.Snapshot(), before) {
			t.Fatal("a batch that was refused changed the board")
		}

		f, err := b.Decide(frame(batch), stamp)
		if err != nil {
			t.Fatalf("every op is accepted, but not all together: %v", err)
		}
		b.Apply(f)
		if d := cmp.Diff(slices.Collect(single.Objects()), slices.Collect(b.Objects()), protocmp.Transform(),
			protocmp.IgnoreFields(&collaboardv1.Object{}, "created_seq", "updated_seq")); d != "" {
			t.Fatalf("(-ops one by one +batch):\n%s", d)
		}
		checkInvariants(t, b)
	})
}

// Of two updates of different fields both win, whichever is first.
func TestUpdatesOfDifferentFieldsCommute(t *testing.T) {
	type field = func(t *rapid.T, u *collaboardv1.ObjectUpdate)
	prop := func(key string) field {
		return func(t *rapid.T, u *collaboardv1.ObjectUpdate) {
			if u.Props == nil {
				u.Props = map[string]*structpb.Value{}
			}
			u.Props[key] = rapid.SampledFrom(slices.Collect(values(props("", nil, "1", 1, "2", "two")))).Draw(t, key)
		}
	}
	coord := rapid.Float64Range(-1e6, 1e6)
	fields := []field{
		func(t *rapid.T, u *collaboardv1.ObjectUpdate) { u.X = proto.Float64(coord.Draw(t, "x")) },
		func(t *rapid.T, u *collaboardv1.ObjectUpdate) { u.Y = proto.Float64(coord.Draw(t, "y")) },
		func(t *rapid.T, u *collaboardv1.ObjectUpdate) { u.Width = proto.Float64(coord.Draw(t, "width")) },
		func(t *rapid.T, u *collaboardv1.ObjectUpdate) { u.Height = proto.Float64(coord.Draw(t, "height")) },
		func(t *rapid.T, u *collaboardv1.ObjectUpdate) { u.Rotation = proto.Float64(coord.Draw(t, "rotation")) },
		func(_ *rapid.T, u *collaboardv1.ObjectUpdate) { u.Kind = proto.String("other") },
		func(_ *rapid.T, u *collaboardv1.ObjectUpdate) { u.GroupId = proto.String(id(3)) },
		func(_ *rapid.T, u *collaboardv1.ObjectUpdate) { u.ZIndex = proto.String("a7") },
		func(t *rapid.T, u *collaboardv1.ObjectUpdate) {
			u.Deleted = proto.Bool(rapid.Bool().Draw(t, "deleted"))
		},
		prop("a"), prop("b"), prop("new"),
	}
	rapid.Check(t, func(t *rapid.T) {
		one, other := &collaboardv1.ObjectUpdate{Id: id(1)}, &collaboardv1.ObjectUpdate{Id: id(1)}
		for i, field := range fields {
			switch {
			case i == 0, i > 1 && rapid.Bool().Draw(t, "one"):
				field(t, one)
			default:
				field(t, other)
			}
		}
		start := createWith(1, func(o *collaboardv1.Object) { o.Props = props("a", 0, "b", 0, "keep", 0) })
		ab, ba := board.New(), board.New()
		mustSubmit(t, ab, start, one, other)
		mustSubmit(t, ba, start, other, one)
		mustEqual(t, "the other order", ab, ba)
	})
}

func values[K comparable, V any](m map[K]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}
