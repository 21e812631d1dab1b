package client

import (
	"strings"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// handle does what a frame from the server says. It takes any frame whatever, and never blocks.
func (c *Client) handle(l *link, in *incoming) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.pinged = false
	f := in.frame
	b := c.boards[strings.ToLower(f.GetBoardId())]
	switch f.GetStatus() {
	case collaboardv1.Status_STATUS_DONE, collaboardv1.Status_STATUS_ERROR:
		c.retry.reset()
		c.answer(b, f)
	case collaboardv1.Status_STATUS_ITEM:
		if b != nil && b.asked(f) {
			b.load(f.GetBoardSnapshot())
		}
	case collaboardv1.Status_STATUS_EVENT:
		if welcome := f.GetSessionWelcome(); welcome != nil {
			c.welcomed(welcome)
		} else if b != nil && f.GetSeq() > 0 {
			b.logged(f, in.size)
		} else if b != nil {
			b.heard(f, in.size)
		}
	default: // not from a server
	}
}

func (c *Client) welcomed(w *collaboardv1.SessionWelcome) {
	c.online, c.met = true, true
	c.limits = w.GetLimits()
	c.userID = w.GetUserId()
	c.log.Info("connected", "target", c.target)
	c.changed.ring()
	c.signal()
}

// answer is the end of a request's answer. Those that nobody waits for (to a ping, a part, a join that another one
// replaced) are dropped.
func (c *Client) answer(b *Board, f *collaboardv1.Frame) {
	if p := c.outbox.pending[f.GetParentId()]; p != nil && p.inFlight {
		c.answerPending(p, f)
		c.signal()
		return
	}
	switch {
	case b == nil:
	case b.asked(f) && f.GetError() != nil:
		b.refused(f.GetError())
	case b.asked(f):
		b.joinDone(f.GetBoardJoined())
	case b.live && f.GetError().GetCode() == collaboardv1.ErrorCode_NOT_JOINED:
		b.rejoin() // the server has lost the membership, and would not send events any more
	}
}

func (c *Client) answerPending(p *Pending, f *collaboardv1.Frame) {
	now := time.Now()
	ack, e := f.GetAck(), f.GetError()
	switch {
	case ack != nil && f.GetSeq() > 0:
		c.outbox.answered(p, now)
		c.acked(p, Ack{Position: Position{Epoch: ack.GetEpoch(), Seq: f.GetSeq()}, Duplicate: ack.GetDuplicate()})
	case e != nil && !e.GetRetryable():
		refused := newFrameError(p.board, p.id, e)
		c.outbox.answered(p, now)
		c.outbox.report(refused)
		p.err = refused
		c.finish(p)
	default: // refused for now, or no answer that makes sense: the id tells the server whether it has the frame
		c.log.Debug("frame refused for now", "board", p.board, "frame", p.id, "code", e.GetCode(), "message", e.GetMessage())
		c.outbox.refusedForNow(p, retryAfter(e), now)
	}
}

// desync notes that the server contradicts itself about the board, and joins it anew.
func (b *Board) desync(kind Desync, got Position) {
	err := &DesyncError{Board: b.id, Kind: kind, Have: b.pos, Got: got}
	b.c.log.Error("server contradicts itself", "board", b.id, "error", err)
	b.desyncs++
	b.lastDesync = err
	b.fromSnapshot = b.doubt // a join from the position was of no use
	b.doubt = true
	b.rejoin()
}

// rejoin joins the board again, on the same connection, after a pause.
func (b *Board) rejoin() {
	b.disconnected()
	b.notBefore = time.Now().Add(b.retry.next())
	b.changed.ring()
	b.c.signal()
}

// disconnected forgets what was under way on the connection.
func (b *Board) disconnected() {
	b.live, b.joinID, b.loading, b.loaded = false, "", nil, false
}

// end ends the board for good.
func (b *Board) end(cause error) {
	if b.ended != nil {
		return
	}
	b.ended = cause
	if b.asks {
		b.c.parts[b.id] = true
		b.c.signal()
	}
	b.disconnected()
	delete(b.c.boards, b.id)
	b.release(func(Position) bool { return true })
	b.changed.ring()
	close(b.done)
}
