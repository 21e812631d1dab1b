package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// tale is a history whose events have names, in their Note, so that a test can say which one it breaks.
type tale []history.Event

// the event of that name.
func (h *tale) the(name string) *history.Event {
	for i := range *h {
		if e := &(*h)[i]; e.Note == name {
			return e
		}
	}
	panic("no event " + name)
}

func (h *tale) remove(name string) {
	*h = slices.DeleteFunc(*h, func(e history.Event) bool { return e.Note == name })
}

// move puts an event behind another, with its time and all.
func (h *tale) move(name, behind string) {
	e := *h.the(name)
	h.remove(name)
	i := slices.IndexFunc(*h, func(e history.Event) bool { return e.Note == behind })
	*h = slices.Insert(*h, i+1, e)
}

func (h *tale) add(e history.Event) { *h = append(*h, e) }

const (
	theBoard   = "11111111-1111-4111-8111-111111111111"
	theEpoch   = "22222222-2222-4222-8222-222222222222"
	oldEpoch   = "33333333-3333-4333-8333-333333333333"
	theObject  = "44444444-4444-4444-8444-444444444444"
	frameIDFmt = "aaaaaaaa-aaaa-4aaa-8aaa-%012d"
)

// whole is a history, made by hand, in which nothing is wrong: ada and bob on one board, with four frames in its log and
// one that was refused.
//
//	ms  ada                          bob
//	10  joins, at 0
//	20  submits 1, 2
//	30  is acked 1, delivered 1      submits 3, is acked
//	40  is delivered 2, 3            resends 3, is acked
//	50  is acked 2, parts            joins, at 3, parts
//	60  resumes after 3              submits 4, and 5, which is refused; joins from an old epoch, at 3
//	70  is delivered 4               is acked 4, delivered 4
//	80  joins in an outage, at 1     joins anew, at 4
func whole() tale {
	log, states := wholeLog()
	digest := func(seq int) string { return history.Digest(states[seq].Snapshot()) }
	var h tale
	event := func(ms int, kind history.Kind, client, name string, e history.Event) {
		e.At, e.Kind, e.Client, e.Note = time.Duration(ms)*time.Millisecond, kind, client, name
		if kind != history.KindRun && kind != history.KindConnected {
			e.Board = theBoard
		}
		h = append(h, e)
	}
	submit := func(ms int, client string, n int) {
		e := history.Event{Frame: fmt.Sprintf(frameIDFmt, n), Chained: true}
		if n <= len(log) {
			e.Content = history.Content(log[n-1])
		}
		event(ms, history.KindSubmit, client, fmt.Sprintf("submit %d", n), e)
	}
	ack := func(ms int, client string, n int) {
		event(ms, history.KindAck, client, fmt.Sprintf("ack %d", n), history.Event{
			Frame: fmt.Sprintf(frameIDFmt, n), Epoch: theEpoch, Seq: uint64(n),
		})
	}
	delivered := func(ms int, client string, member, n int) {
		event(ms, history.KindDelivered, client, fmt.Sprintf("%s hears %d", client, n), history.Event{
			Member: member, Frame: log[n-1].GetId(), Epoch: theEpoch, Seq: uint64(n), Digest: history.Digest(history.Encode(log[n-1])),
		})
	}
	join := func(ms int, client string, member int, epoch string, seq uint64) {
		event(ms, history.KindJoin, client, fmt.Sprintf("%s asks %d", client, member), history.Event{Member: member, Epoch: epoch, Seq: seq})
	}
	joined := func(ms int, client string, member int, e history.Event) {
		e.Member, e.Epoch = member, theEpoch
		event(ms, history.KindJoined, client, fmt.Sprintf("%s joins %d", client, member), e)
	}

	event(1, history.KindRun, "", "run", history.Event{})
	event(2, history.KindConnected, "ada", "ada connects", history.Event{})
	event(2, history.KindConnected, "bob", "bob connects", history.Event{})
	join(10, "ada", 1, "", 0)
	joined(11, "ada", 1, history.Event{Mode: "SNAPSHOT", Writable: true})
	submit(20, "ada", 1)
	submit(21, "ada", 2)
	delivered(30, "ada", 1, 1)
	ack(31, "ada", 1)
	h.the("ack 1").Member = 1
	submit(32, "bob", 3)
	ack(33, "bob", 3)
	delivered(40, "ada", 1, 2)
	delivered(41, "ada", 1, 3)
	event(42, history.KindResend, "bob", "resend 3", history.Event{Frame: log[2].GetId()})
	ack(43, "bob", 3)
	h[len(h)-1].Duplicate, h[len(h)-1].Note = true, "ack 3 again"
	ack(50, "ada", 2)
	event(51, history.KindParted, "ada", "ada parts 1", history.Event{Member: 1})
	join(52, "bob", 1, "", 0)
	joined(53, "bob", 1, history.Event{Mode: "SNAPSHOT", Seq: 3, Head: 3, Writable: true})
	event(54, history.KindReplica, "bob", "replica", history.Event{Seq: 3, Digest: digest(3)})
	event(55, history.KindParted, "bob", "bob parts 1", history.Event{Member: 1})
	join(60, "ada", 2, theEpoch, 3)
	joined(61, "ada", 2, history.Event{Mode: "RESUMED", Seq: 3, Writable: true})
	join(62, "bob", 2, oldEpoch, 7)
	joined(63, "bob", 2, history.Event{Mode: "SNAPSHOT", Seq: 3, Reason: "EPOCH_CHANGED", Writable: true})
	submit(64, "bob", 4)
	submit(65, "bob", 5)
	event(66, history.KindRefused, "bob", "refused 5", history.Event{Frame: fmt.Sprintf(frameIDFmt, 5), Code: "OBJECT_NOT_FOUND"})
	delivered(70, "ada", 2, 4)
	delivered(71, "bob", 2, 4)
	ack(72, "bob", 4)
	join(80, "ada", 3, "", 0)
	joined(81, "ada", 3, history.Event{Mode: "SNAPSHOT", Seq: 1, Head: 1})
	join(82, "bob", 3, "", 0)
	joined(83, "bob", 3, history.Event{Mode: "SNAPSHOT", Seq: 4, Head: 4, Writable: true})
	for i, f := range log {
		event(90, history.KindLog, "", fmt.Sprintf("log %d", i+1), history.Event{
			Trimmed: i == 0,
			Epoch:   theEpoch, Seq: f.GetSeq(), Frame: f.GetId(), From: f.GetFrom(), Body: history.Encode(f),
		})
	}
	event(91, history.KindHead, "", "head", history.Event{Epoch: theEpoch, Seq: 4, Objects: 1})
	event(92, history.KindSnapshot, "", "snapshot", history.Event{Epoch: theEpoch, Seq: 4, Digest: digest(4)})
	return h
}

