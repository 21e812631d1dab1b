package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

const (
	readLogFrames = 1024
	readLogBytes  = 1 << 20
	// readLogScan is how many frames one read looks through, so that it is short even where a filter lets nothing pass.
	readLogScan = 4096
)

// objectKinds are those of the frames that change objects.
//
//nolint:gochecknoglobals // never written
var objectKinds = []persistence.Kind{
	persistence.KindNamed("object_create"), persistence.KindNamed("object_update"),
	persistence.KindNamed("object_delete"), persistence.KindNamed("object_batch"),
}

// ReadLog streams frames of a log, as they are stored: those that were in it when it was called.
func (b *boardService) ReadLog(req *collaboardv1.ReadLogRequest, stream grpc.ServerStreamingServer[collaboardv1.Frame]) error {
	if err := validate(b.validator, req); err != nil {
		return err
	}
	id, err := parseBoardID("board_id", req.GetBoardId())
	if err != nil {
		return err
	}
	after, before, err := b.logRange(stream.Context(), id, req)
	if err != nil {
		return err
	}
	p := readParams(id, req)
	for left := req.GetLimit(); after+1 < before; {
		p.After, p.Before, p.Limit = after, before, readLogFrames
		if p.Backward {
			p.After = max(after, before-min(before, readLogScan+1))
		} else {
			p.Before = min(before, after+readLogScan+1)
		}
		if left > 0 {
			p.Limit = int(min(left, readLogFrames))
		}
		records, err := b.store.Read(stream.Context(), p)
		if err != nil {
			return err
		}
		switch n := len(records); { // how far that was
		case n > 0 && p.Backward:
			before = records[n-1].Seq
		case n > 0:
			after = records[n-1].Seq
		case p.Backward:
			before = p.After + 1
		default:
			after = p.Before - 1
		}
		if records, err = changing(records, string(p.Containing)); err != nil {
			return err
		}
		for i := range records {
			if err := stream.SendMsg(&records[i]); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
	}
	return nil
}

// readParams are what a log is asked for, but for the range. What must change an object has its id in it, too: as it is in
// the log, in lower case.
func readParams(id persistence.BoardID, req *collaboardv1.ReadLogRequest) persistence.ReadParams {
	p := persistence.ReadParams{
		Board: id, MaxBytes: readLogBytes, Sender: req.GetSender(), Containing: []byte(strings.ToLower(req.GetObjectId())),
	}
	_, p.Backward = req.GetFrom().(*collaboardv1.ReadLogRequest_BeforeSeq)
	for _, name := range req.GetKinds() {
		p.Kinds = append(p.Kinds, persistence.KindNamed(name))
	}
	if req.GetObjectId() == "" {
		return p
	}
	if len(p.Kinds) == 0 {
		p.Kinds = objectKinds
		return p
	}
	p.Kinds = slices.DeleteFunc(p.Kinds, func(k persistence.Kind) bool { return !slices.Contains(objectKinds, k) })
	if len(p.Kinds) == 0 {
		p.Kinds = []persistence.Kind{0} // no frame is of it
	}
	return p
}

// logRange is the part of the log that is asked for: what comes after one frame, and before another. None of it is beyond
// the head.
func (b *boardService) logRange(
	ctx context.Context, id persistence.BoardID, req *collaboardv1.ReadLogRequest,
) (after, before persistence.Seq, err error) {
	from, to := req.GetFromTime(), req.GetToTime()
	for field, t := range map[string]*timestamppb.Timestamp{"from_time": from, "to_time": to} {
		if t != nil && !t.IsValid() {
			return 0, 0, invalid(field, "must be a time of the years 1 to 9999")
		}
	}
	if from != nil && to != nil && !from.AsTime().Before(to.AsTime()) {
		return 0, 0, invalid("to_time", "must be later than from_time")
	}
	meta, err := b.board(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	after = min(persistence.Seq(req.GetAfterSeq()), meta.Head)
	before = meta.Head + 1
	if seq := persistence.Seq(req.GetBeforeSeq()); seq > 0 {
		before = min(before, seq)
	}
	if from != nil {
		seq, err := b.hub.SeqAt(ctx, meta, from.AsTime().Add(-time.Nanosecond))
		if err != nil {
			return 0, 0, err
		}
		after = max(after, seq)
	}
	if to != nil {
		seq, err := b.hub.SeqAt(ctx, meta, to.AsTime().Add(-time.Nanosecond))
		if err != nil {
			return 0, 0, err
		}
		before = min(before, seq+1)
	}
	if _, backward := req.GetFrom().(*collaboardv1.ReadLogRequest_BeforeSeq); !backward && after+1 < meta.First {
		return 0, 0, &persistence.TrimmedError{Board: id, First: meta.First}
	}
	return after, before, nil
}

// changing returns those of the records that create, update or delete an object; all where its id is empty. The bytes of a
// record may have the id in them for other reasons, too.
func changing(records []persistence.Record, id string) ([]persistence.Record, error) {
	if id == "" {
		return records, nil
	}
	var found []persistence.Record
	for i := range records {
		frame := &collaboardv1.Frame{}
		if err := proto.Unmarshal(records[i].Body, frame); err != nil {
			return nil, fmt.Errorf("decode frame at seq %d: %w", records[i].Seq, err)
		}
		if changesObject(frame, id) {
			found = append(found, records[i])
		}
	}
	return found, nil
}

func changesObject(f *collaboardv1.Frame, id string) bool {
	if f.GetObjectCreate().GetObject().GetId() == id || f.GetObjectUpdate().GetId() == id || f.GetObjectDelete().GetId() == id {
		return true
	}
	return slices.ContainsFunc(f.GetObjectBatch().GetOps(), func(op *collaboardv1.ObjectOp) bool {
		return op.GetCreate().GetObject().GetId() == id || op.GetUpdate().GetId() == id || op.GetDelete().GetId() == id
	})
}
