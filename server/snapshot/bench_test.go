package snapshot_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/snapshot"
)

// Each iteration is a board of 10,000 objects.

func BenchmarkEncode(b *testing.B) {
	state, of := boardOf(b, 10_000), anyOrigin()
	b.ReportAllocs()
	for b.Loop() {
		s, err := snapshot.Encode(state, of, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(s.Body)), "bytes")
	}
}

func BenchmarkDecode(b *testing.B) {
	s, err := snapshot.Encode(boardOf(b, 10_000), anyOrigin(), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := snapshot.Decode(&s); err != nil {
			b.Fatal(err)
		}
	}
}

func anyOrigin() snapshot.Origin {
	return snapshot.Origin{
		Board: persistence.BoardID(uuid.New()), Epoch: persistence.Epoch(uuid.New()), Frame: persistence.FrameID(uuid.New()),
	}
}