// wholeLog is the log of that board, and the board at every seq of it.
func wholeLog() (log []*collaboardv1.Frame, states []*board.Board) {
	states = append(states, board.New())
	for i, f := range []struct {
		from    string
		request *collaboardv1.Frame
	}{
		{"ada", &collaboardv1.Frame{Payload: &collaboardv1.Frame_ChatMessage{ChatMessage: &collaboardv1.ChatMessage{Text: "hello"}}}},
		{"ada", &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{
			Object: &collaboardv1.Object{Id: theObject, Kind: "rectangle"},
		}}}},
		{"bob", &collaboardv1.Frame{Payload: &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "test", Data: []byte("data")}}}},
		{"bob", &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: theObject, X: proto.Float64(1)}}}},
	} {
		f.request.Id, f.request.BoardId = fmt.Sprintf(frameIDFmt, i+1), theBoard
		next := states[i].Clone()
		event, err := next.Decide(f.request, board.Stamp{Seq: uint64(i) + 1, Time: time.Unix(1, 0), From: f.from})
		if err != nil {
			panic(err)
		}
		next.Apply(event)
		log, states = append(log, event), append(states, next)
	}
	return log, states
}

// idle is what there was nothing of to judge, but for what TestGoingBackIsJudged has histories of its own for.
func idle(s check.Summary) []check.Tally {
	return slices.DeleteFunc(s.Idle(), func(t check.Tally) bool { return t.Guarantee == check.WentBack || t.Guarantee == check.Chained })
}

