package server_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

func TestResumeAfterAnySeqGivesExactlyTheFramesAfterIt(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const n = 30
		// The tail is tiny, so that some positions are in memory and some are not.
		srv := serve(t, open(t), server.Config{Room: room.Config{TailBytes: 1000}})
		board := srv.createBoard(t)
		writer := srv.connect(t)
		epoch := writer.join(board, nil).GetPosition().GetEpoch()
		write(writer, "w", n, board)
		log := srv.readLog(t, board)
		for seq := range uint64(n + 1) {
			c := srv.connect(t)
			joined := c.join(board, &collaboardv1.Position{Epoch: epoch, Seq: seq})
			if joined.GetMode() != collaboardv1.Mode_MODE_RESUMED || joined.GetPosition().GetSeq() != seq {
				t.Fatalf("resume after %d: %v", seq, joined)
			}
			sameFrames(t, c.heard(board, n-int(seq)), log[seq:])
			c.cancel()
		}
	})
}

func TestPositionThatCannotBeResumedGetsASnapshotAndTheReason(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board, object := srv.createBoard(t), newID()
		c := srv.connect(t)
		c.mustAck(create(board, object))
		epoch := c.join(board, nil).GetPosition().GetEpoch()
		for reason, from := range map[collaboardv1.SnapshotReason]*collaboardv1.Position{
			collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED:  {Epoch: newID(), Seq: 1},
			collaboardv1.SnapshotReason_SNAPSHOT_REASON_POSITION_AHEAD: {Epoch: epoch, Seq: 2},
			collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED:    nil,
		} {
			c := srv.connect(t)
			joined := c.join(board, from)
			if joined.GetMode() != collaboardv1.Mode_MODE_SNAPSHOT || joined.GetReason() != reason || joined.GetPosition().GetSeq() != 1 {
				t.Fatalf("join from %v: %v", from, joined)
			}
			item := c.find("snapshot", func(f *collaboardv1.Frame) bool { return f.GetBoardSnapshot() != nil })
			if objects := item.GetBoardSnapshot().GetObjects(); len(objects) != 1 || objects[0].GetId() != object {
				t.Fatalf("snapshot has %v", objects)
			}
		}
	})
}

func TestResendOfAnOldFrameIsADuplicateAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		first := chat(board, "first")
		if seq := srv.connect(t).mustAck(first); seq != 1 {
			t.Fatalf("seq %d", seq)
		}
		write(srv.connect(t), "w", 50, board)
		for round := range 2 {
			again := srv.connect(t).ask(first)
			if again.GetSeq() != 1 || !again.GetAck().GetDuplicate() {
				t.Fatalf("round %d: %v", round, again)
			}
			if log := srv.readLog(t, board); len(log) != 51 {
				t.Fatalf("%d frames, want 51", len(log))
			}
			if round == 0 {
				if err := srv.stop(); err != nil {
					t.Fatal(err)
				}
				srv = serve(t, open(t), server.Config{})
			}
		}
	})
}

func TestStateAfterARestartIsTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		for range 600 { // more than two chunks
			c.send(create(board, newID()))
		}
		c.wait("600 acks", func() bool { return len(c.answers) == 600 })
		before := snapshot(srv.connect(t), board)
		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		srv = serve(t, open(t), server.Config{})
		after := snapshot(srv.connect(t), board)
		if len(before) != 600 || len(after) != 600 {
			t.Fatalf("%d objects before, %d after", len(before), len(after))
		}
		for i := range before {
			if !proto.Equal(before[i], after[i]) {
				t.Fatalf("object %d: %v, was %v", i, after[i], before[i])
			}
		}
	})
}

