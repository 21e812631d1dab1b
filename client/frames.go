package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

const (
	tailBytes   = 1 << 20 // most bytes of received frames that wait for the reader of a board
	chunkBytes  = 1 << 20 // bytes in one read of the server's log, after one frame at the least
	chunkFrames = 1024    // frames in one read
)

// reader is a board's cursor over its log, and the frames in memory that it will come to. c.mu guards it.
//
// The client receives at the speed of the network and the application reads at its own. What is between them is bounded
// by dropping the oldest: the cursor then reads them from the server. To stop receiving instead, so that HTTP/2 pushes
// back, was rejected: acks and other boards share the stream, and an application that waits for an ack while it reads
// would wait for ever.
type reader struct {
	busy   bool
	cursor Position // of the last frame that the application was given
	resync *ResyncError

	chunk []*collaboardv1.Frame // read from the server: what follows the cursor
	tail  []received            // the newest frames, without gaps
	bytes int                   // of tail
}

type received struct {
	frame *collaboardv1.Frame
	size  int
}

func (r *reader) add(f *collaboardv1.Frame, size int) {
	r.tail = append(r.tail, received{f, size})
	r.bytes += size
	for r.bytes > tailBytes && len(r.tail) > 1 {
		r.drop()
	}
}

func (r *reader) drop() {
	r.bytes -= r.tail[0].size
	r.tail[0] = received{}
	r.tail = r.tail[1:]
}

// restart moves the cursor to where the log goes on. The application will be told, once: of the last of several.
func (r *reader) restart(e *ResyncError) {
	if r.resync != nil {
		e.From = r.resync.From
	}
	r.resync = e
	r.cursor = e.To
	r.chunk, r.tail, r.bytes = nil, nil, 0
}

// next returns the frame after the cursor and moves over it, if the frame is in memory.
func (r *reader) next() *collaboardv1.Frame {
	var f *collaboardv1.Frame
	switch {
	case len(r.chunk) > 0:
		f = r.chunk[0]
		r.chunk = r.chunk[1:]
	case len(r.tail) > 0 && r.tail[0].frame.GetSeq() == r.cursor.Seq+1:
		f = r.tail[0].frame
		r.drop()
	default:
		return nil
	}
	r.cursor.Seq = f.GetSeq()
	return f
}

// Frames gives the frames of the board's log, from the one after the position at which the board was joined: each once,
// in order, without gaps, and then the new ones as they come, until ctx or the board ends. That end is the last error
// that it gives.
//
// A [*ResyncError] is no end: the log cannot be followed from where the loop was, and goes on elsewhere. Any other error
// is one.
//
// A board has one cursor: a loop that is left, and entered again with another Frames, goes on after the last frame that
// it was given. While one loop runs another gets [ErrIterating].
//
// A slow loop loses nothing and holds up nobody: frames that do not fit into 1 MiB are read from the server's log when
// their turn comes. Inside of the loop everything may be called. Frames must not be changed.
func (b *Board) Frames(ctx context.Context) iter.Seq2[*collaboardv1.Frame, error] {
	return func(yield func(*collaboardv1.Frame, error) bool) {
		if !b.occupy(&b.log.busy) {
			yield(nil, ErrIterating)
			return
		}
		defer b.vacate(&b.log.busy)
		retry := b.c.newBackoff()
		for {
			frame, missing, err := b.nextFrame(ctx)
			switch {
			case frame != nil:
				if !yield(frame, nil) {
					return
				}
			case missing > 0:
				if b.fetch(ctx, missing) == nil {
					retry.reset()
				} else {
					sleep(ctx, retry.next())
				}
			case !yield(nil, err):
				return
			default:
				if _, resync := errors.AsType[*ResyncError](err); !resync {
					return
				}
			}
		}
	}
}

func (b *Board) occupy(busy *bool) bool {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if *busy {
		return false
	}
	*busy = true
	return true
}

