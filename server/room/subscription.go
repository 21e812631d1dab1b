package room

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
)

// Subscription is a member's place in a room: a cursor over the log, and one over the ephemeral frames. It holds neither,
// so a slow member costs nothing. Next and Ephemerals are for the goroutine that sends to the member.
type Subscription struct {
	room   *Room
	member *collaboardv1.Member
	conn   uuid.UUID
	wake   func()
	cursor persistence.Seq

	// The fields below are guarded by room.mu.
	heard         uint64                 // number of the last ephemeral frame that it has, or needs not have
	notified      bool                   // was woken for ephemeral frames, and has not looked yet
	introductions []*collaboardv1.Member // who was there before it and did not fit into the answer
	left          bool
}

// Joining says who joins a room, and from where.
type Joining struct {
	Conn   uuid.UUID
	Member *collaboardv1.Member
	From   *persistence.Position // nil: from a snapshot
	Stale  error                 // why the room could not be refreshed, or nil: From may then be right although it looks wrong
	Wake   func()                // called when there is something to send; must not block, nor call the room
}

// Joined is the answer to a join.
type Joined struct {
	Position persistence.Position
	Chain    board.Chain  // of the frame at the head
	Snapshot *board.Board // the state at Position; nil when resumed
	Reason   collaboardv1.SnapshotReason
	Members  []*collaboardv1.Member
	Writable bool
}

// Join makes a member, and tells the others. A position that is of another epoch, or ahead, as a room sees it that could
// not be refreshed, may be one that another server gave out: the join then fails with j.Stale.
func (r *Room) Join(j Joining) (*Subscription, Joined, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed != nil:
		return nil, Joined{}, r.closed
	case j.Stale != nil && j.From != nil && r.whyNotResumeLocked(*j.From) != collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED:
		return nil, Joined{}, j.Stale
	}
	s := &Subscription{room: r, member: j.Member, conn: j.Conn, wake: j.Wake}
	r.subs = append(r.subs, s)
	r.relayLocked(ephemeral{key: memberKey(s.conn), body: memberJoined(r.id, j.Member), from: s})
	joined := r.answerLocked(j.From)
	s.cursor, s.heard = joined.Position.Seq, r.relays.count
	for _, other := range r.introduceLocked(&joined) {
		s.introductions = append(s.introductions, other.member)
	}
	return s, joined, nil
}

// maxMembersBytes is how much of a join's answer may be members. A thousand of them with the longest of names would be a
// frame above the limit.
const maxMembersBytes = 256 << 10

// introduceLocked puts the members into the answer, and returns those that do not fit: a joiner hears of them as if they
// came just now.
func (r *Room) introduceLocked(joined *Joined) (rest []*Subscription) {
	bytes := 0
	for i, s := range r.subs {
		if bytes += proto.Size(s.member); bytes > maxMembersBytes {
			return r.subs[i:]
		}
		joined.Members = append(joined.Members, s.member)
	}
	return nil
}

// Look answers as Join does without a position, but makes no member.
func (r *Room) Look() (Joined, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	joined := r.answerLocked(nil)
	r.introduceLocked(&joined)
	return joined, r.closed
}

// Leave ends the membership and tells the others. The subscription must not be used any more.
func (s *Subscription) Leave() {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	i := slices.Index(r.subs, s)
	r.subs = slices.Delete(r.subs, i, i+1)
	if len(r.subs) == 0 {
		r.tail, r.relays = tail{}, relays{}
	}
	r.relayLocked(ephemeral{key: memberKey(s.conn), body: memberLeft(r.id, s.member)})
}

// Cursor is the seq of the last frame that Next returned, or of the position joined at.
func (s *Subscription) Cursor() persistence.Seq { return s.cursor }

// Next returns the frames that follow the cursor, from memory or else from the store, and moves the cursor over them;
// none at the head. After an error the cursor has not moved. It fails with ErrDeleted or ErrInvalid when the room is
// closed, or as the Store does.
func (s *Subscription) Next(ctx context.Context) ([]persistence.Record, error) {
	r := s.room
	r.mu.Lock()
	closed := r.closed
	records, inTail := r.tail.after(s.cursor, persistence.Seq(r.state.Seq()), readBytes)
	r.mu.Unlock()
	if closed != nil {
		return nil, closed
	}
	if !inTail {
		var err error
		records, err = r.hub.read(ctx, persistence.ReadParams{Board: r.id, After: s.cursor, Limit: readFrames, MaxBytes: readBytes})
		if err != nil {
			return nil, err
		}
		for i, record := range records {
			if want := s.cursor + persistence.Seq(i) + 1; record.Seq != want {
				return nil, fmt.Errorf("read board %s: seq %d where %d should be", r.id, record.Seq, want)
			}
		}
	}
	if len(records) > 0 {
		s.cursor = records[len(records)-1].Seq
	}
	return records, nil
}

func (r *Room) answerLocked(from *persistence.Position) Joined {
	joined := Joined{Position: r.positionLocked(), Chain: r.head.chain, Writable: r.hub.healthy.Load()}
	if from != nil {
		joined.Reason = r.whyNotResumeLocked(*from)
		if joined.Reason == collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED {
			joined.Position.Seq = from.Seq
			return joined
		}
	}
	joined.Snapshot = r.state.Clone()
	return joined
}

func (r *Room) whyNotResumeLocked(from persistence.Position) collaboardv1.SnapshotReason {
	switch {
	case from.Epoch != r.meta.Epoch && from != persistence.Position{}:
		return collaboardv1.SnapshotReason_SNAPSHOT_REASON_EPOCH_CHANGED
	case from.Seq > persistence.Seq(r.state.Seq()):
		return collaboardv1.SnapshotReason_SNAPSHOT_REASON_POSITION_AHEAD
	case from.Seq+1 < r.meta.First:
		return collaboardv1.SnapshotReason_SNAPSHOT_REASON_LOG_TRIMMED
	default:
		return collaboardv1.SnapshotReason_SNAPSHOT_REASON_UNSPECIFIED
	}
}
