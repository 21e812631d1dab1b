package server_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	sdk "github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// network is what SDK clients reach a server through: it can be cut, be away, and lead to another server.
type network struct {
	wires

	at     sync.Mutex
	server string // empty while it is away
}

func (n *network) lead(to string) {
	n.at.Lock()
	n.server = to
	n.at.Unlock()
	n.cut()
}

func (n *network) dial(ctx context.Context, _ string) (net.Conn, error) {
	n.at.Lock()
	defer n.at.Unlock()
	if n.server == "" {
		return nil, net.ErrClosed
	}
	return n.wires.dial(ctx, n.server)
}

// user is an SDK client that is a member of one board.
type user struct {
	*sdk.Board

	t      *testing.T
	client *sdk.Client
}

func (n *network) user(t *testing.T, name, board string) *user {
	t.Helper()
	c, err := sdk.Dial("passthrough:///network", sdk.WithInsecure(), sdk.WithUserID(name),
		sdk.WithBackoff(time.Millisecond, 50*time.Millisecond), sdk.WithDialOptions(grpc.WithContextDialer(n.dial)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	u := &user{t: t, client: c}
	if u.Board, err = c.Join(u.ctx(), board); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *user) ctx() context.Context {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errors.New("it takes too long"))
	u.t.Cleanup(cancel)
	return ctx
}

// submit puts a frame on its way.
func (u *user) submit(payload proto.Message) *sdk.Pending {
	u.t.Helper()
	p, err := u.Submit(u.ctx(), payload)
	if err != nil {
		u.t.Fatal(err)
	}
	return p
}

// save submits a frame and waits for its ack.
func (u *user) save(payload proto.Message) sdk.Ack {
	u.t.Helper()
	ack, err := u.submit(payload).Wait(u.ctx())
	if err != nil {
		u.t.Fatal(err)
	}
	return ack
}

func (u *user) awaitState(saving sdk.Saving) {
	u.t.Helper()
	for s := range u.client.StateChanges(u.ctx()) {
		if s.Saving == saving {
			return
		}
	}
	u.t.Fatalf("never %v, but %v", saving, u.client.State())
}

// hear reads frames until one with the seq, and fails at a gap or a double. It returns the resyncs on the way.
func (u *user) hear(last, to uint64) (resyncs []*sdk.ResyncError) {
	u.t.Helper()
	if last == to {
		return nil
	}
	for f, err := range u.Frames(u.ctx()) {
		if resync, ok := errors.AsType[*sdk.ResyncError](err); ok {
			resyncs = append(resyncs, resync)
			if last = resync.To.Seq; last == to {
				return resyncs
			}
			continue
		}
		if err != nil {
			u.t.Fatalf("after seq %d, on the way to %d: %v", last, to, err)
		}
		if last++; f.GetSeq() != last {
			u.t.Fatalf("seq %d where %d should be", f.GetSeq(), last)
		}
		if last == to {
			return resyncs
		}
	}
	return resyncs
}

func sameReplicas(t *testing.T, users ...*user) {
	t.Helper()
	for _, u := range users[1:] {
		if !bytes.Equal(u.Replica().Snapshot(), users[0].Replica().Snapshot()) {
			t.Errorf("replicas differ:\n%x\n%x", u.Replica().Snapshot(), users[0].Replica().Snapshot())
		}
	}
}

func objectCreate(object string) *collaboardv1.ObjectCreate {
	return create("", object).GetObjectCreate()
}

// TestDeletedWhileOfflineStaysDeleted has one user delete a shape without a network while another changes it, and change
// a shape that the other deletes: both stay deleted for everybody, also when an old create of one comes once more.
func TestDeletedWhileOfflineStaysDeleted(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		there, away := &network{server: srv.addr}, &network{server: srv.addr}
		ada, bob := away.user(t, "ada", board), there.user(t, "bob", board)
		mine, his := newID(), newID()
		first := create(board, mine)
		ada.save(first)
		ada.save(objectCreate(his))

		away.lead("")
		ada.awaitState(sdk.Offline)
		x := 100.0
		ada.submit(&collaboardv1.ObjectDelete{Id: mine})
		ada.submit(&collaboardv1.ObjectUpdate{Id: his, X: &x})
		bob.save(&collaboardv1.ObjectUpdate{Id: mine, X: &x})
		bob.save(&collaboardv1.ObjectDelete{Id: his})
		away.lead(srv.addr)
		if err := ada.client.Flush(ada.ctx()); err != nil {
			t.Fatal(err)
		}

		gone := func(when string, head uint64, users ...*user) {
			t.Helper()
			for _, u := range users {
				for _, id := range []string{mine, his} {
					if o, ok := u.Replica().Object(id); u.Replica().Seq() != head || u.Replica().Len() != 0 || (ok && !o.GetDeleted()) {
						t.Errorf("%s, at seq %d: %v", when, u.Replica().Seq(), o)
					}
				}
			}
			sameReplicas(t, users...)
		}
		bob.hear(0, 6)
		late := there.user(t, "late", board)
		gone("back online", 6, ada, bob, late)

		if ack := bob.save(first); ack.Seq != 1 || !ack.Duplicate {
			t.Errorf("the old create again: %v", ack)
		}
		_, err := bob.submit(objectCreate(mine)).Wait(bob.ctx())
		if sdk.Code(err) != collaboardv1.ErrorCode_OBJECT_EXISTS {
			t.Errorf("the shape created under another frame's id: %v", err)
		}
		gone("created once more", 6, ada, bob, late)

		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		srv = serve(t, open(t), server.Config{})
		there.lead(srv.addr)
		away.lead(srv.addr)
		if ack := bob.save(first); ack.Seq != 1 || !ack.Duplicate {
			t.Errorf("the old create after a restart: %v", ack)
		}
		gone("after a restart", 6, ada, bob, there.user(t, "later", board))
	})
}

