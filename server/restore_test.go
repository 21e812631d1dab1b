package server_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// seenAt is what one sees of a board after the first n frames of its log: its objects from the bottom to the top, without
// what the server notes of changes.
func seenAt(log []*collaboardv1.Frame, n uint64) (objects []*collaboardv1.Object) {
	b := board.New()
	for _, f := range log[:n] {
		b.Apply(f)
	}
	for o := range b.Stack() {
		objects = append(objects, &collaboardv1.Object{
			Id: o.GetId(), Kind: o.GetKind(), X: o.GetX(), Y: o.GetY(), Width: o.GetWidth(), Height: o.GetHeight(),
			Rotation: o.GetRotation(), ZIndex: o.GetZIndex(), GroupId: o.GetGroupId(), Props: o.GetProps(),
		})
	}
	return objects
}

func wantSeen(t *testing.T, log []*collaboardv1.Frame, now, then uint64) {
	t.Helper()
	if d := cmp.Diff(seenAt(log, then), seenAt(log, now), protocmp.Transform()); d != "" {
		t.Errorf("after seq %d the board is not what it was after %d:\n%s", now, then, d[:min(len(d), 2000)])
	}
}

func (r *running) mustRestore(t *testing.T, board string, at uint64, frame string) *collaboardv1.RestoreBoardResponse {
	t.Helper()
	resp, err := r.boards.RestoreBoard(t.Context(), &collaboardv1.RestoreBoardRequest{
		BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: at}, FrameId: frame,
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func batchOf(board string, ops ...*collaboardv1.ObjectOp) *collaboardv1.Frame {
	return &collaboardv1.Frame{Id: newID(), BoardId: board, Payload: &collaboardv1.Frame_ObjectBatch{
		ObjectBatch: &collaboardv1.ObjectBatch{Ops: ops},
	}}
}

// drawMany creates n objects in as few frames as that takes.
func (c *client) drawMany(board string, n int) (objects []string) {
	c.t.Helper()
	for len(objects) < n {
		var ops []*collaboardv1.ObjectOp
		for range min(1000, n-len(objects)) {
			objects = append(objects, newID())
			ops = append(ops, &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{
				Create: create(board, objects[len(objects)-1]).GetObjectCreate(),
			}})
		}
		c.mustAck(batchOf(board, ops...))
	}
	return objects
}

// TestRestoreBoard brings a board back under members who go on drawing, on two servers, and takes that back, too: what is
// appended is one piece, and then the board is what it was, for all who fold the log.
func TestRestoreBoard(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv, other := serve(t, open(t), server.Config{}), serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		member := srv.connect(t)
		member.join(board, nil)
		objects := member.drawMany(board, 2500)
		then := member.mustAck(move(board, objects[0], 7))
		for i, object := range objects {
			if i%2 == 0 {
				member.send(move(board, object, 9))
			} else {
				member.send(deleteOf(board, object))
			}
		}
		member.drawMany(board, 10)

		stop := make(chan struct{})
		var writers sync.WaitGroup
		for _, at := range []*running{srv, other} {
			c := at.connect(t)
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						c.mustAck(move(board, objects[0], 11))
						c.mustAck(create(board, newID()))
					}
				}
			})
		}
		id := newID()
		first := srv.mustRestore(t, board, then, id)
		again := other.mustRestore(t, board, then, id)
		stopped := false
		defer func() {
			if !stopped {
				close(stop)
			}
		}()
		if !proto.Equal(again.GetPosition(), first.GetPosition()) || first.GetChangedObjects() < 2500 || again.GetChangedObjects() != 0 {
			t.Errorf("first %v, again %v", first, again)
		}
		done := first.GetPosition().GetSeq()
		undone := other.mustRestore(t, board, done-3, "")
		close(stop)
		stopped = true
		writers.Wait()

		log := srv.readLog(t, board)
		wantGapless(t, log)
		var appended []uint64
		for _, f := range log[:done] {
			if seq := f.GetObjectBatch().GetRestoredSeq(); seq != 0 {
				appended = append(appended, f.GetSeq())
				if seq != then {
					t.Errorf("seq %d restores %d, want %d", f.GetSeq(), seq, then)
				}
			}
		}
		if want := []uint64{done - 2, done - 1, done}; first.GetBeforeSeq() != done-3 || !slices.Equal(appended, want) || log[done-1].GetId() != id {
			t.Errorf("the restoration is at seqs %d, want %d, of which the last has its id", appended, want)
		}
		wantSeen(t, log, done, then)
		wantSeen(t, log, undone.GetPosition().GetSeq(), done-3)
		sameFrames(t, member.heard(board, len(log))[:len(log)], log)
		wantChain(t, open, board, 0, log)
	})
}

