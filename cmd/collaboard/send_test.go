package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

func TestSend(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	const frames = 1000
	var input strings.Builder
	for n := range frames {
		input.WriteString(chat(n))
	}
	out, _ := cli("send", board, "--window", "10").withInput(input.String(), 0)
	answers := decode[frame](t, out)
	if len(answers) != frames {
		t.Fatalf("%d answers", len(answers))
	}
	for i, a := range answers {
		if a.Seq != fmt.Sprint(i+1) || a.Status != "STATUS_DONE" || a.ID == "" || a.ID != a.ParentID || a.BoardID != board || a.Ack.Duplicate {
			t.Fatalf("answer %d is %+v", i, a)
		}
	}
	out, _ = cli("tail", board).run(0)
	for i, f := range decode[frame](t, out) {
		if f.ID != answers[i].ID || f.ChatMessage.Text != fmt.Sprintf("message %d", i) {
			t.Fatalf("frame %d is %+v", i, f)
		}
	}
}

func TestSendTwice(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	file := filepath.Join(t.TempDir(), "frames")
	var input strings.Builder
	for n := range 20 {
		fmt.Fprintf(&input, `{"id":"%s", "chat_message": {"text":"%d"}}`+"\n\n", uuid.NewString(), n)
	}
	if err := os.WriteFile(file, []byte(input.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	first, _ := cli("send", board, "--file", file).run(0)
	cli("send", board).withInput(chat(21), 0)
	second, _ := cli("send", board, "--file", file).run(0)
	before, after := decode[frame](t, first), decode[frame](t, second)
	if diff := cmp.Diff(seqs(before), seqs(after)); diff != "" || len(after) != 20 {
		t.Error(diff)
	}
	for i := range after {
		if before[i].Ack.Duplicate || !after[i].Ack.Duplicate {
			t.Errorf("frame %d: duplicate is %t, then %t", i, before[i].Ack.Duplicate, after[i].Ack.Duplicate)
		}
	}
}

// All that can be answered is answered, in order; ephemeral frames only when they are refused.
func TestSendKinds(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	out, stderr := cli("send", board).withInput(`{"ping":{}}
{"objectUpdate":{"id":"`+uuid.NewString()+`","x":1}}
{"cursorMove":{"x":1,"y":2}}
{"boardJoin":{}}
{"cursorMove":{"x":1,"y":2}}
{"objectCreate":{"object":{"id":"`+uuid.NewString()+`","kind":"rectangle"}}}
{"status":"STATUS_EVENT","chatMessage":{"text":"x"}}`, 1)
	var got []string
	for _, f := range decode[frame](t, out) {
		answer := f.Status + " " + f.Seq
		if f.Error != nil {
			answer = f.Error.Code
		}
		got = append(got, answer)
	}
	want := []string{"STATUS_DONE ", "OBJECT_NOT_FOUND", "NOT_JOINED", "STATUS_DONE ", "STATUS_DONE 1", "INVALID_FRAME"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if stderr != "" {
		t.Errorf("complained %q", stderr)
	}
}

func TestSendInvalidLines(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	for input, want := range map[string]string{
		chat(1) + `{"chatMessage":{"txt":"x"}}` + "\n" + chat(2):    `line 2: column 17: unknown field "txt"`,
		chat(1) + "\n" + `{"chatMessage":{"text":"x"}` + "\n":       `line 3: the JSON is cut short`,
		chat(1) + `{"chatMessage":{"text":"x"}} {"ping":{}}` + "\n": `line 2: column 30: unexpected token {`,
		chat(1) + `{"chatMessage":{"text":1}}` + "\n":               `line 2: column 24: invalid value for string field text: 1`,
		chat(1) + `{"chatMessage":{"text":"x"},"seq":"x"}` + "\n":   `line 2: column 35: invalid value for uint64 field seq: "x"`,
		chat(1) + `{"status":"STATUS_REQUESTED","ping":{}}` + "\n":  `line 2: column 11: invalid value for enum field status: "STATUS_REQUESTED"`,
		chat(1) + strings.Repeat(" ", maxLine+1) + `{"ping":{}}`:    `line 2: longer than 16 MiB`,
		chat(1) + `{"ping":{},"boardPart":{}}` + "\n":               `line 2: column 12: error parsing "boardPart", oneof collaboard.v1.Frame.payload is already set`,
		chat(1) + `hello` + "\n":                                    `line 2: column 1: invalid value hello`,
		chat(1) + `"hello"` + "\n":                                  `line 2: column 1: unexpected token "hello"`,
		chat(1) + `{"custom":{"type":"x","data":"\u00ff"}}` + "\n":  `line 2: column 30: invalid value for bytes field data: "\u00ff"`,
	} {
		out, stderr := cli("send", board).withInput(input, 1)
		if stderr != "collaboard: "+want+": it was not sent, nor what follows it\n" {
			t.Errorf("complained %q, want %q", stderr, want)
		}
		if answers := decode[frame](t, out); len(answers) != 1 || answers[0].Status != "STATUS_DONE" {
			t.Errorf("printed %q", out)
		}
	}

	file := filepath.Join(t.TempDir(), "frames")
	if err := os.WriteFile(file, []byte(chat(1)+`{"unknown":1}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr := cli("send", board, "--file", file).run(1)
	if out != "" || stderr != `collaboard: `+file+`: line 2: column 2: unknown field "unknown": nothing was sent`+"\n" {
		t.Errorf("printed %q, complained %q", out, stderr)
	}
}

// Answers are printed in the order of the requests, whatever order they come in. When the stream breaks it is said
// which requests have none, and what did come is printed all the same.
func TestSendBroken(t *testing.T) {
	t.Parallel()
	addr := serveFake(t, func(stream collaborateStream) error {
		var requests []*collaboardv1.Frame
		for range 7 {
			request, err := stream.Recv()
			if err != nil {
				return err
			}
			requests = append(requests, request)
			if n := len(requests); n == 5 { // as many as may be unanswered
				for _, seq := range []uint64{2, 1, 4} {
					if err := stream.Send(done(requests[seq-1], seq)); err != nil {
						return err
					}
				}
			}
		}
		return status.Error(codes.Unavailable, "out for lunch")
	})
	var input strings.Builder
	for n := range 9 {
		input.WriteString("\n" + chat(n))
	}
	file := filepath.Join(t.TempDir(), "frames")
	if err := os.WriteFile(file, []byte(input.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr := command(t, "send", uuid.NewString(), "--server", addr, "--window", "5", "--file", file).run(1)
	if diff := cmp.Diff([]string{"1", "2", "4"}, seqs(decode[frame](t, out))); diff != "" {
		t.Error(diff)
	}
	want := "collaboard: lines 6, 10-14 were not answered: they may be in the log or not; lines 15-18 were not sent\n" +
		"collaboard: frames with ids of their own can be sent again, and are in the log once; --retry sends again by itself\n" +
		"collaboard: out for lunch\n"
	if diff := cmp.Diff(want, stderr); diff != "" {
		t.Error(diff)
	}
}

// huge is a frame that is too large for the transport, not only for the server.
var huge = fmt.Sprintf(`{"custom":{"type":"x","data":"%s"}}`+"\n", strings.Repeat("AAAA", 2<<20))

// A frame that is too large is refused alone, and before it gets in the way of others.
func TestSendTooLarge(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	large := fmt.Sprintf(`{"custom":{"type":"x","data":"%s"}}`+"\n", strings.Repeat("AAAA", 1<<19))
	signal := fmt.Sprintf(`{"customSignal":{"type":"x","data":"%s"}}`+"\n", strings.Repeat("AAAA", 2<<20))
	out, stderr := cli("send", board, "--window", "1").withInput(chat(1)+large+huge+signal+chat(2)+huge, 1)
	var got []string
	for _, f := range decode[frame](t, out) {
		answer := f.Status + " " + f.Seq
		if f.Error != nil {
			answer = f.Error.Code
		}
		got = append(got, answer)
		if f.ID == "" || f.ID != f.ParentID || f.BoardID != board {
			t.Errorf("answer %+v", f)
		}
	}
	if diff := cmp.Diff([]string{"STATUS_DONE 1", "TOO_LARGE", "TOO_LARGE", "TOO_LARGE", "STATUS_DONE 2", "TOO_LARGE"}, got); diff != "" || stderr != "" {
		t.Errorf("%s\ncomplained %q", diff, stderr)
	}
}

// What tail prints send takes, for another board, as often as one likes.
func TestCopyLog(t *testing.T) {
	t.Parallel()
	cli, from := setup(t)
	object, other := uuid.NewString(), uuid.NewString()
	cli("send", from, "--user", "ada").withInput(chat(1)+
		`{"objectCreate":{"object":{"id":"`+object+`","kind":"rectangle","x":1,"props":{"a":"b"}}}}`+"\n"+
		`{"objectUpdate":{"id":"`+object+`","x":2,"ifVersion":"1"}}`+"\n"+
		`{"objectBatch":{"ops":[{"create":{"object":{"id":"`+other+`","kind":"text"}}},{"update":{"id":"`+object+`","y":3}}]}}`+"\n"+
		`{"objectDelete":{"id":"`+object+`"}}`+"\n"+
		`{"objectUpdate":{"id":"`+object+`","deleted":false,"props":{"a":null}}}`+"\n"+
		`{"custom":{"type":"x","data":"AAAA"}}`+"\n"+chat(2), 0)
	log, _ := cli("tail", from).run(0)
	for _, args := range [][]string{{"send"}, {"send", "--retry"}} {
		out, _ := cli("board", "create", "copy").run(0)
		to := strings.TrimSpace(out)
		for round := range 2 {
			out, stderr := cli(append(args, to)...).withInput(log, 0)
			answers := decode[frame](t, out)
			if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7", "8"}, seqs(answers)); diff != "" || stderr != "" {
				t.Fatalf("%s\ncomplained %q", diff, stderr)
			}
			for _, a := range answers {
				if a.BoardID != to || a.Ack.Duplicate != (round == 1) {
					t.Errorf("answer %+v in round %d", a, round)
				}
			}
		}
		copied, _ := cli("tail", to).run(0)
		if diff := cmp.Diff(withoutStamps(t, log), withoutStamps(t, copied)); diff != "" {
			t.Error(diff)
		}
	}
}

// withoutStamps is a log as JSON, without what differs from board to board and from time to time.
func withoutStamps(t *testing.T, log string) []map[string]any {
	t.Helper()
	var strip func(v any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range []string{"boardId", "chain", "time", "from", "senderName", "createdAt", "updatedAt", "createdBy", "updatedBy"} {
				delete(v, key)
			}
			for _, inner := range v {
				strip(inner)
			}
		case []any:
			for _, inner := range v {
				strip(inner)
			}
		}
	}
	frames := decode[map[string]any](t, log)
	for _, f := range frames {
		strip(f)
	}
	return frames
}
