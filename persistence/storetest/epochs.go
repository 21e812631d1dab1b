package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
)

// epochs is what engines have beside a Store.
type epochs interface {
	RenewEpochs(ctx context.Context, renew persistence.RenewFunc) (boards int, err error)
}

// signed makes a body that tells its epoch.
func signed(s persistence.Snapshot, to persistence.Epoch) (persistence.Snapshot, error) {
	s.Epoch, s.Body = to, append(to[:], s.Body...)
	return s, nil
}

func (create suite) testEpochsAreRenewed(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board, other, deleted := f.createBoard(t), f.createBoard(t), f.createBoard(t)
	log := f.add(t, f.store, board, 20)
	f.add(t, f.store, other, 5)
	put := func(s persistence.Snapshot) persistence.Snapshot {
		noError(t, f.store.PutSnapshot(f.ctx, s))
		return s
	}
	foreign := put(f.newSnapshot(t, other, 2))
	f.db.Execute(t, `UPDATE boards SET epoch = id`)
	begin := f.newSnapshot(t, other, 3)
	noError(t, f.store.BeginLog(f.ctx, begin))
	keyframe := f.newSnapshot(t, board, 5)
	keyframe.Spacing = 5
	put(keyframe)
	spoiled, ten := put(f.newSnapshot(t, board, 9)), put(f.newSnapshot(t, board, 10))
	before := map[persistence.BoardID]persistence.Board{board: f.board(t, board), other: f.board(t, other), deleted: f.board(t, deleted)}
	noError(t, f.store.DeleteBoard(f.ctx, deleted, now()))

	n, err := f.store.(epochs).RenewEpochs(f.ctx, func(s persistence.Snapshot, to persistence.Epoch) (persistence.Snapshot, error) {
		if s.Seq == spoiled.Seq {
			return s, errors.New("it is spoiled")
		}
		return signed(s, to)
	})
	noError(t, err)
	equal(t, n, 3)

	noError(t, second(f.store.UndeleteBoard(f.ctx, deleted)))
	seen := map[persistence.Epoch]bool{{}: true}
	for id, was := range before {
		is := f.board(t, id)
		if seen[is.Epoch] || is.Epoch == was.Epoch {
			t.Errorf("board %s has epoch %s, and had %s", id, is.Epoch, was.Epoch)
		}
		seen[is.Epoch] = true
		was.Epoch = is.Epoch
		equal(t, is, was)
	}
	equal(t, f.log(t, f.store, board), log)
	// What was of the log is, as it was renewed; what was not, or could not be, is of another.
	now := f.board(t, board).Epoch
	five, _ := signed(keyframe, now)
	five.Spacing = 0
	ten, _ = signed(ten, now)
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{ten, spoiled, five})
	begin.Base = true
	equal(t, f.snapshots(t, f.store, other), []persistence.Snapshot{begin, foreign})
	// A keyframe is one as before.
	twelve, thirteen := put(f.newSnapshot(t, board, 12)), put(f.newSnapshot(t, board, 13))
	equal(t, f.snapshots(t, f.store, board), []persistence.Snapshot{thirteen, twelve, five})
}

// testEpochsAreRenewedAtOnce ends it in the middle: every board is as it was.
func (create suite) testEpochsAreRenewedAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, create(t))
	board := f.createBoard(t)
	f.add(t, f.store, board, 5)
	snap := f.newSnapshot(t, board, 4)
	noError(t, f.store.PutSnapshot(f.ctx, snap))
	noError(t, f.store.PutSnapshot(f.ctx, f.newSnapshot(t, board, 5)))
	before := f.board(t, board)
	ctx, cancel := context.WithCancel(f.ctx)
	failsWith[*persistence.UnavailableError](t, second(f.store.(epochs).RenewEpochs(ctx,
		func(s persistence.Snapshot, to persistence.Epoch) (persistence.Snapshot, error) {
			cancel()
			return signed(s, to)
		})))
	equal(t, f.board(t, board), before)
	equal(t, f.snapshots(t, f.store, board)[1], snap)
}
