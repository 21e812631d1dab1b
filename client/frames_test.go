package client_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// scriptedLog is a BoardService whose reads go as a test says: the n-th call answers with the n-th fault, nil for none;
// after the last all is well.
type scriptedLog struct {
	collaboardv1.UnimplementedBoardServiceServer

	faults []func(*collaboardv1.ReadLogRequest, grpc.ServerStreamingServer[collaboardv1.Frame]) error
	epoch  string // of the board by now
	reads  atomic.Int32
}

func (l *scriptedLog) ReadLog(req *collaboardv1.ReadLogRequest, stream grpc.ServerStreamingServer[collaboardv1.Frame]) error {
	if n := int(l.reads.Add(1)); n <= len(l.faults) {
		return l.faults[n-1](req, stream)
	}
	for i := range req.GetLimit() {
		if err := stream.Send(bulky(req.GetAfterSeq() + i + 1)); err != nil {
			return err
		}
	}
	return nil
}

func (l *scriptedLog) GetBoard(context.Context, *collaboardv1.GetBoardRequest) (*collaboardv1.Board, error) {
	return &collaboardv1.Board{Id: someBoard, Epoch: l.epoch}, nil
}

// bulky is an event of which a client keeps only the newest few in memory.
func bulky(seq uint64) *collaboardv1.Frame {
	f := large(128 << 10)
	f.Id, f.BoardId, f.Seq, f.Status = someID, someBoard, seq, collaboardv1.Status_STATUS_EVENT
	return f
}

// A reader who has fallen behind what is in memory reads the server's log, and believes it as little as the stream.
func TestReadingBackWhatIsNotInMemory(t *testing.T) {
	t.Parallel()
	type read = func(*collaboardv1.ReadLogRequest, grpc.ServerStreamingServer[collaboardv1.Frame]) error
	const head = 40
	fail := func(code codes.Code) read {
		return func(*collaboardv1.ReadLogRequest, grpc.ServerStreamingServer[collaboardv1.Frame]) error {
			return status.Error(code, "injected")
		}
	}
	gap := func(req *collaboardv1.ReadLogRequest, stream grpc.ServerStreamingServer[collaboardv1.Frame]) error {
		return stream.Send(bulky(req.GetAfterSeq() + 2))
	}
	empty := func(*collaboardv1.ReadLogRequest, grpc.ServerStreamingServer[collaboardv1.Frame]) error { return nil }
	for name, tt := range map[string]struct {
		log    *scriptedLog
		resync func(*client.ResyncError) bool
		end    func(error) bool
	}{
		"all is well": {log: &scriptedLog{}},
		"unavailable": {log: &scriptedLog{faults: []read{fail(codes.Unavailable), fail(codes.Internal)}}},
		"a gap":       {log: &scriptedLog{faults: []read{gap}}},
		"nothing":     {log: &scriptedLog{faults: []read{empty}}},
		"trimmed": {
			log: &scriptedLog{faults: []read{fail(codes.OutOfRange)}},
			resync: func(e *client.ResyncError) bool {
				return e.Reason == collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED && e.From.Seq == 0 && e.To.Seq == head
			},
		},
		"another epoch": {
			log: &scriptedLog{epoch: otherEpoch},
			resync: func(e *client.ResyncError) bool {
				return e.From.Epoch == someEpoch && e.To == client.Position{Epoch: otherEpoch, Seq: 3}
			},
		},
		"a gap for ever": {
			log: &scriptedLog{faults: []read{gap, gap, gap, gap, gap, gap, gap, gap}},
			resync: func(e *client.ResyncError) bool {
				desync, ok := errors.AsType[*client.DesyncError](e)
				return ok && desync.Kind == client.DesyncGap && e.To.Seq == head+1
			},
		},
		"deleted": {
			log: &scriptedLog{faults: []read{fail(codes.NotFound)}},
			end: func(err error) bool { return client.Code(err) == collaboardv1.ErrorCode_BOARD_NOT_FOUND },
		},
		"forbidden": {
			log: &scriptedLog{faults: []read{fail(codes.PermissionDenied)}},
			end: func(err error) bool { return status.Code(err) == codes.PermissionDenied },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.log.epoch == "" {
				tt.log.epoch = someEpoch
			}
			addr := startScripts(t, func(c *conversation) error {
				c.welcome()
				join, err := c.expectJoin()
				if err != nil {
					return err
				}
				c.resume(join, client.Position{Epoch: someEpoch})
				for seq := uint64(1); seq <= head; seq++ {
					c.send(bulky(seq))
				}
				f, err := c.expect(isDurable)
				if err != nil {
					return err
				}
				c.send(acked(f, client.Position{Epoch: someEpoch, Seq: head}))
				for {
					if join, err = c.expectJoin(); err != nil {
						return err
					}
					switch {
					case join.GetBoardJoin().GetPosition() == nil:
						c.snapshot(join, client.Position{Epoch: someEpoch, Seq: head + 1})
					case tt.log.epoch != someEpoch:
						c.snapshot(join, client.Position{Epoch: otherEpoch, Seq: 3})
					default:
						c.resume(join, client.Position{Epoch: someEpoch, Seq: head})
					}
				}
			}, tt.log)
			c := dial(t, addr)
			b := join(t, c, someBoard, client.From(client.Position{}))
			wait(t, submit(t, c, someBoard, chat("x"))) // all of the log was received
			if tt.resync == nil && tt.end == nil {
				readFrames(t, b, 0, head)
				return
			}
			for f, err := range b.Frames(testContext(t)) {
				resync, ok := errors.AsType[*client.ResyncError](err)
				switch {
				case ok && tt.resync != nil:
					if !tt.resync(resync) {
						t.Errorf("resync: %v", err)
					}
				case tt.end != nil && err != nil && tt.end(err):
				default:
					t.Errorf("%v, %v", f.GetSeq(), err)
				}
				break
			}
		})
	}
}
