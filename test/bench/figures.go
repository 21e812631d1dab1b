package main

import (
	"errors"
	"math"
	"path/filepath"
)

// drawFigures draws what is best seen: how many acks there are, and what else could be had; how late they come; what a frame
// costs as a log grows; and how many deliveries.
func drawFigures(dir string, stores []string, middle map[string]figures) error {
	value := func(store, name string) float64 {
		if v, measured := middle[store][name]; measured {
			return v
		}
		return math.NaN()
	}
	bars := func(named ...[2]string) (all []bar) {
		for _, n := range named {
			b := bar{name: n[0]}
			for _, store := range stores {
				b.values = append(b.values, value(store, n[1]))
			}
			all = append(all, b)
		}
		return all
	}
	lines := func(names ...string) (all []line) {
		for _, store := range stores {
			l := line{name: title(store)}
			for _, name := range names {
				l.values = append(l.values, value(store, name))
			}
			all = append(all, l)
		}
		return all
	}
	titles := make([]string, len(stores))
	for i, store := range stores {
		titles[i] = title(store)
	}
	return errors.Join(
		plotBars(filepath.Join(dir, "bench-acks.svg"), "Durable frames a second: 64 clients, 16 in flight each, 64 boards, 200 bytes", "frames/s", titles,
			bars([2]string{"INSERT, 1 connection", naiveOne}, [2]string{"INSERT, 32 connections", naiveRate},
				[2]string{"JetStream, fsync always, 1 stream", natsAlwaysOne}, [2]string{"JetStream, fsync always, 64 streams", natsAlways},
				[2]string{"Collaboard", aRate}, [2]string{"the store alone, groups of up to 2,048", ceiling},
				[2]string{"JetStream by default (not durable)", natsDefault})),
		plotLines(filepath.Join(dir, "bench-latency.svg"), "Submit to ack with 64 clients, 16 in flight each", "percentile", "ms",
			[]string{"p50", "p90", "p99", "p99.9"}, lines(aP50, aP90, aP99, aP999)...),
		plotLines(filepath.Join(dir, "bench-log.svg"), "What a frame costs as the log of its board grows", "frames in the log", "µs",
			[]string{"10,000", "100,000", "1,000,000"}, lines(j10k, j100k, j1M)...),
		plotBars(filepath.Join(dir, "bench-fanout.svg"), "Deliveries a second of one board to 100 members", "deliveries/s", titles,
			bars([2]string{"grpc-go, encoded beforehand", dRaw}, [2]string{"Collaboard, the same members", dRate},
				[2]string{"Collaboard, members that do not decode", dNoDecode})),
	)
}

func title(store string) string {
	if store == "sqlite" {
		return "SQLite"
	}
	return "PostgreSQL"
}
