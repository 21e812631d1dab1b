package persistence

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Committer makes frames durable in groups.
//
// Each board belongs to one shard, and each shard runs one transaction at a time: while it runs, the next group
// fills. So the busier the server, the larger the groups, and no timer adds latency. What holds:
//
//   - A submission's Done, and the Publish that precedes it, come after the commit returned, never before.
//   - Submissions to one board are decided in the order of Submit.
//   - A submission whose commit had no answer is submitted again as it was. The ids in the log tell whether it had
//     been written: it gets its original seq, and is never written twice.
//   - The queue is bounded, in frames and in bytes: Submit never blocks, it refuses.
//   - One board's or one frame's trouble is its own: a group that fails for a reason of its content is taken apart,
//     by boards, then by frames.
//
// A timer that waits for a fuller group was rejected: it trades the latency of the quiet for nothing, since a busy
// store makes its own groups. A queue per board with a goroutine each was rejected: it makes a transaction a board.
type Committer struct {
	cfg    CommitterConfig
	store  Store
	shards []*shard

	healthMu sync.Mutex
	down     int // shards that cannot reach the store
}

// CommitterConfig tunes a Committer; the zero value of a field means its default.
type CommitterConfig struct {
	Shards         int           // transactions at a time; 1
	BatchFrames    int           // most frames in a transaction; 2,048
	BatchBytes     int           // most bytes in a transaction, after one frame at the least; 4 MiB
	BatchTime      time.Duration // longest time spent deciding in a transaction, after one frame at the least; 250 ms
	QueueFrames    int           // most frames a shard holds, those being committed among them; 16,384
	QueueBytes     int           // most bytes a shard holds; 64 MiB
	CommitTimeout  time.Duration // how long a frame may wait while the store fails; 10 s
	AttemptTimeout time.Duration // how long one transaction may take; 5 s
	RetryMin       time.Duration // first pause after a failure, doubled each time, with jitter; 10 ms
	RetryMax       time.Duration // longest pause; 1 s

	// OnHealth is told false when frames begin to be refused because the store cannot be reached, with the cause,
	// and true when it can again. Calls do not overlap. May be nil.
	OnHealth func(healthy bool, cause error)
	// OnError is told of every failed attempt, for the log. It may be called by several goroutines. May be nil.
	OnError func(err error, boards, frames int)
}

func (c *CommitterConfig) setDefaults() {
	setDefault(&c.Shards, 1)
	setDefault(&c.BatchFrames, 2048)
	setDefault(&c.BatchBytes, 4<<20)
	setDefault(&c.BatchTime, 250*time.Millisecond)
	setDefault(&c.QueueFrames, 16384)
	setDefault(&c.QueueBytes, 64<<20)
	setDefault(&c.CommitTimeout, 10*time.Second)
	setDefault(&c.AttemptTimeout, 5*time.Second)
	setDefault(&c.RetryMin, 10*time.Millisecond)
	setDefault(&c.RetryMax, time.Second)
	if c.OnHealth == nil {
		c.OnHealth = func(bool, error) {}
	}
	if c.OnError == nil {
		c.OnError = func(error, int, int) {}
	}
}

func setDefault[T ~int | ~int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// NewCommitter returns a committer that takes submissions at once, and works on them while Run runs.
func NewCommitter(store Store, cfg CommitterConfig) *Committer {
	cfg.setDefaults()
	c := &Committer{cfg: cfg, store: store}
	for range c.cfg.Shards {
		c.shards = append(c.shards, newShard(c))
	}
	return c
}

// Submit queues s, or refuses it at once with *QueueFullError, *RefusedError while the store cannot be reached, or
// ErrDraining; s.Done is then never called. It is safe for concurrent use; submissions of one goroutine to one board
// keep their order.
func (c *Committer) Submit(s *Submission) error {
	return c.shards[shardOf(s.Board, len(c.shards))].submit(s)
}

// Run commits what is submitted, until Drain was called and nothing is left, or ctx ends: then what is left is
// refused. It returns nil in both cases, and may be called once.
func (c *Committer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range c.shards {
		g.Go(func() error { return s.run(ctx) })
	}
	return g.Wait()
}

// Drain ends the intake. It does not wait: Run returns when everything that was queued is done.
func (c *Committer) Drain() {
	for _, s := range c.shards {
		s.drain()
	}
}

// shardOf spreads boards over shards. Ids are UUIDs, so any bits of their random tail will do.
func shardOf(id BoardID, shards int) int {
	return int(binary.BigEndian.Uint32(id[12:]) % uint32(shards))
}

// shardHealth counts the shards that cannot reach the store, and reports the first and the last of them.
func (c *Committer) shardHealth(healthy bool, cause error) {
	c.healthMu.Lock()
	defer c.healthMu.Unlock()
	before := c.down
	if healthy {
		c.down--
	} else {
		c.down++
	}
	if (before == 0) != (c.down == 0) {
		c.cfg.OnHealth(healthy, cause)
	}
}
