package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// writers is how many clients write, each as fast as its acks come: together they are faster than anybody reads.
const writers = 2

// write has clients write to a board, over native gRPC, until stop is called.
func write(ctx context.Context, addr string, t task) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	errs := make([]error, writers)
	var tasks sync.WaitGroup
	for n := range writers {
		tasks.Go(func() {
			c, err := client.Dial(addr, client.WithInsecure(), client.WithUserID(fmt.Sprintf("writer%d", n))) //nolint:contextcheck // Close ends it
			if err != nil {
				errs[n] = err
				return
			}
			defer c.Close()
			payload := &collaboardv1.Custom{Type: "bench", Data: make([]byte, t.Payload)}
			for {
				if _, err := c.Submit(ctx, t.Board, payload); err != nil {
					if ctx.Err() == nil {
						errs[n] = err
					}
					return
				}
			}
		})
	}
	return func() error {
		cancel()
		tasks.Wait()
		return errors.Join(errs...)
	}
}
