package server_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// chainEnd begins the last 35 bytes of a body: field 100, 32 bytes.
var chainEnd = []byte{0xa2, 0x06, 32}

// wantChain fails unless every stored frame of the board behind the seq unchained has the chain that the contract says, and
// the frames, which are the whole log, have the same. It returns the last one.
func wantChain(t *testing.T, open database, board string, unchained int, frames []*collaboardv1.Frame) []byte {
	t.Helper()
	store := open(t)
	defer store.Close()
	records, err := store.Read(t.Context(), persistence.ReadParams{Board: mustBoardID(t, board), Limit: 1 << 20, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != len(frames) || len(frames) <= unchained {
		t.Fatalf("%d frames are stored, %d were sent, %d without a chain", len(records), len(frames), unchained)
	}
	chain := make([]byte, 32)
	for i, rec := range records {
		if i < unchained {
			if len(frames[i].GetChain()) > 0 {
				t.Fatalf("seq %d has a chain", rec.Seq)
			}
			continue
		}
		at := len(rec.Body) - 35
		want := sha256.Sum256(slices.Concat(chain, rec.Body[:at]))
		if chain = rec.Body[at+3:]; !bytes.Equal(chain, want[:]) || !bytes.HasPrefix(rec.Body[at:], chainEnd) {
			t.Fatalf("seq %d: body ends in %x, want chain %x", rec.Seq, rec.Body[at:], want)
		}
		if !bytes.Equal(frames[i].GetChain(), chain) {
			t.Fatalf("seq %d was sent with chain %x, want %x", rec.Seq, frames[i].GetChain(), chain)
		}
	}
	return chain
}

// scribble sends n random frames, of which some are refused, and returns when all are answered, and so are some that it sent
// again.
func (r *running) scribble(t *testing.T, board string, n int) {
	t.Helper()
	c, again := r.connect(t), r.connect(t)
	var ids, objects []string
	for range n {
		object := newID()
		if len(objects) > 0 && rand.N(4) > 0 {
			object = objects[rand.N(len(objects))]
		}
		op := func() *collaboardv1.ObjectOp {
			return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: create(board, newID()).GetObjectCreate()}}
		}
		var f *collaboardv1.Frame
		switch rand.N(7) {
		case 0:
			objects = append(objects, object)
			f = create(board, object)
		case 1:
			f = move(board, object, rand.Float64())
		case 2:
			f = deleteOf(board, object)
		case 3:
			f = &collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_ObjectBatch{
				ObjectBatch: &collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{op(), op()}},
			}}
		case 4: // a frame that ends as if it had a chain
			f = custom(board, 0)
			f.GetCustom().Data = slices.Concat(chainEnd, bytes.Repeat([]byte{7}, 32))
		default:
			f = chat(board, fmt.Sprint(rand.Int()))
		}
		f.Chain = bytes.Repeat([]byte{9}, rand.N(33)) // is nobody's business
		ids = append(ids, c.send(f))
		if rand.N(5) == 0 {
			again.send(f)
		}
	}
	for _, id := range ids {
		c.answer(id)
	}
	if err := again.stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := again.end(); err != nil {
		t.Errorf("the stream of what was sent again ended with %v", err)
	}
}

// lookAt returns the chain that a join of no position is answered with.
func (r *running) lookAt(t *testing.T, board string) *collaboardv1.BoardJoined {
	t.Helper()
	return r.connect(t).join(board, nil)
}

// TestChainOfRandomLogs writes to one board through two servers on one database, which forget the board and load it from
// snapshots all the time, and through a third after them.
func TestChainOfRandomLogs(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const writers, each = 3, 60
		cfg := server.Config{
			Commit: persistence.CommitterConfig{Shards: 2},
			Room:   room.Config{PollInterval: time.Millisecond, IdleTimeout: 1, SnapshotFrames: 5, SnapshotIdleFrames: 1, SnapshotInterval: 1},
		}
		servers := []*running{serve(t, open(t), cfg), serve(t, open(t), cfg)}
		board := servers[0].createBoard(t)
		if chain := servers[0].lookAt(t, board).GetChain(); len(chain) != 0 {
			t.Errorf("an empty board has chain %x", chain)
		}
		member := servers[0].connect(t)
		member.join(board, nil)
		var wg sync.WaitGroup
		for range writers {
			for _, srv := range servers {
				wg.Go(func() { srv.scribble(t, board, each) })
			}
		}
		wg.Wait()
		log := servers[0].readLog(t, board)
		chain := wantChain(t, open, board, 0, log)
		wantChain(t, open, board, 0, member.heard(board, len(log)))
		for _, srv := range servers {
			if joined := srv.lookAt(t, board); !bytes.Equal(joined.GetChain(), chain) {
				t.Errorf("joined with chain %x, want %x", joined.GetChain(), chain)
			}
			if err := srv.stop(); err != nil {
				t.Fatal(err)
			}
		}

		again := serve(t, open(t), server.Config{})
		joined := again.lookAt(t, board)
		if !bytes.Equal(joined.GetChain(), chain) {
			t.Errorf("joined after a restart with chain %x, want %x", joined.GetChain(), chain)
		}
		again.scribble(t, board, each)
		log = again.readLog(t, board)
		chain = wantChain(t, open, board, 0, log)
		if resumed := again.connect(t).join(board, joined.GetPosition()); !bytes.Equal(resumed.GetChain(), chain) {
			t.Errorf("resumed with chain %x, want that of the head, %x", resumed.GetChain(), chain)
		}
	})
}

// TestChainBeginsInAnOldLog adds to a log whose frames have no chains, as servers wrote before there were any, and loads it
// without a snapshot.
func TestChainBeginsInAnOldLog(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, open database, do tamper) {
		const old = 4
		before := serve(t, open(t), server.Config{})
		board := before.createBoard(t)
		write(before.connect(t), "old", old, board)
		if err := before.stop(); err != nil {
			t.Fatal(err)
		}
		do(t, board, "UPDATE frames SET body = substr(body, 1, length(body) - 35) WHERE board_id = $1")

		srv := serve(t, open(t), server.Config{})
		if joined := srv.lookAt(t, board); joined.GetPosition().GetSeq() != old || len(joined.GetChain()) != 0 {
			t.Errorf("%v", joined)
		}
		for _, name := range []string{"new", "newer"} { // the second folds what the first left
			write(srv.connect(t), name, 3, board)
			chain := wantChain(t, open, board, old, srv.readLog(t, board))
			if err := srv.stop(); err != nil {
				t.Fatal(err)
			}
			srv = serve(t, open(t), server.Config{})
			if joined := srv.lookAt(t, board); !bytes.Equal(joined.GetChain(), chain) {
				t.Errorf("joined with chain %x, want %x", joined.GetChain(), chain)
			}
		}
	})
}

// TestRelayedFrameHasNoChain has a member say what only the server may.
func TestRelayedFrameHasNoChain(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	from, to := srv.connect(t), srv.connect(t)
	from.join(board, nil)
	to.join(board, nil)
	from.send(&collaboardv1.Frame{
		BoardId: board, Chain: make([]byte, 32), Payload: &collaboardv1.Frame_Typing{Typing: &collaboardv1.Typing{}},
	})
	got := to.find("typing", func(f *collaboardv1.Frame) bool { return f.GetTyping() != nil })
	if len(got.GetChain()) != 0 {
		t.Errorf("relayed: %v", got)
	}
}
