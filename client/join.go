package client

import (
	"slices"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Everything in this file is called with c.mu held.

// join begins a join, and returns the request: to resume from the position, unless there is none to resume from.
func (b *Board) join() *collaboardv1.Frame {
	b.joinID, b.asks = newID(), true
	b.joinFrom = nil
	join := &collaboardv1.BoardJoin{}
	if b.known && !b.fromSnapshot {
		from := b.pos
		b.joinFrom = &from
		join.Position = &collaboardv1.Position{Epoch: from.Epoch, Seq: from.Seq}
	}
	return &collaboardv1.Frame{
		Id: b.joinID, BoardId: b.id, Status: collaboardv1.Status_STATUS_REQUEST,
		Payload: &collaboardv1.Frame_BoardJoin{BoardJoin: join},
	}
}

// asked reports whether f answers the join that is under way.
func (b *Board) asked(f *collaboardv1.Frame) bool {
	return b.joinID != "" && f.GetParentId() == b.joinID
}

// load takes a chunk of the snapshot. The chunks of one stand at one position, and the last one ends it.
func (b *Board) load(chunk *collaboardv1.BoardSnapshot) {
	at := positionOf(chunk.GetPosition())
	if chunk == nil || b.loaded || (b.loading != nil && at != b.loadingAt) {
		b.desync(DesyncAnswer, at)
		return
	}
	if b.loading == nil {
		b.loading, b.loadingAt = board.New(), at
	}
	if b.wantReplica {
		b.loading.Load(chunk)
	}
	b.loaded = chunk.GetLast()
}

// joinDone ends the join, if the answer makes sense.
func (b *Board) joinDone(j *collaboardv1.BoardJoined) {
	at := positionOf(j.GetPosition())
	switch {
	case at.Epoch == "":
		b.desync(DesyncAnswer, at)
	case j.GetMode() == collaboardv1.Mode_MODE_RESUMED:
		b.resumed(at, j)
	case j.GetMode() == collaboardv1.Mode_MODE_SNAPSHOT && b.loaded && b.loadingAt == at:
		b.restarted(at, j)
	default:
		b.desync(DesyncAnswer, at)
	}
}

// resumed goes on at the position that was asked for, and no other.
func (b *Board) resumed(at Position, j *collaboardv1.BoardJoined) {
	from := b.joinFrom
	switch {
	case from == nil:
		b.desync(DesyncAnswer, at)
		return
	case from.Epoch != "" && at.Epoch != from.Epoch:
		b.desync(DesyncEpoch, at)
		return
	case at.Seq < from.Seq:
		b.desync(DesyncBackwards, at)
		return
	case at.Seq > from.Seq:
		b.desync(DesyncGap, at)
		return
	}
	b.pos = at
	if from.Epoch == "" {
		b.log.cursor = at
	}
	if b.wantReplica && b.replica == nil {
		b.replica = board.New() // it was joined at the beginning
	}
	b.enter(j)
}

// restarted goes on at the position of the snapshot. A reader who had another one must be told.
func (b *Board) restarted(at Position, j *collaboardv1.BoardJoined) {
	var cause error
	if b.fromSnapshot {
		cause = b.lastDesync
	}
	if b.known {
		b.log.restart(&ResyncError{Board: b.id, From: b.log.cursor, To: at, Reason: j.GetReason(), Err: cause})
	} else {
		b.log.cursor = at
	}
	b.known, b.fromSnapshot = true, false
	b.pos = at
	if b.wantReplica {
		b.replica = b.loading
	}
	b.enter(j)
}

func (b *Board) enter(j *collaboardv1.BoardJoined) {
	b.joinID, b.loading, b.loaded = "", nil, false
	b.live = true
	b.lastErr = nil
	if !b.doubt {
		b.retry.reset()
	}
	b.role = j.GetRole()
	b.replaceMembers(j.GetMembers())
	if b.writable != j.GetWritable() {
		b.setStatus(&collaboardv1.BoardStatus{Writable: j.GetWritable()})
	}
	// An ack from another incarnation of the log than the one that was joined waits for nothing.
	b.release(func(p Position) bool { return p.Epoch != b.pos.Epoch || p.Seq <= b.pos.Seq })
	b.changed.ring()
	b.c.signal()
	select {
	case <-b.joined:
	default:
		close(b.joined)
	}
}

// refused ends the join: for good, or to try again.
func (b *Board) refused(e *collaboardv1.Error) {
	err := newFrameError(b.id, "", e)
	if !e.GetRetryable() {
		b.asks = false
		b.end(err)
		return
	}
	b.lastErr = err
	b.rejoin()
	b.notBefore = b.notBefore.Add(retryAfter(e))
}

// logged takes an event of the log: the next one, and no other.
func (b *Board) logged(f *collaboardv1.Frame, size int) {
	if !b.live {
		return // of a membership that was given up
	}
	got := Position{Epoch: b.pos.Epoch, Seq: f.GetSeq()}
	switch {
	case f.GetSeq() <= b.pos.Seq:
		b.desync(DesyncBackwards, got)
		return
	case f.GetSeq() > b.pos.Seq+1:
		b.desync(DesyncGap, got)
		return
	}
	b.pos.Seq++
	b.doubt = false
	b.retry.reset()
	if b.replica != nil {
		b.replica.Apply(f)
	}
	b.log.add(f, size)
	if len(b.held) > 0 {
		b.release(func(p Position) bool { return p.Seq <= b.pos.Seq })
	}
	b.changed.ring()
}

// awaits reports whether the replica does not have the frame at p yet, and will: then the ack has to wait. An ack from
// another incarnation of the log means that the position is not worth anything.
func (b *Board) awaits(p Position) bool {
	if !b.wantReplica || !b.known {
		return b.wantReplica
	}
	if b.live && p.Epoch != b.pos.Epoch {
		b.desync(DesyncEpoch, p)
		return true
	}
	return !b.live || p.Seq > b.pos.Seq
}

// release ends the held frames that need not wait any more.
func (b *Board) release(ready func(Position) bool) {
	b.held = slices.DeleteFunc(b.held, func(p *Pending) bool {
		if !ready(p.ack.Position) {
			return false
		}
		b.c.finish(p)
		return true
	})
}

func positionOf(p *collaboardv1.Position) Position {
	return Position{Epoch: p.GetEpoch(), Seq: p.GetSeq()}
}
