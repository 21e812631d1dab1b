package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/auth"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/web"
)

// maxFrameBytes is the largest frame, encoded. A batch of a thousand small objects fits, an image does not.
const maxFrameBytes = 1 << 20

// maxFrameMessageBytes is the largest message that is taken for a frame: above the frame's limit, so that a frame over it
// gets an answer. A larger one ends the stream.
const maxFrameMessageBytes = 4 * maxFrameBytes

// maxFileBytes is the largest file, as the contract declares.
const maxFileBytes = 4 << 20

// maxMessageBytes is the largest message that is read: the largest file with what goes with it, and some more, so that a
// file that is somewhat too large is told so.
const maxMessageBytes = maxFileBytes + 64<<10

// maxStreams is how many calls one connection may have under way. A stream holds up to a window of frames, so their
// number needs a bound; grpc's clients wait for their turn.
const maxStreams = 100

// readBuffer is how many bytes of a connection are read at once, and kept for as long as it is open. A larger buffer saves
// system calls where a client sends much more than that at a time; nothing was seen of it at full load.
const readBuffer = 4 << 10

// streamWindow and connWindow are how many bytes of a stream, and of a connection, may be under way to the server and not
// read yet. Left to itself grpc lets them grow to 16 MiB, and measures with pings, one with almost every frame.
const (
	streamWindow = 256 << 10
	connWindow   = 1 << 20
)

// Config tunes a Server; the zero value of a field means its default.
type Config struct {
	Version        string                      // told to clients; "dev"
	Auth           auth.Verifier               // of the callers' tokens; where nil, who somebody is they say themselves
	MaxBoards      int                         // boards joined on one stream; 64
	InFlightFrames int                         // requests of one stream that are not answered yet; 256
	InFlightBytes  int                         // the same in bytes, after one frame at the least; 1 MiB
	MaxFiles       int                         // files of one board; 10,000
	MaxFilesBytes  int64                       // the same in bytes; 1 GiB
	UploadBytes    int                         // of files that are stored at a time, at least one; 64 MiB
	PastTimeout    time.Duration               // how long a call that needs a board as it was may take, once it has begun; 1 min
	EphemeralRate  int                         // ephemeral frames that are relayed of one stream, each second and for each 4 KiB; 200
	PingInterval   time.Duration               // silence of a connection after which it is pinged, 1 s at the least; 4 s
	PingTimeout    time.Duration               // further silence after which it is given up; 5 s
	DrainTimeout   time.Duration               // how long streams have to end when the server stops; 15 s
	Commit         persistence.CommitterConfig // its hooks are the server's own
	Room           room.Config
	Web            web.Config // its largest message and its pings are the server's own
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.MaxBoards <= 0 {
		c.MaxBoards = 64
	}
	if c.InFlightFrames <= 0 {
		c.InFlightFrames = 256
	}
	if c.InFlightBytes <= 0 {
		c.InFlightBytes = 1 << 20
	}
	if c.MaxFiles <= 0 {
		c.MaxFiles = 10_000
	}
	if c.MaxFilesBytes <= 0 {
		c.MaxFilesBytes = 1 << 30
	}
	if c.UploadBytes <= 0 {
		c.UploadBytes = 64 << 20
	}
	if c.EphemeralRate <= 0 {
		c.EphemeralRate = 200
	}
	if c.PastTimeout <= 0 {
		c.PastTimeout = time.Minute
	}
	// Who has gone without a word, out of a tunnel or by a dead battery, is to be seen to have left within 10 s. It costs an
	// idle connection some 200 bytes every 4 s, 4 MB a day, and keeps a phone's radio awake as long as the page is in use; and
	// a network that stands still for 5 to 9 s has its clients come back and resume.
	if c.PingInterval <= 0 {
		c.PingInterval = 4 * time.Second
	}
	if c.PingTimeout <= 0 {
		c.PingTimeout = 5 * time.Second
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = 15 * time.Second
	}
	if c.Commit.CommitTimeout <= 0 {
		c.Commit.CommitTimeout = 10 * time.Second
	}
	c.Web.MaxMessageBytes, c.Web.PingInterval, c.Web.PingTimeout = maxMessageBytes, c.PingInterval, c.PingTimeout
	return c
}

func (c Config) limits() *collaboardv1.Limits {
	return &collaboardv1.Limits{
		MaxFrameBytes:     maxFrameBytes,
		MaxObjectBytes:    board.MaxObjectBytes,
		MaxBatchOps:       board.MaxBatchOps,
		MaxBoards:         uint32(c.MaxBoards),
		MaxInFlightFrames: uint32(c.InFlightFrames),
		MaxInFlightBytes:  uint64(c.InFlightBytes),
		EphemeralRate:     uint32(c.EphemeralRate),
		CommitTimeout:     durationpb.New(c.Commit.CommitTimeout),
	}
}
