package storetest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/collaboard-io/collaboard/persistence"
)

// Bench measures group commits of 200-byte frames over eight boards, each with the probe for known ids, as a committer
// makes them. Each of the writers has boards of its own, and makes one commit after another.
func Bench(b *testing.B, create func(tb testing.TB) Database, writers int) {
	b.Helper()
	for _, n := range []int{1, 64, 512, 2048} {
		b.Run(fmt.Sprintf("writers=%d/frames=%d", writers, n), func(b *testing.B) {
			f := setup(b, create(b))
			benchWriters := make([]*benchWriter, writers)
			for i := range benchWriters {
				benchWriters[i] = newBenchWriter(b, f, n)
				benchWriters[i].commit(b) // prepares the statements
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for _, w := range benchWriters {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						w.commit(b)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// benchWriter makes its records beforehand: what is measured is the store.
type benchWriter struct {
	f      *fixture
	claims []persistence.Claim
	exts   []persistence.Extension
	serial uint64
}

func newBenchWriter(b *testing.B, f *fixture, n int) *benchWriter {
	b.Helper()
	boards := f.createBoards(b, min(8, n))
	w := &benchWriter{f: f, claims: claims(boards...)}
	for i, board := range boards {
		recs := records(0, n/len(boards), 200)
		w.claims[i].IDs = idsOf(recs)
		w.exts = append(w.exts, persistence.Extension{Board: board, Records: recs, Objects: 1})
	}
	return w
}

func (w *benchWriter) commit(b *testing.B) {
	b.Helper()
	for i := range w.claims {
		recs := w.exts[i].Records
		for k := range recs {
			w.serial++
			binary.BigEndian.PutUint64(recs[k].ID[:], w.serial<<8) // rising in time, as UUIDv7 are
			w.claims[i].IDs[k] = recs[k].ID
		}
	}
	err := w.f.store.Append(w.f.ctx, w.claims, func(locked []persistence.Locked) ([]persistence.Extension, error) {
		for i := range locked {
			recs := w.exts[i].Records
			for k := range recs {
				recs[k].Seq = locked[i].Head + persistence.Seq(k) + 1
			}
		}
		return w.exts, nil
	})
	if err != nil {
		b.Error(err)
	}
}
