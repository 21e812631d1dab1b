// Package storetest holds the rules of the persistence.Store contract as one suite, which every engine passes over its
// real database, and a benchmark of the write path.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

// Database is an empty database, made for one test.
type Database struct {
	// Open opens one more Store on the database, as another server would.
	Open func(tb testing.TB) persistence.Store
	// Inspect opens an Inspector on the database.
	Inspect func(tb testing.TB) persistence.Inspector
	// Execute runs one statement, which both engines understand, on the database.
	Execute func(tb testing.TB, query string)
	// DoubleSnapshots makes the body of every snapshot twice as long, beyond what the contract allows.
	DoubleSnapshots func(tb testing.TB)
}

// patience bounds what a test waits for. It is not reached unless something is broken.
const patience = 60 * time.Second

// suite makes an empty database for each of its tests.
type suite func(tb testing.TB) Database

// Run runs the suite, a subtest for each rule, on a database of its own that create makes.
func Run(t *testing.T, create func(tb testing.TB) Database) {
	t.Helper()
	s := suite(create)
	t.Run("AppendIsGapless", s.testAppendIsGapless)
	t.Run("AppendKeepsEveryBit", s.testAppendKeepsEveryBit)
	t.Run("AppendMovesTheBoard", s.testAppendMovesTheBoard)
	t.Run("AppendFindsInTheOrderOfClaims", s.testFindsInTheOrderOfClaims)
	t.Run("AppendFindsKnownIDs", s.testFindsKnownIDs)
	t.Run("AppendFindsMissedFrames", s.testFindsMissedFrames)
	t.Run("AppendFindsNoMoreThanMissedLimit", s.testMissedLimit)
	t.Run("AppendFindsNoMoreThanMissedBytes", s.testMissedBytes)
	t.Run("AppendFindsNoDeletedBoards", s.testFindsNoDeletedBoards)
	t.Run("AppendOfNothing", s.testAppendOfNothing)
	t.Run("AppendRefusesClaimsTwice", s.testRefusesClaimsTwice)
	t.Run("AppendRefusesBadExtensions", s.testRefusesBadExtensions)
	t.Run("AppendRefusesDuplicateIDs", s.testRefusesDuplicateIDs)
	t.Run("AppendRollsBackOnErrorOfDecide", s.testRollsBackOnErrorOfDecide)
	t.Run("AppendRollsBackOnPanicOfDecide", s.testRollsBackOnPanicOfDecide)
	t.Run("LockShowsWhatItWaitedFor", s.testLockShowsWhatItWaitedFor)
	t.Run("LockIsNotWaitedFor", s.testNoWait)
	t.Run("LockHidesBoardsDeletedMeanwhile", s.testLockHidesBoardsDeletedMeanwhile)
	t.Run("ConcurrentAppendsToOverlappingBoards", s.testConcurrentAppends)
	t.Run("CancelBefore", s.testCancelBefore)
	t.Run("CancelWhileWaitingForTheLock", s.testCancelWhileWaiting)
	t.Run("CancelInDecide", s.testCancelInDecide)
	t.Run("CancelAnywhere", s.testCancelAnywhere)
	t.Run("ReadRanges", s.testReadRanges)
	t.Run("ReadFilters", s.testReadFilters)
	t.Run("ReadPages", s.testReadPages)
	t.Run("ReadTrimmed", s.testReadTrimmed)
	t.Run("ReadNoBoard", s.testReadNoBoard)
	t.Run("Savepoints", s.testSavepoints)
	t.Run("SavepointsAreBounded", s.testSavepointsAreBounded)
	t.Run("SavepointsGoWithTheLog", s.testSavepointsGoWithTheLog)
	t.Run("TrimmedFramesStayKnown", s.testTrimmedStaysKnown)
	t.Run("TrimmedLogHasABase", s.testTrimmedHasABase)
	t.Run("TrimAtOnce", s.testTrimAtOnce)
	t.Run("TrimNothing", s.testTrimNothing)
	t.Run("TrimCancelled", s.testTrimCancelled)
	t.Run("PurgeLeavesNothing", s.testPurge)
	t.Run("PurgeOfWhatIsNotDeleted", s.testPurgeRefused)
	t.Run("ReadIsTheCallers", s.testReadIsTheCallers)
	t.Run("BoardsAreCreated", s.testBoardsAreCreated)
	t.Run("BoardsAreListed", s.testBoardsAreListed)
	t.Run("BoardsAreChanged", s.testBoardsAreChanged)
	t.Run("BoardsAreAddedUp", s.testUsage)
	t.Run("BoardsAreDeletedAndBroughtBack", s.testBoardsAreDeleted)
	t.Run("HiddenBoardsAreFilled", s.testHiddenIsFilled)
	t.Run("HiddenBoardsArePurged", s.testHiddenIsPurged)
	t.Run("FilesAreCopied", s.testFilesAreCopied)
	t.Run("FilesAreKept", s.testFilesAreKept)
	t.Run("FilesAreKeptOnce", s.testFilesAreKeptOnce)
	t.Run("FilesAtOnce", s.testFilesAtOnce)
	t.Run("FilesAreLimited", s.testFilesAreLimited)
	t.Run("FilesOfNoBoard", s.testFilesOfNoBoard)
	t.Run("FilesCancelled", s.testFilesCancelled)
	t.Run("SnapshotsAreKept", s.testSnapshotsAreKept)
	t.Run("SnapshotsAreKeyframes", s.testKeyframes)
	t.Run("SnapshotsOfAnotherLog", s.testSnapshotsOfAnotherLog)
	t.Run("SnapshotsTooLarge", s.testSnapshotsTooLarge)
	t.Run("SnapshotsOfNoBoard", s.testSnapshotsOfNoBoard)
	t.Run("SnapshotsAtOnce", s.testSnapshotsAtOnce)
	t.Run("SnapshotsCancelled", s.testSnapshotsCancelled)
	t.Run("EpochsAreRenewed", s.testEpochsAreRenewed)
	t.Run("EpochsAreRenewedAtOnce", s.testEpochsAreRenewedAtOnce)
	t.Run("InspectorSeesBoards", s.testInspectorSeesBoards)
	t.Run("InspectorSeesFrames", s.testInspectorSeesFrames)
	t.Run("InspectorSeesFiles", s.testInspectorSeesFiles)
	t.Run("InspectorSeesSnapshots", s.testInspectorSeesSnapshots)
	t.Run("InspectorSeesWhatLiesWhereNoneShould", s.testInspectorSeesStrays)
	t.Run("InspectorSeesOneMoment", s.testInspectorSeesOneMoment)
	t.Run("Ping", s.testPing)
	t.Run("Reopen", s.testReopen)
	t.Run("CloseWaits", s.testCloseWaits)
}

