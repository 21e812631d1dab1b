// Package storebench measures a store without a server before it: what a group commit costs and carries, and what the
// database does when every frame is a statement of its own.
package storebench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/collaboard-io/collaboard/cmd/collaboard/internal/bench"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// Measurement is a part of the whole.
type Measurement string

// The measurements.
const (
	MeasureNaive  Measurement = "naive"  // one awaited INSERT a frame, by many writers
	MeasureSingle Measurement = "single" // group commits of one frame, by one writer
	MeasureGroups Measurement = "groups" // larger ones
)

// Config says what to measure. Every field must be set.
type Config struct {
	Measure []Measurement

	Payload  int           // bytes of a frame's content
	Duration time.Duration // of each measurement
	Groups   []int         // frames in a group commit, one measurement each
	Boards   int           // over which a group is spread
	Writers  int           // that commit groups at a time

	NaiveWriters int // that wait for an INSERT at a time
}

// Naive inserts one frame in a transaction of its own, as a server without group commit would. Implementations are for
// concurrent use.
type Naive interface {
	Insert(ctx context.Context, r Row) error
	// Close removes what was inserted.
	Close() error
}

// Row is a frame as Naive inserts it.
type Row struct {
	Board, ID uuid.UUID
	Seq       int64
	Time      time.Time
	Sender    string
	Kind      int16
	Body      []byte
}

// Report is what was measured.
type Report struct {
	Store   string  `json:"store"`
	Payload int     `json:"payload_bytes"`
	Naive   *Result `json:"naive,omitempty"`  // nil when not measured
	Single  *Result `json:"single,omitempty"` // as Naive
	Groups  []Group `json:"groups,omitempty"`
}

// Result is how many frames were durable in a second, and how long their transactions took.
type Result struct {
	Writers   int           `json:"writers"`
	PerSecond float64       `json:"frames_per_second"`
	Latency   bench.Latency `json:"latency_ms"`
}

// Group is a Result with so many frames in a transaction.
type Group struct {
	Frames int `json:"frames"`
	Result
}

// Run measures. It makes boards, and deletes them again.
func Run(ctx context.Context, cfg Config, store persistence.Store, naive Naive) (*Report, error) {
	report := &Report{Payload: cfg.Payload}
	for _, m := range cfg.Measure {
		var err error
		switch m {
		case MeasureNaive:
			report.Naive, err = runNaive(ctx, cfg, naive)
		case MeasureSingle:
			report.Single, err = runGroups(ctx, cfg, store, 1, 1)
		case MeasureGroups:
			for _, frames := range cfg.Groups {
				var result *Result
				if result, err = runGroups(ctx, cfg, store, cfg.Writers, frames); err != nil {
					break
				}
				report.Groups = append(report.Groups, Group{Frames: frames, Result: *result})
			}
		}
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", m, err)
		}
	}
	return report, nil
}

func runNaive(ctx context.Context, cfg Config, naive Naive) (*Result, error) {
	return measure(ctx, cfg, cfg.NaiveWriters, 1, func(context.Context) (transaction, error) {
		board := uuid.Must(uuid.NewV7())
		seq := int64(0)
		return func(ctx context.Context) error {
			seq++
			record, err := newRecord(persistence.BoardID(board), persistence.Seq(seq), cfg.Payload)
			if err != nil {
				return err
			}
			return naive.Insert(ctx, Row{
				Board: board, ID: uuid.UUID(record.ID), Seq: seq, Time: record.Time, Sender: record.Sender,
				Kind: int16(record.Kind), Body: record.Body,
			})
		}, nil
	})
}

func runGroups(ctx context.Context, cfg Config, store persistence.Store, writers, frames int) (_ *Result, err error) {
	var made []persistence.BoardID
	defer func() {
		ctx := context.WithoutCancel(ctx)
		for _, id := range made {
			err = errors.Join(err, store.DeleteBoard(ctx, id, now()))
		}
	}()
	return measure(ctx, cfg, writers, frames, func(ctx context.Context) (transaction, error) {
		boards := make([]persistence.BoardID, min(cfg.Boards, frames))
		for i := range boards {
			boards[i] = persistence.BoardID(uuid.Must(uuid.NewV7()))
			err := store.CreateBoard(ctx, persistence.Board{
				ID: boards[i], Name: "bench store", Owner: "bench", Epoch: persistence.Epoch(uuid.New()), First: 1,
				CreatedAt: now(), UpdatedAt: now(),
			})
			if err != nil {
				return nil, err
			}
			made = append(made, boards[i])
		}
		return groupCommit(store, boards, frames, cfg.Payload), nil
	})
}

