package server

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	protobuf "google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// TestAcksOnTheWire has every length that a seq has on the wire.
func TestAcksOnTheWire(t *testing.T) {
	t.Parallel()
	for n := range 1000 {
		r := &request{
			frame: &collaboardv1.Frame{Id: uuid.NewString(), BoardId: uuid.NewString()},
			result: persistence.Result{
				Position:  persistence.Position{Epoch: persistence.Epoch(uuid.New()), Seq: persistence.Seq(max(1, rand.Uint64()>>(n%64)))},
				Duplicate: rand.N(2) == 1,
			},
		}
		want, err := protobuf.Marshal(&collaboardv1.Frame{
			ParentId: r.frame.GetId(),
			BoardId:  r.frame.GetBoardId(),
			Seq:      uint64(r.result.Seq),
			Status:   collaboardv1.Status_STATUS_DONE,
			Payload:  &collaboardv1.Frame_Ack{Ack: &collaboardv1.Ack{Epoch: r.result.Epoch.String(), Duplicate: r.result.Duplicate}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := newCodec().Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Materialize(), want) {
			t.Fatalf("ack %+v is %x, want %x", r.result, got.Materialize(), want)
		}
	}
}
