package check_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// caught are the names of the guarantees that the history breaks, each once, in their order.
func caught(violations []check.Violation) []string {
	var names []string
	for _, v := range violations {
		if !slices.Contains(names, v.Guarantee) {
			names = append(names, v.Guarantee)
		}
	}
	return names
}

// mutant is a history to corrupt.
type mutant struct {
	events []history.Event
	rand   *rand.Rand
}

// pick is one of the events that fit, by lot. Every simulated history has some.
func (m *mutant) pick(t *testing.T, fits func(e *history.Event) bool) *history.Event {
	t.Helper()
	var all []*history.Event
	for i := range m.events {
		if fits(&m.events[i]) {
			all = append(all, &m.events[i])
		}
	}
	if len(all) == 0 {
		t.Fatal("the history has no such event")
	}
	return all[m.rand.IntN(len(all))]
}

// find is the first event that fits, or nil.
func (m *mutant) find(fits func(e *history.Event) bool) *history.Event {
	for i := range m.events {
		if fits(&m.events[i]) {
			return &m.events[i]
		}
	}
	return nil
}

func (m *mutant) remove(e *history.Event) {
	for i := range m.events {
		if &m.events[i] == e {
			m.events = slices.Delete(m.events, i, i+1)
			return
		}
	}
}

func (m *mutant) insertAfter(e *history.Event, what history.Event) {
	for i := range m.events {
		if &m.events[i] == e {
			m.events = slices.Insert(m.events, i+1, what)
			return
		}
	}
}

func (m *mutant) head(board string) *history.Event {
	return m.find(func(e *history.Event) bool { return e.Kind == history.KindHead && e.Board == board })
}

func (m *mutant) row(e *history.Event) *history.Event {
	return m.find(func(l *history.Event) bool {
		return l.Kind == history.KindLog && l.Board == e.Board && l.Frame == e.Frame
	})
}

func (m *mutant) submit(e *history.Event) *history.Event {
	return m.find(func(s *history.Event) bool {
		return s.Kind == history.KindSubmit && s.Board == e.Board && s.Frame == e.Frame
	})
}

// told says that an ack, or a delivery, names the frame of the log.
func (m *mutant) told(kind history.Kind, e *history.Event) bool {
	return m.find(func(a *history.Event) bool { return a.Kind == kind && a.Board == e.Board && a.Frame == e.Frame }) != nil
}

// rewrite changes the body of a frame of the log.
func rewrite(e *history.Event, change func(*collaboardv1.Frame)) {
	f := new(collaboardv1.Frame)
	if err := proto.Unmarshal(e.Body, f); err != nil {
		panic(err)
	}
	change(f)
	e.Body = history.Encode(f)
}

func is(kind history.Kind) func(*history.Event) bool {
	return func(e *history.Event) bool { return e.Kind == kind }
}

const elsewhere = "00000000-0000-4000-8000-000000000000"

