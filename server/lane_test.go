package server_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

func after(frame *collaboardv1.Frame, predecessor string) *collaboardv1.Frame {
	frame.AfterId = predecessor
	return frame
}

func wantPredecessorRefused(t *testing.T, answer *collaboardv1.Frame) {
	t.Helper()
	if e := wantError(t, answer, collaboardv1.ErrorCode_UNAVAILABLE); !e.GetRetryable() || !strings.Contains(e.GetMessage(), "names a frame that was refused") {
		t.Fatalf("not retryable, or not for that: %v", e)
	}
}

// TestFrameMustFollowTheOneJustBefore names others.
func TestFrameMustFollowTheOneJustBefore(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board, other := srv.createBoard(t), srv.createBoard(t)
	c := srv.connect(t)
	first, second := chat(board, "1"), chat(board, "2")
	c.mustAck(first)
	c.mustAck(second)
	c.mustAck(chat(other, "another board's frames do not count"))
	wantPredecessorRefused(t, c.ask(after(chat(board, "x"), first.GetId())))
	wantPredecessorRefused(t, c.ask(after(chat(board, "x"), second.GetId()))) // no longer the last
	wantPredecessorRefused(t, srv.connect(t).ask(after(chat(board, "x"), second.GetId())))
	third := chat(board, "3")
	c.mustAck(third)
	c.mustAck(after(chat(board, "4"), third.GetId()))
}

// TestFrameMayFollowOneThatIsRefusedForEver: only what may succeed later holds up what follows.
func TestFrameMayFollowOneThatIsRefusedForEver(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	malformed, missing := chat(board, ""), chat(board, "x")
	missing.Payload = &collaboardv1.Frame_ObjectDelete{ObjectDelete: &collaboardv1.ObjectDelete{Id: newID()}}
	wantError(t, c.ask(malformed), collaboardv1.ErrorCode_INVALID_FRAME)
	wantError(t, c.ask(after(missing, malformed.GetId())), collaboardv1.ErrorCode_OBJECT_NOT_FOUND)
	c.mustAck(after(chat(board, "y"), missing.GetId()))

	nowhere := newID()
	lost := chat(nowhere, "x")
	wantError(t, c.ask(lost), collaboardv1.ErrorCode_BOARD_NOT_FOUND)
	wantError(t, c.ask(after(chat(nowhere, "y"), lost.GetId())), collaboardv1.ErrorCode_BOARD_NOT_FOUND)
}

// TestFrameDoesNotFollowOneWhoseBoardCouldNotBeLoaded has the database back in time for the second.
func TestFrameDoesNotFollowOneWhoseBoardCouldNotBeLoaded(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	first := chat(board, "1")
	store.breakDown()
	wantError(t, c.ask(first), collaboardv1.ErrorCode_UNAVAILABLE)
	store.repair()
	wantPredecessorRefused(t, c.ask(after(chat(board, "2"), first.GetId())))
	if log := srv.readLog(t, board); len(log) != 0 {
		t.Fatalf("stored: %v", log)
	}
}

// TestFrameDoesNotFollowOneThatTimedOut has the database back before the second is sent.
func TestFrameDoesNotFollowOneThatTimedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaultyStore(sqliteDatabase(t)(t))
		srv := serveInMemory(t, store, server.Config{Commit: persistence.CommitterConfig{CommitTimeout: time.Second}})
		board := srv.createBoard(t)
		c := srv.connect(t)
		store.setAppend(func(context.Context, []persistence.Claim, persistence.DecideFunc) error {
			return &persistence.UnavailableError{Err: errInjected}
		})
		first := chat(board, "1")
		wantError(t, c.ask(first), collaboardv1.ErrorCode_UNAVAILABLE)
		store.setAppend(store.Store.Append)
		pass(time.Minute)
		wantPredecessorRefused(t, c.ask(after(chat(board, "2"), first.GetId())))
		malformed := chat(board, "x") // follows nothing, not even what timed out
		malformed.ParentId = "x"
		wantError(t, c.ask(malformed), collaboardv1.ErrorCode_INVALID_FRAME)
		if seq := c.mustAck(after(chat(board, "3"), malformed.GetId())); seq != 1 {
			t.Fatalf("seq %d, want 1", seq)
		}
	})
}

// TestLanesAreForgottenSafely writes to more boards than a stream's lanes are kept for.
func TestLanesAreForgottenSafely(t *testing.T) {
	t.Parallel()
	const many = 1024 + 10
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	first := chat(board, "1")
	store.breakDown() // every one is refused for now
	wantError(t, c.ask(first), collaboardv1.ErrorCode_UNAVAILABLE)
	var last string
	for range many {
		last = c.send(chat(newID(), "x"))
	}
	wantError(t, c.answer(last), collaboardv1.ErrorCode_UNAVAILABLE)
	store.repair()
	wantPredecessorRefused(t, c.ask(after(chat(board, "2"), first.GetId())))
	again := chat(board, "1")
	c.mustAck(again)
	c.mustAck(after(chat(board, "2"), again.GetId()))
}

// TestLaneIsForgottenUnlessItHasAFrameInFlight is of the lanes of two boards, of which one has.
func TestLaneIsForgottenUnlessItHasAFrameInFlight(t *testing.T) {
	t.Parallel()
	const many = 1024
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{InFlightFrames: 2 * many})
	idle, busy := srv.createBoard(t), srv.createBoard(t)
	c := srv.connect(t)
	done, held := chat(idle, "1"), chat(busy, "1")
	c.mustAck(done)
	commit := newGate()
	store.holdCommits(commit)
	c.send(held)
	<-commit.reached
	for range many {
		c.send(chat(newID(), "x"))
	}
	follows := c.send(after(chat(busy, "2"), held.GetId()))
	forgotten := c.send(after(chat(idle, "2"), done.GetId()))
	c.ping()
	close(commit.opened)
	if answer := c.answer(follows); answer.GetSeq() != 2 {
		t.Fatalf("behind a frame in flight: %v", answer)
	}
	wantPredecessorRefused(t, c.answer(forgotten))
}
