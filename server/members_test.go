package server_test

import (
	"strconv"
	"strings"
	"testing"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

func cursor(board string, x float64) *collaboardv1.Frame {
	return &collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_CursorMove{CursorMove: &collaboardv1.CursorMove{X: x}}}
}

func TestMembersHearOfEachOther(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	ada := srv.connect(t, "user-id", "ada", "display-name", "Ada%20%C3%89", "color", "#1e90ff")
	ada.join(board, nil)
	bob := srv.connect(t, "user-id", "bob")
	members := bob.join(board, nil).GetMembers()
	if len(members) != 2 || members[0].GetUserId() != "ada" || members[0].GetDisplayName() != "Ada É" || members[0].GetColor() != "#1e90ff" {
		t.Fatalf("members %v", members)
	}
	ada.find("bob joined", func(f *collaboardv1.Frame) bool { return f.GetMemberJoined().GetMember().GetUserId() == "bob" })
	bob.cancel()
	ada.find("bob left", func(f *collaboardv1.Frame) bool { return f.GetMemberLeft().GetMember().GetUserId() == "bob" })
}

func TestEphemeralFramesReachTheOthersAndAreNotStored(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	ada, bob := srv.connect(t, "user-id", "ada"), srv.connect(t)
	ada.join(board, nil)
	bob.join(board, nil)
	for x := range 100 {
		f := cursor(strings.ToUpper(board), float64(x))
		f.ParentId, f.AfterId, f.Seq, f.From, f.ConnectionId = newID(), newID(), 99, "somebody else", newID()
		ada.send(f)
	}
	newest := bob.find("newest cursor", func(f *collaboardv1.Frame) bool { return f.GetCursorMove().GetX() == 99 })
	if newest.GetConnectionId() != bob.find("ada", func(f *collaboardv1.Frame) bool { return f.GetBoardJoined() != nil }).
		GetBoardJoined().GetMembers()[0].GetConnectionId() {
		t.Fatalf("of another connection: %v", newest)
	}
	if newest.GetBoardId() != board || newest.GetFrom() != "ada" || newest.GetSeq() != 0 || newest.GetParentId() != "" ||
		newest.GetAfterId() != "" || newest.GetStatus() != collaboardv1.Status_STATUS_EVENT {
		t.Fatalf("relayed %v", newest)
	}
	last := -1.0
	for _, f := range bob.received() {
		if m := f.GetCursorMove(); m != nil {
			if m.GetX() <= last {
				t.Fatalf("cursor %v after %v", m.GetX(), last)
			}
			last = m.GetX()
		}
	}
	// The sender hears nothing of its own.
	ada.ping()
	for _, f := range ada.received() {
		if f.GetCursorMove() != nil {
			t.Fatalf("echo: %v", f)
		}
	}
	if log := srv.readLog(t, board); len(log) != 0 {
		t.Fatalf("stored: %v", log)
	}
}

func TestPartEndsTheEventsAndTheRight(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	ada, bob := srv.connect(t), srv.connect(t)
	ada.join(board, nil)
	bob.join(board, nil)
	part := &collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_BoardPart{BoardPart: &collaboardv1.BoardPart{}}}
	if answer := bob.ask(part); answer.GetBoardParted() == nil {
		t.Fatal(answer)
	}
	ada.mustAck(chat(board, "bob is gone"))
	wantError(t, bob.ask(cursor(board, 1)), collaboardv1.ErrorCode_NOT_JOINED)
	bob.ping()
	if len(bob.events[board]) != 0 {
		t.Fatalf("heard %v after parting", bob.events[board])
	}
	bob.mustAck(chat(board, "writing needs no membership"))
}

func TestTooManyBoardsOnOneStream(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{MaxBoards: 2})
	c := srv.connect(t)
	for range 2 {
		c.join(srv.createBoard(t), nil)
	}
	wantError(t, c.ask(&collaboardv1.Frame{
		BoardId: srv.createBoard(t), Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
	}), collaboardv1.ErrorCode_RESOURCE_EXHAUSTED)
}

// TestFloodOfSignalsIsBoundedForAMemberThatDoesNotRead sends more kinds of signals than are kept for anybody: the newest
// stay, and who came meanwhile.
func TestFloodOfSignalsIsBoundedForAMemberThatDoesNotRead(t *testing.T) {
	t.Parallel()
	const signals, size = 160, 60 << 10
	srv := serve(t, sqliteDatabase(t)(t), server.Config{EphemeralRate: 1 << 20})
	board := srv.createBoard(t)
	slow, err := collaboardv1.NewCollaborationServiceClient(srv.dial(t)).Collaborate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	receive := func() *collaboardv1.Frame {
		f, err := slow.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if err := slow.Send(joinFrame(board)); err != nil {
		t.Fatal(err)
	}
	for joined := false; !joined; {
		joined = receive().GetBoardJoined() != nil
	}
	flood := srv.connect(t, "user-id", "flood")
	flood.join(board, nil)
	signal := func(i int) {
		flood.send(&collaboardv1.Frame{BoardId: board, Payload: &collaboardv1.Frame_CustomSignal{CustomSignal: &collaboardv1.CustomSignal{
			Type: strconv.Itoa(i), Data: make([]byte, size),
		}}})
	}
	for i := range signals / 2 {
		signal(i)
	}
	late := srv.connect(t, "user-id", "late")
	late.join(board, nil)
	for i := range signals / 2 {
		signal(signals/2 + i)
	}
	flood.ask(partFrame(board)) // by then they have been relayed
	sawLate, got := false, 0
	for newest := false; !newest; {
		f := receive()
		if s := f.GetCustomSignal(); s != nil {
			got++
			newest = s.GetType() == strconv.Itoa(signals-1)
		}
		sawLate = sawLate || f.GetMemberJoined().GetMember().GetUserId() == "late"
	}
	if !sawLate || got > signals/4 {
		t.Errorf("member joined: %t; %d of %d signals were kept", sawLate, got, signals)
	}
}