// mutations are the ways in which a history is corrupted, and which guarantees must say so: those of want, and no other
// but those of also, which depend on what was drawn.
var mutations = []struct {
	name       string
	mutate     func(*testing.T, *mutant)
	want, also []string
}{
	{"an acked frame is missing at the end of the log", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindLog && e.Seq == m.head(e.Board).Seq && m.told(history.KindAck, e)
		})
		head := m.head(row.Board)
		head.Seq--
		m.remove(row)
	}, []string{check.Durable}, []string{check.FromTheLog, check.Converged}},
	{"an acked frame is missing in the log", func(t *testing.T, m *mutant) {
		m.remove(m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindLog && e.Seq < m.head(e.Board).Seq && m.told(history.KindAck, e) && !m.told(history.KindDelivered, e)
		}))
	}, []string{check.Durable, check.Gapless}, []string{check.Converged}},
	{"an ack names another seq", func(t *testing.T, m *mutant) {
		ack := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindAck && !e.Duplicate && e.Seq > 1 })
		ack.Seq--
	}, []string{check.Durable}, []string{check.Once}},
	{"an ack names another epoch", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindAck)).Epoch = elsewhere
	}, []string{check.Durable}, []string{check.Once}},
	{"two seqs are swapped", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindLog && e.Seq > 1 && m.told(history.KindAck, e)
		})
		before := m.find(func(e *history.Event) bool {
			return e.Kind == history.KindLog && e.Board == row.Board && e.Seq == row.Seq-1
		})
		row.Seq, before.Seq = before.Seq, row.Seq
	}, []string{check.Durable, check.Gapless}, []string{check.Ordered, check.Converged}},
	{"a byte of a body is changed", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindLog && m.submit(e).Content != "" && !m.told(history.KindDelivered, e)
		})
		row.Body = slices.Clone(row.Body)
		row.Body[len(row.Body)-1] ^= 1 // the payload comes last: of its text, or data
	}, []string{check.Durable}, nil},
	{"a body is not a frame", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindLog && !m.told(history.KindDelivered, e) })
		row.Body = []byte{0xff}
	}, []string{check.Durable}, []string{check.Converged}},
	{"a body is of another sender", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindLog && m.submit(e).Content != "" && !m.told(history.KindDelivered, e)
		})
		rewrite(row, func(f *collaboardv1.Frame) { f.From = "somebody" })
	}, []string{check.Durable}, nil},
	{"a body is no event", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindLog && m.submit(e).Content != "" })
		rewrite(row, func(f *collaboardv1.Frame) { f.Status = collaboardv1.Status_STATUS_REQUEST })
	}, []string{check.Durable}, []string{check.Ordered}},
	{"a frame that is in the log was refused for good", func(t *testing.T, m *mutant) {
		ack := m.pick(t, is(history.KindAck))
		*ack = history.Event{Kind: history.KindRefused, At: ack.At, Client: ack.Client, Board: ack.Board, Frame: ack.Frame, Code: "STALE_UPDATE"}
	}, []string{check.Refused}, nil},
	{"an id is in the log twice", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindLog && m.submit(e).Content != "" })
		head := m.head(row.Board)
		again := *row
		head.Seq++
		again.Seq = head.Seq
		rewrite(&again, func(f *collaboardv1.Frame) { f.Seq = again.Seq })
		m.events = slices.Insert(m.events, slices.IndexFunc(m.events, func(e history.Event) bool { return e.Kind == history.KindHead && e.Board == row.Board }), again)
	}, []string{check.Once}, nil},
	{"a frame is acked twice, at two seqs", func(t *testing.T, m *mutant) {
		ack := m.pick(t, is(history.KindAck))
		again := *ack
		again.Seq, again.Duplicate = ack.Seq+1, true
		m.insertAfter(ack, again)
	}, []string{check.Durable, check.Once}, []string{check.AfterSubmit}},
	{"a frame that was sent again is acked as new", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindAck && !e.Duplicate && !m.told(history.KindResend, e)
		})
		m.insertAfter(e, *e)
	}, []string{check.Once}, nil},
	{"a frame that was sent once is acked as a duplicate", func(t *testing.T, m *mutant) {
		m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindAck && !m.submit(e).Chained && !m.told(history.KindResend, e)
		}).Duplicate = true
	}, []string{check.Once}, nil},
	{"a seq is left out", func(t *testing.T, m *mutant) {
		head := m.pick(t, is(history.KindHead))
		head.Seq++
		row := m.find(func(e *history.Event) bool {
			return e.Kind == history.KindLog && e.Board == head.Board && e.Seq == head.Seq-1
		})
		row.Seq++
		rewrite(row, func(f *collaboardv1.Frame) { f.Seq = row.Seq })
	}, []string{check.Gapless, check.Converged}, []string{check.Durable, check.Ordered}},
	{"the head is behind the log", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindHead)).Seq--
	}, []string{check.Gapless}, nil},
	{"one member saw other content", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindDelivered)).Digest = "0"
	}, []string{check.Ordered}, nil},
	{"one member saw a frame at another seq", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindDelivered && e.Seq > 1 && m.row(e).Seq == e.Seq
		})
		other := m.find(func(l *history.Event) bool {
			return l.Kind == history.KindLog && l.Board == e.Board && l.Seq == e.Seq-1
		})
		e.Frame = other.Frame
	}, []string{check.Ordered}, []string{check.AfterSubmit}},
	{"a client's frames are in the log in another order", func(t *testing.T, m *mutant) {
		one := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindSubmit && e.Chained && m.row(e) != nil })
		two := m.find(func(e *history.Event) bool {
			return e.Kind == history.KindSubmit && e.Chained && e.Client == one.Client && e.Board == one.Board && e != one && m.row(e) != nil
		})
		one.Frame, two.Frame = two.Frame, one.Frame
		one.Content, two.Content = two.Content, one.Content
	}, []string{check.Ordered}, []string{check.AfterSubmit, check.Recent}},
	{"a frame was delivered that is not in the log", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindDelivered)).Frame = elsewhere
	}, []string{check.FromTheLog}, nil},
	{"a frame is in the log that nobody submitted", func(t *testing.T, m *mutant) {
		head := m.pick(t, is(history.KindHead))
		head.Seq++
		f := &collaboardv1.Frame{Id: elsewhere, BoardId: head.Board, Seq: head.Seq, From: "client-0", Status: collaboardv1.Status_STATUS_EVENT}
		row := history.Event{Kind: history.KindLog, At: head.At, Board: head.Board, Epoch: head.Epoch, Seq: f.GetSeq(), Frame: f.GetId(), From: f.GetFrom(), Body: history.Encode(f)}
		at := slices.IndexFunc(m.events, func(e history.Event) bool { return e.Kind == history.KindHead && e.Board == row.Board })
		m.events = slices.Insert(m.events, at, row)
	}, []string{check.FromTheLog}, nil},
	{"a frame is from somebody else", func(t *testing.T, m *mutant) {
		row := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindLog && m.submit(e).Content != "" && !m.told(history.KindDelivered, e)
		})
		row.From = "somebody"
		rewrite(row, func(f *collaboardv1.Frame) { f.From = row.From })
	}, []string{check.FromTheLog}, nil},
	{"a join stands ahead of the log", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindJoined && e.Mode == "SNAPSHOT" && e.Head == e.Seq && m.find(func(d *history.Event) bool {
				return d.Kind == history.KindDelivered && d.Client == e.Client && d.Member == e.Member
			}) == nil
		})
		e.Head += 1000
	}, []string{check.FromTheLog}, []string{check.Resumable}},
	{"a frame was acked before it was submitted", func(t *testing.T, m *mutant) {
		ack := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindAck && !m.told(history.KindDelivered, e) })
		m.submit(ack).At = ack.At + time.Nanosecond
	}, []string{check.AfterSubmit}, []string{check.Recent}},
	{"a frame was delivered before it was submitted", func(t *testing.T, m *mutant) {
		e := m.pick(t, is(history.KindDelivered))
		e.At = m.submit(e).At - time.Nanosecond
	}, []string{check.AfterSubmit}, nil},
	{"a member is acked before it has its frame", func(t *testing.T, m *mutant) {
		ack := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindAck && e.Member != 0 && m.delivery(e, e.Seq-1) != nil && m.delivery(e, e.Seq) != nil
		})
		early := *ack
		m.remove(ack)
		before := m.delivery(&early, early.Seq-1)
		early.At = max(before.At, m.submit(&early).At) + 1
		m.insertAfter(before, early)
	}, []string{check.AfterSubmit}, []string{check.Recent}},
	{"a delivery is missing", func(t *testing.T, m *mutant) {
		m.remove(m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindDelivered && m.find(func(n *history.Event) bool {
				return n.Kind == history.KindDelivered && n.Client == e.Client && n.Member == e.Member && n.Seq == e.Seq+1
			}) != nil
		}))
	}, []string{check.Resumable}, []string{check.AfterSubmit}},
	{"a frame was delivered twice", func(t *testing.T, m *mutant) {
		e := m.pick(t, is(history.KindDelivered))
		m.insertAfter(e, *e)
	}, []string{check.Resumable}, nil},
	{"two deliveries changed places", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindDelivered && m.find(func(n *history.Event) bool {
				return n.Kind == history.KindDelivered && n.Client == e.Client && n.Member == e.Member && n.Seq == e.Seq+1
			}) != nil
		})
		next := m.find(func(n *history.Event) bool {
			return n.Kind == history.KindDelivered && n.Client == e.Client && n.Member == e.Member && n.Seq == e.Seq+1
		})
		e.Frame, e.Seq, e.Digest, next.Frame, next.Seq, next.Digest = next.Frame, next.Seq, next.Digest, e.Frame, e.Seq, e.Digest
	}, []string{check.Resumable}, []string{check.AfterSubmit}},
	{"a frame was delivered before the join was answered", func(t *testing.T, m *mutant) {
		joined := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindJoined && m.find(func(d *history.Event) bool {
				return d.Kind == history.KindDelivered && d.Client == e.Client && d.Member == e.Member
			}) != nil
		})
		d := m.find(func(d *history.Event) bool {
			return d.Kind == history.KindDelivered && d.Client == joined.Client && d.Member == joined.Member
		})
		*joined, *d = *d, *joined
		joined.At, d.At = d.At, joined.At
	}, []string{check.Resumable}, []string{check.AfterSubmit, check.Recent}},
	{"a join was resumed elsewhere", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindJoined && e.Mode == "RESUMED" && e.Seq > 1
		})
		e.Seq--
	}, []string{check.Resumable}, nil},
	{"a good position was called ahead", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindJoined && e.Mode == "RESUMED" })
		e.Mode, e.Reason = "SNAPSHOT", "POSITION_AHEAD"
	}, []string{check.Resumable}, nil},
	{"a good position was called of another epoch", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindJoined && e.Mode == "RESUMED" })
		e.Mode, e.Reason = "SNAPSHOT", "EPOCH_CHANGED"
	}, []string{check.Resumable}, nil},
	{"a log was called trimmed", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindJoined && e.Mode == "RESUMED" && trimmed <= e.Seq && e.Seq < m.head(e.Board).Seq
		})
		e.Mode, e.Reason = "SNAPSHOT", "LOG_TRIMMED"
	}, []string{check.Resumable}, nil},
	{"a snapshot has no reason", func(t *testing.T, m *mutant) {
		m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindJoined && e.Reason != "" }).Reason = ""
	}, []string{check.Resumable}, nil},
	{"a replica is wrong", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindReplica)).Digest = "0"
	}, []string{check.Converged}, nil},
	{"a replica is at another seq", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindReplica)).Seq++
	}, []string{check.Converged}, nil},
	{"a snapshot is wrong", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindSnapshot)).Digest = "0"
	}, []string{check.Converged}, nil},
	{"a snapshot is of another seq than was asked for", func(t *testing.T, m *mutant) {
		m.pick(t, func(e *history.Event) bool { return e.Kind == history.KindSnapshot && e.Want > 0 }).Want++
	}, []string{check.Converged}, nil},
	{"the database counts other objects", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindHead)).Objects++
	}, []string{check.Converged}, nil},
	{"a join is stale", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindJoined && e.Mode == "SNAPSHOT" && e.Reason == "" && e.Writable && m.ackedBefore(e) > 0
		})
		e.Seq = m.ackedBefore(e) - 1
		e.Head = e.Seq
	}, []string{check.Recent}, []string{check.AfterSubmit, check.Resumable}},
	{"a board is not writable for no reason", func(t *testing.T, m *mutant) {
		first, last := m.find(is(history.KindFault)), m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindJoined && e.Mode == "SNAPSHOT" && !e.Writable
		})
		first.At = last.At + 1
		for i := range m.events {
			if e := &m.events[i]; e.Kind == history.KindFault && e != first {
				e.At = first.At
			}
		}
	}, []string{check.Recent}, nil},
	{"a snapshot is stale", func(t *testing.T, m *mutant) {
		e := m.pick(t, func(e *history.Event) bool {
			return e.Kind == history.KindSnapshot && e.Want > 0 && m.find(func(a *history.Event) bool {
				return a.Kind == history.KindAck && a.Board == e.Board && a.At < e.Asked && a.Seq > e.Seq
			}) != nil
		})
		e.Want = 0
	}, []string{check.Recent}, nil},
	{"a membership was never asked for", func(t *testing.T, m *mutant) {
		m.remove(m.pick(t, is(history.KindJoin)))
	}, []string{check.Record}, nil},
	{"a log was not read to its end", func(t *testing.T, m *mutant) {
		m.remove(m.pick(t, is(history.KindHead)))
	}, []string{check.Record}, []string{check.FromTheLog, check.Converged}},
	{"an ack is of somebody else's frame", func(t *testing.T, m *mutant) {
		m.pick(t, is(history.KindAck)).Client = "client-x"
	}, []string{check.Record}, nil},
}