// TestRestoreIsAllOrNothing: the answer to a commit is lost, after it was written and before; the same call tells.
func TestRestoreIsAllOrNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		store := newFaultyStore(open(t))
		srv := serve(t, store, server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		c.drawMany(board, 1500)
		for _, written := range []bool{true, false} {
			head := uint64(len(srv.readLog(t, board)))
			then := uint64(0)
			if !written {
				then = 2
			}
			store.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
				store.setAppend(store.Store.Append)
				if written {
					if err := store.Store.Append(ctx, claims, decide); err != nil {
						return err
					}
				}
				return &persistence.UnavailableError{Err: errInjected}
			})
			id := newID()
			_, err := srv.boards.RestoreBoard(t.Context(), &collaboardv1.RestoreBoardRequest{
				BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: then}, FrameId: id,
			})
			if status.Code(err) != codes.Unavailable || !retried(err) {
				t.Errorf("without an answer of the store: %v", err)
			}
			resp := srv.mustRestore(t, board, then, id)
			log := srv.readLog(t, board)
			wantGapless(t, log)
			if got := uint64(len(log)); got != head+2 || resp.GetPosition().GetSeq() != got {
				t.Errorf("restored at %v, the log has %d frames, and had %d", resp, got, head)
			}
			wantSeen(t, log, uint64(len(log)), then)
		}
	})
}

// TestRestoreToATime finds the state by its time, and says so where there was nothing to do.
func TestRestoreToATime(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	object := c.drawMany(board, 1)[0]
	c.mustAck(deleteOf(board, object))
	req := &collaboardv1.RestoreBoardRequest{
		BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtTime{AtTime: srv.readLog(t, board)[0].GetTime()},
	}
	for i, changed := range []uint64{1, 0} {
		resp, err := srv.boards.RestoreBoard(t.Context(), req)
		if err != nil || resp.GetChangedObjects() != changed || resp.GetPosition().GetSeq() != 3 {
			t.Errorf("call %d: %v, %v", i, resp, err)
		}
	}
	before := timestamppb.New(srv.readLog(t, board)[0].GetTime().AsTime().Add(-time.Hour))
	_, err := srv.boards.RestoreBoard(t.Context(), &collaboardv1.RestoreBoardRequest{
		BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtTime{AtTime: before},
	})
	if got := status.Code(err); got != codes.OutOfRange {
		t.Errorf("before the board was made: %v", err)
	}
	wantSeen(t, srv.readLog(t, board), 3, 1)
}

func TestRestoreObject(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		objects := c.drawMany(board, 2)
		c.mustAck(move(board, objects[0], 5))
		c.mustAck(move(board, objects[1], 5))
		c.mustAck(deleteOf(board, objects[0]))
		restore := func(object string, at uint64) (*collaboardv1.RestoreObjectResponse, error) {
			return srv.boards.RestoreObject(t.Context(), &collaboardv1.RestoreObjectRequest{
				BoardId: board, ObjectId: object, To: &collaboardv1.RestoreObjectRequest_AtSeq{AtSeq: at},
			})
		}
		resp, err := restore(objects[0], 1)
		if err != nil || !resp.GetChanged() || resp.GetPosition().GetSeq() != 5 {
			t.Fatal(resp, err)
		}
		log := srv.readLog(t, board)
		for _, o := range seenAt(log, 5) {
			if want := map[string]float64{objects[0]: 1, objects[1]: 5}[o.GetId()]; o.GetX() != want {
				t.Errorf("%v, want x %v", o, want)
			}
		}
		if got := log[4].GetObjectBatch().GetRestoredSeq(); got != 1 {
			t.Errorf("restored_seq is %d", got)
		}
		if resp, err = restore(objects[0], 1); err != nil || resp.GetChanged() {
			t.Error(resp, err)
		}
		if _, err = restore(newID(), 1); status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	})
}

// TestRevertFrame undoes what a frame set, but for what somebody set since: also where that is being done just then, to what
// it is already, over and over, and whether or not the room keeps all that comes meanwhile.
func TestRevertFrame(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]int{"beside a writer": 0, "behind the tail": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStores(t, func(t *testing.T, open database) { testRevertFrame(t, open, tail) })
		})
	}
}

