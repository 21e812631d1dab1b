package main

import (
	"context"
	"log/slog"

	"github.com/collaboard-io/collaboard/test/robustness/history"
)

// connections records what an SDK client logs: that it connected, and that a connection ended.
type connections struct {
	rec  *history.Writer
	user string
}

func (*connections) Enabled(context.Context, slog.Level) bool { return true }

func (c *connections) Handle(_ context.Context, r slog.Record) error {
	kind := history.KindDisconnected
	if r.Message == "connected" {
		kind = history.KindConnected
	}
	c.rec.Add(history.Event{Kind: kind, Client: c.user, Note: r.Message})
	return nil
}

func (c *connections) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *connections) WithGroup(string) slog.Handler      { return c }
