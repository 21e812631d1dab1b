package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
)

// past is a long random log, written past the server, and what it was on its way.
type past struct {
	board   string
	log     []*collaboardv1.Frame
	states  map[uint64][]byte // as board.Board.Snapshot, at some seqs
	objects []string
}

var pastSenders = []string{"ada", "bob", "eve"}

// anyPast writes frames whose times are often the same, and sometimes far apart. Objects are few, and their ids are also
// where they say nothing.
func anyPast(t *testing.T, store persistence.Store, rng *rand.Rand, frames int) *past {
	t.Helper()
	id := mustBoardID(t, newID())
	epoch := mustBoardID(t, newID())
	if err := store.CreateBoard(t.Context(), persistence.Board{ID: id, Epoch: persistence.Epoch(epoch), Name: "past", First: 1}); err != nil {
		t.Fatal(err)
	}
	p := &past{board: id.String(), states: map[uint64][]byte{0: board.New().Snapshot(), uint64(frames): nil}}
	for len(p.states) < 40 {
		p.states[rng.Uint64N(uint64(frames))+1] = nil
	}
	state, at := board.New(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var records []persistence.Record
	for len(p.log) < frames {
		if rng.IntN(3) > 0 {
			at = at.Add(time.Duration(rng.IntN(1+rng.IntN(5000))) * time.Microsecond)
		}
		seq, sender := state.Seq()+1, pastSenders[rng.IntN(2)]
		if seq == 4097 || seq == 4904 {
			sender = "eve" // see TestFilterThatFindsNothingIsShort
		}
		req := p.anyRequest(rng)
		event, err := state.Decide(req, board.Stamp{Seq: seq, Time: at, From: sender})
		if err != nil {
			continue // of an object that was deleted
		}
		body, err := proto.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		state.Apply(event)
		if _, wanted := p.states[seq]; wanted {
			p.states[seq] = state.Snapshot()
		}
		p.log = append(p.log, event)
		frame, err := persistence.ParseFrameID(event.GetId())
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, persistence.Record{
			Seq: persistence.Seq(seq), ID: frame, Time: at, Sender: sender, Kind: persistence.KindOf(event), Body: body,
		})
		if len(records) == 2000 || len(p.log) == frames {
			err := store.Append(t.Context(), []persistence.Claim{{Board: id, Applied: 1 << 40}},
				func([]persistence.Locked) ([]persistence.Extension, error) {
					return []persistence.Extension{{Board: id, Records: records, Objects: uint64(state.Len())}}, nil
				})
			if err != nil {
				t.Fatal(err)
			}
			records = nil
		}
	}
	return p
}

func (p *past) anyRequest(rng *rand.Rand) *collaboardv1.Frame {
	if len(p.objects) == 0 || rng.IntN(100) == 0 {
		p.objects = append(p.objects, newID())
		return create(p.board, p.objects[len(p.objects)-1])
	}
	object := p.objects[rng.IntN(len(p.objects))]
	switch n := rng.IntN(100); {
	case n == 0:
		return deleteOf(p.board, object)
	case n == 1:
		return chat(p.board, "look at "+object)
	case n == 2:
		f := custom(p.board, 10)
		f.GetCustom().Data = []byte(object)
		return f
	case n == 3:
		f := move(p.board, p.objects[rng.IntN(len(p.objects))], 1)
		f.GetObjectUpdate().GroupId = &object // touches another, which has this one's id in it
		return f
	case n < 10:
		batch := &collaboardv1.ObjectBatch{}
		for range 1 + rng.IntN(3) {
			batch.Ops = append(batch.Ops, &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{
				Update: &collaboardv1.ObjectUpdate{Id: p.objects[rng.IntN(len(p.objects))], Y: proto.Float64(rng.Float64())},
			}})
		}
		return &collaboardv1.Frame{Id: newID(), BoardId: p.board, Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: batch}}
	default:
		return move(p.board, object, rng.Float64())
	}
}

// seqAt is the seq of the last frame that is not later.
func (p *past) seqAt(at time.Time) uint64 {
	seq := uint64(0)
	for _, f := range p.log {
		if f.GetTime().AsTime().After(at) {
			break
		}
		seq = f.GetSeq()
	}
	return seq
}