// fixture is what a rule works on.
type fixture struct {
	db    Database
	store persistence.Store
	ctx   context.Context //nolint:containedctx // of one test
}

func setup(tb testing.TB, db Database) *fixture {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	f := &fixture{db: db, ctx: ctx}
	f.store = f.open(tb)
	return f
}

// open opens one more store, which is closed when the test ends.
func (f *fixture) open(tb testing.TB) persistence.Store {
	tb.Helper()
	s := f.db.Open(tb)
	tb.Cleanup(func() { noError(tb, s.Close()) })
	return s
}

// now has the precision of the store.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func newFrameID() persistence.FrameID { return persistence.FrameID(uuid.Must(uuid.NewV7())) }
func newBoardID() persistence.BoardID { return persistence.BoardID(uuid.Must(uuid.NewV7())) }

func newBoard() persistence.Board {
	at := now()
	return persistence.Board{
		ID: newBoardID(), Name: "a board", Owner: "ada", Epoch: persistence.Epoch(uuid.New()), First: 1,
		CreatedAt: at, UpdatedAt: at,
	}
}

func (f *fixture) createBoard(tb testing.TB) persistence.BoardID {
	tb.Helper()
	b := newBoard()
	noError(tb, f.store.CreateBoard(f.ctx, b))
	return b.ID
}

func (f *fixture) createBoards(tb testing.TB, n int) (ids []persistence.BoardID) {
	tb.Helper()
	for range n {
		ids = append(ids, f.createBoard(tb))
	}
	return ids
}

// records makes n records that follow head, the bodies of the given size or larger.
func records(head persistence.Seq, n, size int) []persistence.Record {
	recs := make([]persistence.Record, n)
	at := now()
	for i := range recs {
		head++
		body := make([]byte, size)
		_, _ = rand.Read(body) // never fails
		recs[i] = persistence.Record{
			Seq: head, ID: newFrameID(), Time: at, Sender: "user-" + fmt.Sprint(head%7), Kind: persistence.Kind(head % 5),
			Body: fmt.Append(body, head),
		}
	}
	return recs
}

func idsOf(recs []persistence.Record) []persistence.FrameID {
	ids := make([]persistence.FrameID, len(recs))
	for i := range recs {
		ids[i] = recs[i].ID
	}
	return ids
}

