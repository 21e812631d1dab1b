package persistence_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/collaboard-io/collaboard/persistence"
)

func TestBoardIsLoggedAsText(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	var lines bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&lines, nil), slog.NewJSONHandler(&lines, nil)} {
		slog.New(handler).Warn("room dropped", "board", persistence.BoardID(id))
		if !strings.Contains(lines.String(), id.String()) {
			t.Errorf("logged as %s", lines.String())
		}
		lines.Reset()
	}
}