// TestWritesAfterAReconnectAreStored looks for what was acked in the database, after one kind of reconnect after another:
// none leaves a client that is connected and whose writes go nowhere.
func TestWritesAfterAReconnectAreStored(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const rounds = 3
		store := newFaultyStore(open(t))
		srv := serve(t, store, server.Config{})
		board := srv.createBoard(t)
		net := &network{server: srv.addr}
		ada, bob := net.user(t, "ada", board), net.user(t, "bob", board)
		acked := map[uint64]string{}
		head := uint64(0)
		save := func(u *user, p *sdk.Pending) {
			ack, err := p.Wait(u.ctx())
			if err != nil {
				t.Fatal(err)
			}
			acked[ack.Seq] = p.ID()
			head = max(head, ack.Seq)
		}
		for range rounds {
			for name, reconnect := range map[string]func(){
				"cut": net.cut,
				"away": func() {
					net.lead("")
					ada.awaitState(sdk.Offline)
					net.lead(srv.addr)
				},
				"the server restarts": func() {
					if err := srv.stop(); err != nil {
						t.Fatal(err)
					}
					store = newFaultyStore(open(t))
					srv = serve(t, store, server.Config{})
					net.lead(srv.addr)
				},
				"cut while the database is away": func() {
					store.breakDown()
					net.cut()
					store.repair()
				},
			} {
				before := ada.submit(chat("", "in flight").GetChatMessage())
				reconnect()
				save(ada, before)
				save(ada, ada.submit(chat("", "after "+name).GetChatMessage()))
				save(bob, bob.submit(chat("", "after "+name).GetChatMessage()))
				ada.awaitState(sdk.Saved)
				if b, err := srv.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: board}); err != nil || b.GetHeadSeq() != head {
					t.Errorf("%s: acked up to %d, stored up to %d, %v", name, head, b.GetHeadSeq(), err)
				}
			}
		}
		ada.hear(0, head)
		bob.hear(0, head)
		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		log := serve(t, open(t), server.Config{}).readLog(t, board)
		wantGapless(t, log)
		if len(log) != len(acked) {
			t.Errorf("%d frames in the log, %d were acked", len(log), len(acked))
		}
		for _, f := range log {
			if acked[f.GetSeq()] != f.GetId() {
				t.Errorf("seq %d is frame %s, acked was %q", f.GetSeq(), f.GetId(), acked[f.GetSeq()])
			}
		}
	})
}

