package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

func metadataOf(c *conversation, key string) string {
	if values := metadata.ValueFromIncomingContext(c.Context(), key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// A loop that does nothing for long loses nothing, holds up neither acks nor another board, and may wait for its own.
func TestSlowReaderLosesNothingAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const frames = 200
	s := startBackend(t, server.Config{})
	writer := dial(t, s.addr)
	c := dial(t, s.addr)
	slow, other := join(t, c, newBoard(t, c)), join(t, c, newBoard(t, c))
	write := func() {
		for range frames {
			submit(t, writer, slow.ID(), large(16<<10)) // in all far more than is kept in memory
		}
	}
	write()
	read := uint64(0)
	for f, err := range slow.Frames(testContext(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; f.GetSeq() != read {
			t.Fatalf("seq %d where %d should be", f.GetSeq(), read)
		}
		if read == 1 {
			flush(t, writer)
			wait(t, submit(t, c, slow.ID(), chat("x")))
			submit(t, c, other.ID(), chat("y"))
			readFrames(t, other, 0, 1)
			write()
			flush(t, writer)
		}
		if read == 2*frames+1 {
			break
		}
	}
}

func TestReplicaHasWhatWasAcked(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	b := join(t, c, newBoard(t, c))
	for range 50 {
		id := uuid.NewString()
		ack := wait(t, submit(t, c, b.ID(), &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: id, Kind: "line"}}))
		r := b.Replica()
		if o, ok := r.Object(id); !ok || o.GetCreatedSeq() != ack.Seq {
			t.Fatalf("replica at %d has %v, acked at %d", r.Seq(), o, ack.Seq)
		}
	}
	before := b.Replica()
	wait(t, submit(t, c, b.ID(), chat("x")))
	if before.Seq() != 50 {
		t.Error("a replica that was handed out has changed")
	}
	other := join(t, dial(t, s.addr), b.ID())
	if string(other.Replica().Snapshot()) != string(b.Replica().Snapshot()) {
		t.Error("a replica from a snapshot is not the one from events")
	}
	if b := join(t, dial(t, s.addr), b.ID(), client.WithoutReplica()); b.Replica() != nil {
		t.Error("there is a replica that nobody wants")
	}
	fold := join(t, dial(t, s.addr), b.ID(), client.From(client.Position{}))
	readFrames(t, fold, 0, 51)
	if string(fold.Replica().Snapshot()) != string(b.Replica().Snapshot()) {
		t.Error("a replica from the whole log is not the one from a snapshot")
	}
}

// An ack that comes before its event waits for it.
func TestAckWaitsForTheReplica(t *testing.T) {
	t.Parallel()
	at := client.Position{Epoch: someEpoch, Seq: 5}
	early := make(chan struct{})
	addr := startScript(t, func(c *conversation) error {
		c.welcome()
		join, err := c.expectJoin()
		if err != nil {
			return err
		}
		c.snapshot(join, at)
		f, err := c.expect(isDurable)
		if err != nil {
			return err
		}
		c.send(acked(f, client.Position{Epoch: someEpoch, Seq: 6}))
		if f, err = c.expect(isDurable); err != nil { // sent once the first ack was there
			return err
		}
		<-early
		c.send(said(someBoard, 6), said(someBoard, 7), acked(f, client.Position{Epoch: someEpoch, Seq: 7}))
		_, err = c.Recv()
		return err
	})
	c := dial(t, addr, client.WithWindow(1))
	b := join(t, c, someBoard)
	first := submit(t, c, someBoard, chat("6"))
	second := submit(t, c, someBoard, chat("7"))
	select {
	case <-first.Done():
		t.Error("acked before the replica has it")
	default:
	}
	close(early)
	wait(t, first)
	if b.Replica().Seq() < 6 {
		t.Error("acked before the replica has it")
	}
	wait(t, second)
}

func TestPositionsThatCannotBeResumed(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	board := newBoard(t, c)
	at := wait(t, submit(t, c, board, chat("0"))).Position
	for name, tt := range map[string]struct {
		from   client.Position
		reason collaboardv1.SnapshotReason
	}{
		"ahead":         {client.Position{Epoch: at.Epoch, Seq: 9}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_POSITION_AHEAD},
		"another epoch": {client.Position{Epoch: otherEpoch, Seq: 1}, collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED},
	} {
		b := join(t, dial(t, s.addr), board, client.From(tt.from))
		for f, err := range b.Frames(testContext(t)) {
			var resync *client.ResyncError
			if !errors.As(err, &resync) || resync.From != tt.from || resync.To != at || resync.Reason != tt.reason {
				t.Errorf("%s: %v, %v", name, f, err)
			}
			break
		}
		before := at.Seq
		at = wait(t, submit(t, c, board, chat("1"))).Position
		readFrames(t, b, before, 1)
	}
}

