// Package check says whether a history keeps what the server promises. It knows nothing but the history: no server, no
// store and no clock, so a history can be judged again later, and by a checker that has learnt more since.
//
// There is one function a guarantee, and its comment is the guarantee's definition: what must hold of every history, and
// what is exempt, and why. Each reports only what is its own, so that the name of a violation says what was broken; a
// corruption that breaks two promises is reported by two.
//
// A guarantee that found nothing wrong may have found nothing at all: [Summary.Tallies] says how much each had to
// judge, zeros included.
package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// MaxViolations is how many violations of one guarantee are told in full. One more then says how many others there are.
const MaxViolations = 20

// The guarantees, in the order in which they are judged and reported.
const (
	Record      = "Record"
	Durable     = "Durable"
	Refused     = "Refused"
	Once        = "Once"
	Gapless     = "Gapless"
	Ordered     = "Ordered"
	FromTheLog  = "FromTheLog"
	AfterSubmit = "AfterSubmit"
	Resumable   = "Resumable"
	Converged   = "Converged"
	Recent      = "Recent"
	WentBack    = "WentBack"
	Chained     = "Chained"
)

// guarantees are all of them. What each judges is declared, so that it is told of also where there was none.
var guarantees = []struct {
	name     string
	subjects []string
	judge    func(*record, *findings)
}{
	{Record, []string{"events", "boards"}, wellFormed},
	{Durable, []string{"acks", "bodies", "contents"}, durable},
	{Refused, []string{"final refusals"}, refused},
	{Once, []string{"ids", "acks"}, once},
	{Gapless, []string{"frames", "trimmed frames", "heads"}, gapless},
	{Ordered, []string{"deliveries", "chained frames"}, ordered},
	{FromTheLog, []string{"deliveries", "joins", "frames", "senders"}, fromTheLog},
	{AfterSubmit, []string{"acks", "deliveries", "own frames"}, afterSubmit},
	{Resumable, []string{"deliveries", "resumed joins", "reasons"}, resumable},
	{Converged, []string{"replicas", "snapshots", "heads"}, converged},
	{Recent, []string{"writes", "reads", "windows"}, recent},
	{WentBack, []string{"restores", "reverts", "forks", "imports"}, wentBack},
	{Chained, []string{"chains"}, chained},
}

// Violation is one thing in a history that a guarantee excludes. Board, Client, Seq and Frame are those of the first
// event, as far as it has them.
type Violation struct {
	Guarantee string
	Board     string
	Client    string
	Seq       uint64
	Frame     string
	Text      string
	Events    []Evidence // what contradicts the guarantee, or each other
}

// Evidence is an event, and the line of the history at which it stands, from 1.
type Evidence struct {
	Line  int
	Event history.Event
}

// String is the violation for a person: what is wrong, and below it an indented line for each event.
func (v Violation) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s", v.Guarantee, v.Text)
	for _, e := range v.Events {
		fmt.Fprintf(&s, "\n    line %d, %s", e.Line, describe(e.Event))
	}
	return s.String()
}

// History judges the events, in the order in which they were written, by every guarantee. A history that is whole gives
// none. It does not change them.
func History(events []history.Event) []Violation {
	_, violations := Report(events)
	return violations
}

// Report is History, with what there was to judge.
func Report(events []history.Event) (Summary, []Violation) {
	r := read(events)
	s := summarise(r)
	var all []Violation
	for _, g := range guarantees {
		f := &findings{guarantee: g.name, events: events}
		for _, what := range g.subjects {
			f.tallies = append(f.tallies, Tally{Guarantee: g.name, What: what})
		}
		g.judge(r, f)
		all = append(all, f.violations...)
		if f.rest > 0 {
			all = append(all, Violation{Guarantee: g.name, Text: fmt.Sprintf("and %d more", f.rest)})
		}
		s.Tallies = append(s.Tallies, f.tallies...)
	}
	return s, all
}

// findings is what one guarantee found in one history.
type findings struct {
	guarantee  string
	events     []history.Event
	tallies    []Tally
	violations []Violation
	rest       int // violations beyond the most that are told
}

// judged counts what was looked at. What is one of the guarantee's subjects.
func (f *findings) judged(what string, n int) {
	i := slices.IndexFunc(f.tallies, func(t Tally) bool { return t.What == what })
	f.tallies[i].N += n
}

// fail reports a violation. The events are of the history, the first is the one that it is about.
func (f *findings) fail(text string, events ...*history.Event) {
	if len(f.violations) == MaxViolations {
		f.rest++
		return
	}
	v := Violation{Guarantee: f.guarantee, Text: text}
	for _, e := range events {
		if e == nil {
			continue
		}
		if v.Events == nil {
			v.Board, v.Client, v.Seq, v.Frame = e.Board, e.Client, e.Seq, e.Frame
		}
		v.Events = append(v.Events, Evidence{Line: f.line(e), Event: *e})
	}
	f.violations = append(f.violations, v)
}

// line finds where e stands. There are few violations, so events need not carry their line.
func (f *findings) line(e *history.Event) int {
	for i := range f.events {
		if &f.events[i] == e {
			return i + 1
		}
	}
	return 0
}

// describe is the event on one line, without what would fill the screen.
func describe(e history.Event) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s", e.At.Round(time.Microsecond), e.Kind)
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&s, " %s=%s", name, value)
		}
	}
	number := func(name string, n uint64) {
		if n != 0 {
			fmt.Fprintf(&s, " %s=%d", name, n)
		}
	}
	is := func(name string, yes bool) {
		if yes {
			s.WriteString(" " + name)
		}
	}
	say("client", e.Client)
	number("member", uint64(e.Member))
	say("board", e.Board)
	say("frame", e.Frame)
	say("epoch", e.Epoch)
	number("seq", e.Seq)
	number("head", e.Head)
	number("want", e.Want)
	say("from", e.From)
	say("digest", e.Digest)
	say("content", e.Content)
	number("objects", e.Objects)
	say("mode", e.Mode)
	say("reason", e.Reason)
	say("code", e.Code)
	is("chained", e.Chained)
	is("duplicate", e.Duplicate)
	is("retryable", e.Retryable)
	is("writable", e.Writable)
	say("note", e.Note)
	return s.String()
}
