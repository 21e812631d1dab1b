package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// TestMembersOfATrimmedLogLeaveNothingBehind has members who lag behind what the log still holds: their streams end, each
// comes back and gets a snapshot and the reason, and of those that ended nothing is left, on the board or in the process.
// It is not parallel to others, whose goroutines would count.
func TestMembersOfATrimmedLogLeaveNothingBehind(t *testing.T) {
	for name, databaseOf := range map[string]func(*testing.T) database{"sqlite": sqliteDatabase, "postgres": postgresDatabase} {
		t.Run(name, func(t *testing.T) {
			const members, frames, first = 10, 40, 35
			open := databaseOf(t)
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			srv := serve(t, open(t), server.Config{Room: room.Config{TailBytes: 1, RetainInterval: 10 * time.Millisecond}})
			board := srv.createBoard(t)
			writer := srv.connect(t)
			epoch := writer.join(board, nil).GetPosition().GetEpoch()
			object := newID()
			writer.mustAck(create(board, object))
			for range frames - 1 { // far more than the transport and a chunk take
				writer.mustAck(custom(board, 60<<10))
			}
			writer.heard(board, frames)
			// join resumes after a seq, and reads up to the answer.
			join := func(conn *grpc.ClientConn, seq uint64) (*deaf, []*collaboardv1.Frame) {
				stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(ctx)
				if err != nil {
					t.Fatal(err)
				}
				d, again := &deaf{t: t, stream: stream}, resume(board, epoch, seq)
				d.send(again)
				return d, d.until(answered(again))
			}
			connect := func() *grpc.ClientConn {
				conn, err := grpc.NewClient(srv.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
				if err != nil {
					t.Fatal(err)
				}
				return conn
			}
			before := takeCensus()

			var conns []*grpc.ClientConn
			var lag []*deaf
			for range members {
				conn := connect()
				d, _ := join(conn, 0)
				conns, lag = append(conns, conn), append(lag, d)
			}
			srv.trim(t, board, "6", first)
			for i, d := range lag {
				at := uint64(0)
				for {
					f, err := d.stream.Recv()
					if err != nil {
						if status.Code(err) != codes.Unavailable {
							t.Errorf("the stream ended with %v", err)
						}
						break
					}
					if f.GetSeq() > 0 {
						if at++; f.GetSeq() != at {
							t.Fatalf("seq %d where %d should be", f.GetSeq(), at)
						}
					}
				}
				if at >= first-1 {
					t.Fatalf("read up to %d: the log was not trimmed under this member", at)
				}
				again, answer := join(conns[i], at)
				joined := answer[len(answer)-1].GetBoardJoined()
				if joined.GetMode() != collaboardv1.Mode_MODE_SNAPSHOT || joined.GetPosition().GetSeq() != uint64(frames+i) ||
					joined.GetReason() != collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED {
					t.Errorf("resumed after %d: %v", at, joined)
				}
				objects := 0
				for _, f := range answer {
					objects += len(f.GetBoardSnapshot().GetObjects())
				}
				if objects != 1 {
					t.Errorf("%d objects in the snapshot", objects)
				}
				seq := writer.mustAck(chat(board, "goes on"))
				again.until(func(f *collaboardv1.Frame) bool { return f.GetSeq() == seq })
				_ = conns[i].Close()
			}
			for i := range 2 * members {
				n := 0
				writer.find("who left", func(f *collaboardv1.Frame) bool {
					if f.GetMemberLeft() != nil {
						n++
					}
					return n > i
				})
			}
			wantAsBefore(t, before)
			if joined := srv.connect(t).join(board, nil); len(joined.GetMembers()) != 2 {
				t.Errorf("members %v", joined.GetMembers())
			}
		})
	}
}
