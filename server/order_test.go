package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func newID() string { return uuid.NewString() }

// write sends n numbered messages to each board and waits for their acks.
func write(c *client, name string, n int, boards ...string) {
	ids := make([]string, 0, n*len(boards))
	for i := range n {
		for _, board := range boards {
			ids = append(ids, c.send(chat(board, fmt.Sprintf("%s/%d", name, i))))
		}
	}
	for _, id := range ids {
		if answer := c.answer(id); answer.GetStatus() != collaboardv1.Status_STATUS_DONE {
			c.t.Errorf("refused: %v", answer)
			return
		}
	}
}

// wantWritersInOrder fails unless each writer's messages are in the log once, in the order sent.
func wantWritersInOrder(t *testing.T, log []*collaboardv1.Frame, writers, n int) {
	t.Helper()
	next := map[string]int{}
	for _, f := range log {
		name, number, _ := strings.Cut(f.GetChatMessage().GetText(), "/")
		if got, _ := strconv.Atoi(number); got != next[name] {
			t.Fatalf("seq %d: message %d of writer %s where %d should be", f.GetSeq(), got, name, next[name])
		}
		next[name]++
	}
	if len(next) != writers {
		t.Fatalf("%d writers in the log, want %d", len(next), writers)
	}
	for name, count := range next {
		if count != n {
			t.Fatalf("%d messages of writer %s, want %d", count, name, n)
		}
	}
}

func TestThirtyTwoWritersOneOrderWithoutGaps(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const writers, each = 32, 40
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		members := make([]*client, 3)
		for i := range members {
			members[i] = srv.connect(t)
			members[i].join(board, nil)
		}
		var wg sync.WaitGroup
		for i := range writers {
			c := srv.connect(t)
			wg.Go(func() { write(c, strconv.Itoa(i), each, board) })
		}
		wg.Wait()
		log := srv.readLog(t, board)
		wantGapless(t, log)
		wantWritersInOrder(t, log, writers, each)
		for _, m := range members {
			sameFrames(t, m.heard(board, writers*each), log)
		}
	})
}

// TestTwoServersOneDatabase has two servers, each with connections of its own to one database.
func TestTwoServersOneDatabase(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const writers, each = 8, 25
		cfg := server.Config{Commit: persistence.CommitterConfig{Shards: 2}, Room: room.Config{PollInterval: 20 * time.Millisecond}}
		a, b := serve(t, open(t), cfg), serve(t, open(t), cfg)
		boards := []string{a.createBoard(t), a.createBoard(t), a.createBoard(t)}
		var members []*client
		for _, srv := range []*running{a, b} {
			m := srv.connect(t)
			for _, board := range boards {
				m.join(board, nil)
			}
			members = append(members, m)
		}
		var wg sync.WaitGroup
		for i, srv := range []*running{a, b} {
			for w := range writers {
				c := srv.connect(t)
				wg.Go(func() { write(c, fmt.Sprintf("%d-%d", i, w), each, boards...) })
			}
		}
		wg.Wait()
		for _, board := range boards {
			log := a.readLog(t, board)
			wantGapless(t, log)
			wantWritersInOrder(t, log, 2*writers, each)
			for _, m := range members {
				sameFrames(t, m.heard(board, 2*writers*each), log)
			}
		}
	})
}

// TestJoinHasWhatAnotherServerAcked joins on a server that has the board loaded and has not looked at it since.
func TestJoinHasWhatAnotherServerAcked(t *testing.T) {
	t.Parallel()
	open := postgresDatabase(t)
	cfg := server.Config{Room: room.Config{PollInterval: time.Hour}}
	a, b := serve(t, open(t), cfg), serve(t, open(t), cfg)
	board := a.createBoard(t)
	onA, onB := a.connect(t), b.connect(t)
	onB.join(board, nil)
	for i := range 5 {
		seq := onA.mustAck(create(board, newID()))
		late := b.connect(t)
		joined := late.join(board, nil)
		if joined.GetPosition().GetSeq() < seq {
			t.Fatalf("round %d: seq %d was acked, the join after it is at %d", i, seq, joined.GetPosition().GetSeq())
		}
		resumed := b.connect(t)
		if joined := resumed.join(board, &collaboardv1.Position{Epoch: joined.GetPosition().GetEpoch(), Seq: seq}); joined.GetMode() != collaboardv1.Mode_MODE_RESUMED {
			t.Fatalf("round %d: %v", i, joined)
		}
	}
}

