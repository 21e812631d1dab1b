package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// run runs a program to its end.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

// TestRestoredBackup backs a store up while it is written to, and goes on with that after the server was killed. What was acked
// before the backup is there; clients that know more are told, send what was not acked, and have the same board in the end.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	for engine, test := range map[string]struct {
		store           func(t *testing.T) string
		backup, restore func(t *testing.T, store, file string)
	}{
		"sqlite": {
			store:   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "collaboard.db") },
			backup:  func(t *testing.T, store, file string) { run(t, binary, "backup", file, "--store", store) },
			restore: func(t *testing.T, store, file string) { run(t, binary, "restore", file, "--store", store) },
		},
		"postgres": {
			store: func(t *testing.T) string { return pgtest.Database(t) },
			backup: func(t *testing.T, store, file string) {
				run(t, pgtest.Program(t, "pg_dump"), "--format=custom", "--file="+file, "--dbname="+store)
			},
			restore: func(t *testing.T, store, file string) {
				run(t, pgtest.Program(t, "pg_restore"), "--exit-on-error", "--single-transaction", "--dbname="+store, file)
				run(t, binary, "renew-epochs", "--store", store)
			},
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			store, file := test.store(t), filepath.Join(t.TempDir(), "backup")
			srv := start(t, "127.0.0.1:0", store)
			addr := srv.addr
			board := createBoard(t, addr)
			editors := []*editor{edit(t, addr, board, "ada"), edit(t, addr, board, "bob")}
			told := followResync(t, editors[1])
			stop := make(chan struct{})
			var running sync.WaitGroup
			for _, e := range editors {
				running.Go(func() { e.run(t, stop) })
			}
			for _, e := range editors {
				e.waitFor(t, 200)
			}
			draw(t, editors)
			before := acked(editors)
			test.backup(t, store, file)
			after := acked(editors)
			draw(t, editors)
			for _, e := range editors { // these are lost, and so is what was drawn
				e.waitFor(t, e.count()+100)
			}
			srv.kill()
			lost := acked(editors)

			restored := test.store(t)
			test.restore(t, restored, file)
			srv = start(t, addr, restored)
			for _, e := range editors {
				e.waitFor(t, e.count()+100)
			}
			draw(t, editors)
			close(stop)
			running.Wait()

			e := <-told
			if e.Reason != collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED || e.From.Seq <= e.To.Seq {
				t.Errorf("the client was told %v", e)
			}
			checkRestored(t, addr, board, e.To.Epoch, before, after, lost, acked(editors))
			for _, e := range editors {
				checkReplica(t, addr, e)
			}
			checkResent(t, addr, board, before)
			if err := srv.terminate(); err != nil {
				t.Error(err)
			}
			run(t, binary, "verify", "--store", restored)
		})
	}
}

// draw has each editor put a shape on the board.
func draw(t *testing.T, editors []*editor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, e := range editors {
		p, err := e.board.Submit(ctx, &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: uuid.NewString(), Kind: "rectangle"}})
		if err != nil {
			t.Fatal(err)
		}
		ack, err := p.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		e.mu.Lock()
		e.acked[p.ID()] = ack.Position
		e.mu.Unlock()
	}
}

// acked is what all editors were promised so far.
func acked(editors []*editor) map[string]client.Position {
	all := map[string]client.Position{}
	for _, e := range editors {
		e.mu.Lock()
		maps.Copy(all, e.acked)
		e.mu.Unlock()
	}
	return all
}

