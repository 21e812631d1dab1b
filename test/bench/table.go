package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// figures are what one round measured, by name.
type figures map[string]float64

// The figures, in the order in which they are shown.
const (
	naiveRate = "one INSERT a frame, 32 at a time: frames/s"
	aRate     = "A, 64 clients x 16 in flight on 64 boards: acks/s"
	aRatio    = "A / one INSERT a frame"
	aP50      = "A, p50 ms"
	aP99      = "A, p99 ms"

	natsAlways        = "JetStream, fsync always: as A, acks/s"
	natsDefault       = "JetStream, fsync every 2 minutes (its default): as A, acks/s"
	natsRatio         = "A / JetStream, fsync always"
	natsSingle        = "JetStream, fsync always: as B, p50 ms"
	natsDefaultSingle = "JetStream, fsync every 2 minutes: as B, p50 ms"

	singleP50   = "the store's own transaction of one frame: p50 ms"
	singleP99   = "the store's own transaction of one frame: p99 ms"
	bP50        = "B, 1 client, 1 in flight: p50 ms"
	bP99        = "B, p99 ms"
	bRatio      = "B p50 / transaction p50"
	bAdded      = "B p50 - transaction p50, ms"
	floorAlone  = "a bare write and sync of 16 KiB: p50 ms"
	floorServed = "the same by a bare gRPC server: p50 ms"
	floorAdded  = "what a bare gRPC server adds, ms"

	cRate     = "C, 1 client, 100 members of its board: deliveries/s"
	cP99      = "C, p99 ms"
	dP50      = "D, 200 frames/s of 4 KiB to 10 members: submit to delivery, p50 ms"
	dP99      = "D, p99 ms"
	group64   = "the store's own commits of 64 frames: frames/s"
	group512  = "the same of 512 frames"
	group2048 = "the same of 2048 frames"

	dStalledP50 = "D, beside 10 members that read nothing, p50 ms"
	dStalledP99 = "D, beside 10 members that read nothing, p99 ms"
)

var order = []string{
	naiveRate, aRate, aRatio, aP50, aP99, natsAlways, natsDefault, natsRatio, natsSingle, natsDefaultSingle, singleP50, singleP99, bP50, bP99, bRatio, bAdded,
	floorAlone, floorServed, floorAdded, cRate, cP99,
	dP50, dStalledP50, dP99, dStalledP99, group64, group512, group2048,
}

// target is what a figure should be.
type target struct {
	text string
	met  func(float64) bool
}

var targets = map[string]target{
	aRatio: {"at least 3", func(v float64) bool { return v >= 3 }},
	bRatio: {"at most 2", func(v float64) bool { return v <= 2 }},
}

// medians takes the median of every figure over the rounds.
func medians(rounds map[string][]figures) map[string]figures {
	all := map[string]figures{}
	for store, of := range rounds {
		all[store] = figures{}
		for _, name := range order {
			var values []float64
			for _, round := range of {
				values = append(values, round[name])
			}
			all[store][name] = median(values)
		}
	}
	return all
}

// median sorts the values.
func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// printTable shows the medians, and says whether a target was missed.
func printTable(w io.Writer, stores []string, rounds map[string][]figures) (missed bool) {
	middle := medians(rounds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\t")
	for _, store := range stores {
		fmt.Fprint(table, store, "\t")
	}
	fmt.Fprintln(table)
	for _, name := range order {
		fmt.Fprint(table, name, "\t")
		goal, has := targets[name]
		for _, store := range stores {
			v := middle[store][name]
			digits := 0
			if v < 1000 {
				digits = 2
			}
			fmt.Fprintf(table, "%.*f", digits, v)
			if has && !goal.met(v) {
				missed = true
				fmt.Fprint(table, " MISSED")
			}
			fmt.Fprint(table, "\t")
		}
		if has {
			fmt.Fprint(table, goal.text)
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush()
	return missed
}
