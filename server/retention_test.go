package server_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// trim has the board keep so many frames until its log begins at first, and then all. The server must look for what to trim
// often.
func (r *running) trim(t *testing.T, board string, keep string, first uint64) {
	t.Helper()
	r.retain(t, board, keep)
	for deadline := time.Now().Add(patience); ; {
		b, err := r.boards.GetBoard(t.Context(), &collaboardv1.GetBoardRequest{BoardId: board})
		if err != nil {
			t.Fatal(err)
		}
		if b.GetFirstSeq() == first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log begins at %d, and is to begin at %d", b.GetFirstSeq(), first)
		}
	}
	r.retain(t, board, "forever")
}

func (r *running) retain(t *testing.T, board, keep string) {
	t.Helper()
	b, err := r.boards.UpdateBoard(t.Context(), &collaboardv1.UpdateBoardRequest{
		Board: &collaboardv1.Board{Id: board, RetainLog: keep}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retain_log"}},
	})
	if err != nil || b.GetRetainLog() != keep {
		t.Fatalf("%v, %v", b, err)
	}
}

// log reads what ReadLog gives.
func (r *running) log(t *testing.T, req *collaboardv1.ReadLogRequest) (seqs []uint64, err error) {
	t.Helper()
	stream, err := r.boards.ReadLog(t.Context(), req)
	for err == nil {
		var f *collaboardv1.Frame
		if f, err = stream.Recv(); err == nil {
			seqs = append(seqs, f.GetSeq())
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return seqs, err
}

func (r *running) snapshot(t *testing.T, board string, at uint64) (objects int, err error) {
	t.Helper()
	stream, err := r.boards.GetSnapshot(t.Context(), &collaboardv1.GetSnapshotRequest{BoardId: board, AtSeq: at})
	for err == nil {
		var chunk *collaboardv1.BoardSnapshot
		if chunk, err = stream.Recv(); err == nil {
			objects += len(chunk.GetObjects())
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return objects, err
}

func wantTrimmed(t *testing.T, err error, first string) {
	t.Helper()
	if status.Code(err) != codes.OutOfRange {
		t.Errorf("got %v, want OUT_OF_RANGE", err)
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == "LOG_TRIMMED" && info.GetMetadata()["first_seq"] == first {
			return
		}
	}
	t.Errorf("%v does not say that the log begins at %s", status.Convert(err).Details(), first)
}

// TestTrimmedLogGoesOn: before where it begins there is nothing, and who asks is told from where there is; a frame from
// there that is sent again is known; and a server that comes later loads the board.
func TestTrimmedLogGoesOn(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const frames, first = 40, 31
		cfg := server.Config{Room: room.Config{RetainInterval: 10 * time.Millisecond, Retain: room.Retention{Frames: 1000}}}
		srv := serve(t, open(t), cfg)
		board := srv.createBoard(t)
		writer := srv.connect(t)
		epoch := writer.join(board, nil).GetPosition().GetEpoch()
		sent := make([]*collaboardv1.Frame, frames+1)
		for i := 1; i <= frames; i++ {
			sent[i] = create(board, newID())
			writer.mustAck(sent[i])
		}
		srv.trim(t, board, "10", first)
		writer.find("board_changed", func(f *collaboardv1.Frame) bool { return f.GetBoardChanged().GetBoard().GetRetainLog() == "10" })

		check := func() {
			t.Helper()
			for seq, want := range map[uint64]collaboardv1.Mode{
				1: collaboardv1.Mode_MODE_SNAPSHOT, first - 2: collaboardv1.Mode_MODE_SNAPSHOT, first - 1: collaboardv1.Mode_MODE_RESUMED,
			} {
				joined := srv.connect(t).join(board, &collaboardv1.Position{Epoch: epoch, Seq: seq})
				trimmed := joined.GetReason() == collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED
				if joined.GetMode() != want || trimmed != (want == collaboardv1.Mode_MODE_SNAPSHOT) {
					t.Errorf("resumed after %d: %v", seq, joined)
				}
			}
			_, err := srv.log(t, &collaboardv1.ReadLogRequest{BoardId: board})
			wantTrimmed(t, err, "31")
			seqs, err := srv.log(t, &collaboardv1.ReadLogRequest{BoardId: board, From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: first - 1}})
			if err != nil || len(seqs) < 10 || seqs[0] != first {
				t.Errorf("read forwards %v, %v", seqs, err)
			}
			seqs, err = srv.log(t, &collaboardv1.ReadLogRequest{BoardId: board, From: &collaboardv1.ReadLogRequest_BeforeSeq{BeforeSeq: 0}})
			if err != nil || len(seqs) < 10 || seqs[len(seqs)-1] != first {
				t.Errorf("read backwards %v, %v", seqs, err)
			}
			_, err = srv.snapshot(t, board, first-1)
			wantTrimmed(t, err, "31")
			for _, at := range []uint64{first, first + 5, frames} {
				if objects, err := srv.snapshot(t, board, at); err != nil || objects != int(at) {
					t.Errorf("at %d there are %d objects, %v", at, objects, err)
				}
			}
			c := srv.connect(t)
			for _, seq := range []uint64{1, 17, first - 1, first, frames} {
				again := c.ask(sent[seq])
				if again.GetSeq() != seq || !again.GetAck().GetDuplicate() {
					t.Errorf("frame %d sent again: %v", seq, again)
				}
			}
		}
		check()
		if err := srv.stop(); err != nil {
			t.Fatal(err)
		}
		srv = serve(t, open(t), cfg)
		check()
		if seq := srv.connect(t).mustAck(create(board, newID())); seq != frames+1 {
			t.Errorf("the log goes on at %d", seq)
		}
	})
}

// TestWhatABoardKeepsIsChecked: a word that makes no sense is refused, and a mask without a name leaves the name alone.
func TestWhatABoardKeepsIsChecked(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	board := srv.createBoard(t)
	for _, keep := range []string{"never", "0", "-1", "1w", "1.5h", "99999999999999999999", "99999d", "1d "} {
		_, err := srv.boards.UpdateBoard(t.Context(), &collaboardv1.UpdateBoardRequest{
			Board: &collaboardv1.Board{Id: board, RetainLog: keep}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"retain_log"}},
		})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%q: %v", keep, err)
		}
	}
	for _, keep := range []string{"forever", "100000", "9999d", "12h", ""} {
		srv.retain(t, board, keep)
	}
	update := func(b *collaboardv1.Board, paths ...string) *collaboardv1.Board {
		t.Helper()
		b.Id = board
		b, err := srv.boards.UpdateBoard(t.Context(), &collaboardv1.UpdateBoardRequest{Board: b, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, step := range []struct {
		got, want *collaboardv1.Board
	}{
		{update(&collaboardv1.Board{Name: "a", RetainLog: "5"}), &collaboardv1.Board{Name: "a", RetainLog: "5"}},
		{update(&collaboardv1.Board{Name: "b"}), &collaboardv1.Board{Name: "b", RetainLog: "5"}},
		{update(&collaboardv1.Board{RetainLog: "6"}), &collaboardv1.Board{Name: "b", RetainLog: "6"}},
		{update(&collaboardv1.Board{}), &collaboardv1.Board{Name: "b", RetainLog: "6"}},
		{update(&collaboardv1.Board{Name: "c", RetainLog: "7"}, "name"), &collaboardv1.Board{Name: "c", RetainLog: "6"}},
		{update(&collaboardv1.Board{Name: "d"}, "*"), &collaboardv1.Board{Name: "d"}},
	} {
		if step.got.GetName() != step.want.GetName() || step.got.GetRetainLog() != step.want.GetRetainLog() {
			t.Errorf("got %v, want %v", step.got, step.want)
		}
	}
}
