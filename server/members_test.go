package server_test

import (
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
		f := cursor(board, float64(x))
		f.ParentId, f.AfterId, f.Seq, f.From = newID(), newID(), 99, "somebody else"
		ada.send(f)
	}
	newest := bob.find("newest cursor", func(f *collaboardv1.Frame) bool { return f.GetCursorMove().GetX() == 99 })
	if newest.GetFrom() != "ada" || newest.GetSeq() != 0 || newest.GetParentId() != "" || newest.GetAfterId() != "" || newest.GetStatus() != collaboardv1.Status_STATUS_EVENT {
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
