package checkup_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collaboard-io/collaboard/persistence/checkup"
)

func TestFlush(t *testing.T) {
	t.Parallel()
	for flush, want := range map[time.Duration]checkup.Level{
		-time.Microsecond:     checkup.Warn, // less than the round trip that was taken off
		0:                     checkup.Warn,
		19 * time.Microsecond: checkup.Warn,
		20 * time.Microsecond: checkup.OK,
		5 * time.Millisecond:  checkup.OK,
		20 * time.Millisecond: checkup.OK,
		21 * time.Millisecond: checkup.Warn,
	} {
		var checks checkup.Checks
		checks.Flush("fsync", "found", flush)
		c := checks.All[0]
		if c.Level != want || checks.Failed() || (c.Advice == "") != (want == checkup.OK) {
			t.Errorf("%s: %+v", flush, c)
		}
		if want == checkup.Warn && strings.Contains(c.Found, "slow") != (flush > time.Millisecond) {
			t.Errorf("%s: %+v", flush, c)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for database, want := range map[int64]checkup.Level{0: checkup.Warn, 4: checkup.Warn, 5: checkup.OK, 6: checkup.Fail} {
		var checks checkup.Checks
		checks.Schema(database, 5)
		if c := checks.All[0]; c.Level != want || checks.Failed() != (want == checkup.Fail) || (c.Advice == "") != (want == checkup.OK) {
			t.Errorf("version %d: %+v", database, c)
		}
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{time.Millisecond: 100, 500 * time.Millisecond: 4, time.Hour: 1} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			l, err := checkup.Measure(t.Context(), func(context.Context) error {
				n++
				time.Sleep(took) //nolint:forbidigo // moves the clock of the bubble
				return nil
			})
			if err != nil || n != want || len(l) != want || l.Median() != took {
				t.Errorf("%s: %d times, %v (%v)", took, n, l, err)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := checkup.Measure(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}