func testRevertFrame(t *testing.T, open database, tail int) {
	store := newFaultyStore(open(t))
	srv := serve(t, store, server.Config{Room: room.Config{TailBytes: tail}})
	board := srv.createBoard(t)
	c := srv.connect(t)
	objects := c.drawMany(board, 3)
	update := func(object string, x, y float64) *collaboardv1.ObjectOp {
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: object, X: &x, Y: &y}}}
	}
	seq := c.mustAck(batchOf(board, update(objects[0], 10, 10), update(objects[1], 10, 10), update(objects[2], 10, 10)))
	c.mustAck(move(board, objects[0], 20))
	c.mustAck(move(board, objects[1], 20))
	store.watchReads(func(p persistence.ReadParams) {
		if uint64(p.After) >= seq && len(p.Kinds) > 0 { // it looks what was set since
			c.mustAck(move(board, objects[2], 10))
			c.mustAck(chat(board, "more than a tail of one byte keeps"))
		}
	})
	req := &collaboardv1.RevertFrameRequest{BoardId: board, Seq: seq, FrameId: newID()}
	resp, err := srv.boards.RevertFrame(t.Context(), req)
	if err != nil || resp.GetChangedObjects() != 3 || len(resp.GetLeftAlone()) != 3 {
		t.Fatal(resp, err)
	}
	for _, l := range resp.GetLeftAlone() {
		if !slices.Equal(l.GetFields(), []string{"x"}) {
			t.Errorf("left alone: %v", l)
		}
	}
	store.watchReads(nil)
	again, err := srv.boards.RevertFrame(t.Context(), req)
	if err != nil || !proto.Equal(again.GetPosition(), resp.GetPosition()) || again.GetChangedObjects() != 0 {
		t.Errorf("again: %v, %v", again, err)
	}
	log := srv.readLog(t, board)
	for _, o := range seenAt(log, uint64(len(log))) {
		if want := map[string]float64{objects[0]: 20, objects[1]: 20, objects[2]: 10}[o.GetId()]; o.GetX() != want || o.GetY() != 2 {
			t.Errorf("%v, want x %v, y 2", o, want)
		}
	}
	last := log[len(log)-1]
	if last.GetObjectBatch().GetRevertedSeq() != seq || last.GetId() != req.GetFrameId() {
		t.Errorf("the last frame is %v", last)
	}
}

// TestRevertUnderAWriter who changes the object without a pause: what it sets stays, and the rest is taken back.
func TestRevertUnderAWriter(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		c := srv.connect(t)
		object := c.drawMany(board, 1)[0]
		stop := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for x := 10.0; ; x++ {
				select {
				case <-stop:
					return
				default:
					c.mustAck(move(board, object, x))
				}
			}
		})
		other := srv.connect(t)
		for range 20 {
			f := move(board, object, 5)
			f.GetObjectUpdate().Y = proto.Float64(7)
			seq := other.mustAck(f)
			other.mustAck(move(board, object, 6)) // so that it is not of a moment at which nothing was set since
			resp, err := srv.boards.RevertFrame(t.Context(), &collaboardv1.RevertFrameRequest{BoardId: board, Seq: seq})
			if err != nil || resp.GetChangedObjects() != 1 || len(resp.GetLeftAlone()) != 1 {
				t.Errorf("%v, %v", resp, err)
				break
			}
		}
		close(stop)
		writing.Wait()
		log := srv.readLog(t, board)
		if now := seenAt(log, uint64(len(log)))[0]; now.GetY() != 2 || now.GetX() < 10 {
			t.Errorf("the object is %v", now)
		}
	})
}

// TestPlanHoldsUpNobodyForLong: a restoration whose transaction takes too long fails alone.
func TestPlanHoldsUpNobodyForLong(t *testing.T) {
	t.Parallel()
	store := newFaultyStore(sqliteDatabase(t)(t))
	srv := serve(t, store, server.Config{Commit: persistence.CommitterConfig{AttemptTimeout: 100 * time.Millisecond, CommitTimeout: time.Minute}})
	board, other := srv.createBoard(t), srv.createBoard(t)
	c := srv.connect(t)
	c.drawMany(board, 10)
	store.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
		return store.Store.Append(ctx, claims, func(locked []persistence.Locked) ([]persistence.Extension, error) {
			extensions, err := decide(locked)
			for i := range extensions {
				if len(extensions[i].Records) > 0 && bytes.Contains(extensions[i].Records[0].Body, []byte("historian")) {
					<-ctx.Done() // it is long
					return nil, &persistence.UnavailableError{Err: ctx.Err()}
				}
			}
			return extensions, err
		})
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "user-id", "historian")
	_, err := srv.boards.RestoreBoard(ctx, &collaboardv1.RestoreBoardRequest{
		BoardId: board, To: &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: 0},
	})
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	c.mustAck(chat(other, "nobody else is held up"))
	c.mustAck(chat(board, "nor is the board"))
}

