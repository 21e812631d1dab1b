package main

import (
	"context"
	"log/slog"
	"sync/atomic"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// narrator tells, on stderr, what the SDK does about lost connections and refusals, from what it logs: once when it
// begins, and once when it is over. The tests notice when the SDK logs it in other words.
type narrator struct {
	*endpoint
	lost    atomic.Bool // since the connection was
	refused atomic.Bool // since frames are
}

func (n *narrator) logger() *slog.Logger { return slog.New(n) }

// Enabled is called by slog.
func (n *narrator) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs is called by slog.
func (n *narrator) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup is called by slog.
func (n *narrator) WithGroup(string) slog.Handler { return n }

// Handle is called by slog.
func (n *narrator) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]any{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.Any()
		return true
	})
	err, _ := attrs["error"].(error)
	switch r.Message {
	case "disconnected":
		if !n.lost.Swap(true) && err != nil {
			complainf("%w: reconnecting", n.explain(err))
		}
	case "connected":
		if n.lost.Swap(false) {
			complainf("connected again")
		}
	case "frame refused for now":
		// A busy server refuses now and then, which is no news.
		if attrs["code"] == collaboardv1.ErrorCode_UNAVAILABLE && !n.refused.Swap(true) {
			complainf("the server refuses frames for now: %s: trying again", attrs["message"])
		}
	case "server refuses the connection": // which is how the command ends
	default:
		if r.Level >= slog.LevelError && err != nil {
			complainf("%s: %w", r.Message, err)
		}
	}
	return nil
}

// accepted notes that the server took a frame.
func (n *narrator) accepted() {
	if n.refused.Swap(false) {
		complainf("the server accepts frames again")
	}
}
