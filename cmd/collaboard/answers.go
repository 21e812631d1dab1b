package main

import (
	"fmt"
	"strings"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// answers prints the answers that send gets, and keeps account of the lines that get none.
type answers struct {
	lines      *jsonLines
	refused    bool    // a request was
	last       int     // number of the last line that was sent
	unanswered []*line // of those that were
}

func (a *answers) print(frame *collaboardv1.Frame) error {
	a.refused = a.refused || frame.GetStatus() == collaboardv1.Status_STATUS_ERROR
	return a.lines.printNow(frame)
}

// complainRest says, after sending has failed, what became of the lines that have no answer.
func (a *answers) complainRest(r *reader, retried bool) {
	if a.last == 0 {
		return // there was no server to send anything to
	}
	var all []string
	if len(a.unanswered) > 0 {
		may := "they may be in the log or not"
		if len(a.unanswered) == 1 {
			may = "it may be in the log or not"
		}
		all = append(all, wereNot(spans(a.unanswered), "answered")+": "+may)
	}
	if last, known := r.skipRest(); !known {
		all = append(all, fmt.Sprintf("nothing after line %d was sent", a.last))
	} else if last > a.last {
		all = append(all, wereNot([]span{{a.last + 1, last}}, "sent"))
	}
	if len(all) == 0 {
		return
	}
	complainf("%s", strings.Join(all, "; "))
	hint := "frames with ids of their own can be sent again, and are in the log once"
	if !retried {
		hint += "; --retry sends again by itself"
	}
	complainf("%s", hint)
}

// span is lines of the input that follow each other.
type span struct{ first, last int }

func (s span) String() string {
	if s.first == s.last {
		return fmt.Sprint(s.first)
	}
	return fmt.Sprintf("%d-%d", s.first, s.last)
}

// spans puts together the lines between which no frame is.
func spans(lines []*line) (all []span) {
	for i, l := range lines {
		if i > 0 && lines[i-1].index == l.index-1 {
			all[len(all)-1].last = l.number
		} else {
			all = append(all, span{l.number, l.number})
		}
	}
	return all
}

func wereNot(all []span, what string) string {
	const shown = 10
	var text []string
	for _, s := range all[:min(len(all), shown)] {
		text = append(text, s.String())
	}
	if more := len(all) - shown; more > 0 {
		text = append(text, "and others")
	}
	if len(all) == 1 && all[0].first == all[0].last {
		return fmt.Sprintf("line %s was not %s", text[0], what)
	}
	return fmt.Sprintf("lines %s were not %s", strings.Join(text, ", "), what)
}
