package server_test

import (
	"testing"
	"time"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// outage is a database that can go away, and come back.
type outage struct {
	store      persistence.Store
	begin, end func()
}

func injectedOutage(open func(t *testing.T) database) func(t *testing.T) outage {
	return func(t *testing.T) outage {
		t.Helper()
		store := newFaultyStore(open(t)(t))
		return outage{store, store.breakDown, store.repair}
	}
}

// realOutage is of a PostgreSQL of its own.
func realOutage(begin, end func(*pgtest.Cluster) error) func(t *testing.T) outage {
	return func(t *testing.T) outage {
		t.Helper()
		c := pgtest.New(t, nil)
		store, err := postgres.Open(t.Context(), c.URL("postgres"), postgres.Config{})
		if err != nil {
			t.Fatal(err)
		}
		must := func(do func(*pgtest.Cluster) error) func() {
			return func() {
				if err := do(c); err != nil {
					t.Fatal(err)
				}
			}
		}
		return outage{store, must(begin), must(end)}
	}
}

// TestLiveBoardIsReadOnlyWhileTheDatabaseIsAway has members who were there before, one who comes and one who comes back:
// all but writing goes on for them, and each is told of the ends of the outage that it was there for.
func TestLiveBoardIsReadOnlyWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) outage{
		"sqlite":            injectedOutage(sqliteDatabase),
		"postgres":          injectedOutage(postgresDatabase),
		"postgres, killed":  realOutage((*pgtest.Cluster).Kill, (*pgtest.Cluster).Restart),
		"postgres, frozen":  realOutage((*pgtest.Cluster).Pause, (*pgtest.Cluster).Continue),
		"postgres, stopped": realOutage(func(c *pgtest.Cluster) error { return c.Stop(pgtest.Fast) }, (*pgtest.Cluster).Restart),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := start(t)
			srv := serve(t, db.store, server.Config{
				Room:   room.Config{StoreTimeout: 500 * time.Millisecond},
				Commit: persistence.CommitterConfig{CommitTimeout: 50 * time.Millisecond, AttemptTimeout: 200 * time.Millisecond, RetryMax: 20 * time.Millisecond},
			})
			board, unloaded := srv.createBoard(t), srv.createBoard(t)
			ada, bob := srv.connect(t, "user-id", "ada"), srv.connect(t, "user-id", "bob")
			epoch := ada.join(board, nil).GetPosition().GetEpoch()
			bob.join(board, nil)
			ada.mustAck(create(board, newID()))

			db.begin()
			first := create(board, newID())
			if e := wantError(t, ada.ask(first), collaboardv1.ErrorCode_UNAVAILABLE); !e.GetRetryable() || e.GetRetryAfter().AsDuration() <= 0 {
				t.Errorf("not retryable: %v", e)
			}
			for _, c := range []*client{ada, bob} {
				if status := c.findStatus(false); status.GetReason() == "" {
					t.Errorf("no reason: %v", status)
				}
			}

			eve, zoe := srv.connect(t, "user-id", "eve"), srv.connect(t, "user-id", "zoe")
			if joined := eve.join(board, nil); joined.GetWritable() || joined.GetPosition().GetSeq() != 1 || len(joined.GetMembers()) != 3 {
				t.Errorf("a join: %v", joined)
			}
			joined := zoe.join(board, &collaboardv1.Position{Epoch: epoch, Seq: 0})
			if joined.GetWritable() || joined.GetMode() != collaboardv1.Mode_MODE_RESUMED {
				t.Errorf("a resume: %v", joined)
			}
			zoe.heard(board, 1) // from memory
			if objects := snapshot(eve, board); len(objects) != 1 {
				t.Errorf("a look shows %v", objects)
			}
			second := create(board, newID())
			wantError(t, eve.ask(second), collaboardv1.ErrorCode_UNAVAILABLE)
			ada.find("who came", func(f *collaboardv1.Frame) bool { return f.GetMemberJoined().GetMember().GetUserId() == "eve" })
			for x, from := range []*client{ada, eve} {
				from.send(cursor(board, float64(x+1)))
			}
			for x, to := range []*client{eve, ada} {
				to.find("a cursor", func(f *collaboardv1.Frame) bool { return f.GetCursorMove().GetX() == float64(x+1) })
			}
			if answer := bob.ask(partFrame(board)); answer.GetBoardParted() == nil {
				t.Errorf("a part: %v", answer)
			}
			for _, c := range []*client{ada, eve, zoe} {
				c.find("who left", func(f *collaboardv1.Frame) bool { return f.GetMemberLeft().GetMember().GetUserId() == "bob" })
			}
			wantError(t, eve.ask(joinFrame(unloaded)), collaboardv1.ErrorCode_UNAVAILABLE)
			if n := len(ada.heardOf(board)); n != 1 {
				t.Errorf("%d frames were shown, of which 1 is in the log", n)
			}

			db.end()
			for _, c := range []*client{ada, eve, zoe} {
				c.findStatus(true)
			}
			if joined := srv.connect(t).join(board, nil); !joined.GetWritable() {
				t.Errorf("a join after it: %v", joined)
			}
			for _, again := range []*collaboardv1.Frame{first, second} {
				zoe.insist(again)
			}
			log := srv.readLog(t, board)
			if wantGapless(t, log); len(log) != 3 {
				t.Errorf("%d frames in the log, want 3", len(log))
			}
			sameFrames(t, ada.heard(board, 3), log)
			sameFrames(t, zoe.heard(board, 3), log)
			sameFrames(t, eve.heard(board, 2), log[1:])
			// Pooled connections of before may fail once more, and then there is another outage: each has a beginning and an end.
			for name, test := range map[string]struct {
				c     *client
				first bool
			}{"ada": {ada, false}, "bob": {bob, false}, "eve": {eve, true}, "zoe": {zoe, true}} {
				want := test.first
				for _, f := range test.c.received() {
					if status := f.GetBoardStatus(); status != nil {
						if status.GetWritable() != want {
							t.Errorf("%s was told %t twice", name, !want)
						}
						want = !want
					}
				}
			}
		})
	}
}

func (c *client) findStatus(writable bool) *collaboardv1.BoardStatus {
	c.t.Helper()
	return c.find("board_status", func(f *collaboardv1.Frame) bool {
		return f.GetBoardStatus() != nil && f.GetBoardStatus().GetWritable() == writable
	}).GetBoardStatus()
}

// insist sends a frame until it is in the log, and returns its seq.
func (c *client) insist(frame *collaboardv1.Frame) uint64 {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		answer := c.askAgain(frame)
		if answer.GetStatus() == collaboardv1.Status_STATUS_DONE {
			return answer.GetSeq()
		}
		if !answer.GetError().GetRetryable() || time.Now().After(deadline) {
			c.t.Fatalf("refused: %v", answer)
		}
	}
}

// askAgain is ask for a request that may have been answered before.
func (c *client) askAgain(frame *collaboardv1.Frame) *collaboardv1.Frame {
	c.t.Helper()
	c.mu.Lock()
	delete(c.answers, frame.GetId())
	c.mu.Unlock()
	return c.ask(frame)
}
