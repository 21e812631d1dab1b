package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// figures are what one round measured, by name.
type figures map[string]float64

// The figures, in the order in which they are shown.
const (
	naiveOne  = "one awaited INSERT a frame, 1 connection: frames/s"
	naiveRate = "one awaited INSERT a frame, 32 connections: frames/s"
	group64   = "the store's own commits of 64 frames: frames/s"
	group512  = "the same of 512 frames"
	group2048 = "the same of 2,048 frames"
	ceiling   = "the store's ceiling, the highest of these"

	natsAlways        = "JetStream, fsync always, 64 streams: as (a), acks/s"
	natsAlwaysOne     = "JetStream, fsync always, 1 stream of 64 subjects: as (a), acks/s"
	natsDefault       = "JetStream, fsync every 2 minutes (its default): as (a), acks/s"
	natsSingle        = "JetStream, fsync always: as (c), p50 ms"
	natsDefaultSingle = "JetStream, fsync every 2 minutes: as (c), p50 ms"

	aRate    = "(a) 64 clients x 16 in flight on 64 boards: acks/s"
	aP50     = "(a) p50 ms"
	aP90     = "(a) p90 ms"
	aP99     = "(a) p99 ms"
	aP999    = "(a) p99.9 ms"
	aNaive   = "(a) / one INSERT a frame, 32 connections"
	aCeiling = "(a) / the store's ceiling"
	aNats    = "(a) / JetStream, fsync always, 64 streams"
	aNatsOne = "(a) / JetStream, fsync always, 1 stream"

	bRate  = "(b) one board, 32 writers x 16 in flight: acks/s"
	bP99   = "(b) p99 ms"
	bRatio = "(b) / (a)"

	singleP50 = "the store's own transaction of one frame: p50 ms"
	singleP99 = "the store's own transaction of one frame: p99 ms"
	cP50      = "(c) 1 client, 1 in flight: p50 ms"
	cP99      = "(c) 1 client, 1 in flight: p99 ms"
	cRatio50  = "(c) p50 / transaction p50"
	cRatio99  = "(c) p99 / transaction p50"
	cAdded    = "(c) p50 - transaction p50, ms"

	floorAlone  = "a bare write and sync of 16 KiB: p50 ms"
	floorServed = "the same by a bare gRPC server: p50 ms"
	floorAdded  = "what a bare gRPC server adds, ms"

	openP50     = "(c) 5,000 frames/s on 500 boards: p50 ms"
	openP99     = "(c) 5,000 frames/s on 500 boards: p99 ms"
	openRatio50 = "(c) 5,000 frames/s: p50 / transaction p50"
	openRatio99 = "(c) 5,000 frames/s: p99 / transaction p50"

	dRate     = "(d) 1 writer, 100 members that decode: deliveries/s"
	dP99      = "(d) p99 ms"
	dRaw      = "grpc-go streams of encoded messages to the same members: deliveries/s"
	dRatio    = "(d) / grpc-go"
	dNoDecode = "(d) members that do not decode: deliveries/s"

	steadyP50  = "200 frames/s of 4 KiB to 10 members: submit to delivery, p50 ms"
	steadyP99  = "the same, p99 ms"
	stalledP50 = "the same beside 10 members that read nothing, p50 ms"
	stalledP99 = "the same beside 10 members that read nothing, p99 ms"

	eP50        = "(e) 200 people, 1 edit and 10 cursor moves/s each: submit to delivery, p50 ms"
	eP99        = "(e) p99 ms"
	eMax        = "(e) the latest, ms"
	eCursors    = "(e) cursors delivered/s (of 398,000 at most)"
	eCursorsP99 = "(e) cursors, p99 ms"

	fRate = "(f) resume 10,000 frames behind: frames/s"

	g1k    = "(g) cold join, 10,000 objects, log of 1,000 frames: ms"
	g100k  = "(g) log of 100,000 frames: ms"
	g1M    = "(g) log of 1,030,000 frames: ms"
	gRatio = "(g) 1 M / 1 k"

	hLive           = "(h) 10,000 idle streams, a connection each: live KiB a stream"
	hResident       = "(h) a connection each: resident KiB a stream"
	hSharedLive     = "(h) 100 streams a connection: live KiB a stream"
	hSharedResident = "(h) 100 streams a connection: resident KiB a stream"

	j10k   = "(j) a frame of one board after 10,000: µs"
	j100k  = "(j) after 100,000: µs"
	j1M    = "(j) after 1,000,000: µs"
	jRatio = "(j) 1 M / 10 k"
)

