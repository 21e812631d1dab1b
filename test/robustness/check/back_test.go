package check_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/robustness/check"
	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// wentBack is a history, made by hand, in which nothing is wrong: ada draws an object and moves it twice, eve takes back the
// first move and then restores what was after the second, in two frames. The log is chained.
func wentBack() tale {
	state := board.New()
	var h, log tale
	var chain board.Chain
	said := func(kind history.Kind, client string, n int, e history.Event) {
		e.At, e.Kind, e.Client, e.Board = time.Duration(10*n)*time.Millisecond, kind, client, theBoard
		e.Frame = fmt.Sprintf(frameIDFmt, n)
		h.add(e)
	}
	write := func(from string, payload *collaboardv1.Frame) {
		n := int(state.Seq()) + 1
		payload.Id, payload.BoardId = fmt.Sprintf(frameIDFmt, n), theBoard
		event, err := state.Decide(payload, board.Stamp{Seq: uint64(n), Time: time.Unix(1, 0), From: from})
		if err != nil {
			panic(err)
		}
		state.Apply(event)
		body := history.Encode(event)
		chain = chain.Next(body)
		log.add(history.Event{
			At: time.Second, Kind: history.KindLog, Board: theBoard, Epoch: theEpoch, Seq: uint64(n), Frame: event.GetId(), From: from,
			Body: chain.AppendTo(body), Note: fmt.Sprintf("log %d", n),
		})
	}
	set := func(x float64) *collaboardv1.ObjectOp {
		return &collaboardv1.ObjectOp{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: theObject, X: &x}}}
	}
	batch := func(b *collaboardv1.ObjectBatch) *collaboardv1.Frame {
		return &collaboardv1.Frame{Payload: &collaboardv1.Frame_ObjectBatch{ObjectBatch: b}}
	}
	for n, f := range []*collaboardv1.Frame{
		{Payload: &collaboardv1.Frame_ObjectCreate{ObjectCreate: &collaboardv1.ObjectCreate{Object: &collaboardv1.Object{Id: theObject, Kind: "rectangle"}}}},
		{Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: theObject, X: proto.Float64(1), Y: proto.Float64(1)}}},
		{Payload: &collaboardv1.Frame_ObjectUpdate{ObjectUpdate: &collaboardv1.ObjectUpdate{Id: theObject, X: proto.Float64(2)}}},
	} {
		said(history.KindSubmit, "ada", n+1, history.Event{})
		write("ada", f)
	}
	said(history.KindSubmit, "eve", 4, history.Event{Note: history.Revert, Want: 2})
	y := 0.0
	write("eve", batch(&collaboardv1.ObjectBatch{
		Ops: []*collaboardv1.ObjectOp{{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: theObject, Y: &y}}}}, RevertedSeq: 2,
	}))
	said(history.KindSubmit, "eve", 6, history.Event{Note: history.Restore, Want: 2})
	one := 1.0
	write("eve", batch(&collaboardv1.ObjectBatch{Ops: []*collaboardv1.ObjectOp{set(1)}, RestoredSeq: 2}))
	write("eve", batch(&collaboardv1.ObjectBatch{
		Ops: []*collaboardv1.ObjectOp{{Op: &collaboardv1.ObjectOp_Update{Update: &collaboardv1.ObjectUpdate{Id: theObject, Y: &one}}}}, RestoredSeq: 2,
	}))
	h.add(history.Event{At: time.Second, Kind: history.KindFork, Board: theBoard, Want: 6, Digest: history.Seen(state), Note: "fork"})
	h.add(history.Event{
		At: time.Second, Kind: history.KindFork, Board: theBoard, Want: 6, Digest: history.Digest(state.Snapshot()), Note: history.Import,
	})
	h = append(h, log...)
	h.add(history.Event{At: time.Second, Kind: history.KindHead, Board: theBoard, Epoch: theEpoch, Seq: 6, Objects: 1, Note: "head"})
	return h
}

// rechained makes the chains anew, so that only what was changed is wrong.
func rechained(h tale) {
	var chain board.Chain
	for i := range h {
		if h[i].Kind == history.KindLog {
			body, _ := board.SplitChain(slices.Clone(h[i].Body))
			chain = chain.Next(body)
			h[i].Body = chain.AppendTo(body)
		}
	}
}

func TestGoingBackIsJudged(t *testing.T) {
	t.Parallel()
	summary, violations := check.Report(wentBack())
	for _, v := range violations {
		t.Error(v)
	}
	for _, tally := range summary.Tallies {
		if tally.Guarantee == check.WentBack && tally.N != 1 || tally.Guarantee == check.Chained && tally.N != 6 {
			t.Errorf("%s: %d %s", tally.Guarantee, tally.N, tally.What)
		}
	}
	body := func(h *tale, n int, change func(*collaboardv1.ObjectUpdate)) {
		e := h.the(fmt.Sprintf("log %d", n))
		e.Body, _ = board.SplitChain(e.Body)
		rewrite(e, func(f *collaboardv1.Frame) { change(f.GetObjectBatch().GetOps()[0].GetUpdate()) })
		rechained(*h)
	}
	for name, broken := range map[string]struct {
		change func(*tale)
		want   []string
	}{
		"restores another moment":  {func(h *tale) { h.the(history.Restore).Want = 3 }, []string{check.WentBack}},
		"restores what came later": {func(h *tale) { h.the(history.Restore).Want = 6 }, []string{check.WentBack}},
		"restores something else":  {func(h *tale) { body(h, 6, func(u *collaboardv1.ObjectUpdate) { u.Y = proto.Float64(7) }) }, []string{check.WentBack}},
		"reverts another frame":    {func(h *tale) { h.the(history.Revert).Want = 3 }, []string{check.WentBack}},
		"reverts what was set since": {func(h *tale) {
			body(h, 4, func(u *collaboardv1.ObjectUpdate) { u.X = proto.Float64(0) })
		}, []string{check.WentBack}},
		"forks another moment":    {func(h *tale) { h.the("fork").Want = 3 }, []string{check.WentBack}},
		"forks what is not there": {func(h *tale) { h.the("fork").Want = 7 }, []string{check.WentBack}},
		"imports another moment":  {func(h *tale) { h.the(history.Import).Want = 3 }, []string{check.WentBack}},
		"imports without what the server notes": {func(h *tale) {
			h.the(history.Import).Digest = h.the("fork").Digest
		}, []string{check.WentBack}},
		"a frame without a submit": {func(h *tale) {
			e := h.the("log 5")
			e.Body, _ = board.SplitChain(e.Body)
			rewrite(e, func(f *collaboardv1.Frame) { f.GetObjectBatch().RestoredSeq = 3 })
			rechained(*h)
		}, []string{check.FromTheLog}},
		"a byte is changed": {func(h *tale) {
			e := h.the("log 1")
			e.Body = slices.Clone(e.Body)
			e.Body[len(e.Body)-1] ^= 1
		}, []string{check.Chained}},
		"a frame without a chain": {func(h *tale) {
			e := h.the("log 3")
			e.Body, _ = board.SplitChain(e.Body)
		}, []string{check.Chained}},
	} {
		h := wentBack()
		broken.change(&h)
		if diff := cmp.Diff(broken.want, caught(check.History(h))); diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", name, diff, check.History(h))
		}
	}
}
