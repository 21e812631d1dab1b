package room

import (
	"context"
	"errors"
	"slices"

	"github.com/collaboard-io/collaboard/persistence"
)

// storeSavepoints stores those that the rooms have noted, and reports false where one cannot be. Other servers note the
// same ones. A server that is killed before it has stored one makes the board have one less.
func (h *Hub) storeSavepoints(ctx context.Context) bool {
	for _, r := range h.roomsWithSavepoints() {
		for {
			r.mu.Lock()
			paused := slices.Clone(r.paused)
			r.mu.Unlock()
			if len(paused) == 0 {
				break
			}
			_, err := ask(ctx, h, func(ctx context.Context) (persistence.Savepoint, error) {
				return h.store.PutSavepoint(ctx, persistence.Savepoint{Board: r.id, Seq: paused[0]})
			})
			_, deleted := errors.AsType[*persistence.BoardNotFoundError](err)
			if err != nil && !deleted && !errors.Is(err, persistence.ErrNoFrame) {
				if ctx.Err() == nil {
					h.log.WarnContext(ctx, "savepoint cannot be stored", "board", r.id, "error", err)
				}
				return false
			}
			r.mu.Lock()
			r.paused = r.paused[1:]
			r.mu.Unlock()
		}
	}
	return true
}

func (h *Hub) roomsWithSavepoints() (found []*Room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.rooms {
		if !r.isLoaded() {
			continue
		}
		r.mu.Lock()
		if len(r.paused) > 0 {
			found = append(found, r)
		}
		r.mu.Unlock()
	}
	return found
}