// TestAnyMomentOfABoard asks for the states that a board has had, by seq and by time, in any order: at first there are no
// keyframes at all. Then the log is trimmed, and what is left has the same states.
func TestAnyMomentOfABoard(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const frames, kept = 100_000, 30_000
		store := open(t)
		p := anyPast(t, store, rand.New(rand.NewPCG(1, 2)), frames)
		srv := serve(t, store, server.Config{Room: room.Config{SnapshotFrames: 700, RetainInterval: 10 * time.Millisecond}})
		for seq, want := range p.states { // in no particular order
			if seq > 0 && !bytes.Equal(srv.stateAt(t, &collaboardv1.GetSnapshotRequest{BoardId: p.board, AtSeq: seq}, seq), want) {
				t.Errorf("the state at %d is not the fold of the log", seq)
			}
			// A time of which this is the last frame, where there is one.
			at := p.log[0].GetTime().AsTime().Add(-time.Microsecond)
			if seq > 0 {
				at = p.log[seq-1].GetTime().AsTime()
			}
			if last := p.seqAt(at); last != seq {
				if seq = last; p.states[seq] == nil {
					continue
				}
			}
			for _, later := range []time.Duration{0, 999} { // times have microseconds
				got := srv.stateAt(t, &collaboardv1.GetSnapshotRequest{BoardId: p.board, AtTime: timestamppb.New(at.Add(later))}, seq)
				if !bytes.Equal(got, p.states[seq]) {
					t.Errorf("the state at %v, %d, is not the fold of the log", at, seq)
				}
			}
		}
		end := srv.stateAt(t, &collaboardv1.GetSnapshotRequest{BoardId: p.board, AtTime: timestamppb.New(time.Now().AddDate(1000, 0, 0))}, frames)
		if !bytes.Equal(end, p.states[frames]) {
			t.Error("the state at the end of time is not that at the head")
		}
		const first = frames - kept + 1
		srv.trim(t, p.board, strconv.Itoa(kept), first)
		for seq, want := range p.states {
			if seq < first {
				if _, err := srv.snapshot(t, p.board, max(seq, 1)); status.Code(err) != codes.OutOfRange {
					t.Errorf("the state at %d, before the log: %v", seq, err)
				}
				continue
			}
			if !bytes.Equal(srv.stateAt(t, &collaboardv1.GetSnapshotRequest{BoardId: p.board, AtSeq: seq}, seq), want) {
				t.Errorf("the state at %d of the trimmed log is not the fold of the whole", seq)
			}
		}
	})
}

// stateAt reads a board as of seq, which the answer must have.
func (r *running) stateAt(t *testing.T, req *collaboardv1.GetSnapshotRequest, seq uint64) []byte {
	t.Helper()
	stream, err := r.boards.GetSnapshot(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	state := board.New()
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if state.Seq() != seq {
				t.Errorf("%v: the state at %d, want %d", req, state.Seq(), seq)
			}
			return state.Snapshot()
		}
		if err != nil {
			t.Fatal(err)
		}
		state.Load(chunk)
	}
}

// touches is what object_id of ReadLogRequest means.
func touches(f *collaboardv1.Frame, object string) bool {
	ids := []string{f.GetObjectCreate().GetObject().GetId(), f.GetObjectUpdate().GetId(), f.GetObjectDelete().GetId()}
	for _, op := range f.GetObjectBatch().GetOps() {
		ids = append(ids, op.GetCreate().GetObject().GetId(), op.GetUpdate().GetId(), op.GetDelete().GetId())
	}
	return slices.Contains(ids, object)
}

