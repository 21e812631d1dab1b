package board_test

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// A change is decided and applied on a clone. When its frame is in the log the clone becomes the board; else it is
// dropped, and nothing happened.
func ExampleBoard() {
	const rectangle = "018f0000-0000-7000-8000-000000000001"
	create := &collaboardv1.Frame{
		Id:      "018f0000-0000-7000-9000-000000000001",
		BoardId: "018f0000-0000-7000-a000-000000000001",
		Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: rectangle, Kind: "rectangle", Width: 40, Height: 30},
		}},
	}
	update := &collaboardv1.Frame{
		Id:      "018f0000-0000-7000-9000-000000000002",
		BoardId: "018f0000-0000-7000-a000-000000000001",
		Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{
			Id: rectangle, X: proto.Float64(100), IfVersion: proto.Uint64(7),
		}},
	}

	b := board.New()
	overlay := b.Clone()
	for _, request := range []*collaboardv1.Frame{create, update} {
		stamp := board.Stamp{Seq: overlay.Seq() + 1, Time: time.Unix(1700000000, 0), From: "alice"}
		event, err := overlay.Decide(request, stamp)
		if refused := (*board.Error)(nil); errors.As(err, &refused) {
			fmt.Println("refused:", refused)
			continue
		}
		overlay.Apply(event)
	}
	fmt.Println("before the commit:", b.Len())
	b = overlay
	o, _ := b.Object(rectangle)
	fmt.Println("after it:", b.Len(), o.GetKind(), o.GetZIndex(), o.GetVersion(), o.GetCreatedBy())
	// Output:
	// refused: STALE_UPDATE: object_update: object 018f0000-0000-7000-8000-000000000001 is at version 1
	// before the commit: 0
	// after it: 1 rectangle a0 1 alice
}