func TestRefusalKeepsTheOrderOfFramesInFlight(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{Commit: persistence.CommitterConfig{QueueFrames: 1}})
	board := srv.createBoard(t)
	c := srv.connect(t)
	commit := newGate()
	store.holdCommits(commit)

	first, second, third := chat(board, "1"), chat(board, "2"), chat(board, "3")
	second.AfterId, third.AfterId = first.GetId(), second.GetId()
	c.send(first)
	<-commit.reached // it alone fills the queue
	c.send(second)   // refused
	c.ping()         // read, so the queue was full for it
	close(commit.opened)
	c.answer(first.GetId())
	wantError(t, c.answer(second.GetId()), collaboardv1.ErrorCode_RESOURCE_EXHAUSTED)
	// The queue has room again, but the one before it is missing.
	if e := wantError(t, c.ask(third), collaboardv1.ErrorCode_UNAVAILABLE); !e.GetRetryable() {
		t.Fatalf("not retryable: %v", e)
	}
	again := chat(board, "2")
	then := chat(board, "3")
	then.AfterId = again.GetId()
	c.mustAck(again)
	c.mustAck(then)
	var texts []string
	for _, f := range srv.readLog(t, board) {
		texts = append(texts, f.GetChatMessage().GetText())
	}
	if got := strings.Join(texts, ""); got != "123" {
		t.Fatalf("log is %q, want 123", got)
	}
}

// TestRequestsAreAnsweredInTheOrderSent sends everything that a client may, back to back: a snapshot of many chunks lets
// no answer by, and a join is answered although its membership ended meanwhile.
func TestRequestsAreAnsweredInTheOrderSent(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board, other := srv.createBoard(t), srv.createBoard(t)
	c := srv.connect(t)
	fillBoard(c, board, 8, 100<<10)
	var want []string
	for range 3 {
		for _, f := range []*collaboardv1.Frame{
			chat(other, "a"), joinFrame(board), chat(board, "b"), partFrame(board), joinFrame(board), joinFrame(board), joinFrame(other),
			chat(board, "c"), cursor(newID(), 1), chat(other, "d"), partFrame(board), partFrame(other), chat(board, "e"),
		} {
			want = append(want, c.send(f))
		}
	}
	c.answer(want[len(want)-1])
	var got []string
	for _, f := range c.received() {
		switch {
		case !slices.Contains(want, f.GetParentId()) || f.GetStatus() == collaboardv1.Status_STATUS_ITEM:
		case f.GetStatus() == collaboardv1.Status_STATUS_ERROR && f.GetError().GetCode() != collaboardv1.ErrorCode_NOT_JOINED:
			t.Fatalf("refused: %v", f)
		default:
			got = append(got, f.GetParentId())
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("answered in the order %v, sent in the order %v", got, want)
	}
}

// TestCancelStopsTheAnswerToAJoin cancels a snapshot that is far larger than what the transport buffers.
func TestCancelStopsTheAnswerToAJoin(t *testing.T) {
	t.Parallel()
	const objects, size = 40, 200 << 10
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	large, small := srv.createBoard(t), srv.createBoard(t)
	writer := srv.connect(t)
	fillBoard(writer, large, objects, size)
	writer.join(small, nil)
	stream, err := collaboardv1.NewCollaborationServiceClient(srv.dial(t)).Collaborate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(frames ...*collaboardv1.Frame) {
		for _, f := range frames {
			if err := stream.Send(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	join := joinFrame(large)
	answer := func() *collaboardv1.Frame {
		for {
			f, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if f.GetParentId() == join.GetId() {
				return f
			}
		}
	}
	send(joinFrame(small), join)
	answer()
	send(&collaboardv1.Frame{BoardId: large, ParentId: join.GetId(), Status: collaboardv1.Status_STATUS_CANCEL}, cursor(small, 7))
	// Requests are handled in order: when the cursor was, the cancel was too.
	writer.find("cursor", func(f *collaboardv1.Frame) bool { return f.GetCursorMove() != nil })
	for items := 1; ; items++ {
		f := answer()
		if f.GetStatus() != collaboardv1.Status_STATUS_ITEM {
			wantError(t, f, collaboardv1.ErrorCode_CANCELLED)
			break
		}
		if items == objects/2 {
			t.Fatalf("%d of %d chunks were sent after the cancel", items, objects)
		}
	}
	// It is no member.
	writer.mustAck(chat(large, "unheard"))
	writer.mustAck(chat(small, "heard"))
	for {
		f, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if f.GetBoardId() == large {
			t.Fatalf("heard %v", f)
		}
		if f.GetChatMessage().GetText() == "heard" {
			return
		}
	}
}

// fillBoard creates objects of about size bytes each.
func fillBoard(c *client, board string, objects, size int) {
	c.t.Helper()
	for range objects {
		f := create(board, newID())
		f.GetObjectCreate().GetObject().Props = map[string]*structpb.Value{"text": structpb.NewStringValue(strings.Repeat("x", size))}
		c.mustAck(f)
	}
}

func joinFrame(board string) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
	}
}

func partFrame(board string) *collaboardv1.Frame {
	return &collaboardv1.Frame{
		Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_BoardPart{BoardPart: &collaboardv1.BoardPart{}},
	}
}
