package server_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server"
)

func TestWelcomeSaysWhoTheClientIs(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{Version: "v1.2.3"})
	on := srv.createBoard(t)
	longest := strings.Repeat("%C3%A9", 128)
	for name, test := range map[string]struct {
		md                []string
		user, name, color string
		refused           bool
	}{
		"nobody":            {user: "anonymous", name: "anonymous"},
		"empty":             {md: []string{"user-id", "", "display-name", "", "color", ""}, user: "anonymous", name: "anonymous"},
		"user alone":        {md: []string{"user-id", "ada"}, user: "ada", name: "ada"},
		"all":               {md: []string{"user-id", "ada", "display-name", "Ada%20%C3%89", "color", "#1E90ff"}, user: "ada", name: "Ada É", color: "#1E90ff"},
		"plus is no space":  {md: []string{"user-id", "a+b"}, user: "a+b", name: "a+b"},
		"longest":           {md: []string{"user-id", longest}, user: strings.Repeat("é", 128), name: strings.Repeat("é", 128)},
		"too long":          {md: []string{"user-id", longest + "x"}, refused: true},
		"not UTF-8":         {md: []string{"display-name", "%ff"}, refused: true},
		"not printable":     {md: []string{"display-name", "a%0Ab"}, refused: true},
		"not encoded":       {md: []string{"user-id", "%zz"}, refused: true},
		"color's beginning": {md: []string{"color", "x#1e90ff"}, refused: true},
		"color's end":       {md: []string{"color", "#1e90ff0"}, refused: true},
		"color's name":      {md: []string{"color", "red"}, refused: true},
	} {
		c := srv.connect(t, test.md...)
		if test.refused {
			if err := c.end(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), test.md[0]) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		members := c.join(on, nil).GetMembers()
		welcome := c.received()[0].GetSessionWelcome()
		if welcome.GetUserId() != test.user || welcome.GetServerVersion() != "v1.2.3" {
			t.Errorf("%s: welcome %v", name, welcome)
		}
		me := members[len(members)-1]
		if me.GetConnectionId() != welcome.GetConnectionId() || me.GetUserId() != test.user || me.GetDisplayName() != test.name || me.GetColor() != test.color {
			t.Errorf("%s: member %v", name, me)
		}
	}
}

func TestWelcomeSaysTheLimits(t *testing.T) {
	t.Parallel()
	defaults := &collaboardv1.Limits{
		MaxFrameBytes: 1 << 20, MaxObjectBytes: board.MaxObjectBytes, MaxBatchOps: board.MaxBatchOps, MaxBoards: 64,
		MaxInFlightFrames: 256, MaxInFlightBytes: 1 << 20, CommitTimeout: durationpb.New(10 * time.Second), EphemeralRate: 200,
	}
	tuned := proto.CloneOf(defaults)
	tuned.MaxBoards, tuned.MaxInFlightFrames, tuned.MaxInFlightBytes, tuned.CommitTimeout, tuned.EphemeralRate = 1, 2, 3, durationpb.New(4), 5
	for _, test := range []struct {
		cfg  server.Config
		want *collaboardv1.Limits
	}{
		{server.Config{}, defaults},
		{server.Config{MaxBoards: 1, InFlightFrames: 2, InFlightBytes: 3, Commit: persistence.CommitterConfig{CommitTimeout: 4}, EphemeralRate: 5}, tuned},
	} {
		welcome := serve(t, sqliteDatabase(t)(t), test.cfg).connect(t).find("welcome", func(f *collaboardv1.Frame) bool {
			return f.GetSessionWelcome() != nil
		})
		if got := welcome.GetSessionWelcome().GetLimits(); !proto.Equal(got, test.want) {
			t.Errorf("limits %v, want %v", got, test.want)
		}
		if v := welcome.GetSessionWelcome().GetServerVersion(); v != "dev" {
			t.Errorf("version %q", v)
		}
	}
}
