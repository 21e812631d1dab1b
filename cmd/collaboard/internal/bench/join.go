package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// JoinConfig says how to join. Every field must be set, but FromStart.
type JoinConfig struct {
	Board     string
	FromStart bool // resume with all frames of the log, instead of a snapshot
	Times     int  // one after the other, each on a stream of its own
}

// Joined is how long it took until all was there, decoded.
type Joined struct {
	Objects      int     `json:"objects,omitempty"` // of the snapshot
	Frames       uint64  `json:"frames,omitempty"`  // of the log
	Milliseconds float64 `json:"milliseconds"`      // the median
	First        float64 `json:"first"`             // the first, for which the server may have had to load the board
}

// Join joins, again and again.
func Join(ctx context.Context, cfg JoinConfig, dial Dial) (*Joined, error) {
	control, err := dial()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	board, err := collaboardv1.NewBoardServiceClient(control).GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: cfg.Board})
	if err != nil {
		return nil, err
	}
	got := &Joined{}
	var times []float64
	for range cfg.Times {
		took, err := got.join(ctx, cfg, dial, board.GetHeadSeq())
		if err != nil {
			return nil, err
		}
		times = append(times, float64(took.Microseconds())/1e3)
	}
	got.First = times[0]
	slices.Sort(times)
	got.Milliseconds = times[len(times)/2]
	return got, nil
}

func (j *Joined) join(ctx context.Context, cfg JoinConfig, dial Dial, head uint64) (time.Duration, error) {
	s, err := openStream(ctx, dial)
	if err != nil {
		return 0, err
	}
	defer s.close()
	s.in.decode = true
	join := &collaboardv1.BoardJoin{}
	if cfg.FromStart {
		join.Position = &collaboardv1.Position{}
	}
	begin := time.Now()
	err = s.SendMsg(&collaboardv1.Frame{
		Id: uuid.NewString(), BoardId: cfg.Board, Status: collaboardv1.Status_STATUS_REQUEST,
		Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: join},
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	*j = Joined{}
	for {
		if err := s.receive(); err != nil {
			return 0, err
		}
		frame := s.in.frame
		j.Objects += len(frame.GetBoardSnapshot().GetObjects())
		switch {
		case frame.GetError() != nil:
			return 0, fmt.Errorf("the server refused the join with %s", frame.GetError().GetCode())
		case frame.GetBoardJoined() != nil && !cfg.FromStart:
			return time.Since(begin), nil
		case s.in.seq > 0 && frame.GetStatus() == collaboardv1.Status_STATUS_EVENT:
			if j.Frames++; frame.GetSeq() == head {
				return time.Since(begin), nil
			}
		}
	}
}
