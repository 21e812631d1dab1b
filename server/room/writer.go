package room

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// Writer makes the records of a log, one behind the other. It is for one goroutine.
type Writer struct {
	state *board.Board
	head  head // of the frame at the state's seq
}

// NewWriter returns a writer of an empty log.
func NewWriter() *Writer { return &Writer{state: board.New()} }

// Seq is that of the last record.
func (w *Writer) Seq() persistence.Seq { return persistence.Seq(w.state.Seq()) }

// Objects is how many objects are on the board.
func (w *Writer) Objects() uint64 { return uint64(w.state.Len()) }

// Import makes a record of an EVENT that is from elsewhere, with its id, seq, time and sender. It fails with a *board.Error
// where a server could not have made it of some request, on this board and behind its last frame.
func (w *Writer) Import(event *collaboardv1.Frame) (persistence.Record, error) {
	at := event.GetTime().AsTime()
	if at.Before(w.head.time) || !at.Equal(at.Truncate(time.Microsecond)) {
		const rule = "must be in microseconds, and not before that of the frame before"
		return persistence.Record{}, &board.Error{
			Code: collaboardv1.ErrorCode_INVALID_FRAME, Message: "time: " + rule,
			Violations: []*collaboardv1.FieldViolation{{Field: "time", Description: rule}},
		}
	}
	event.Chain = nil
	if err := w.state.Import(event); err != nil {
		return persistence.Record{}, err
	}
	id, err := persistence.ParseFrameID(event.GetId())
	if err != nil {
		return persistence.Record{}, err
	}
	return w.record(event, id, at)
}

// record moves the head.
func (w *Writer) record(event *collaboardv1.Frame, id persistence.FrameID, at time.Time) (persistence.Record, error) {
	body, err := encodeStored(event) // the one encoding: stored, broadcast and replayed
	if err != nil {
		return persistence.Record{}, fmt.Errorf("encode frame %s: %w", id, err)
	}
	w.head = head{frame: id, time: at, chain: w.head.chain.Next(body)}
	return persistence.Record{
		Seq: persistence.Seq(event.GetSeq()), ID: id, Time: at, Sender: event.GetFrom(), Kind: persistence.KindOf(event),
		Body: w.head.chain.AppendTo(body),
	}, nil
}

// encodeStored leaves room for the chain.
func encodeStored(event *collaboardv1.Frame) ([]byte, error) {
	size := proto.Size(event)
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(make([]byte, 0, size+board.ChainBytes), event)
}
