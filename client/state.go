package client

import (
	"context"
	"fmt"
	"iter"
)

// Saving is where an application's changes are.
type Saving int

const (
	// Saved means connected, and everything that was submitted is durable, or was refused for good.
	Saved Saving = iota + 1
	// InFlight means connected, with frames that are not acked yet.
	InFlight
	// Offline means not connected: before the first connection, and between two.
	Offline
	// Closed means that the client was closed or gave up, see [Client.Err]. It is the last state.
	Closed
)

func (s Saving) String() string {
	switch s {
	case Saved:
		return "saved"
	case InFlight:
		return "saving"
	case Offline:
		return "offline"
	case Closed:
		return "closed"
	default:
		return fmt.Sprintf("Saving(%d)", int(s))
	}
}

// State is what an application can show of its connection.
type State struct {
	Saving Saving
	// Unsaved is how many submitted frames are not known to be durable: 0 when Saved.
	Unsaved int
}

func (s State) String() string {
	if s.Unsaved == 0 {
		return s.Saving.String()
	}
	return fmt.Sprintf("%v (%d unsaved)", s.Saving, s.Unsaved)
}

// State returns the state now. It is exact: after Submit has returned the frame is counted, after its Wait has
// returned it is not.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stateLocked()
}

// StateChanges gives the state now, and each other one that it changes to, until ctx ends or after Closed. To a slow
// loop the newest state counts, and those between are left out. Any number of loops may run.
func (c *Client) StateChanges(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		var last State
		for ctx.Err() == nil {
			c.mu.Lock()
			now, changed := c.stateLocked(), c.changed.wait()
			c.mu.Unlock()
			if now != last {
				if !yield(now) || now.Saving == Closed {
					return
				}
				last = now
				continue // it may have changed meanwhile
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

func (c *Client) stateLocked() State {
	s := State{Saving: Saved, Unsaved: len(c.outbox.pending)}
	switch {
	case c.ended != nil:
		s.Saving = Closed
	case !c.online:
		s.Saving = Offline
	case s.Unsaved > 0:
		s.Saving = InFlight
	}
	return s
}
