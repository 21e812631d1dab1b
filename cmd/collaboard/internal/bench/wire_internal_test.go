package bench

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func TestFrameID(t *testing.T) {
	t.Parallel()
	seen := map[frameID]bool{}
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(1700000000, 0), time.Unix(1700000000, 999_999_999), time.Unix(1700000000, 123_456_789),
	} {
		for sender := range uint16(3) {
			id := newFrameID(at, sender*0x7fff, 1<<40-1)
			u, err := uuid.Parse(string(id[:]))
			if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
				t.Errorf("%s: version %d, variant %s, %v", id, u.Version(), u.Variant(), err)
			}
			if off := at.UnixNano() - id.time(); off < 0 || off > 250 {
				t.Errorf("%s is %d ns off", id, off)
			}
			if seen[id] {
				t.Errorf("%s twice", id)
			}
			seen[id] = true
		}
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	board, object := uuid.NewString(), uuid.NewString()
	for _, kind := range []Kind{Custom, ObjectUpdate, Chat} {
		tmpl, err := newTemplate(payload(kind, board, object, 200))
		if err != nil {
			t.Fatal(err)
		}
		id := newFrameID(time.Now(), 1, 2)
		copy(tmpl.encoded[tmpl.id:], id[:])
		got := &collaboardv1.Frame{}
		if err := proto.Unmarshal(tmpl.encoded, got); err != nil {
			t.Fatal(err)
		}
		if got.GetId() != string(id[:]) || got.GetBoardId() != board || len(tmpl.encoded) < 200 {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestIncoming(t *testing.T) {
	t.Parallel()
	id, parent := uuid.NewString(), uuid.NewString()
	frame := &collaboardv1.Frame{
		Id: id, ParentId: parent, BoardId: uuid.NewString(), Seq: 1 << 40, From: "me", Status: collaboardv1.Status_STATUS_ERROR,
		Payload: &collaboardv1.Frame_Error{Error: &collaboardv1.Error{
			Code: collaboardv1.ErrorCode_STALE_UPDATE, Message: "no", CurrentVersion: proto.Uint64(3),
		}},
	}
	encoded, err := proto.Marshal(frame)
	if err != nil {
		t.Fatal(err)
	}
	in := incoming{seq: 7, decode: true}
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(encoded[:10]), mem.SliceBuffer(encoded[10:])}, &in); err != nil {
		t.Fatal(err)
	}
	got := []any{string(in.id[:]), string(in.parent[:]), in.seq, in.status, in.err, proto.Equal(in.frame, frame)}
	want := []any{id, parent, uint64(1 << 40), collaboardv1.Status_STATUS_ERROR, collaboardv1.ErrorCode_STALE_UPDATE, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n := range encoded {
		cut := incoming{}
		_ = cut.parse(encoded[:n]) // must not panic
	}
}