// read is what ReadLog means.
func (p *past) read(req *collaboardv1.ReadLogRequest) (seqs []uint64) {
	log := slices.Clone(p.log)
	_, backward := req.GetFrom().(*collaboardv1.ReadLogRequest_BeforeSeq)
	if backward {
		slices.Reverse(log)
	}
	for _, f := range log {
		kind := string(f.ProtoReflect().WhichOneof(f.ProtoReflect().Descriptor().Oneofs().ByName("payload")).Name())
		switch at := f.GetTime().AsTime(); {
		case f.GetSeq() <= req.GetAfterSeq(), req.GetBeforeSeq() > 0 && f.GetSeq() >= req.GetBeforeSeq():
		case req.GetFromTime() != nil && at.Before(req.GetFromTime().AsTime()):
		case req.GetToTime() != nil && !at.Before(req.GetToTime().AsTime()):
		case req.GetSender() != "" && f.GetFrom() != req.GetSender():
		case len(req.GetKinds()) > 0 && !slices.Contains(req.GetKinds(), kind):
		case req.GetObjectId() != "" && !touches(f, strings.ToLower(req.GetObjectId())):
		default:
			if seqs = append(seqs, f.GetSeq()); uint64(len(seqs)) == req.GetLimit() {
				return seqs
			}
		}
	}
	return seqs
}

// TestReadLogFilters has each filter in any combination with the others.
func TestReadLogFilters(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, open database) {
		const frames = 9000 // more than are looked through at a time
		rng := rand.New(rand.NewPCG(3, 4))
		store := open(t)
		p := anyPast(t, store, rng, frames)
		srv := serve(t, store, server.Config{})
		first, last := p.log[0].GetTime().AsTime(), p.log[frames-1].GetTime().AsTime()
		anyTime := func() time.Time {
			if rng.IntN(4) == 0 {
				return first.Add(time.Duration(rng.Int64N(int64(last.Sub(first))*5/4)) - last.Sub(first)/8)
			}
			return p.log[rng.IntN(frames)].GetTime().AsTime().Add(time.Duration(rng.IntN(3)-1) * time.Duration(1+rng.IntN(1000)))
		}
		empty, full := 0, 0
		for range 80 {
			req := &collaboardv1.ReadLogRequest{BoardId: p.board}
			switch rng.IntN(4) {
			case 0:
				req.From = &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: rng.Uint64N(frames + 100)}
			case 1:
				req.From = &collaboardv1.ReadLogRequest_BeforeSeq{BeforeSeq: rng.Uint64N(frames + 100)}
			case 2:
				req.From = &collaboardv1.ReadLogRequest_BeforeSeq{}
			}
			if rng.IntN(3) == 0 {
				req.FromTime = timestamppb.New(anyTime())
			}
			if rng.IntN(3) == 0 {
				req.ToTime = timestamppb.New(anyTime())
			}
			if req.GetFromTime() != nil && req.GetToTime() != nil && !req.GetFromTime().AsTime().Before(req.GetToTime().AsTime()) {
				req.FromTime, req.ToTime = req.GetToTime(), timestamppb.New(req.GetFromTime().AsTime().Add(1))
			}
			if rng.IntN(2) == 0 {
				req.Sender = pastSenders[rng.IntN(3)]
			}
			if rng.IntN(2) == 0 {
				req.ObjectId = p.objects[rng.IntN(len(p.objects))]
				if rng.IntN(3) == 0 {
					req.ObjectId = strings.ToUpper(req.GetObjectId())
				}
			}
			if rng.IntN(2) == 0 {
				req.Kinds = [][]string{{"chat_message"}, {"object_batch"}, {"object_update", "custom"}, {"object_create", "object_delete"}}[rng.IntN(4)]
			}
			if rng.IntN(2) == 0 {
				req.Limit = 1 + rng.Uint64N(3)*rng.Uint64N(1500)
			}
			want := p.read(req)
			if got := srv.seqs(t, req); !slices.Equal(got, want) {
				t.Errorf("%v: %d frames, want %d: %v", req, len(got), len(want), got[:min(len(got), 10)])
			}
			if len(want) == 0 {
				empty++
			} else {
				full++
			}
		}
		if empty < 10 || full < 30 {
			t.Errorf("%d answers were empty, %d not: that is no test", empty, full)
		}
	})
}

// seqs are those that ReadLog returns.
func (r *running) seqs(t *testing.T, req *collaboardv1.ReadLogRequest) (seqs []uint64) {
	t.Helper()
	stream, err := r.boards.ReadLog(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return seqs
		}
		if err != nil {
			t.Fatalf("%v: %v", req, err)
		}
		seqs = append(seqs, f.GetSeq())
	}
}