// delivery is where the member to which e was told was delivered a seq, or nil.
func (m *mutant) delivery(e *history.Event, seq uint64) *history.Event {
	return m.find(func(d *history.Event) bool {
		return d.Kind == history.KindDelivered && d.Client == e.Client && d.Member == e.Member && d.Seq == seq
	})
}

// ackedBefore is the greatest seq that was acked before the join of the answer began.
func (m *mutant) ackedBefore(joined *history.Event) uint64 {
	join := m.find(func(e *history.Event) bool {
		return e.Kind == history.KindJoin && e.Client == joined.Client && e.Member == joined.Member
	})
	var seq uint64
	for i := range m.events {
		if e := &m.events[i]; e.Kind == history.KindAck && e.Board == joined.Board && e.At < join.At {
			seq = max(seq, e.Seq)
		}
	}
	return seq
}

func TestEveryCorruptionIsCaughtByName(t *testing.T) {
	t.Parallel()
	for _, mutation := range mutations {
		t.Run(mutation.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4) {
				m := &mutant{events: simulate(seed, 3000), rand: rand.New(rand.NewPCG(seed, 2))}
				mutation.mutate(t, m)
				violations := check.History(m.events)
				got := slices.DeleteFunc(caught(violations), func(name string) bool { return slices.Contains(mutation.also, name) })
				if diff := cmp.Diff(mutation.want, got); diff != "" {
					t.Fatalf("seed %d: guarantees that said so (-want +got):\n%s%v", seed, diff, violations)
				}
			}
		})
	}
}
