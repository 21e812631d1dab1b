package client

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// Unconnected returns a client that never connects: a test is its network.
func Unconnected() *Client {
	c := newClient("offline", newConfig([]Option{WithBackoff(1, 1)}))
	c.unary, _ = grpc.NewClient("offline", c.cfg.unaryOptions()...)
	c.stop = c.end
	close(c.done)
	return c
}

// Joining returns a board of an Unconnected client that is to be joined.
func (c *Client) Joining(id string) *Board {
	b := c.newBoard(id, nil)
	if err := c.register(b); err != nil {
		panic(err)
	}
	return b
}

// JoinID is the id of the board's join that is under way.
func (c *Client) JoinID(b *Board) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return b.joinID
}

// Collect takes what would be sent now.
func (c *Client) Collect() { c.collect(&link{c: c, began: time.Now()}, time.Now()) }

// Receive makes the client believe that f came from the server.
func (c *Client) Receive(f *collaboardv1.Frame) { c.handle(&link{c: c}, &incoming{f, proto.Size(f)}) }

// CheckInvariants returns what does not hold of the client's state; empty if all is well.
func (c *Client) CheckInvariants() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var broken []string
	check := func(ok bool, what string) {
		if !ok {
			broken = append(broken, what)
		}
	}
	held, queued, inFlight, bytes := 0, 0, 0, 0
	for _, b := range c.boards {
		held += len(b.held)
		check(b.replica == nil || b.replica.Seq() == b.pos.Seq, "replica is at the position")
		check(!b.live || b.joinID == "", "live and joining")
		check(b.log.bytes <= tailBytes || len(b.log.tail) == 1, "tail is bounded")
		check(len(b.events.items) <= maxLatest, "events are bounded")
		for i := 1; i < len(b.log.tail); i++ {
			check(b.log.tail[i].frame.GetSeq() == b.log.tail[i-1].frame.GetSeq()+1, "tail has no gap")
		}
	}
	for _, l := range c.outbox.lanes {
		queued += len(l.queue)
		inFlight += l.inFlight
		check(l.inFlight <= l.sent && l.sent <= len(l.queue), "lane counts")
		check(len(l.queue) > 0, "no empty lanes")
	}
	for _, p := range c.outbox.pending {
		bytes += len(p.body)
	}
	check(held+queued == len(c.outbox.pending), "every pending frame is held or in a lane")
	check(inFlight == c.outbox.inFlight, "frames in flight")
	check(bytes == c.outbox.bytes, "bytes of the outbox")
	return broken
}