func (b *Board) vacate(busy *bool) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	*busy = false
}

// nextFrame waits for the next frame, or for something that must be said, and returns one of: the frame, how many
// frames must be read from the server first, an error.
func (b *Board) nextFrame(ctx context.Context) (frame *collaboardv1.Frame, missing uint64, err error) {
	for {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		b.c.mu.Lock()
		r := &b.log
		if e := r.resync; e != nil {
			r.resync = nil
			b.c.mu.Unlock()
			return nil, 0, e
		}
		frame = r.next()
		if frame == nil {
			missing, err = b.pos.Seq-r.cursor.Seq, b.ended
			if len(r.tail) > 0 {
				missing = r.tail[0].frame.GetSeq() - r.cursor.Seq - 1
			}
		}
		changed := b.changed.wait()
		b.c.mu.Unlock()
		switch {
		case frame != nil:
			return frame, 0, nil
		case err != nil:
			return nil, 0, err
		case missing > 0:
			return nil, missing, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// fetch reads a chunk of what is missing after the cursor from the server. If it fails, it may succeed later, unless it
// has ended the board or moved the cursor.
func (b *Board) fetch(ctx context.Context, missing uint64) error {
	b.c.mu.Lock()
	from := b.log.cursor
	b.c.mu.Unlock()
	frames, err := b.readLog(ctx, from, min(missing, chunkFrames))
	if err != nil && ctx.Err() == nil {
		b.c.log.InfoContext(ctx, "log cannot be read", "board", b.id, "error", err)
	}
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if b.log.cursor != from || b.ended != nil {
		return nil // what was read is not wanted any more
	}
	contradiction, contradicts := errors.AsType[*DesyncError](err)
	switch {
	case err == nil:
		b.log.chunk = frames
	case contradicts:
		if b.live {
			b.desync(contradiction.Kind, contradiction.Got)
		}
	case status.Code(err) == codes.OutOfRange:
		b.log.restart(&ResyncError{
			Board: b.id, From: from, To: b.pos, Reason: collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED,
		})
		return nil
	case status.Code(err) == codes.NotFound:
		b.end(boardNotFound(b.id, "the board was deleted"))
	case isFatal(err, false, false):
		b.end(fmt.Errorf("read log of board %s: %w", b.id, err))
	}
	return err
}

// readLog reads up to limit frames after a position, and makes sure that they are of its epoch: epochs do not come back,
// so if the board is of it after the read, it was of it during the read.
func (b *Board) readLog(ctx context.Context, from Position, limit uint64) ([]*collaboardv1.Frame, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel() // ends the call where the chunk is full before the limit
	stream, err := b.c.rpc.ReadLog(ctx, &collaboardv1.ReadLogRequest{
		BoardId: b.id, From: &collaboardv1.ReadLogRequest_AfterSeq{AfterSeq: from.Seq}, Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	var frames []*collaboardv1.Frame
	for bytes := 0; bytes < chunkBytes && uint64(len(frames)) < limit; {
		f, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if want := from.Seq + uint64(len(frames)) + 1; f.GetSeq() != want {
			return nil, b.contradiction(DesyncGap, Position{from.Epoch, want - 1}, Position{from.Epoch, f.GetSeq()})
		}
		frames = append(frames, f)
		bytes += proto.Size(f)
	}
	if len(frames) == 0 { // although more than that was received on the stream
		return nil, b.contradiction(DesyncBackwards, Position{from.Epoch, from.Seq + limit}, from)
	}
	now, err := b.c.rpc.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: b.id})
	if err != nil {
		return nil, err
	}
	if now.GetEpoch() != from.Epoch {
		return nil, b.contradiction(DesyncEpoch, from, Position{now.GetEpoch(), now.GetHeadSeq()})
	}
	return frames, nil
}

func (b *Board) contradiction(kind Desync, have, got Position) *DesyncError {
	return &DesyncError{Board: b.id, Kind: kind, Have: have, Got: got}
}
