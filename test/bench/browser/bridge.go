package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// bridge is a call of Collaborate over a WebSocket: the client to compare with. It does what the SDK does on the wire, and
// no more: it sends the same frames, is a member of the board, and decodes every frame that it gets.
type bridge struct {
	conn  net.Conn
	in    *bufio.Reader
	board string
	data  []byte
	last  string // the id of the newest frame sent
	seq   uint64 // of the last event of the log
}

func runBridge(ctx context.Context, t task) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, err := openBridge(ctx, t)
	if err != nil {
		return result{}, err
	}
	defer b.conn.Close()
	count := newCounter(t)
	switch t.Measure {
	case "pingpong":
		err = b.write(count, 1)
	case "pipelined":
		err = b.write(count, t.Window)
	case "receive":
		err = b.receive(count)
	}
	return count.result(), err
}

func openBridge(ctx context.Context, t task) (*bridge, error) {
	ws, _, err := websocket.Dial(ctx, t.URL+collaboardv1.CollaborationService_Collaborate_FullMethodName, &websocket.DialOptions{ //nolint:bodyclose // it has none
		Subprotocols: []string{"grpc-websockets"}, HTTPHeader: map[string][]string{"Origin": {t.URL}},
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	b := &bridge{conn: websocket.NetConn(ctx, ws, websocket.MessageBinary), board: t.Board, data: make([]byte, t.Payload)}
	b.in = bufio.NewReaderSize(b.conn, 64<<10)
	if _, err := b.conn.Write([]byte("content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\nuser-id: bench\r\n")); err != nil {
		return nil, err
	}
	join := uuid.NewString()
	if err := b.send(&collaboardv1.Frame{
		Id: join, BoardId: t.Board, Status: collaboardv1.Status_STATUS_REQUEST,
		Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
	}); err != nil {
		return nil, err
	}
	for {
		frame, err := b.next()
		if err != nil {
			return nil, err
		}
		if joined := frame.GetBoardJoined(); joined != nil && frame.GetParentId() == join {
			b.seq = joined.GetPosition().GetSeq()
			return b, nil
		}
	}
}

// write keeps so many frames in flight until the end, and counts the acks. They come in the order of the frames.
func (b *bridge) write(count *counter, window int) error {
	type sent struct {
		id string
		at time.Time
	}
	var flight []sent
	for {
		for len(flight) < window && !count.over() {
			if len(flight) == 0 {
				b.last = ""
			}
			at := time.Now()
			if err := b.submit(); err != nil {
				return err
			}
			flight = append(flight, sent{b.last, at})
		}
		if len(flight) == 0 {
			return nil
		}
		frame, err := b.next()
		if err != nil {
			return err
		}
		switch frame.GetStatus() {
		case collaboardv1.Status_STATUS_DONE:
			if frame.GetAck() == nil || frame.GetParentId() != flight[0].id {
				return errors.New("the server did not answer in the order of the requests")
			}
			count.add(flight[0].at)
			flight = flight[1:]
		case collaboardv1.Status_STATUS_ERROR:
			return errors.New(frame.GetError().GetMessage())
		default: // what happens on the board
		}
	}
}

func (b *bridge) receive(count *counter) error {
	for !count.over() {
		frame, err := b.next()
		if err != nil {
			return err
		}
		if frame.GetSeq() > 0 {
			count.add(time.Time{})
		}
	}
	return nil
}

func (b *bridge) submit() error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	frame := &collaboardv1.Frame{
		Id: id.String(), BoardId: b.board, Status: collaboardv1.Status_STATUS_REQUEST, AfterId: b.last,
		Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "bench", Data: b.data}},
	}
	b.last = frame.GetId()
	return b.send(frame)
}

func (b *bridge) send(frame *collaboardv1.Frame) error {
	buf := make([]byte, 6, 6+512) // a message, with no flags
	buf, err := proto.MarshalOptions{}.MarshalAppend(buf, frame)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(buf[2:], uint32(len(buf)-6))
	_, err = b.conn.Write(buf)
	return err
}

// next returns the next frame, and sees to it that the board's log has no gaps.
func (b *bridge) next() (*collaboardv1.Frame, error) {
	for {
		var prefix [5]byte
		if _, err := io.ReadFull(b.in, prefix[:]); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(prefix[1:]))
		if _, err := io.ReadFull(b.in, body); err != nil {
			return nil, err
		}
		if prefix[0] != 0 { // headers, or the end, which an error follows
			continue
		}
		frame := new(collaboardv1.Frame)
		if err := proto.Unmarshal(body, frame); err != nil {
			return nil, err
		}
		if frame.GetStatus() == collaboardv1.Status_STATUS_EVENT && frame.GetSeq() > 0 {
			b.seq++
			if frame.GetSeq() != b.seq {
				return nil, fmt.Errorf("seq %d where %d was due", frame.GetSeq(), b.seq)
			}
		}
		return frame, nil
	}
}

// counter counts what happens in the measured period.
type counter struct {
	from, until time.Time
	n           int
	latencies   []float64 // ms
}

func newCounter(t task) *counter {
	from := time.Now().Add(time.Duration(t.WarmUp) * time.Millisecond)
	return &counter{from: from, until: from.Add(time.Duration(t.Duration) * time.Millisecond)}
}

func (c *counter) over() bool { return !time.Now().Before(c.until) }

// add counts one, with the time since it was begun if that is not zero.
func (c *counter) add(begun time.Time) {
	now := time.Now()
	if now.Before(c.from) || !now.Before(c.until) {
		return
	}
	c.n++
	if !begun.IsZero() {
		c.latencies = append(c.latencies, float64(now.Sub(begun).Nanoseconds())/1e6)
	}
}

func (c *counter) result() result {
	r := result{PerSecond: float64(c.n) / c.until.Sub(c.from).Seconds()}
	if slices.Sort(c.latencies); len(c.latencies) > 0 {
		r.P50, r.P99 = c.latencies[len(c.latencies)/2], c.latencies[len(c.latencies)*99/100]
	}
	return r
}