func TestWholeHistoryIsWhole(t *testing.T) {
	t.Parallel()
	summary, violations := check.Report(whole())
	for _, v := range violations {
		t.Error(v)
	}
	for _, tally := range idle(summary) {
		t.Errorf("nothing for %s to judge: %s", tally.Guarantee, tally.What)
	}
	want := check.Summary{
		Events: 41, Took: 92 * time.Millisecond, Clients: 2, Boards: 1,
		Submits: 5, Resends: 1, Acks: 5, Duplicates: 1, Refusals: map[string]int{"OBJECT_NOT_FOUND": 1},
		Connects: 2, Joins: 6, Joined: map[string]int{"RESUMED": 1, "SNAPSHOT": 4, "SNAPSHOT EPOCH_CHANGED": 1}, NotWritable: 1, Parts: 2,
		Deliveries: 5, Replicas: 1, Snapshots: 1, LogFrames: 4, LongestLog: 4,
	}
	summary.Tallies = nil
	if diff := cmp.Diff(want, summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

// What a guarantee exempts, or leaves open, is no violation.
func TestWhatIsExempt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*tale){
		"an ack is lost":      func(h *tale) { h.remove("ack 4") },
		"an answer is lost":   func(h *tale) { h.remove("bob joins 3") },
		"deliveries end":      func(h *tale) { h.remove("ada hears 3"); h.remove("ada hears 2") },
		"no epoch is known":   func(h *tale) { h.the("ada hears 1").Epoch = "" },
		"senders are renamed": func(h *tale) { h.rename("user-") },
		"resumed in an outage": func(h *tale) {
			h.the("ada asks 2").Seq, h.the("ada joins 2").Seq, h.the("ada joins 2").Writable = 9, 9, false
			h.remove("ada hears 4")
		},
		"resumed from the beginning": func(h *tale) { h.the("ada joins 1").Mode = "RESUMED" },
		"a position is ahead":        func(h *tale) { h.ahead(9) },
		"a position was not known yet": func(h *tale) {
			h.ahead(4) // which nobody had been told of when bob asked
		},
		"trimmed, and the log does not say otherwise": func(h *tale) {
			h.ahead(4)
			h.the("bob joins 2").Reason = "LOG_TRIMMED"
		},
		"trimmed": func(h *tale) {
			h.ahead(2)
			h.the("bob joins 2").Reason = "LOG_TRIMMED"
			for _, name := range []string{"log 1", "log 2", "log 3"} {
				h.the(name).Trimmed = true
			}
		},
		"refused for now, and in the log": func(h *tale) { h.refuse("UNAVAILABLE", true) },
		"refused to the sender":           func(h *tale) { h.refuse("PERMISSION_DENIED", false) },
		"a join is stale by less": func(h *tale) {
			h.the("bob asks 3").At = h.the("ack 4").At
			h.the("bob joins 3").Seq, h.the("bob joins 3").Head = 3, 3
			h.remove("bob parts 1")
		},
		"what was shown is ahead": func(h *tale) { h.the("bob joins 3").Seq = 3 },
		"unchained frames in another order": func(h *tale) {
			h.the("submit 1").Chained = false
			h.move("submit 1", "submit 2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := whole()
			change(&h)
			for _, v := range check.History(h) {
				t.Error(v)
			}
		})
	}
}