// add appends n records to one board and returns them.
func (f *fixture) add(tb testing.TB, s persistence.Store, board persistence.BoardID, n int) (recs []persistence.Record) {
	tb.Helper()
	noError(tb, s.Append(f.ctx, claims(board), func(l []persistence.Locked) ([]persistence.Extension, error) {
		recs = records(l[0].Head, n, 20)
		return extend(board, recs), nil
	}))
	return recs
}

// claims has nothing to catch up with and no candidates.
func claims(boards ...persistence.BoardID) (cs []persistence.Claim) {
	for _, b := range boards {
		cs = append(cs, persistence.Claim{Board: b, Applied: 1 << 40})
	}
	return cs
}

func extend(board persistence.BoardID, recs []persistence.Record) []persistence.Extension {
	return []persistence.Extension{{Board: board, Records: recs, Objects: uint64(len(recs))}}
}

// look is what a transaction that appends nothing finds.
func (f *fixture) look(tb testing.TB, s persistence.Store, cs ...persistence.Claim) (found []persistence.Locked) {
	tb.Helper()
	noError(tb, s.Append(f.ctx, cs, func(l []persistence.Locked) ([]persistence.Extension, error) {
		found = append(found, l...) // the slice is not ours to keep
		return nil, nil
	}))
	return found
}

// log is the whole log of a board, read page by page.
func (f *fixture) log(tb testing.TB, s persistence.Store, board persistence.BoardID) (all []persistence.Record) {
	tb.Helper()
	for after := persistence.Seq(0); ; {
		recs, err := s.Read(f.ctx, persistence.ReadParams{Board: board, After: after, Limit: 1000})
		noError(tb, err)
		if len(recs) == 0 {
			return all
		}
		all = append(all, recs...)
		after = recs[len(recs)-1].Seq
	}
}

func (f *fixture) board(tb testing.TB, id persistence.BoardID) persistence.Board {
	tb.Helper()
	bs, err := f.store.Boards(f.ctx, id)
	noError(tb, err)
	if len(bs) != 1 {
		tb.Fatalf("Boards returned %d boards, want 1", len(bs))
	}
	return bs[0]
}

// checkLog fails unless the log of a board is want, gapless from 1, and its head agrees.
func (f *fixture) checkLog(tb testing.TB, board persistence.BoardID, want []persistence.Record) {
	tb.Helper()
	got := f.log(tb, f.store, board)
	equal(tb, got, want)
	checkGapless(tb, got)
	if head := f.board(tb, board).Head; head != persistence.Seq(len(want)) {
		tb.Errorf("head of board %s is %d, want %d", board, head, len(want))
	}
}

func checkGapless(tb testing.TB, log []persistence.Record) {
	tb.Helper()
	seen := make(map[persistence.FrameID]bool, len(log))
	for i := range log {
		if log[i].Seq != persistence.Seq(i+1) {
			tb.Fatalf("frame %d of the log has seq %d", i+1, log[i].Seq)
		}
		if seen[log[i].ID] {
			tb.Fatalf("id %s is twice in the log", log[i].ID)
		}
		seen[log[i].ID] = true
	}
}

func noError(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// wholeBytes compares bodies as a whole: element by element takes long, and tells nothing.
var wholeBytes = cmp.FilterValues(func(x, y []byte) bool { return len(x)+len(y) > 0 }, cmp.Comparer(bytes.Equal))

func equal(tb testing.TB, got, want any) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), wholeBytes); diff != "" {
		const enough = 4000
		tb.Fatalf("unlike what was wanted (-want +got):\n%s", diff[:min(len(diff), enough)])
	}
}

// errorAs fails unless err is a T.
func errorAs[T error](tb testing.TB, err error) (target T) {
	tb.Helper()
	if !errors.As(err, &target) {
		tb.Fatalf("error is %T (%v), want %T", err, err, target)
	}
	return target
}

// failsWith is errorAs for who needs no more than its type.
func failsWith[T error](tb testing.TB, err error) {
	tb.Helper()
	_ = errorAs[T](tb, err)
}

// permanent fails unless err says that there is no point in trying again.
func permanent(tb testing.TB, err error) {
	tb.Helper()
	var unavailable *persistence.UnavailableError
	var contended *persistence.ContendedError
	if err == nil || errors.As(err, &unavailable) || errors.As(err, &contended) {
		tb.Fatalf("error is %T (%v), want a permanent one", err, err)
	}
}

// receive waits for what another goroutine has to say.
func receive[T any](tb testing.TB, c <-chan T) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		tb.Fatal("waited too long")
	}
	return v
}
