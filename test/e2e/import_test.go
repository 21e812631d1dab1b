package e2e_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// TestKilledInTheMiddleOfAnImport: nobody sees any of the board then, and the store is whole.
func TestKilledInTheMiddleOfAnImport(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store string) {
		srv := start(t, "127.0.0.1:0", store)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		boards := collaboardv1.NewBoardServiceClient(dial(t, srv.addr))
		stream, err := boards.ImportBoard(ctx)
		if err != nil {
			t.Fatal(err)
		}
		send := func(part *collaboardv1.ImportBoardRequest) {
			t.Helper()
			if err := stream.Send(part); err != nil {
				t.Fatal(err)
			}
		}
		send(&collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Begin{Begin: &collaboardv1.ImportBegin{Name: "half"}}})
		// Far more than the windows of a connection and one piece: most of it must have been taken in for the rest to be sent.
		for seq := uint64(1); seq <= 60; seq++ {
			send(&collaboardv1.ImportBoardRequest{Part: &collaboardv1.ImportBoardRequest_Frame{Frame: &collaboardv1.Frame{
				Id: uuid.NewString(), Seq: seq, Time: timestamppb.New(time.Unix(1e9, 0)), From: "ada", Status: collaboardv1.Status_STATUS_EVENT,
				Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "t", Data: make([]byte, 200<<10)}},
			}}})
		}
		srv.kill()

		start(t, srv.addr, store)
		list, err := boards.ListBoards(ctx, &collaboardv1.ListBoardsRequest{}, grpc.WaitForReady(true))
		if err != nil || len(list.GetBoards()) > 0 {
			t.Errorf("boards: %v, %v", list, err)
		}
		out, err := exec.CommandContext(ctx, binary, "verify", "--store", store, "--json").Output()
		var found struct {
			Summary struct{ Boards, Deleted, Frames, Findings int }
		}
		if json.Unmarshal(out, &found) != nil || err != nil ||
			found.Summary.Boards != 1 || found.Summary.Deleted != 1 || found.Summary.Frames < 5 || found.Summary.Findings > 0 {
			t.Errorf("verify: %v\n%s", err, out)
		}
	})
}
