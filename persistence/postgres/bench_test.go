package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

// BenchmarkNaive is what the group commit is compared with: one awaited INSERT a frame, over 32 connections.
func BenchmarkNaive(b *testing.B) {
	url := pgtest.Database(b)
	if err := open(b, url, postgres.Config{}).Close(); err != nil { // makes the tables
		b.Fatal(err)
	}
	pool, err := pgxpool.New(b.Context(), url+"&pool_max_conns=32")
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	body := make([]byte, 200)
	var left, seq atomic.Int64
	left.Store(int64(b.N))
	board := uuid.New()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				_, err := pool.Exec(b.Context(), `INSERT INTO frames (board_id, seq, id, time, sender, kind, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
					board, seq.Add(1), uuid.Must(uuid.NewV7()), time.Now(), "user-1", 7, body)
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
