package server_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

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