func snapshot(c *client, board string) []*collaboardv1.Object {
	c.t.Helper()
	id := c.send(&collaboardv1.Frame{
		BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{SnapshotOnly: true}},
	})
	c.answer(id)
	var objects []*collaboardv1.Object
	for _, f := range c.received() {
		if s := f.GetBoardSnapshot(); s != nil && f.GetParentId() == id {
			if len(s.GetObjects()) > 256 || proto.Size(s) > 256<<10 {
				c.t.Errorf("chunk of %d objects, %d bytes", len(s.GetObjects()), proto.Size(s))
			}
			objects = append(objects, s.GetObjects()...)
		}
	}
	return objects
}

// TestResumeInAnOutageDoesNotGoBack: a server that cannot ask the store does not know whether a position is ahead. It says
// that, and not that the client has what never happened.
func TestResumeInAnOutageDoesNotGoBack(t *testing.T) {
	t.Parallel()
	open := sqliteDatabase(t)
	ahead := serve(t, open(t), server.Config{})
	store := newFaultyStore(open(t))
	behind := serve(t, store, server.Config{})
	board := ahead.createBoard(t)
	behind.connect(t).mustAck(chat(board, "1")) // it has the board, at 1
	writer := ahead.connect(t)
	joined := writer.join(board, nil)
	at := &collaboardv1.Position{Epoch: joined.GetPosition().GetEpoch(), Seq: writer.mustAck(chat(board, "2"))}
	ask := func(at *collaboardv1.Position) *collaboardv1.Frame {
		return behind.connect(t).ask(&collaboardv1.Frame{
			BoardId: board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{Position: at}},
		})
	}
	store.breakDown()
	if e := wantError(t, ask(at), collaboardv1.ErrorCode_UNAVAILABLE); !e.GetRetryable() {
		t.Errorf("not retryable: %v", e)
	}
	if answer := ask(&collaboardv1.Position{Epoch: at.GetEpoch(), Seq: 1}); answer.GetBoardJoined().GetMode() != collaboardv1.Mode_MODE_RESUMED {
		t.Errorf("what the server knows it does not tell: %v", answer)
	}
	store.repair()
	if answer := ask(at); answer.GetBoardJoined().GetPosition().GetSeq() != 2 {
		t.Errorf("after the outage: %v", answer)
	}
}

// TestSlowReaderThatComesBackCatchesUp reads a little of what it missed, loses its connection, and resumes, again and
// again, while others write on: each time it is further, and nothing comes twice, late or as a snapshot.
func TestSlowReaderThatComesBackCatchesUp(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const missed, reads, writes = 150, 20, 8
		srv := serve(t, open(t), server.Config{Room: room.Config{TailBytes: 16 << 10}})
		board := srv.createBoard(t)
		writer := srv.connect(t)
		epoch := writer.join(board, nil).GetPosition().GetEpoch()
		write := func(n int) {
			for range n {
				writer.send(custom(board, 4<<10))
			}
			writer.mustAck(chat(board, "x"))
		}
		write(missed)
		head := writer.heard(board, missed+1)[missed].GetSeq()
		rounds := 0
		for at := uint64(0); at < head; rounds++ {
			d := srv.deaf(t)
			again := resume(board, epoch, at)
			d.send(again)
			answer := d.until(answered(again))
			if joined := answer[len(answer)-1].GetBoardJoined(); joined.GetMode() != collaboardv1.Mode_MODE_RESUMED {
				t.Fatalf("round %d: %v", rounds, joined)
			}
			write(writes)
			head += writes + 1
			to := min(at+reads, head)
			for _, f := range d.until(func(f *collaboardv1.Frame) bool { return f.GetSeq() == to }) {
				if f.GetSeq() > 0 {
					if at++; f.GetSeq() != at {
						t.Fatalf("round %d: seq %d where %d should be", rounds, f.GetSeq(), at)
					}
				}
			}
			if at == head {
				break
			}
			_ = d.conn.Close()
		}
		if log := srv.readLog(t, board); uint64(len(log)) != head || rounds < 5 {
			t.Errorf("%d frames in the log, read %d in %d rounds", len(log), head, rounds)
		}
		wantGapless(t, writer.heard(board, int(head)))
	})
}