// What a server sends that cannot follow from what it sent before is noticed, and changes nothing.
func TestServersThatContradictThemselves(t *testing.T) {
	t.Parallel()
	at := func(seq uint64) client.Position { return client.Position{Epoch: someEpoch, Seq: seq} }
	for name, tt := range map[string]struct {
		provoke func(*conversation, *collaboardv1.Frame)
		want    client.Desync
	}{
		"a gap":       {func(c *conversation, _ *collaboardv1.Frame) { c.send(said(someBoard, 8)) }, client.DesyncGap},
		"a double":    {func(c *conversation, _ *collaboardv1.Frame) { c.send(said(someBoard, 6)) }, client.DesyncBackwards},
		"a step back": {func(c *conversation, _ *collaboardv1.Frame) { c.send(said(someBoard, 2)) }, client.DesyncBackwards},
		"an ack from another epoch": {func(c *conversation, f *collaboardv1.Frame) {
			c.send(acked(f, client.Position{Epoch: otherEpoch, Seq: 7}))
		}, client.DesyncEpoch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			positions := make(chan *collaboardv1.Position, 10)
			addr := startScript(t, func(c *conversation) error {
				c.welcome()
				join, err := c.expectJoin()
				if err != nil {
					return err
				}
				c.snapshot(join, at(5))
				c.send(said(someBoard, 6))
				f, err := c.expect(isDurable)
				if err != nil {
					return err
				}
				tt.provoke(c, f)
				c.send(said(someBoard, 9)) // must not be taken for anything
				if join, err = c.expectJoin(); err != nil {
					return err
				}
				positions <- join.GetBoardJoin().GetPosition()
				c.resume(join, at(6))
				c.send(said(someBoard, 7), acked(f, at(7)))
				_, err = c.Recv()
				return err
			})
			c := dial(t, addr)
			b := join(t, c, someBoard)
			readFrames(t, b, 5, 1)
			p := submit(t, c, someBoard, chat("7"))
			readFrames(t, b, 6, 1) // no gap, no double
			wait(t, p)
			if pos := <-positions; pos.GetSeq() != 6 || pos.GetEpoch() != someEpoch {
				t.Errorf("resumed from %v", pos)
			}
			var desync *client.DesyncError
			if st := b.Status(); st.Desyncs != 1 || !errors.As(st.LastDesync, &desync) || desync.Kind != tt.want {
				t.Errorf("status %+v", st)
			}
		})
	}
}

// A join that is answered with another position than was asked for is not believed; in the end a snapshot is taken, and
// the reader is told.
func TestJoinsThatAreAnsweredWrong(t *testing.T) {
	t.Parallel()
	at := func(seq uint64) client.Position { return client.Position{Epoch: someEpoch, Seq: seq} }
	for name, tt := range map[string]struct {
		answer func(*conversation, *collaboardv1.Frame)
		want   client.Desync
	}{
		"ahead": {func(c *conversation, j *collaboardv1.Frame) { c.resume(j, at(6)) }, client.DesyncGap},
		"back":  {func(c *conversation, j *collaboardv1.Frame) { c.resume(j, at(4)) }, client.DesyncBackwards},
		"another epoch": {func(c *conversation, j *collaboardv1.Frame) {
			c.resume(j, client.Position{Epoch: otherEpoch, Seq: 5})
		}, client.DesyncEpoch},
		"no epoch": {func(c *conversation, j *collaboardv1.Frame) { c.resume(j, client.Position{Seq: 5}) }, client.DesyncAnswer},
		"a snapshot without its end": {func(c *conversation, j *collaboardv1.Frame) {
			c.send(joined(j, at(5), collaboardv1.Mode_MODE_SNAPSHOT))
		}, client.DesyncAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := startScript(t, func(c *conversation) error {
				c.welcome()
				for {
					join, err := c.expectJoin()
					if err != nil {
						return err
					}
					if join.GetBoardJoin().GetPosition() != nil {
						tt.answer(c, join)
						continue
					}
					c.snapshot(join, at(20))
					c.send(said(someBoard, 21))
				}
			})
			b := join(t, dial(t, addr), someBoard, client.From(at(5)))
			first := true
			for f, err := range b.Frames(testContext(t)) {
				if first {
					var resync *client.ResyncError
					var desync *client.DesyncError
					if !errors.As(err, &resync) || resync.From != at(5) || resync.To != at(20) ||
						!errors.As(err, &desync) || desync.Kind != tt.want {
						t.Fatalf("%v, %v", f, err)
					}
					first = false
					continue
				}
				if f.GetSeq() != 21 {
					t.Errorf("%v, %v", f, err)
				}
				break
			}
		})
	}
}

