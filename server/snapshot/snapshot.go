// Package snapshot makes of a board's state the bytes that a store keeps, and a state of the bytes. What it loads is what
// it was made of, to the last byte, or it is an error: a state that is nearly right would be shown as the board's, and
// frames would be decided on it.
//
// A body is, in this order:
//
//   - 1 byte: the format, which is 1
//   - 16 bytes: the id of the frame at the snapshot's seq, by which the log is known that was folded
//   - 32 bytes: SHA-256 of the format, the board's id, its epoch, the seq (8 bytes, the highest first), the frame's id, and
//     all that follows. A snapshot that lies in another's place does not pass, nor does one with a flipped bit
//   - one zstd frame: messages collaboard.v1.BoardSnapshot as [board.Board.Chunks] makes them, each after its length as a
//     varint
package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

const (
	format      = 1
	headerBytes = 1 + len(persistence.FrameID{}) + sha256.Size

	// maxContentBytes is how much a body may be once it is decompressed. The state that it makes takes a few times as much.
	maxContentBytes = 128 << 20
	// maxChunkBytes is the largest message in it. Chunks are a quarter of that.
	maxChunkBytes = 1 << 20
	// windowBytes is how far back zstd refers, and so about the memory that each direction takes.
	windowBytes = 1 << 20
)

// ErrTooLarge means that a board is larger than what may be stored of it. It is folded from its log.
var ErrTooLarge = errors.New("board is too large for a snapshot")

// Origin says which log a state is the fold of.
type Origin struct {
	Board persistence.BoardID
	Epoch persistence.Epoch
	Frame persistence.FrameID // at the state's seq
}

// Encode returns the snapshot of a state, which must not change meanwhile. It fails with ErrTooLarge.
func Encode(state *board.Board, of Origin, at time.Time) (persistence.Snapshot, error) {
	s := persistence.Snapshot{
		Board: of.Board, Position: persistence.Position{Epoch: of.Epoch, Seq: persistence.Seq(state.Seq())},
		CreatedAt: at.UTC().Truncate(time.Microsecond),
	}
	var body bytes.Buffer
	body.WriteByte(format)
	body.Write(of.Frame[:])
	body.Write(make([]byte, sha256.Size))
	compressed, err := zstd.NewWriter(&body,
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(windowBytes), zstd.WithEncoderCRC(false))
	if err != nil {
		return s, fmt.Errorf("compress: %w", err)
	}
	defer compressed.Close()
	content := 0
	for chunk := range state.Chunks(of.Epoch.String()) {
		n, err := protodelim.MarshalTo(compressed, chunk)
		if err != nil {
			return s, fmt.Errorf("encode: %w", err)
		}
		if content += n; content > maxContentBytes || body.Len() > persistence.MaxSnapshotBytes {
			return s, ErrTooLarge
		}
	}
	if err := compressed.Close(); err != nil {
		return s, fmt.Errorf("compress: %w", err)
	}
	if body.Len() > persistence.MaxSnapshotBytes {
		return s, ErrTooLarge
	}
	s.Body = body.Bytes()
	sum := sumOf(&s)
	copy(s.Body[headerBytes-sha256.Size:], sum[:])
	return s, nil
}

// Decode returns the state that a snapshot was made of, and the id of the frame at its seq. Whether that frame is in the
// log is the caller's to see to. It fails for whatever is not exactly what Encode made.
func Decode(s *persistence.Snapshot) (*board.Board, persistence.FrameID, error) {
	var frame persistence.FrameID
	switch {
	case len(s.Body) < headerBytes:
		return nil, frame, fmt.Errorf("its body has %d bytes, or more than are read", len(s.Body))
	case s.Body[0] != format:
		return nil, frame, fmt.Errorf("its format is %d, and this program knows only %d", s.Body[0], format)
	case sumOf(s) != [sha256.Size]byte(s.Body[headerBytes-sha256.Size:]):
		return nil, frame, errors.New("its checksum is wrong")
	}
	frame = persistence.FrameID(s.Body[1:])
	state, err := load(s)
	if err != nil {
		return nil, frame, err
	}
	return state, frame, nil
}

// Renew returns the snapshot of the same state under another epoch. It fails where Decode or Encode does.
func Renew(s persistence.Snapshot, to persistence.Epoch) (persistence.Snapshot, error) {
	state, frame, err := Decode(&s)
	if err != nil {
		return persistence.Snapshot{}, err
	}
	return Encode(state, Origin{Board: s.Board, Epoch: to, Frame: frame}, s.CreatedAt)
}

// sumOf is the checksum that belongs into the body of s.
func sumOf(s *persistence.Snapshot) (sum [sha256.Size]byte) {
	const before = headerBytes - sha256.Size
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], uint64(s.Seq))
	h := sha256.New()
	for _, part := range [][]byte{s.Body[:1], s.Board[:], s.Epoch[:], seq[:], s.Body[1:before], s.Body[headerBytes:]} {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// load makes a state of the content. Its parts are decoded while those before them are put on the board: each takes about
// half of the time.
func load(s *persistence.Snapshot) (*board.Board, error) {
	chunks := make(chan *collaboardv1.BoardSnapshot, 1)
	var decoding errgroup.Group
	decoding.Go(func() error {
		defer close(chunks)
		return decode(s, chunks)
	})
	state, leftOut := board.New(), 0
	for chunk := range chunks {
		leftOut += state.Load(chunk)
	}
	if err := decoding.Wait(); err != nil {
		return nil, err
	}
	if leftOut > 0 {
		return nil, fmt.Errorf("%d of its objects are such as no board has", leftOut)
	}
	return state, nil
}

// decode sends the parts of the content, up to the last.
func decode(s *persistence.Snapshot, chunks chan<- *collaboardv1.BoardSnapshot) error {
	decompressed, err := zstd.NewReader(bytes.NewReader(s.Body[headerBytes:]),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(windowBytes))
	if err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	defer decompressed.Close()
	content := bufio.NewReaderSize(io.LimitReader(decompressed, maxContentBytes), maxChunkBytes)
	for last := false; !last; {
		chunk := &collaboardv1.BoardSnapshot{}
		if err := (protodelim.UnmarshalOptions{MaxSize: maxChunkBytes}).UnmarshalFrom(content, chunk); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		if at := chunk.GetPosition(); at.GetSeq() != uint64(s.Seq) || at.GetEpoch() != s.Epoch.String() {
			return fmt.Errorf("a part of it is of %s:%d", at.GetEpoch(), at.GetSeq())
		}
		last = chunk.GetLast()
		chunks <- chunk
	}
	if _, err := content.ReadByte(); err == nil {
		return errors.New("it goes on behind its end")
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("decompress: %w", err)
	}
	return nil
}
