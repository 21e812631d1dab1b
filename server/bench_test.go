package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// windowFrames is how many frames a stream may have in flight.
const windowFrames = 256

// An iteration is a durable frame of 200 bytes, from a client's send to its ack: grpc, the interceptors, the session, the
// codec, the committer and the board; nothing is stored. The client is in the process, and does as little as it can: it
// sends what was encoded beforehand, and looks at no more of what comes than it must.
func BenchmarkAck(b *testing.B) {
	for _, network := range []string{"memory", "loopback"} {
		for _, member := range []bool{false, true} {
			for _, inFlight := range []int{1, windowFrames} {
				b.Run(fmt.Sprintf("%s/member=%t/in-flight=%d", network, member, inFlight), func(b *testing.B) {
					s := newBenchServer(b, network)
					c := s.connect(b)
					if member {
						c.join(b)
					}
					window := make(chan struct{}, inFlight)
					go c.receive(func(frame head) {
						if frame.status == collaboardv1.Status_STATUS_DONE {
							<-window
						}
					})
					request := newEncodedChat(b, s.board)
					b.ReportAllocs()
					for b.Loop() {
						window <- struct{}{}
						c.send(b, request.next())
					}
					for range inFlight { // all are acked
						window <- struct{}{}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
				})
			}
		}
	}
}

// An iteration is a frame from a client's send until every member of its board has it, each on a connection of its own;
// 256 are under way.
func BenchmarkFanOut(b *testing.B) {
	for _, members := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("loopback/members=%d", members), func(b *testing.B) {
			s := newBenchServer(b, "loopback")
			window := make(chan struct{}, windowFrames)
			var delivered [windowFrames]atomic.Int32 // of the frame at a seq; there is none before that is not delivered
			for range members {
				m := s.connect(b)
				m.join(b)
				go m.receive(func(frame head) {
					if frame.seq == 0 {
						return
					}
					if n := &delivered[frame.seq%windowFrames]; n.Add(1) == int32(members) {
						n.Store(0)
						<-window
					}
				})
			}
			c := s.connect(b)
			go c.receive(func(head) {})
			request := newEncodedChat(b, s.board)
			b.ReportAllocs()
			for b.Loop() {
				window <- struct{}{}
				c.send(b, request.next())
			}
			for range windowFrames {
				window <- struct{}{}
			}
			b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// benchServer is a server over a store that stores nothing, with one board.
type benchServer struct {
	addr   string
	dialer []grpc.DialOption
	board  string
}

func newBenchServer(b *testing.B, network string) *benchServer {
	b.Helper()
	s := &benchServer{}
	var lis net.Listener
	if network == "memory" {
		inside := bufconn.Listen(1 << 20)
		lis, s.addr = inside, "passthrough:///bufconn"
		s.dialer = append(s.dialer, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return inside.DialContext(ctx) }))
	} else {
		var err error
		if lis, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			b.Fatal(err)
		}
		s.addr = lis.Addr().String()
	}
	store := &idleStore{board: persistence.Board{ID: persistence.BoardID(uuid.New()), Epoch: persistence.Epoch(uuid.New()), Name: "b", First: 1}}
	s.board = store.board.ID.String()
	// Nobody else writes, and the log cannot be read: a poll would find a head that is not published yet.
	srv, err := server.New(store, slog.New(slog.DiscardHandler), server.Config{Room: room.Config{PollInterval: time.Hour}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, lis) }()
	b.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return s
}

// idleStore keeps nothing but the head of its one board.
type idleStore struct {
	persistence.Store

	mu    sync.Mutex
	board persistence.Board
}

func (s *idleStore) Boards(context.Context, ...persistence.BoardID) ([]persistence.Board, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []persistence.Board{s.board}, nil
}

func (s *idleStore) Append(_ context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	extensions, err := decide([]persistence.Locked{{Board: claims[0].Board, Exists: true, Epoch: s.board.Epoch, Head: s.board.Head}})
	for _, e := range extensions {
		s.board.Head += persistence.Seq(len(e.Records))
	}
	return err
}

func (s *idleStore) Read(context.Context, persistence.ReadParams) ([]persistence.Record, error) {
	return nil, errors.New("a member has fallen behind the tail")
}

// benchClient is a stream on a connection of its own.
type benchClient struct {
	board  string
	stream grpc.ClientStream
}

func (s *benchServer) connect(b *testing.B) *benchClient {
	b.Helper()
	conn, err := grpc.NewClient(s.addr, append(s.dialer, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(func() {
		cancel()
		_ = conn.Close()
	})
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		collaboardv1.CollaborationService_Collaborate_FullMethodName, grpc.ForceCodecV2(headCodec{}))
	if err != nil {
		b.Fatal(err)
	}
	return &benchClient{board: s.board, stream: stream}
}

// join returns when the client is a member.
func (c *benchClient) join(b *testing.B) {
	b.Helper()
	request, err := proto.Marshal(&collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: c.board, Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: &collaboardv1.BoardJoin{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	c.send(b, request)
	for {
		var frame head
		if err := c.stream.RecvMsg(&frame); err != nil {
			b.Fatal(err)
		}
		if frame.status == collaboardv1.Status_STATUS_DONE {
			return
		}
	}
}

func (c *benchClient) send(b *testing.B, frame []byte) {
	b.Helper()
	if err := c.stream.SendMsg(frame); err != nil {
		b.Fatal(err)
	}
}

// receive ends with the benchmark, which would wait for ever if it ended before, or if a frame was refused.
func (c *benchClient) receive(got func(head)) {
	for {
		var frame head
		switch err := c.stream.RecvMsg(&frame); {
		case status.Code(err) == codes.Canceled:
			return
		case err != nil:
			panic(err)
		case frame.status == collaboardv1.Status_STATUS_ERROR:
			panic("a frame was refused")
		}
		got(frame)
	}
}

// encodedChat is a frame that was encoded once, to be sent many times, each time under another id.
type encodedChat struct {
	encoded []byte
	id      int // where in encoded the id stands
}

func newEncodedChat(b *testing.B, board string) *encodedChat {
	b.Helper()
	frame := chat(board, strings.Repeat("x", 200))
	encoded, err := proto.Marshal(frame)
	if err != nil {
		b.Fatal(err)
	}
	return &encodedChat{encoded: encoded, id: strings.Index(string(encoded), frame.GetId())}
}

// next counts in the last digits of the id.
func (t *encodedChat) next() []byte {
	const digits = "0123456789abcdef"
	t.encoded = append([]byte(nil), t.encoded...) // grpc may still be sending the last
	for i := t.id + 35; ; i-- {
		n := strings.IndexByte(digits, t.encoded[i]) + 1
		t.encoded[i] = digits[n%16]
		if n < 16 {
			return t.encoded
		}
	}
}

// head is what a client must know of a frame.
type head struct {
	seq    uint64
	status collaboardv1.Status
}

// headCodec sends encoded frames, and decodes no more of one than its head.
type headCodec struct{}

func (headCodec) Name() string { return "proto" }

func (headCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (headCodec) Unmarshal(data mem.BufferSlice, v any) error {
	const fieldSeq, fieldStatus = 4, 7
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	frame := v.(*head)
	for b := buf.ReadOnlyData(); len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind == protowire.VarintType {
			value, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			switch field {
			case fieldSeq:
				frame.seq = value
			case fieldStatus:
				frame.status = collaboardv1.Status(value)
			default:
			}
		}
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}