// groupCommit returns a transaction as the committer makes them: it claims the frames' ids, is told the heads, and adds
// the frames behind them.
func groupCommit(store persistence.Store, boards []persistence.BoardID, frames, payload int) transaction {
	heads := make([]persistence.Seq, len(boards))
	return func(ctx context.Context) error {
		claims := make([]persistence.Claim, len(boards))
		added := make([]persistence.Extension, len(boards))
		for i, board := range boards {
			claims[i] = persistence.Claim{Board: board, Applied: heads[i]}
			added[i] = persistence.Extension{Board: board}
		}
		for n := range frames {
			i := n % len(boards)
			record, err := newRecord(boards[i], heads[i]+persistence.Seq(n/len(boards)+1), payload)
			if err != nil {
				return err
			}
			claims[i].IDs = append(claims[i].IDs, record.ID)
			added[i].Records = append(added[i].Records, record)
		}
		err := store.Append(ctx, claims, func([]persistence.Locked) ([]persistence.Extension, error) { return added, nil })
		if err != nil {
			return err
		}
		for i := range boards {
			heads[i] += persistence.Seq(len(added[i].Records))
		}
		return nil
	}
}

// newRecord makes a frame as a server stores it.
func newRecord(board persistence.BoardID, seq persistence.Seq, payload int) (persistence.Record, error) {
	id := uuid.Must(uuid.NewV7())
	at := now()
	data := make([]byte, payload)
	if payload >= 8 {
		binary.BigEndian.PutUint64(data, uint64(seq))
	}
	frame := &collaboardv1.Frame{
		Id: id.String(), BoardId: board.String(), Seq: uint64(seq), Time: timestamppb.New(at), From: "bench",
		Status:  collaboardv1.Status_STATUS_EVENT,
		Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "bench", Data: data}},
	}
	body, err := proto.Marshal(frame)
	if err != nil {
		return persistence.Record{}, fmt.Errorf("encode frame: %w", err)
	}
	return persistence.Record{
		Seq: seq, ID: persistence.FrameID(id), Time: at, Sender: "bench", Kind: persistence.KindOf(frame), Body: body,
	}, nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// transaction makes some frames durable.
type transaction func(ctx context.Context) error

// measure lets writers run transactions, one after the other each, for the configured time after a tenth of it that
// does not count.
func measure(ctx context.Context, cfg Config, writers, frames int, prepare func(context.Context) (transaction, error)) (*Result, error) {
	all := make([]transaction, writers)
	for i := range all {
		var err error
		if all[i], err = prepare(ctx); err != nil {
			return nil, err
		}
	}
	from := time.Now().Add(cfg.Duration / 10)
	to := from.Add(cfg.Duration)
	histograms := make([]*hdrhistogram.Histogram, writers)
	g, ctx := errgroup.WithContext(ctx)
	for i, commit := range all {
		h := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
		histograms[i] = h
		g.Go(func() error {
			for begin := time.Now(); begin.Before(to); {
				if err := commit(ctx); err != nil {
					return err
				}
				end := time.Now()
				if !end.Before(from) && end.Before(to) {
					_ = h.RecordValue(max(1, min(end.Sub(begin), time.Minute).Microseconds())) // in range
				}
				begin = end
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, h := range histograms[1:] {
		histograms[0].Merge(h)
	}
	return &Result{
		Writers:   writers,
		PerSecond: float64(histograms[0].TotalCount()*int64(frames)) / cfg.Duration.Seconds(),
		Latency:   bench.NewLatency(histograms[0]),
	}, nil
}

// suffix makes a name that nothing else has.
func suffix() string { return rand.Text()[:10] }