// TestHistoryOfAnEmptyBoard has nothing to find.
func TestHistoryOfAnEmptyBoard(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	id, now := srv.createBoard(t), timestamppb.Now()
	for _, req := range []*collaboardv1.ReadLogRequest{
		{},
		{FromTime: now},
		{ToTime: now},
		{Sender: "ada"},
		{ObjectId: newID()},
		{From: &collaboardv1.ReadLogRequest_BeforeSeq{}, FromTime: now},
		{From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: 1<<64 - 1}},
		{From: &collaboardv1.ReadLogRequest_BeforeSeq{BeforeSeq: 1<<64 - 1}},
	} {
		req.BoardId = id
		if seqs := srv.seqs(t, req); len(seqs) > 0 {
			t.Errorf("%v: %v", req, seqs)
		}
	}
	srv.stateAt(t, &collaboardv1.GetSnapshotRequest{BoardId: id, AtTime: now}, 0)
}

// TestHistoryThatWasTrimmed is refused where it may be of what is gone.
func TestHistoryThatWasTrimmed(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, open database, do tamper) {
		srv := serve(t, open(t), server.Config{})
		id := srv.createBoard(t)
		c := srv.connect(t)
		for range 10 {
			c.mustAck(chat(id, "x"))
		}
		log := srv.readLog(t, id)
		do(t, id, "DELETE FROM frames WHERE seq < 5 AND board_id = $1")
		do(t, id, "UPDATE boards SET first_seq = 5 WHERE id = $1")
		early, late := log[1].GetTime(), log[6].GetTime()
		head := &collaboardv1.ReadLogRequest_BeforeSeq{}
		for name, req := range map[string]*collaboardv1.ReadLogRequest{
			"all": {}, "from": {FromTime: early}, "to": {ToTime: late}, "both": {FromTime: early, ToTime: late}, "to, early": {ToTime: early},
			"after": {From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: 3}, Sender: "x"},
		} {
			req.BoardId = id
			stream, err := srv.boards.ReadLog(t.Context(), req)
			if err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "begins at seq 5") {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, test := range map[string]struct {
			req  *collaboardv1.ReadLogRequest
			want []uint64
		}{
			"from":      {&collaboardv1.ReadLogRequest{FromTime: late}, []uint64{7, 8, 9, 10}},
			"after, to": {&collaboardv1.ReadLogRequest{From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: 4}, ToTime: late}, []uint64{5, 6}},
			"backwards": {&collaboardv1.ReadLogRequest{From: head, FromTime: early, ToTime: late}, []uint64{6, 5}},
			"early":     {&collaboardv1.ReadLogRequest{From: head, ToTime: early}, nil},
		} {
			test.req.BoardId = id
			if got := srv.seqs(t, test.req); !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}
		stream, err := srv.boards.GetSnapshot(t.Context(), &collaboardv1.GetSnapshotRequest{BoardId: id, AtTime: early})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.OutOfRange {
			t.Errorf("a state of what is gone: %v", err)
		}
	})
}

