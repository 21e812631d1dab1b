package server_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func deleteOf(board, object string) *collaboardv1.Frame {
	return &collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_ObjectDelete{
		ObjectDelete: &collaboardv1.ObjectDelete{Id: object},
	}}
}

func move(board, object string, x float64) *collaboardv1.Frame {
	return &collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_ObjectUpdate{
		ObjectUpdate: &collaboardv1.ObjectUpdate{Id: object, X: &x},
	}}
}

// TestDeletedBoardRefusesWritesOnLiveStreamsAtOnce deletes a board under members who write without a pause, on the server
// that deletes it and on another that has not looked since: what was acked is in the log, what was refused is not, and
// nothing is acked that was sent when DeleteBoard had returned.
func TestDeletedBoardRefusesWritesOnLiveStreamsAtOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		cfg := server.Config{Room: room.Config{PollInterval: time.Hour}}
		srv, other := serve(t, open(t), cfg), serve(t, open(t), cfg)
		board := srv.createBoard(t)
		var members []*client
		for _, at := range []*running{srv, srv, other} {
			c := at.connect(t)
			c.join(board, nil)
			members = append(members, c)
		}
		var wg sync.WaitGroup
		written, deleted := make(chan struct{}, 1000), make(chan struct{})
		acked := make([]map[string]uint64, len(members))
		for i, c := range members {
			acked[i] = map[string]uint64{}
			wg.Go(func() {
				for n := 0; ; n++ {
					late := false
					select {
					case <-deleted:
						late = true
					default:
					}
					frame := chat(board, strconv.Itoa(n))
					answer := c.ask(frame)
					if answer.GetAck() == nil {
						if e := answer.GetError(); e.GetCode() != collaboardv1.ErrorCode_BOARD_NOT_FOUND || e.GetRetryable() {
							t.Errorf("refused: %v", answer)
						}
						return
					}
					if late {
						t.Errorf("acked, although sent after the board was deleted: %v", answer)
						return
					}
					acked[i][frame.GetId()] = answer.GetSeq()
					select {
					case written <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 30 {
			<-written
		}
		if _, err := srv.boards.DeleteBoard(t.Context(), &collaboardv1.DeleteBoardRequest{BoardId: board}); err != nil {
			t.Fatal(err)
		}
		close(deleted)
		wg.Wait()
		for _, c := range members {
			wantError(t, c.ask(chat(board, "too late")), collaboardv1.ErrorCode_BOARD_NOT_FOUND)
		}
		for _, c := range members[:2] {
			c.find("board_deleted", func(f *collaboardv1.Frame) bool { return f.GetBoardDeleted() != nil })
			wantError(t, c.ask(cursor(board, 1)), collaboardv1.ErrorCode_NOT_JOINED)
		}
		for _, c := range members {
			wantError(t, c.ask(joinFrame(board)), collaboardv1.ErrorCode_BOARD_NOT_FOUND)
		}

		if _, err := srv.boards.UndeleteBoard(t.Context(), &collaboardv1.UndeleteBoardRequest{BoardId: board}); err != nil {
			t.Fatal(err)
		}
		log := srv.readLog(t, board)
		wantGapless(t, log)
		n := 0
		for _, frames := range acked {
			n += len(frames)
			for id, seq := range frames {
				if seq > uint64(len(log)) || log[seq-1].GetId() != id {
					t.Errorf("frame %s was acked at seq %d, where it is not", id, seq)
				}
			}
		}
		if n != len(log) {
			t.Errorf("%d frames in the log, %d were acked", len(log), n)
		}
	})
}

// TestDeleteThatIsNotStoredLeavesTheObject has the database fail under a delete, for a while and for good: the object is
// there for everybody, then and later, until a delete of it is in the log.
func TestDeleteThatIsNotStoredLeavesTheObject(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"for now": &persistence.UnavailableError{Err: errInjected}, "for good": errors.New("a defect"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStores(t, func(t *testing.T, open database) {
				store := newFaultyStore(open(t))
				srv := serve(t, store, server.Config{Commit: persistence.CommitterConfig{
					CommitTimeout: 50 * time.Millisecond, RetryMax: 20 * time.Millisecond,
				}})
				board, object := srv.createBoard(t), newID()
				ada, bob := srv.connect(t), srv.connect(t)
				ada.join(board, nil)
				bob.join(board, nil)
				ada.mustAck(create(board, object))
				// Everything is decided, and then the transaction fails.
				store.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
					return store.Store.Append(ctx, claims, func(locked []persistence.Locked) ([]persistence.Extension, error) {
						if extensions, err := decide(locked); err != nil || len(extensions) == 0 {
							return extensions, err
						}
						return nil, failure
					})
				})
				del := deleteOf(board, object)
				if answer := ada.ask(del); answer.GetStatus() != collaboardv1.Status_STATUS_ERROR {
					t.Fatalf("%v", answer)
				}
				there := func(when string) {
					t.Helper()
					if objects := snapshot(srv.connect(t), board); len(objects) != 1 || objects[0].GetDeleted() {
						t.Errorf("%s: %v", when, objects)
					}
				}
				there("while the database fails")
				bob.ping()
				if n := len(bob.heardOf(board)); n != 1 {
					t.Errorf("%d frames were shown, of which 1 is in the log", n)
				}
				store.setAppend(store.Store.Append)
				bob.insist(move(board, object, 7))
				there("when it is back")
				if seq := ada.insist(del); seq != 3 {
					t.Errorf("deleted at seq %d, want 3", seq)
				}
				if n := replica(t, srv, board).Len(); n != 0 {
					t.Errorf("%d objects after the delete", n)
				}
				sameFrames(t, bob.heard(board, 3), srv.readLog(t, board))
			})
		})
	}
}

// TestChangesThatRaceADeleteDoNotBringTheObjectBack deletes objects that others move all the while, by single changes and
// in batches: gone is gone, for every replica and after a restart.
func TestChangesThatRaceADeleteDoNotBringTheObjectBack(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const objects, movers = 10, 4
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		var ids []string
		first := srv.connect(t)
		for range objects {
			ids = append(ids, newID())
			first.mustAck(create(board, ids[len(ids)-1]))
		}
		watch := srv.connect(t)
		watch.join(board, &collaboardv1.Position{})
		done := make(chan struct{})
		var wg sync.WaitGroup
		for i := range movers {
			c := srv.connect(t)
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-done:
						return
					default:
					}
					frame := move(board, ids[n%objects], float64(n))
					if i%2 == 0 {
						frame.Payload = &collaboardv1.Frame_ObjectBatch{ObjectBatch: &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{
							{Op: &collaboardv1.ObjectOp_Update{Update: frame.GetObjectUpdate()}},
						}}}
					}
					c.mustAck(frame)
				}
			})
		}
		for _, id := range ids {
			first.mustAck(deleteOf(board, id))
		}
		for i := range movers { // after the last delete, too
			first.mustAck(move(board, ids[i], 1))
		}
		close(done)
		wg.Wait()

		log := srv.readLog(t, board)
		wantGapless(t, log)
		sameFrames(t, watch.heard(board, len(log)), log)
		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		again := serve(t, open(t), server.Config{})
		for when, state := range map[string]interface{ Len() int }{
			"the fold of what a member was sent": fold(watch.heard(board, len(log))), "the state after a restart": replica(t, again, board),
		} {
			if n := state.Len(); n != 0 {
				t.Errorf("%s has %d objects", when, n)
			}
		}
	})
}