var order = []string{
	naiveOne, naiveRate, group64, group512, group2048, ceiling, natsAlways, natsAlwaysOne, natsDefault,
	aRate, aP50, aP90, aP99, aP999, aNaive, aCeiling, aNats, aNatsOne, bRate, bP99, bRatio,
	singleP50, singleP99, cP50, cP99, cRatio50, cRatio99, cAdded, floorAlone, floorServed, floorAdded, natsSingle, natsDefaultSingle,
	openP50, openP99, openRatio50, openRatio99, dRaw, dRate, dP99, dRatio, dNoDecode,
	steadyP50, stalledP50, steadyP99, stalledP99, eP50, eP99, eMax, eCursors, eCursorsP99, fRate, g1k, g100k, g1M, gRatio,
	hLive, hResident, hSharedLive, hSharedResident, j10k, j100k, j1M, jRatio,
}

// target is what a figure should be: at least, or at most, so much.
type target struct {
	atLeast, atMost float64
}

func (t target) met(v float64) bool { return v >= t.atLeast && (t.atMost == 0 || v <= t.atMost) }

func (t target) String() string {
	if t.atMost > 0 {
		return fmt.Sprintf("at most %g", t.atMost)
	}
	return fmt.Sprintf("at least %g", t.atLeast)
}

var targets = map[string]target{
	aNaive:   {atLeast: 5},
	aCeiling: {atLeast: 0.4},
	aNats:    {atLeast: 15}, // 10 on SQLite
	bRatio:   {atLeast: 0.6},
	cRatio50: {atMost: 1.5}, cRatio99: {atMost: 4},
	openRatio50: {atMost: 4}, openRatio99: {atMost: 15},
	dRatio: {atLeast: 0.4},
	eP99:   {atMost: 100}, eMax: {atMost: 1000},
	fRate:  {atLeast: 100_000},
	gRatio: {atMost: 1.5},
	hLive:  {atMost: 40}, hSharedLive: {atMost: 40},
	jRatio: {atMost: 1.2},
}

// targetOf is that of a store.
func targetOf(name, store string) (target, bool) {
	if name == aNats && store == "sqlite" {
		return target{atLeast: 10}, true
	}
	t, ok := targets[name]
	return t, ok
}

// medians takes the median of every figure over the rounds.
func medians(rounds map[string][]figures) map[string]figures {
	all := map[string]figures{}
	for store, of := range rounds {
		all[store] = figures{}
		for _, name := range order {
			var values []float64
			for _, round := range of {
				if v, measured := round[name]; measured {
					values = append(values, v)
				}
			}
			if len(values) > 0 {
				all[store][name] = median(values)
			}
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
		line, goals := "", []string{}
		for _, store := range stores {
			v, measured := middle[store][name]
			if !measured {
				line += "-\t"
				continue
			}
			digits := 0
			if v < 1000 {
				digits = 2
			}
			line += fmt.Sprintf("%.*f", digits, v) //nolint:perfsprint // two stores
			if goal, has := targetOf(name, store); has {
				goals = append(goals, goal.String())
				if !goal.met(v) {
					missed = true
					line += " MISSED"
				}
			}
			line += "\t"
		}
		if strings.Trim(line, "-\t") != "" {
			fmt.Fprintln(table, name+"\t"+line+strings.Join(slices.Compact(goals), ", "))
		}
	}
	_ = table.Flush()
	return missed
}
