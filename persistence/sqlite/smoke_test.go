package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
)

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "a b?c#d%.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := persistence.Board{ID: persistence.BoardID(uuid.Must(uuid.NewV7())), Epoch: persistence.Epoch(uuid.New()), Name: "n", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := s.CreateBoard(ctx, b); err != nil {
		t.Fatal(err)
	}
	var recs []persistence.Record
	for i := range 23 {
		recs = append(recs, persistence.Record{Seq: persistence.Seq(i + 1), ID: persistence.FrameID(uuid.Must(uuid.NewV7())), Time: time.Now(), Sender: "x", Kind: 3, Body: []byte{1, 2, 3}})
	}
	for range 2 {
		if err := s.Append(ctx, []persistence.Claim{{Board: b.ID, IDs: []persistence.FrameID{recs[0].ID, recs[7].ID}}}, func(l []persistence.Locked) ([]persistence.Extension, error) {
			t.Log(l[0].Head, l[0].Known, len(l[0].Missed))
			if l[0].Head > 0 {
				return nil, nil
			}
			return []persistence.Extension{{Board: b.ID, Records: recs, Objects: 3}}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Read(ctx, persistence.ReadParams{Board: b.ID, After: 20, Limit: 10})
	t.Log(len(got), err)
	bs, err := s.ListBoards(ctx, persistence.BoardID{}, 10)
	t.Log(bs, err)
	bs, err = s.Boards(ctx, b.ID)
	t.Log(bs, err)
	t.Log(s.RenameBoard(ctx, b.ID, "foo", time.Now()))
	t.Log(s.Ping(ctx))
	t.Log(s.Close(), s.Ping(ctx))
}