// TestRestoreRefusals: nothing is appended.
func TestRestoreRefusals(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{Room: room.Config{RetainInterval: 1}})
	board := srv.createBoard(t)
	c := srv.connect(t)
	object := c.drawMany(board, 1)[0]
	c.mustAck(chat(board, "no object"))
	for range 20 {
		c.mustAck(move(board, object, 1))
	}
	srv.trim(t, board, "10", 13)
	head := len(srv.readLogFrom(t, board, 12))
	ctx := t.Context()
	restore := func(req *collaboardv1.RestoreBoardRequest) error {
		if req.GetBoardId() == "" {
			req.BoardId = board
		}
		_, err := srv.boards.RestoreBoard(ctx, req)
		return err
	}
	revert := func(seq uint64) error {
		_, err := srv.boards.RevertFrame(ctx, &collaboardv1.RevertFrameRequest{BoardId: board, Seq: seq})
		return err
	}
	at := func(seq uint64) *collaboardv1.RestoreBoardRequest_AtSeq {
		return &collaboardv1.RestoreBoardRequest_AtSeq{AtSeq: seq}
	}
	early := &collaboardv1.RestoreBoardRequest_AtTime{AtTime: &timestamppb.Timestamp{Seconds: 1}}
	never := &collaboardv1.RestoreBoardRequest_AtTime{AtTime: &timestamppb.Timestamp{Seconds: 1 << 60}}
	for what, test := range map[string]struct {
		err  error
		want codes.Code
	}{
		"no moment":       {restore(&collaboardv1.RestoreBoardRequest{}), codes.InvalidArgument},
		"no time":         {restore(&collaboardv1.RestoreBoardRequest{To: never}), codes.InvalidArgument},
		"no frame id":     {restore(&collaboardv1.RestoreBoardRequest{To: at(20), FrameId: "x"}), codes.InvalidArgument},
		"no board":        {restore(&collaboardv1.RestoreBoardRequest{BoardId: newID(), To: at(1)}), codes.NotFound},
		"ahead":           {restore(&collaboardv1.RestoreBoardRequest{To: at(23)}), codes.OutOfRange},
		"trimmed":         {restore(&collaboardv1.RestoreBoardRequest{To: at(12)}), codes.OutOfRange},
		"trimmed, empty":  {restore(&collaboardv1.RestoreBoardRequest{To: at(0)}), codes.OutOfRange},
		"trimmed, a time": {restore(&collaboardv1.RestoreBoardRequest{To: early}), codes.OutOfRange},
		"revert nothing":  {revert(0), codes.InvalidArgument},
		"revert ahead":    {revert(23), codes.FailedPrecondition},
		"revert trimmed":  {revert(13), codes.OutOfRange},
		"revert far":      {revert(1 << 60), codes.OutOfRange},
	} {
		if status.Code(test.err) != test.want {
			t.Errorf("%s: %v, want %v", what, test.err, test.want)
		}
	}
	c.mustAck(chat(board, "no object"))
	if err := revert(23); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("revert of a chat message: %v", err)
	}
	if n := len(srv.readLogFrom(t, board, 12)); n != head+1 {
		t.Errorf("%d frames were appended", n-head-1)
	}
}

// TestMarksAreTheServers: a client cannot say that it restores or reverts.
func TestMarksAreTheServers(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	c := srv.connect(t)
	f := batchOf(board, &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Create{Create: create(board, newID()).GetObjectCreate()}})
	f.GetObjectBatch().RestoredSeq, f.GetObjectBatch().RevertedSeq = 1, 2
	c.mustAck(f)
	got := srv.readLog(t, board)[0].GetObjectBatch()
	if got.GetRestoredSeq() != 0 || got.GetRevertedSeq() != 0 {
		t.Errorf("the client's marks are in the log: %d, %d", got.GetRestoredSeq(), got.GetRevertedSeq())
	}
}

func (r *running) readLogFrom(t *testing.T, board string, after uint64) []uint64 {
	t.Helper()
	seqs, err := r.log(t, &collaboardv1.ReadLogRequest{BoardId: board, From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: after}})
	if err != nil {
		t.Fatal(fmt.Errorf("read log after %d: %w", after, err))
	}
	return seqs
}