// rename has the users go by other names than the clients.
func (h *tale) rename(prefix string) {
	for i := range *h {
		if e := &(*h)[i]; e.Kind == history.KindLog {
			e.From = prefix + e.From
			rewrite(e, func(f *collaboardv1.Frame) { f.From = e.From })
			digest := history.Digest(e.Body)
			for j := range *h {
				if d := &(*h)[j]; d.Kind == history.KindDelivered && d.Seq == e.Seq {
					d.Digest = digest
				}
			}
		}
	}
	fold := board.New()
	for i := range *h {
		e := &(*h)[i]
		if e.Kind != history.KindLog {
			continue
		}
		f := new(collaboardv1.Frame)
		if err := proto.Unmarshal(e.Body, f); err != nil {
			panic(err)
		}
		fold.Apply(f)
		for j := range *h {
			if c := &(*h)[j]; (c.Kind == history.KindReplica || c.Kind == history.KindSnapshot) && c.Seq == e.Seq {
				c.Digest = history.Digest(fold.Snapshot())
			}
		}
	}
}

// ahead has bob ask for a position in the log's own epoch, and hear that it is ahead.
func (h *tale) ahead(seq uint64) {
	h.the("bob asks 2").Epoch, h.the("bob asks 2").Seq = theEpoch, seq
	h.the("bob joins 2").Reason = "POSITION_AHEAD"
}

// refuse has the ack of frame 4 be a refusal.
func (h *tale) refuse(code string, retryable bool) {
	e := h.the("ack 4")
	e.Kind, e.Epoch, e.Seq, e.Code, e.Retryable = history.KindRefused, "", 0, code, retryable
}

// rebody changes the body of a frame of the log, and nothing that was told of it.
func (h *tale) rebody(name string, change func(*collaboardv1.Frame)) { rewrite(h.the(name), change) }

