package server_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestLargeBoardArrivesInChunks joins a board of several megabytes: no message is larger than a frame may be.
func TestLargeBoardArrivesInChunks(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const objects, size = 40, 200 << 10
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		writer := srv.connect(t)
		fillBoard(writer, board, objects, size)
		c := srv.connect(t)
		if joined := c.join(board, nil); joined.GetPosition().GetSeq() != objects {
			t.Fatalf("%v", joined)
		}
		chunks, got, bytes := 0, map[string]bool{}, 0
		for _, f := range c.received() {
			if n := proto.Size(f); n > 1<<20 {
				t.Errorf("a message of %d bytes", n)
			}
			if s := f.GetBoardSnapshot(); s != nil {
				chunks++
				for _, o := range s.GetObjects() {
					got[o.GetId()] = true
					bytes += proto.Size(o)
				}
			}
		}
		if len(got) != objects || bytes < objects*size || chunks < objects*size>>20 {
			t.Errorf("%d objects of %d bytes in %d chunks", len(got), bytes, chunks)
		}
		writer.mustAck(chat(board, "goes on"))
		c.heard(board, 1)
	})
}

// TestFrameThatIsTooLargeEndsNothing sends one that is over the frame's limit, on a stream that is a member and goes on,
// and one that is far over it, which ends that stream with a status and no other.
func TestFrameThatIsTooLargeEndsNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c, other := srv.connect(t), srv.connect(t)
		c.join(board, nil)
		other.join(board, nil)
		for range 3 {
			e := wantError(t, c.ask(custom(board, 2<<20)), collaboardv1.ErrorCode_TOO_LARGE)
			if e.GetRetryable() || !strings.Contains(e.GetMessage(), strconv.Itoa(1<<20)) {
				t.Errorf("%v", e)
			}
			c.mustAck(chat(board, "goes on"))
		}
		wantGapless(t, other.heard(board, 3))
		largest := custom(board, 4<<20-100) // of those that are told
		largest.GetCustom().Data = make([]byte, 4<<20-100+4<<20-proto.Size(largest))
		if n := proto.Size(largest); n != 4<<20 {
			t.Fatalf("%d bytes", n)
		}
		wantError(t, c.ask(largest), collaboardv1.ErrorCode_TOO_LARGE)
		largest.Id, largest.GetCustom().Data = newID(), make([]byte, len(largest.GetCustom().GetData())+1)
		c.send(largest)
		if code := status.Code(c.end()); code != codes.ResourceExhausted {
			t.Errorf("the stream ended with %v", code)
		}
		other.mustAck(chat(board, "goes on"))
		if log := srv.readLog(t, board); len(log) != 4 {
			t.Errorf("%d frames in the log, want 4", len(log))
		}
	})
}

// TestFiftyMembersWhoAllWrite: each is sent every frame of all the others, and when the last was acked nobody lags for
// good. It counts frames and measures no time.
func TestFiftyMembersWhoAllWrite(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const members, each = 50, 8
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		all := make([]*client, members)
		for i := range all {
			all[i] = srv.connect(t)
			all[i].join(board, nil)
		}
		var wg sync.WaitGroup
		for i, c := range all {
			wg.Go(func() {
				for n := range each {
					c.send(cursor(board, float64(n)))
					c.mustAck(chat(board, strconv.Itoa(i)+"/"+strconv.Itoa(n)))
				}
			})
		}
		wg.Wait()
		log := srv.readLog(t, board)
		wantGapless(t, log)
		wantWritersInOrder(t, log, members, each)
		for _, c := range all {
			sameFrames(t, c.heard(board, members*each), log)
		}
	})
}

// TestLoadOfALongLogTakesBoundedMemory loads a board whose log is far larger than its state. It is not parallel to others,
// whose memory would count as its own.
func TestLoadOfALongLogTakesBoundedMemory(t *testing.T) {
	for name, open := range map[string]func(*testing.T) database{"sqlite": sqliteDatabase, "postgres": postgresDatabase} {
		t.Run(name, func(t *testing.T) {
			const frames, size = 60, 800 << 10 // in all 47 MiB, of which one read takes 4
			open := open(t)
			srv := serve(t, open(t), server.Config{Room: room.Config{SnapshotBytes: 1 << 30}}) // it leaves all of the log to be folded
			board := srv.createBoard(t)
			writer := srv.connect(t)
			for range frames {
				writer.mustAck(custom(board, size))
			}
			if err := srv.stop(); err != nil {
				t.Fatal(err)
			}
			store := newFaultyStore(open(t))
			srv = serve(t, store, server.Config{})
			c := srv.connect(t)
			c.ping()
			before := liveHeap()
			var most atomic.Int64
			store.watchReads(func(persistence.ReadParams) { most.Store(max(most.Load(), liveHeap()-before)) })
			if joined := c.join(board, nil); joined.GetPosition().GetSeq() != frames {
				t.Fatalf("%v", joined)
			}
			reads := store.reads.Load()
			t.Logf("%d reads, the heap has grown by %d KiB", reads, most.Load()>>10)
			if reads < 5 || most.Load() > frames*size/4 {
				t.Errorf("%d reads; the heap has grown by %d KiB, of %d KiB in the log", reads, most.Load()>>10, frames*size>>10)
			}
			c.ask(partFrame(board))
		})
	}
}
