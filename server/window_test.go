package server_test

import (
	"testing"
	"testing/synctest"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
)

// TestWindowBoundsWhatIsReadAndNotAnswered holds the commits: what the server has read by the time it stops is what is
// in the log then.
func TestWindowBoundsWhatIsReadAndNotAnswered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  server.Config
		size int
		want int
	}{
		"frames":                    {server.Config{InFlightFrames: 4}, 1, 4},
		"bytes":                     {server.Config{InFlightBytes: 64 << 10}, 20 << 10, 4},
		"one frame above the bytes": {server.Config{InFlightBytes: 1}, 20 << 10, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				open := sqliteDatabase(t)
				store := newFaultyStore(open(t))
				srv := serveInMemory(t, store, test.cfg)
				board := srv.createBoard(t)
				c := srv.connect(t)
				commit := newGate()
				store.holdCommits(commit)
				go func() {
					for c.stream.Send(custom(board, test.size)) == nil { //nolint:revive // until it is pushed back on
					}
				}()
				synctest.Wait()
				stopped := make(chan error, 1)
				go func() { stopped <- srv.stop() }()
				synctest.Wait()
				close(commit.opened)
				if err := <-stopped; err != nil {
					t.Fatal(err)
				}
				if log := serveInMemory(t, open(t), server.Config{}).readLog(t, board); len(log) != test.want {
					t.Fatalf("%d frames were read, want %d", len(log), test.want)
				}
			})
		})
	}
}

// TestEveryRequestGivesItsPlaceInTheWindowBack sends more of each request than the window holds.
func TestEveryRequestGivesItsPlaceInTheWindowBack(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{InFlightFrames: 2, InFlightBytes: 300})
	board := srv.createBoard(t)
	c := srv.connect(t)
	c.join(board, nil)
	for name, request := range map[string]func() *collaboardv1.Frame{
		"durable":   func() *collaboardv1.Frame { return custom(board, 100) },
		"refused":   func() *collaboardv1.Frame { return chat(board, "") },
		"ephemeral": func() *collaboardv1.Frame { return cursor(board, 1) },
		"ping":      func() *collaboardv1.Frame { return &collaboardv1.Frame{Payload: &collaboardv1.Frame_Ping{}} },
		"join":      func() *collaboardv1.Frame { return joinFrame(board) },
		"part":      func() *collaboardv1.Frame { return partFrame(newID()) },
		"cancel": func() *collaboardv1.Frame {
			return &collaboardv1.Frame{BoardId: board, ParentId: newID(), Status: collaboardv1.Status_STATUS_CANCEL}
		},
	} {
		for range 10 {
			c.send(request())
		}
		if answer := c.ask(chat(board, "after "+name)); answer.GetAck() == nil {
			t.Fatalf("after %s: %v", name, answer)
		}
	}
}