func TestWhatIsBrokenIsCaughtByName(t *testing.T) {
	t.Parallel()
	for _, broken := range []struct {
		name   string
		change func(*tale)
		want   []string
		text   string // of the first violation
	}{
		{"no such kind", func(h *tale) { h.the("run").Kind = "rum" }, []string{check.Record}, "no such kind"},
		{"no client", func(h *tale) { h.the("ada connects").Client = "" }, []string{check.Record}, "lacks"},
		{"submitted twice", func(h *tale) { h.add(*h.the("submit 5")) }, []string{check.Record}, "submitted before"},
		{"acked to another", func(h *tale) { h.the("ack 4").Client = "ada" }, []string{check.Record}, "did not submit"},
		{"resent by another", func(h *tale) { h.the("resend 3").Client = "ada" }, []string{check.Record}, "did not submit"},
		{"never asked for", func(h *tale) { h.remove("bob asks 3") }, []string{check.Record}, "never asked for"},
		{"of another board", func(h *tale) { h.the("ada parts 1").Board = elsewhere }, []string{check.Record}, "another board"},
		{"asked for twice", func(h *tale) { h.add(*h.the("bob asks 3")) }, []string{check.Record}, "asked for before"},
		{"answered twice", func(h *tale) { h.add(*h.the("bob joins 3")) }, []string{check.Record}, "answered before"},
		{"answered too soon", func(h *tale) { h.the("ada asks 3").At += time.Second }, []string{check.Record}, "before it was asked for"},
		{"no mode", func(h *tale) { h.the("ada joins 3").Mode = "" }, []string{check.Record}, "no mode"},
		{"showed less", func(h *tale) { h.the("bob joins 3").Head = 1 }, []string{check.Record}, "showed less"},
		{"two heads", func(h *tale) { h.add(*h.the("head")) }, []string{check.Record}, "two heads"},
		{"log behind the head", func(h *tale) { h.move("log 4", "head") }, []string{check.Record}, "behind its head"},
		{"a board without a head", func(h *tale) {
			h.add(history.Event{Kind: history.KindSubmit, Client: "ada", Board: elsewhere, Frame: elsewhere})
		}, []string{check.Record}, "no head"},
		{"two epochs", func(h *tale) {
			h.the("log 3").Epoch = oldEpoch
			h.remove("ack 3")
			h.remove("ack 3 again")
			h.the("ada hears 3").Epoch = ""
		}, []string{check.Record}, "two epochs"},

		{"acked, not there", func(h *tale) { h.the("ack 4").Seq = 5 }, []string{check.Durable}, "nothing at its seq"},
		{"acked, another there", func(h *tale) { h.the("ack 4").Seq = 3 }, []string{check.Durable}, "another frame"},
		{"acked in another epoch", func(h *tale) { h.the("ack 4").Epoch = oldEpoch }, []string{check.Durable}, "epoch"},
		{"a body that is none", func(h *tale) {
			h.the("log 4").Body = []byte{0xff}
			h.remove("ada hears 4")
			h.remove("bob hears 4")
			h.remove("snapshot")
		}, []string{check.Durable}, "not a frame"},
		{"another id", func(h *tale) { h.rebody("log 4", func(f *collaboardv1.Frame) { f.Id = elsewhere }) }, []string{check.Durable, check.Ordered}, "id"},
		{"another board", func(h *tale) { h.rebody("log 4", func(f *collaboardv1.Frame) { f.BoardId = elsewhere }) }, []string{check.Durable, check.Ordered}, "board_id"},
		{"another seq", func(h *tale) { h.rebody("log 1", func(f *collaboardv1.Frame) { f.Seq = 2 }) }, []string{check.Durable, check.Ordered, check.Converged}, "seq"},
		{"another sender", func(h *tale) { h.rebody("log 1", func(f *collaboardv1.Frame) { f.From = "bob" }) }, []string{check.Durable, check.Ordered}, "from"},
		{"no event", func(h *tale) { h.rebody("log 1", func(f *collaboardv1.Frame) { f.Status = 0 }) }, []string{check.Durable, check.Ordered}, "status"},
		{"another payload", func(h *tale) { h.the("submit 1").Content = "0" }, []string{check.Durable}, "payload"},

		{"refused for good, and there", func(h *tale) { h.refuse("STALE_UPDATE", false) }, []string{check.Refused}, "refused"},

		{"twice in the log", func(h *tale) {
			again := *h.the("log 1")
			again.Trimmed = false
			again.Seq = 5
			rewrite(&again, func(f *collaboardv1.Frame) { f.Seq = 5 })
			*h = slices.Insert(*h, slices.IndexFunc(*h, func(e history.Event) bool { return e.Note == "head" }), again)
			h.the("head").Seq = 5
		}, []string{check.Once}, "twice"},
		{"acked at two seqs", func(h *tale) { h.the("ack 3 again").Seq = 4 }, []string{check.Durable, check.Once}, ""},

		{"a head that is ahead", func(h *tale) { h.the("head").Seq = 5 }, []string{check.Gapless}, "head"},
		{"a gap", func(h *tale) {
			h.remove("log 1")
			h.remove("ada hears 1")
			h.remove("ack 1")
			h.the("ada joins 1").Seq = 1
		}, []string{check.Gapless}, "where 1 follows"},

		{"delivered at another seq", func(h *tale) {
			h.the("ada hears 1").Seq, h.the("ada hears 2").Seq = 2, 1
			h.move("ada hears 2", "ada asks 1")
			h.move("ada hears 2", "ada joins 1")
			h.the("ada hears 2").At = h.the("submit 2").At
		}, []string{check.Ordered}, "another seq"},
		{"delivered in another epoch", func(h *tale) { h.the("bob hears 4").Epoch = oldEpoch }, []string{check.Ordered, check.Resumable}, "epoch"},
		{"delivered with other content", func(h *tale) { h.the("bob hears 4").Digest = "0" }, []string{check.Ordered}, "content"},
		{"a client's frames in another order", func(h *tale) { h.move("submit 1", "submit 2") }, []string{check.Ordered}, "ahead of a frame"},

		{"delivered, and not there", func(h *tale) { h.the("bob hears 4").Frame = elsewhere }, []string{check.FromTheLog}, "delivered"},
		{"joined ahead", func(h *tale) { h.the("bob joins 3").Head = 5 }, []string{check.FromTheLog}, "ahead"},
		{"joined in another epoch", func(h *tale) { h.the("bob joins 3").Epoch = oldEpoch }, []string{check.FromTheLog}, "epoch"},
		{"resumed after what never was", func(h *tale) {
			h.the("ada asks 2").Seq, h.the("ada joins 2").Seq = 9, 9
			h.remove("ada hears 4")
		}, []string{check.FromTheLog}, "ahead"},
		{"nobody's frame", func(h *tale) { h.remove("submit 4"); h.remove("ack 4") }, []string{check.FromTheLog}, "nobody"},
		{"somebody else's frame", func(h *tale) { h.the("submit 4").Client, h.the("ack 4").Client = "ada", "ada" }, []string{check.FromTheLog}, "somebody else"},
		{"a client of two senders", func(h *tale) {
			h.rename("user-")
			h.the("submit 4").Client, h.the("ack 4").Client = "ada", "ada"
		}, []string{check.FromTheLog}, "two senders"},

		{"acked before it was submitted", func(h *tale) { h.the("ack 4").At = h.the("submit 4").At - 1 }, []string{check.AfterSubmit}, "before"},
		{"delivered before it was submitted", func(h *tale) { h.the("bob hears 4").At = h.the("submit 4").At - 1 }, []string{check.AfterSubmit}, "before"},

		{"delivered before the answer", func(h *tale) { h.move("bob joins 2", "bob hears 4") }, []string{check.Resumable}, "before the join"},
		{"delivered after the end", func(h *tale) { h.move("ada parts 1", "ada hears 1") }, []string{check.Resumable}, "after the membership"},
		{"not delivered", func(h *tale) { h.remove("ada hears 2") }, []string{check.Resumable}, "where seq 2 follows"},
		{"the first not delivered", func(h *tale) { h.remove("ada hears 1"); h.the("ack 1").Member = 0 }, []string{check.Resumable}, "where seq 1 follows"},
		{"delivered twice", func(h *tale) {
			h.add(*h.the("bob hears 4"))
		}, []string{check.Resumable}, "where seq 5 follows"},
		{"delivered in another order", func(h *tale) { h.move("ada hears 2", "ada hears 3") }, []string{check.Resumable}, "follows"},
		{"resumed at another seq", func(h *tale) { h.the("ada asks 2").Seq = 2 }, []string{check.Resumable}, "elsewhere"},
		{"resumed in another epoch", func(h *tale) { h.the("ada asks 2").Epoch = oldEpoch }, []string{check.Resumable}, "elsewhere"},
		{"resumed somewhere", func(h *tale) { h.the("bob joins 3").Mode = "RESUMED" }, []string{check.Resumable}, "elsewhere"},
		{"no reason", func(h *tale) { h.the("bob joins 2").Reason = "" }, []string{check.Resumable}, "no reason"},
		{"the epoch is the same", func(h *tale) { h.the("bob asks 2").Epoch = theEpoch }, []string{check.Resumable}, "has not changed"},
		{"not ahead of an ack", func(h *tale) { h.ahead(3) }, []string{check.Resumable}, "not ahead"},
		{"not trimmed", func(h *tale) {
			h.ahead(2)
			h.the("bob joins 2").Reason = "LOG_TRIMMED"
		}, []string{check.Resumable}, "not trimmed"},

		{"trimmed, but for the first", func(h *tale) { h.the("log 3").Trimmed = true }, []string{check.Gapless}, "before it was not"},

		{"a wrong replica", func(h *tale) { h.the("replica").Digest = "0" }, []string{check.Converged}, "not the fold"},
		{"a replica of another seq", func(h *tale) { h.the("replica").Seq = 2 }, []string{check.Converged}, "not the fold"},
		{"a replica ahead of the log", func(h *tale) { h.the("replica").Seq = 5 }, []string{check.Converged}, "does not have"},
		{"a wrong snapshot", func(h *tale) { h.the("snapshot").Digest = "0" }, []string{check.Converged}, "not the fold"},
		{"a snapshot in another epoch", func(h *tale) { h.the("snapshot").Epoch = oldEpoch }, []string{check.Converged}, "epoch"},
		{"a wrong count", func(h *tale) { h.the("head").Objects = 2 }, []string{check.Converged}, "counts 2 objects"},

		{"a stale join", func(h *tale) { h.the("bob joins 3").Seq, h.the("bob joins 3").Head = 3, 3 }, []string{check.Recent}, "asked after seq 4 was acked"},
		{"a join that goes back", func(h *tale) {
			h.the("ada joins 3").Seq, h.the("ada joins 3").Head, h.the("ada joins 3").Writable = 4, 4, true
			h.the("bob joins 3").Seq, h.the("bob joins 3").Head = 3, 3
			h.remove("ack 4")
		}, []string{check.Recent}, "asked after another"},
		{"a join that foresees", func(h *tale) { h.the("bob joins 1").Head = 4 }, []string{check.Recent}, "after a join was answered"},
		{"an ack that was overtaken", func(h *tale) {
			for _, name := range []string{"submit 3", "submit 4"} { // the log has 4 behind 3
				h.the(name).Chained = false
			}
			h.the("submit 3").At = h.the("ack 4").At
			for _, name := range []string{"ack 3", "ack 3 again", "ada hears 3"} {
				h.the(name).At = h.the("ack 4").At + 1
			}
			h.the("ack 4").At--
			h.remove("bob joins 1")
			h.remove("bob parts 1")
		}, []string{check.Recent}, "submitted after seq 4 was acked"},
	} {
		t.Run(broken.name, func(t *testing.T) {
			t.Parallel()
			h := whole()
			broken.change(&h)
			violations := check.History(h)
			if diff := cmp.Diff(broken.want, caught(violations)); diff != "" {
				t.Fatalf("guarantees that said so (-want +got):\n%s%v", diff, violations)
			}
			first := violations[0]
			if !strings.Contains(first.Text, broken.text) {
				t.Errorf("it says %q, want something of %q", first.Text, broken.text)
			}
			for _, e := range first.Events {
				if diff := cmp.Diff(h[e.Line-1], e.Event); diff != "" {
					t.Errorf("line %d is not the event (-line +event):\n%s", e.Line, diff)
				}
			}
			if len(first.Events) == 0 {
				t.Errorf("no event shows it: %s", first)
			}
		})
	}
}