func TestDeletedBoard(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	b, other := join(t, c, newBoard(t, c)), join(t, c, newBoard(t, c))
	wait(t, submit(t, c, b.ID(), chat("0")))
	if _, err := c.Boards().DeleteBoard(t.Context(), &collaboardv1.DeleteBoardRequest{BoardId: b.ID()}); err != nil {
		t.Fatal(err)
	}
	var last error
	n := 0
	for f, err := range b.Frames(testContext(t)) {
		if last = err; f != nil {
			n++
		}
	}
	if client.Code(last) != collaboardv1.ErrorCode_BOARD_NOT_FOUND || n != 1 {
		t.Errorf("after %d frames: %v", n, last)
	}
	<-b.Done()
	for _, err := range b.Ephemeral(testContext(t)) {
		last = err
	}
	if client.Code(last) != collaboardv1.ErrorCode_BOARD_NOT_FOUND {
		t.Errorf("ephemerals end with %v", last)
	}
	_, err := submit(t, c, b.ID(), chat("1")).Wait(testContext(t))
	if client.Code(err) != collaboardv1.ErrorCode_BOARD_NOT_FOUND {
		t.Errorf("submit to it: %v", err)
	}
	if _, err := c.Join(testContext(t), b.ID()); client.Code(err) != collaboardv1.ErrorCode_BOARD_NOT_FOUND {
		t.Errorf("join it again: %v", err)
	}
	wait(t, submit(t, c, other.ID(), chat("0")))

	if _, err := c.Boards().UndeleteBoard(t.Context(), &collaboardv1.UndeleteBoardRequest{BoardId: b.ID()}); err != nil {
		t.Fatal(err)
	}
	readFrames(t, join(t, c, b.ID(), client.From(client.Position{})), 0, 1)
}

func TestJoinWaitsAndGivesUp(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	p := startProxy(t, s.addr)
	p.refuse(true)
	c := dial(t, p.addr())
	board := newBoard(t, dial(t, s.addr))
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Join(short, board); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("join without a network: %v", err)
	}
	done := make(chan error, 1)
	go func() { _, err := c.Join(testContext(t), board); done <- err }()
	p.refuse(false)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.Join(testContext(t), board); !errors.Is(err, client.ErrAlreadyJoined) {
		t.Errorf("join again: %v", err)
	}
}

func TestLeaveAndJoinAgain(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	id := newBoard(t, c)
	watch := join(t, dial(t, s.addr), id)
	for i := range 20 {
		b := join(t, c, id)
		wait(t, submit(t, c, id, chat("%d", i)))
		readFrames(t, b, uint64(i), 1)
		b.Leave()
		b.Leave()
		for _, err := range b.Frames(testContext(t)) {
			if !errors.Is(err, client.ErrLeft) {
				t.Errorf("frames after leaving: %v", err)
			}
		}
		if err := b.Signal(&collaboardv1.Typing{}); !errors.Is(err, client.ErrLeft) {
			t.Errorf("signal after leaving: %v", err)
		}
	}
	// A join that is given up before it is sent does not undo the leave before it.
	join(t, c, id).Leave()
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Join(given, id); !errors.Is(err, context.Canceled) {
		t.Errorf("join: %v", err)
	}
	event(t, watch, func(f *collaboardv1.Frame) bool { return f.GetMemberLeft() != nil })
	for len(watch.Members()) != 1 {
		event(t, watch, func(f *collaboardv1.Frame) bool { return f.GetMemberLeft() != nil })
	}
}

func TestPositionInAnySpelling(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	id := newBoard(t, c)
	first := wait(t, submit(t, c, id, chat("0")))
	wait(t, submit(t, c, id, chat("1")))
	b := join(t, c, id, client.From(client.Position{Epoch: strings.ToUpper(first.Epoch), Seq: first.Seq}))
	readFrames(t, b, first.Seq, 1)
	if st := b.Status(); st.Desyncs > 0 {
		t.Errorf("status %+v", st)
	}
}

