package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// Summary is how much a history has to tell, and how much of it was judged.
type Summary struct {
	Events  int
	Took    time.Duration // the time of the last event
	Clients int
	Boards  int

	Submits    int
	Resends    int
	Acks       int
	Duplicates int            // acks among them that say so
	Refusals   map[string]int // by code
	Unanswered int            // submits that were neither acked nor refused

	Connects    int
	Disconnects int
	Joins       int            // asked for
	Joined      map[string]int // answers, by mode, with the reason if there is one: RESUMED, SNAPSHOT, SNAPSHOT EPOCH_CHANGED …
	NotWritable int            // answers among them of boards that were not writable
	Parts       int
	Deliveries  int

	Replicas   int
	Snapshots  int
	LogFrames  int
	LongestLog uint64 // the greatest seq of any board
	Faults     int

	Tallies []Tally // by guarantee, in the order in which they are judged
}

// Tally is how many of one thing a guarantee had to judge. Zero means that nothing was found because there was nothing.
type Tally struct {
	Guarantee string
	What      string
	N         int
}

// Idle are the tallies that are zero: what this history says nothing of.
func (s Summary) Idle() []Tally {
	var idle []Tally
	for _, t := range s.Tallies {
		if t.N == 0 {
			idle = append(idle, t)
		}
	}
	return idle
}

// String is the summary for a person, in a few lines.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events in %s: %d clients, %d boards, %d faults, %d connects, %d disconnects\n",
		s.Events, s.Took.Round(time.Millisecond), s.Clients, s.Boards, s.Faults, s.Connects, s.Disconnects)
	fmt.Fprintf(&b, "%d submits, %d resends, %d acks (%d duplicates), refusals %s, %d unanswered\n",
		s.Submits, s.Resends, s.Acks, s.Duplicates, counts(s.Refusals), s.Unanswered)
	fmt.Fprintf(&b, "%d joins, answers %s (%d not writable), %d parted, %d deliveries, %d replicas, %d snapshots\n",
		s.Joins, counts(s.Joined), s.NotWritable, s.Parts, s.Deliveries, s.Replicas, s.Snapshots)
	fmt.Fprintf(&b, "%d frames in the logs, %d in the longest\n", s.LogFrames, s.LongestLog)
	for i, t := range s.Tallies {
		switch {
		case i > 0 && s.Tallies[i-1].Guarantee == t.Guarantee:
			b.WriteString(",")
		case i > 0:
			b.WriteString("\n")
			fallthrough
		default:
			fmt.Fprintf(&b, "%-12s", t.Guarantee)
		}
		fmt.Fprintf(&b, " %d %s", t.N, t.What)
		if t.N == 0 {
			b.WriteString(" (!)")
		}
	}
	return b.String()
}

func summarise(r *record) Summary {
	n := func(k history.Kind) int { return len(r.kinds[k]) }
	s := Summary{
		Events: len(r.events), Boards: len(r.boards),
		Submits: n(history.KindSubmit), Resends: n(history.KindResend), Acks: n(history.KindAck), Refusals: make(map[string]int),
		Connects: n(history.KindConnected), Disconnects: n(history.KindDisconnected),
		Joins: n(history.KindJoin), Joined: make(map[string]int), Parts: n(history.KindParted),
		Deliveries: n(history.KindDelivered), Replicas: n(history.KindReplica), Snapshots: n(history.KindSnapshot),
		LogFrames: n(history.KindLog), Faults: n(history.KindFault),
	}
	clients, answered := make(map[string]bool), make(map[frameKey]bool)
	for i := range r.events {
		e := &r.events[i]
		s.Took = max(s.Took, e.At)
		if e.Client != "" {
			clients[e.Client] = true
		}
		switch e.Kind {
		case history.KindAck:
			answered[keyOf(e)] = true
			if e.Duplicate {
				s.Duplicates++
			}
		case history.KindRefused:
			answered[keyOf(e)] = true
			s.Refusals[e.Code]++
		case history.KindJoined:
			s.Joined[strings.TrimSpace(e.Mode+" "+e.Reason)]++
			if !e.Writable {
				s.NotWritable++
			}
		case history.KindLog:
			s.LongestLog = max(s.LongestLog, e.Seq)
		default:
		}
	}
	s.Clients = len(clients)
	for key := range r.submits {
		if !answered[key] {
			s.Unanswered++
		}
	}
	return s
}

func counts(m map[string]int) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%s %d", key, m[key]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
