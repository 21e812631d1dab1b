package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what was measured.
type Report struct {
	Clients     int     `json:"clients"`
	InFlight    int     `json:"in_flight"`
	Boards      int     `json:"boards"`
	Subscribers int     `json:"subscribers_per_board"`
	Stalled     int     `json:"stalled_per_board,omitempty"`
	Kind        Kind    `json:"kind"`
	Payload     int     `json:"payload_bytes"`
	Seconds     float64 `json:"seconds"`

	Acks       Rate             `json:"acks"`
	Deliveries *Rate            `json:"deliveries,omitempty"` // nil without members
	Cursors    *Rate            `json:"cursors,omitempty"`    // deliveries of cursors; nil without
	Errors     map[string]int64 `json:"errors,omitempty"`     // by code

	TargetRate float64 `json:"target_per_second,omitempty"` // of an open loop
	Unsent     int64   `json:"unsent,omitempty"`            // frames that an open loop was late with at the end
}

// Rate is how many of something there were, and how old they were.
type Rate struct {
	Count     int64   `json:"count"`
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency_ms"`
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// NewLatency reads a histogram of microseconds.
func NewLatency(h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) float64 { return float64(h.ValueAtQuantile(percentile)) / 1e3 }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1e3}
}

func newRate(h *hdrhistogram.Histogram, seconds float64) Rate {
	return Rate{Count: h.TotalCount(), PerSecond: float64(h.TotalCount()) / seconds, Latency: NewLatency(h)}
}

// Print writes the report as tables.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "clients %d, %s, boards %d, %s frames of %d B, %g s\n\n",
		r.Clients, r.loop(), r.Boards, r.Kind, r.Payload, r.Seconds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tper second\tp50 ms\tp90 ms\tp99 ms\tp99.9 ms\tmax ms\t")
	row := func(name string, rate Rate) {
		l := rate.Latency
		fmt.Fprintf(table, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", name, rate.PerSecond, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	row("acks", r.Acks)
	if r.Deliveries != nil {
		row("deliveries", *r.Deliveries)
	}
	if r.Cursors != nil {
		row("cursors delivered", *r.Cursors)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r.Unsent > r.Acks.Count/100 { // a few are always due at the very end
		fmt.Fprintf(w, "\nbehind the schedule: frames that had not been sent at the end: %d\n", r.Unsent)
	}
	for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "\nrefused with %s: %d\n", code, r.Errors[code])
	}
	return nil
}

func (r *Report) loop() string {
	if r.TargetRate > 0 {
		return fmt.Sprintf("%.0f frames/s in all, in flight at most %d each", r.TargetRate, r.InFlight)
	}
	return fmt.Sprintf("in flight %d each", r.InFlight)
}
