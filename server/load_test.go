package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

// TestBoardThatCannotBeLoadedIsNeverWritten: nobody sees an empty board in its place, what is sent to it is refused for
// now and not for ever, no transaction is begun for it, and when the trouble is over everything is as it was.
func TestBoardThatCannotBeLoadedIsNeverWritten(t *testing.T) {
	t.Parallel()
	const frames = 3
	reads := func(err error) func(*faultyStore, func(string)) func() {
		return func(s *faultyStore, _ func(string)) func() {
			s.failReads(err)
			return func() { s.failReads(nil) }
		}
	}
	// Statements that are run in the database, and those that mend it; without any it stays as it is.
	inDatabase := func(harm, mend []string) func(*faultyStore, func(string)) func() {
		return func(_ *faultyStore, do func(string)) func() {
			for _, s := range harm {
				do(s)
			}
			if mend == nil {
				return nil
			}
			return func() {
				for _, s := range mend {
					do(s)
				}
			}
		}
	}
	set := func(column string, value int) []string {
		return []string{fmt.Sprintf("UPDATE boards SET %s = %d WHERE id = $1", column, value)}
	}
	cut := func(seq int, part string) []string {
		return []string{fmt.Sprintf("UPDATE frames SET body = substr(body, %s) WHERE board_id = $1 AND seq = %d", part, seq)}
	}
	move := func(from, to int) []string {
		return []string{fmt.Sprintf("UPDATE frames SET seq = %d WHERE board_id = $1 AND seq = %d", to, from)}
	}
	swapped := slices.Concat(move(2, 1000), move(3, 2), move(1000, 3))
	for name, harm := range map[string]func(*faultyStore, func(string)) (mend func()){
		"the database is away": func(s *faultyStore, _ func(string)) func() {
			s.breakDown()
			return s.repair
		},
		"the log cannot be read":      reads(&persistence.UnavailableError{Err: errInjected}),
		"the store has a defect":      reads(errInjected),
		"the read is cancelled":       reads(fmt.Errorf("%w: %w", errInjected, context.Canceled)),
		"the read takes too long":     reads(fmt.Errorf("%w: %w", errInjected, context.DeadlineExceeded)),
		"a frame is missing":          inDatabase(move(2, 1000), move(1000, 2)),
		"frames have changed places":  inDatabase(swapped, swapped),
		"the log ends too early":      inDatabase(set("head_seq", 4), set("head_seq", 3)),
		"the log begins too late":     inDatabase(set("first_seq", 2), set("first_seq", 1)),
		"a frame cannot be decoded":   inDatabase(cut(2, "2"), nil),
		"the last frame is cut short": inDatabase(cut(3, "1, 30"), nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothDatabases(t, func(t *testing.T, open database, do tamper) {
				before := serve(t, open(t), server.Config{})
				board := before.createBoard(t)
				first := before.connect(t)
				for range frames {
					first.mustAck(create(board, newID()))
				}
				if err := before.stop(); err != nil {
					t.Fatal(err)
				}
				store := newFaultyStore(open(t))
				srv := serve(t, store, server.Config{})
				c := srv.connect(t)
				c.ping()
				mend := harm(store, func(statement string) { do(t, board, statement) })
				var transactions atomic.Int32
				store.setAppend(func(ctx context.Context, claims []persistence.Claim, decide persistence.DecideFunc) error {
					transactions.Add(1)
					return store.Store.Append(ctx, claims, decide)
				})

				write, look := create(board, newID()), joinFrame(board)
				look.GetBoardJoin().SnapshotOnly = true
				for range 2 { // what failed once is not kept
					for what, request := range map[string]*collaboardv1.Frame{"join": joinFrame(board), "look": look, "write": write} {
						answer := c.askAgain(request)
						if e := wantError(t, answer, collaboardv1.ErrorCode_UNAVAILABLE); !e.GetRetryable() {
							t.Errorf("%s: not retryable: %v", what, e)
						}
						if strings.Contains(answer.String(), errInjected.Error()) {
							t.Errorf("%s: text of the database reached a client: %v", what, answer)
						}
					}
				}
				for _, f := range c.received() {
					if f.GetBoardSnapshot() != nil {
						t.Errorf("a snapshot was sent: %v", f)
					}
				}
				if snapshot, err := srv.boards.GetSnapshot(t.Context(), &collaboardv1.GetSnapshotRequest{BoardId: board}); err != nil {
					t.Fatal(err)
				} else if s, err := snapshot.Recv(); err == nil {
					t.Errorf("GetSnapshot: %v", s)
				}
				if n := transactions.Load(); n != 0 {
					t.Errorf("%d transactions", n)
				}
				if mend == nil {
					return
				}
				mend()
				if seq := c.insist(write); seq != frames+1 {
					t.Errorf("acked at %d, want %d", seq, frames+1)
				}
				wantGapless(t, srv.readLog(t, board))
				if n := len(snapshot(srv.connect(t), board)); n != frames+1 {
					t.Errorf("%d objects, want %d", n, frames+1)
				}
			})
		})
	}
}
