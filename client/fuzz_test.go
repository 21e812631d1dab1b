package client_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// FuzzReceive hands a client whatever a server could send: nothing may panic, and what must hold of its state holds.
// Data is frames, each with its length before it. For ids that only the client knows J stands for the join under way, A
// and B for its two frames.
func FuzzReceive(f *testing.F) {
	seed := func(frames ...*collaboardv1.Frame) {
		var buf bytes.Buffer
		for _, frame := range frames {
			if _, err := protodelim.MarshalTo(&buf, frame); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(buf.Bytes())
	}
	at := client.Position{Epoch: someEpoch, Seq: 5}
	welcome := &collaboardv1.Frame{Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_SessionWelcome{
		SessionWelcome: &collaboardv1.SessionWelcome{ConnectionId: "c", UserId: "u", Limits: &collaboardv1.Limits{MaxInFlightFrames: 2}},
	}}
	join := &collaboardv1.Frame{Id: "J", BoardId: someBoard}
	first, second := &collaboardv1.Frame{Id: "A", BoardId: someBoard}, &collaboardv1.Frame{Id: "B", BoardId: someBoard}
	chunk := &collaboardv1.Frame{
		ParentId: "J", BoardId: someBoard, Status: collaboardv1.Status_STATUS_ITEM,
		Payload: &collaboardv1.Frame_BoardSnapshot{BoardSnapshot: &collaboardv1.BoardSnapshot{
			Position: &collaboardv1.Position{Epoch: at.Epoch, Seq: at.Seq}, Last: true,
			Objects: []*collaboardv1.Object{{Id: someID, Kind: "line", ZIndex: "a0", Version: 1, CreatedSeq: 1, UpdatedSeq: 1}},
		}},
	}
	refusal := func(req *collaboardv1.Frame, retryable bool) *collaboardv1.Frame {
		return &collaboardv1.Frame{
			ParentId: req.GetId(), BoardId: someBoard, Status: collaboardv1.Status_STATUS_ERROR,
			Payload: &collaboardv1.Frame_Error{Error: &collaboardv1.Error{
				Code: collaboardv1.ErrorCode_NOT_JOINED, Retryable: retryable,
			}},
		}
	}
	member := &collaboardv1.Frame{BoardId: someBoard, Status: collaboardv1.Status_STATUS_EVENT, Payload: &collaboardv1.Frame_MemberJoined{
		MemberJoined: &collaboardv1.MemberJoined{Member: &collaboardv1.Member{ConnectionId: "x"}},
	}}
	done := joined(join, at, collaboardv1.Mode_MODE_SNAPSHOT)
	seed(welcome, chunk, done, said(someBoard, 6), acked(first, client.Position{Epoch: someEpoch, Seq: 6}), member)
	seed(welcome, chunk, done, refusal(first, true), refusal(second, true), acked(first, at), said(someBoard, 9))
	seed(welcome, chunk, done, refusal(second, false), acked(first, client.Position{Epoch: otherEpoch, Seq: 1}))
	seed(welcome, refusal(join, true), chunk, chunk, refusal(join, false), done)
	seed(welcome, joined(join, at, collaboardv1.Mode_MODE_RESUMED), &collaboardv1.Frame{
		BoardId: someBoard, Status: collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_BoardDeleted{BoardDeleted: &collaboardv1.BoardDeleted{}},
	})

	f.Fuzz(func(t *testing.T, data []byte) {
		c := client.Unconnected()
		defer c.Close()
		b := c.Joining(someBoard)
		pending := []*client.Pending{submit(t, c, someBoard, chat("0")), submit(t, c, someBoard, chat("1"))}
		in := bytes.NewReader(data)
		for {
			frame := &collaboardv1.Frame{}
			if err := protodelim.UnmarshalFrom(in, frame); err != nil {
				break
			}
			c.Collect() // what would be sent by now
			switch frame.GetParentId() {
			case "J":
				frame.ParentId = c.JoinID(b)
			case "A":
				frame.ParentId = pending[0].ID()
			case "B":
				frame.ParentId = pending[1].ID()
			}
			c.Receive(frame)
			if broken := c.CheckInvariants(); len(broken) > 0 {
				t.Fatalf("after %v: %q", frame, broken)
			}
		}
		read, cancel := context.WithCancel(context.Background())
		cancel()
		for _, err := range b.Frames(read) {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("frames end with %v", err)
			}
		}
		b.Members()
		if r := b.Replica(); r != nil {
			r.Snapshot()
		}
	})
}
