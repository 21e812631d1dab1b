package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// maxLatency is the longest that is told apart.
const maxLatency = 10 * time.Minute

// period is when what happens counts: after the warm-up, and before the end.
type period struct{ from, to time.Time }

func (p period) has(t time.Time) bool { return !t.Before(p.from) && t.Before(p.to) }

// recorder takes measurements, from several clients at a time.
type recorder struct {
	mu         sync.Mutex
	acks       *hdrhistogram.Histogram // in microseconds, as deliveries
	deliveries *hdrhistogram.Histogram
	cursors    *hdrhistogram.Histogram
	errors     map[collaboardv1.ErrorCode]int64
}

func newRecorder() *recorder {
	return &recorder{
		acks:       hdrhistogram.New(1, maxLatency.Microseconds(), 3),
		deliveries: hdrhistogram.New(1, maxLatency.Microseconds(), 3),
		cursors:    hdrhistogram.New(1, maxLatency.Microseconds(), 3),
		errors:     map[collaboardv1.ErrorCode]int64{},
	}
}

func (r *recorder) ack(latency time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record(r.acks, latency)
}

func (r *recorder) delivery(latency time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record(r.deliveries, latency)
}

func (r *recorder) cursor(latency time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record(r.cursors, latency)
}

func (r *recorder) refusal(code collaboardv1.ErrorCode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[code]++
}

func (r *recorder) counts() (acks, deliveries int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acks.TotalCount(), r.deliveries.TotalCount()
}

// mergeInto adds what r has taken to sum.
func (r *recorder) mergeInto(sum *recorder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum.acks.Merge(r.acks)
	sum.deliveries.Merge(r.deliveries)
	sum.cursors.Merge(r.cursors)
	for code, n := range r.errors {
		sum.errors[code] += n
	}
}

func record(h *hdrhistogram.Histogram, latency time.Duration) {
	_ = h.RecordValue(min(max(latency, time.Microsecond), maxLatency).Microseconds()) // always in range
}

// recorders are as many as make it unlikely that clients wait for each other.
type recorders []*recorder

func newRecorders() recorders {
	rs := make(recorders, 16)
	for i := range rs {
		rs[i] = newRecorder()
	}
	return rs
}

func (rs recorders) of(client int) *recorder { return rs[client%len(rs)] }

func (rs recorders) counts() (acks, deliveries int64) {
	for _, r := range rs {
		a, d := r.counts()
		acks, deliveries = acks+a, deliveries+d
	}
	return acks, deliveries
}

func (rs recorders) sum() *recorder {
	sum := newRecorder()
	for _, r := range rs {
		r.mergeInto(sum)
	}
	return sum
}
