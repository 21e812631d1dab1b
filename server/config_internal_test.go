package server

import (
	"testing"
	"time"
)

// TestDeadNetworkIsNoticedWithin10Seconds is about the defaults: a connection is pinged once it is silent, and has so long to answer.
func TestDeadNetworkIsNoticedWithin10Seconds(t *testing.T) {
	t.Parallel()
	cfg := Config{}.withDefaults()
	if most := cfg.PingInterval + cfg.PingTimeout; most >= 10*time.Second {
		t.Errorf("natively after %v", most)
	}
	if cfg.Web.PingInterval != cfg.PingInterval || cfg.Web.PingTimeout != cfg.PingTimeout {
		t.Errorf("browsers are pinged otherwise: %v, %v", cfg.Web.PingInterval, cfg.Web.PingTimeout)
	}
}