func TestOneLoopAtATime(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	c := dial(t, s.addr)
	b := join(t, c, newBoard(t, c))
	submit(t, c, b.ID(), chat("0"))
	submit(t, c, b.ID(), chat("1"))
	for _, err := range b.Frames(testContext(t)) {
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range b.Frames(testContext(t)) {
			if !errors.Is(err, client.ErrIterating) {
				t.Errorf("second loop: %v", err)
			}
		}
		break
	}
	readFrames(t, b, 1, 1) // goes on where the first was left
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range b.Frames(ended) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("without time: %v", err)
		}
	}
}

func TestMembersAndSignals(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{})
	p := startProxy(t, s.addr)
	ada := dial(t, s.addr, client.WithUserID("ada"))
	bob := dial(t, p.addr(), client.WithUserID("böb/1"), client.WithDisplayName("Bob %41 Ö"), client.WithColor("#1e90ff"))
	id := newBoard(t, ada)
	a := join(t, ada, id)
	b := join(t, bob, id)
	if got := bob.UserID(); got != "böb/1" {
		t.Errorf("bob is %q", got)
	}
	f := event(t, a, func(f *collaboardv1.Frame) bool { return f.GetMemberJoined() != nil })
	want := &collaboardv1.Member{
		UserId: "böb/1", DisplayName: "Bob %41 Ö", Color: "#1e90ff", Role: collaboardv1.Role_ROLE_EDITOR,
	}
	if diff := cmp.Diff(want, f.GetMemberJoined().GetMember(), protocmp.Transform(),
		protocmp.IgnoreFields(want, "connection_id")); diff != "" {
		t.Error(diff)
	}
	if len(a.Members()) != 2 || len(b.Members()) != 2 {
		t.Errorf("ada sees %v, bob sees %v", a.Members(), b.Members())
	}

	for i := range 100 {
		if err := b.Signal(&collaboardv1.CursorMove{X: float64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	f = event(t, a, func(f *collaboardv1.Frame) bool { return f.GetCursorMove().GetX() == 99 })
	if f.GetFrom() != "böb/1" || f.GetBoardId() != id {
		t.Errorf("the cursor is %v", f)
	}
	if err := b.Signal(chat("x")); !errors.Is(err, client.ErrPayload) {
		t.Errorf("a durable signal: %v", err)
	}

	// What was signalled without a network is, when there is one again; and each hears that the other is new.
	p.refuse(true)
	p.cut()
	awaitState(t, bob, client.State{Saving: client.Offline})
	if err := b.Signal(&collaboardv1.Selection{ObjectIds: []string{someID}}); err != nil {
		t.Fatal(err)
	}
	event(t, a, func(f *collaboardv1.Frame) bool { return f.GetMemberLeft() != nil })
	eve := join(t, dial(t, s.addr, client.WithUserID("eve")), id)
	p.refuse(false)
	event(t, a, func(f *collaboardv1.Frame) bool { return len(f.GetSelection().GetObjectIds()) == 1 })
	event(t, b, func(f *collaboardv1.Frame) bool { return f.GetMemberJoined().GetMember().GetUserId() == "eve" })
	if len(b.Members()) != 3 {
		t.Errorf("bob sees %v", b.Members())
	}
	eve.Leave()
	event(t, b, func(f *collaboardv1.Frame) bool { return f.GetMemberLeft().GetMember().GetUserId() == "eve" })

	if _, err := ada.Boards().UpdateBoard(t.Context(), &collaboardv1.UpdateBoardRequest{
		Board: &collaboardv1.Board{Id: id, Name: "new name"},
	}); err != nil {
		t.Fatal(err)
	}
	event(t, b, func(f *collaboardv1.Frame) bool { return f.GetBoardChanged().GetBoard().GetName() == "new name" })
}

func TestBoardStatus(t *testing.T) {
	t.Parallel()
	s := startBackend(t, server.Config{Commit: persistence.CommitterConfig{
		CommitTimeout: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond,
	}})
	c := dial(t, s.addr)
	b := join(t, c, newBoard(t, c))
	if st := b.Status(); !st.Live || !st.Writable || st.Role != collaboardv1.Role_ROLE_EDITOR {
		t.Errorf("status %+v", st)
	}
	s.store.beforeAppend(func(context.Context) error { return errDown })
	p := submit(t, c, b.ID(), chat("0"))
	event(t, b, func(f *collaboardv1.Frame) bool {
		return f.GetBoardStatus() != nil && !f.GetBoardStatus().GetWritable()
	})
	s.store.beforeAppend(nil)
	wait(t, p)
	event(t, b, func(f *collaboardv1.Frame) bool { return f.GetBoardStatus().GetWritable() })
	if !b.Status().Writable {
		t.Error("not writable")
	}
}
