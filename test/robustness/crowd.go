package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
)

// crowd is everybody who uses the boards of a round.
type crowd struct {
	members    []member
	visitors   []*visitor
	historians []*historian
}

// populate lets clients of every kind in. Everything that they do at random comes from seed. Whom it has let in must be
// closed, also after an error.
func populate(ctx context.Context, env *environment, seed uint64) (_ *crowd, err error) {
	c := &crowd{}
	random := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 100+n)) }
	windows := []int{16, 4}
	editors := make([]*editor, len(windows))
	for i := range windows {
		if editors[i], err = newEditor(ctx, env, fmt.Sprintf("sdk-%d", i+1)); err != nil {
			return c, err
		}
		c.members = append(c.members, editors[i])
	}
	for i, e := range editors {
		e.start(ctx, env, random(uint64(i)), windows[i])
	}
	for i, m := range []manners{
		{inFlight: 8, recalls: 10},
		{inFlight: 8, twice: true, vanishes: 400, wanders: true},
		{inFlight: 2, naps: 300, apart: true},
	} {
		c.members = append(c.members, newWire(ctx, env, fmt.Sprintf("wire-%d", i+1), random(uint64(10+i)), m))
	}
	c.historians = append(c.historians, newHistorian(ctx, env, "historian", random(30)))
	for i := range 2 {
		c.visitors = append(c.visitors, newVisitor(ctx, env, fmt.Sprintf("visitor-%d", i+1), random(uint64(20+i))))
	}
	return c, nil
}

// carryOn returns once every member has got some more answers.
func (c *crowd) carryOn(ctx context.Context, env *environment) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want := map[string]uint64{}
	for _, m := range c.members {
		want[m.name()] = env.tally.get(m.name()) + 5
	}
	for name, n := range want {
		if err := env.tally.wait(ctx, name, n); err != nil {
			return fmt.Errorf("a client did not carry on, though nothing is broken: acks of %w", err)
		}
	}
	return nil
}

// settle returns once every member has its answers and has heard everything, and notes what they have of the boards. The
// visitors leave first: who comes and goes wakes those who stay, who have to hear of the last frame without that. The
// historians, too: nobody waits for what they have said.
func (c *crowd) settle(ctx context.Context, env *environment) error {
	c.leave()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, m := range c.members {
		if err := m.settle(ctx); err != nil {
			return fmt.Errorf("%s has frames without an answer, though nothing is broken: %w", m.name(), err)
		}
	}
	heads, err := env.heads(ctx)
	if err != nil {
		return err
	}
	for _, m := range c.members {
		for board, head := range heads {
			if err := env.tally.wait(ctx, m.name()+"/"+board, head); err != nil {
				return fmt.Errorf("a member did not hear everything: %w", err)
			}
		}
		m.replicas()
	}
	return nil
}

func (c *crowd) leave() {
	for _, v := range c.visitors {
		v.close()
	}
	for _, h := range c.historians {
		h.close()
	}
}

// close ends them all.
func (c *crowd) close() (err error) {
	c.leave()
	for _, m := range c.members {
		err = errors.Join(err, m.close())
	}
	return err
}