func TestViolationsAreCapped(t *testing.T) {
	t.Parallel()
	var h tale
	for range check.MaxViolations + 5 {
		h.add(history.Event{Kind: "nonsense"})
	}
	violations := check.History(h)
	if len(violations) != check.MaxViolations+1 {
		t.Fatalf("%d violations, want %d and one that counts the others", len(violations), check.MaxViolations)
	}
	if last := violations[check.MaxViolations]; last.Guarantee != check.Record || last.Text != "and 5 more" {
		t.Errorf("the last is %s", last)
	}
}

func TestEmptyHistoryIsIdle(t *testing.T) {
	t.Parallel()
	summary, violations := check.Report(nil)
	if len(violations) != 0 {
		t.Errorf("violations of nothing: %v", violations)
	}
	if len(summary.Idle()) != len(summary.Tallies) || len(summary.Tallies) == 0 {
		t.Errorf("%d of %d tallies are idle", len(summary.Idle()), len(summary.Tallies))
	}
	if text := summary.String(); strings.Count(text, "(!)") != len(summary.Tallies) {
		t.Errorf("it does not show in\n%s", text)
	}
}

func TestViolationCanBeRead(t *testing.T) {
	t.Parallel()
	h := whole()
	h.the("bob hears 4").Digest = "0"
	violations := check.History(h)
	if len(violations) != 1 {
		t.Fatalf("violations: %v", violations)
	}
	text := violations[0].String()
	for _, part := range []string{"Ordered: delivered with other content", "\n    line 30, 71ms delivered client=bob member=2 board=" + theBoard, " seq=4 ", "\n    line 39, 90ms log "} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}