// TestRestoredBackupGivesEpochAndSeqTogether puts the database back to an earlier state, as a backup does, under a client
// that knows more. It is told once, and from then on its position is of the new epoch, the seq too.
func TestRestoredBackupGivesEpochAndSeqTogether(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, open database, do tamper) {
		const before, after = 10, 4
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		net := &network{server: srv.addr}
		ada := net.user(t, "ada", board)
		old := ada.Status().Position.Epoch
		for range before {
			ada.save(objectCreate(newID()))
		}
		ada.hear(0, before)
		net.lead("")
		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		do(t, board, "DELETE FROM frames WHERE board_id = $1 AND seq > 4")
		do(t, board, "UPDATE boards SET head_seq = 4, epoch = id WHERE id = $1")
		srv = serve(t, open(t), server.Config{})
		net.lead(srv.addr)

		bob := net.user(t, "bob", board)
		bob.save(objectCreate(newID()))
		resyncs := ada.hear(before, after+1)
		if len(resyncs) != 1 || resyncs[0].Reason != collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED ||
			resyncs[0].From != (sdk.Position{Epoch: old, Seq: before}) || resyncs[0].To.Epoch == old || resyncs[0].To.Seq > after+1 {
			t.Errorf("told %v", resyncs)
		}
		for range 3 {
			net.cut()
			seq := bob.save(objectCreate(newID())).Seq
			if resyncs := ada.hear(seq-1, seq); len(resyncs) != 0 {
				t.Errorf("told again: %v", resyncs)
			}
		}
		status := ada.Status()
		if status.Position != bob.Status().Position || status.Desyncs != 0 {
			t.Errorf("ada is at %+v, bob at %+v", status, bob.Status())
		}
		sameReplicas(t, ada, bob)
	})
}

// TestReaderOfATrimmedLogIsToldOnce cuts the log off behind a client that is away.
func TestReaderOfATrimmedLogIsToldOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const before, after = 3, 10
		srv := serve(t, open(t), server.Config{Room: room.Config{RetainInterval: 10 * time.Millisecond}})
		board := srv.createBoard(t)
		there, away := &network{server: srv.addr}, &network{server: srv.addr}
		ada, bob := away.user(t, "ada", board), there.user(t, "bob", board)
		write := func(n int) {
			for range n {
				bob.save(objectCreate(newID()))
			}
		}
		write(before)
		ada.hear(0, before)
		away.lead("")
		ada.awaitState(sdk.Offline)
		write(after - before)
		srv.trim(t, board, "3", 8)
		away.lead(srv.addr)

		epoch := bob.Status().Position.Epoch
		want := sdk.ResyncError{
			Board: board, From: sdk.Position{Epoch: epoch, Seq: before}, To: sdk.Position{Epoch: epoch, Seq: after},
			Reason: collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED,
		}
		if resyncs := ada.hear(before, after); len(resyncs) != 1 || *resyncs[0] != want {
			t.Errorf("told %v, want %v", resyncs, &want)
		}
		write(1)
		if resyncs := ada.hear(after, after+1); len(resyncs) != 0 {
			t.Errorf("told again: %v", resyncs)
		}
		if n := ada.Replica().Len(); n != after+1 {
			t.Errorf("%d objects, want %d", n, after+1)
		}
		sameReplicas(t, ada, bob)
	})
}

// TestReconnectInsideALoopDoublesNothing has the connection replaced, the board left and joined again, and frames of one's
// own acked, all in the body of a loop over frames of which some wait already: each comes once.
func TestReconnectInsideALoopDoublesNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const burst, rounds = 10, 6
		srv := serve(t, open(t), server.Config{})
		board := srv.createBoard(t)
		mine, others := &network{server: srv.addr}, &network{server: srv.addr}
		ada, bob := mine.user(t, "ada", board), others.user(t, "bob", board)
		heard, head := uint64(0), uint64(0)
		write := func() {
			for range burst {
				head = bob.save(chat("", "x").GetChatMessage()).Seq
			}
		}
		write()
		for round := range rounds {
			last := sdk.Position{}
			for f, err := range ada.Frames(ada.ctx()) {
				if err != nil {
					t.Fatal(err)
				}
				if heard++; f.GetSeq() != heard {
					t.Fatalf("round %d: seq %d where %d should be", round, f.GetSeq(), heard)
				}
				if last = (sdk.Position{Epoch: ada.Status().Position.Epoch, Seq: heard}); heard%3 == 0 {
					mine.cut()
					head = ada.save(chat("", "acked on another connection").GetChatMessage()).Seq
				}
				if heard%7 == 0 && round < rounds-1 {
					break // with frames that were received and not read
				}
				if heard == head {
					break
				}
			}
			ada.Leave()
			again, err := ada.client.Join(ada.ctx(), board, sdk.From(last))
			if err != nil {
				t.Fatal(err)
			}
			ada.Board = again
			write()
		}
		ada.hear(heard, head)
		if status := ada.Status(); status.Desyncs != 0 || status.Position.Seq != head {
			t.Errorf("status %+v, the head is %d", status, head)
		}
	})
}