// followResync follows the log, and gives the first that says that it goes on elsewhere.
func followResync(t *testing.T, e *editor) <-chan *client.ResyncError {
	t.Helper()
	told := make(chan *client.ResyncError, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	go func() {
		defer close(told)
		for _, err := range e.board.Frames(ctx) {
			if resync, ok := errors.AsType[*client.ResyncError](err); ok {
				told <- resync
				return
			}
		}
	}()
	return told
}

// checkRestored fails unless the log has all that was acked before the backup began, where it was; of what was acked until the
// server was killed, before is from the begin of the backup, and after from its end, some of it and nothing else there; and all that
// was acked since.
func checkRestored(t *testing.T, addr, board, epoch string, before, after, lost, all map[string]client.Position) {
	t.Helper()
	log := readLog(t, addr, board)
	seqs := map[string]uint64{}
	for i, f := range log {
		if f.GetSeq() != uint64(i+1) {
			t.Fatalf("seq %d where %d should be", f.GetSeq(), i+1)
		}
		if first, twice := seqs[f.GetId()]; twice {
			t.Fatalf("frame %s is at seq %d and at %d", f.GetId(), first, f.GetSeq())
		}
		seqs[f.GetId()] = f.GetSeq()
	}
	gone := 0
	for id, ack := range all {
		_, early := before[id]
		at, there := seqs[id]
		switch {
		case early && at != ack.Seq:
			t.Fatalf("frame %s was acked at seq %d before the backup, and is at %d", id, ack.Seq, at)
		case there && at != ack.Seq:
			t.Fatalf("frame %s was acked at seq %d, and is at %d", id, ack.Seq, at)
		case !there && ack.Epoch == epoch: // an ack of before the restore may come to be known only after it
			t.Fatalf("frame %s was acked at seq %d after the restore, and is not there", id, ack.Seq)
		case !there:
			gone++
		}
	}
	for id := range seqs {
		if _, known := all[id]; !known {
			t.Fatalf("frame %s is there, and was not acked, though nothing is in flight", id)
		}
	}
	if gone < len(lost)-len(after)-64 { // all but what was in flight
		t.Errorf("%d frames are gone: there were %d acks from the end of the backup on", gone, len(lost)-len(after))
	}
	t.Logf("%d frames in the log; %d were acked before the backup, %d until it was done, %d until the end, of which %d are gone",
		len(log), len(before), len(after), len(lost), gone)
}

// checkReplica fails unless a client's board comes to be what a new client has.
func checkReplica(t *testing.T, addr string, e *editor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.conn.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	fresh := edit(t, addr, e.board.ID(), "eve").board
	last, err := fresh.Submit(ctx, &collaboardv1.ChatMessage{Text: "the last"})
	if err != nil {
		t.Fatal(err)
	}
	ack, err := last.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*client.Board{e.board, fresh} {
		for frame, err := range b.Frames(ctx) {
			if _, resync := errors.AsType[*client.ResyncError](err); err != nil && !resync {
				t.Fatal(err)
			}
			if frame.GetSeq() == ack.Seq {
				break
			}
		}
	}
	const drawn = 4 // before the backup, and after the restore
	if old, now := e.board.Replica(), fresh.Replica(); !bytes.Equal(old.Snapshot(), now.Snapshot()) || now.Len() != drawn {
		t.Errorf("%s has a board of %d objects, a new client one of %d", e.name, old.Len(), now.Len())
	}
	if old, now := e.board.Status(), fresh.Status(); old.Position != now.Position || old.Desyncs > 0 {
		t.Errorf("%s is at %v after %d desyncs, a new client at %v", e.name, old.Position, old.Desyncs, now.Position)
	}
}

// checkResent sends what the backup has once more: it is acked where it was.
func checkResent(t *testing.T, addr, board string, before map[string]client.Position) {
	t.Helper()
	stream, err := collaboardv1.NewCollaborationServiceClient(dial(t, addr)).Collaborate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, at := range before {
		if err := stream.Send(&collaboardv1.Frame{
			Id: id, BoardId: board, Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "again"}},
		}); err != nil {
			t.Fatal(err)
		}
		for {
			f, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if f.GetParentId() != id {
				continue
			}
			if f.GetAck() == nil || f.GetSeq() != at.Seq {
				t.Errorf("frame %s of seq %d is answered with %v", id, at.Seq, f)
			}
			break
		}
	}
}