func TestBadQuestionsAboutHistory(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	id, now := srv.createBoard(t), timestamppb.Now()
	for field, reqs := range map[string][]proto.Message{
		"from_time": {&collaboardv1.ReadLogRequest{FromTime: &timestamppb.Timestamp{Nanos: -1}}},
		"to_time": {
			&collaboardv1.ReadLogRequest{ToTime: &timestamppb.Timestamp{Seconds: 1 << 60}},
			&collaboardv1.ReadLogRequest{FromTime: now, ToTime: now},
			&collaboardv1.ReadLogRequest{FromTime: now, ToTime: timestamppb.New(now.AsTime().Add(-1))},
		},
		"sender": {
			&collaboardv1.ReadLogRequest{Sender: "a\x00b"}, &collaboardv1.ReadLogRequest{Sender: strings.Repeat("a", 513)},
		},
		"object_id": {&collaboardv1.ReadLogRequest{ObjectId: "x"}},
		"at_time":   {&collaboardv1.GetSnapshotRequest{AtTime: &timestamppb.Timestamp{Seconds: -1 << 60}}},
		"at_seq":    {&collaboardv1.GetSnapshotRequest{AtTime: now, AtSeq: 1}}, // one of the two
	} {
		for _, req := range reqs {
			var err error
			switch req := req.(type) {
			case *collaboardv1.ReadLogRequest:
				req.BoardId = id
				stream, callErr := srv.boards.ReadLog(t.Context(), req)
				if err = callErr; err == nil {
					_, err = stream.Recv()
				}
			case *collaboardv1.GetSnapshotRequest:
				req.BoardId = id
				stream, callErr := srv.boards.GetSnapshot(t.Context(), req)
				if err = callErr; err == nil {
					_, err = stream.Recv()
				}
			}
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), field) {
				t.Errorf("%v: %v, want INVALID_ARGUMENT for %s", req, err, field)
			}
		}
	}
	for name, call := range map[string]func() error{
		"log": func() error {
			stream, err := srv.boards.ReadLog(t.Context(), &collaboardv1.ReadLogRequest{BoardId: newID(), FromTime: now})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"snapshot": func() error {
			stream, err := srv.boards.GetSnapshot(t.Context(), &collaboardv1.GetSnapshotRequest{BoardId: newID(), AtTime: now})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.NotFound {
			t.Errorf("%s of no board: %v", name, err)
		}
	}
}

// boundedStore notes how many frames a read may look through at most, and can end a call in the middle.
type boundedStore struct {
	persistence.Store

	most  persistence.Seq
	reads int
	then  func(ctx context.Context)
}

func (s *boundedStore) Read(ctx context.Context, p persistence.ReadParams) ([]persistence.Record, error) {
	s.most = max(s.most, p.Before-p.After-1)
	s.reads++
	if s.then != nil {
		s.then(ctx)
	}
	return s.Store.Read(ctx, p)
}

// TestFilterThatFindsNothingIsShort: each statement is, and whoever asked for it can end it between two.
func TestFilterThatFindsNothingIsShort(t *testing.T) {
	t.Parallel()
	store := &boundedStore{Store: sqliteDatabase(t)(t)}
	p := anyPast(t, store.Store, rand.New(rand.NewPCG(5, 6)), 9000)
	srv := serve(t, store, server.Config{})
	head := &collaboardv1.ReadLogRequest_BeforeSeq{}
	for _, req := range []*collaboardv1.ReadLogRequest{
		{ObjectId: newID()},
		{Sender: "nobody"},
		{ObjectId: p.objects[0], Kinds: []string{"chat_message"}},
		{From: head, ObjectId: newID()},
		{From: head, Sender: "nobody"},
	} {
		req.BoardId = p.board
		store.most, store.reads = 0, 0
		if seqs := srv.seqs(t, req); len(seqs) > 0 || store.most > 4096 || store.reads != 3 {
			t.Errorf("%v: %d frames, %d reads of %d at most", req, len(seqs), store.reads, store.most)
		}
	}
	// What comes next after a piece with nothing in it, whichever way, is found.
	forwards := srv.seqs(t, &collaboardv1.ReadLogRequest{BoardId: p.board, Sender: "eve"})
	backwards := srv.seqs(t, &collaboardv1.ReadLogRequest{BoardId: p.board, Sender: "eve", From: head})
	if !slices.Equal(forwards, []uint64{4097, 4904}) || !slices.Equal(backwards, []uint64{4904, 4097}) {
		t.Errorf("%v forwards, %v backwards", forwards, backwards)
	}
	ctx, cancel := context.WithCancel(t.Context())
	store.reads, store.then = 0, func(ctx context.Context) {
		if store.reads == 2 {
			cancel()
			<-ctx.Done()
		}
	}
	stream, err := srv.boards.ReadLog(ctx, &collaboardv1.ReadLogRequest{BoardId: p.board, Sender: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if err := srv.stop(); err != nil { // waits for the call
		t.Error(err)
	}
	if store.reads > 2 {
		t.Errorf("%d reads for nobody", store.reads)
	}
}
