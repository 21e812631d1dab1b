package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc"
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
		chat(1) + "\n" + `{"chatMessage":{"text":"x"}` + "\n":       `line 3: unexpected EOF`,
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

func TestSendRetry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, addr := serve(t, dir, "127.0.0.1:0")
	out, _ := command(t, "board", "create", "x", "--server", addr).run(0)
	board := strings.TrimSpace(out)
	p := command(t, "send", "--retry", board, "--server", addr).start()
	say := func(n int) {
		if _, err := io.WriteString(p.stdin, chat(n)); err != nil {
			t.Fatal(err)
		}
	}
	say(1)
	p.out.await(t, `"seq":"1"`, 1)
	server.signal(syscall.SIGKILL)
	server.wait()
	p.err.await(t, `^collaboard: the connection to .* was lost: reconnecting$`, 1)
	say(2)
	serve(t, dir, addr)
	p.out.await(t, `"seq":"2"`, 1)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// fake is a server that answers as a test wants.
type fake struct {
	collaboardv1.UnimplementedCollaborationServiceServer
	collaborate func(collaboardv1.CollaborationService_CollaborateServer) error
}

func (f *fake) Collaborate(stream collaboardv1.CollaborationService_CollaborateServer) error {
	if err := stream.Send(&collaboardv1.Frame{Status: collaboardv1.Status_STATUS_EVENT}); err != nil {
		return err
	}
	return f.collaborate(stream)
}

func serveFake(t *testing.T, collaborate func(collaboardv1.CollaborationService_CollaborateServer) error) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collaboardv1.RegisterCollaborationServiceServer(s, &fake{collaborate: collaborate})
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

func done(request *collaboardv1.Frame, seq uint64) *collaboardv1.Frame {
	return &collaboardv1.Frame{ParentId: request.GetId(), Seq: seq, Status: collaboardv1.Status_STATUS_DONE}
}

// Answers are printed in the order of the requests, whatever order they come in. When the stream breaks it is said
// which requests have none, and what did come is printed all the same.
func TestSendBroken(t *testing.T) {
	t.Parallel()
	addr := serveFake(t, func(stream collaboardv1.CollaborationService_CollaborateServer) error {
		var requests []*collaboardv1.Frame
		for range 5 {
			request, err := stream.Recv()
			if err != nil {
				return err
			}
			requests = append(requests, request)
		}
		for _, seq := range []uint64{2, 1, 4} {
			if err := stream.Send(done(requests[seq-1], seq)); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "out for lunch")
	})
	var input strings.Builder
	var ids []string
	for n := range 5 {
		ids = append(ids, uuid.NewString())
		fmt.Fprintf(&input, "\n"+`{"id":"%s","chatMessage":{"text":"%d"}}`+"\n", ids[n], n)
	}
	out, stderr := command(t, "send", uuid.NewString(), "--server", addr).withInput(input.String(), 1)
	if diff := cmp.Diff([]string{"1", "2", "4"}, seqs(decode[frame](t, out))); diff != "" {
		t.Error(diff)
	}
	want := "collaboard: line 6 was not answered, id " + ids[2] + "\n" +
		"collaboard: line 10 was not answered, id " + ids[4] + "\n" +
		"collaboard: what was not answered may be in the log or not: sent again under its id it is there once\n" +
		"collaboard: out for lunch\n"
	if diff := cmp.Diff(want, stderr); diff != "" {
		t.Error(diff)
	}
}

// After a reconnect, what was not answered is sent again, in its order, before anything else; what was is not.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	streams := 0
	var seen []string
	addr := serveFake(t, func(stream collaboardv1.CollaborationService_CollaborateServer) error {
		mu.Lock()
		streams++
		first := streams == 1
		mu.Unlock()
		for {
			request, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			text := request.GetChatMessage().GetText()
			mu.Lock()
			seen = append(seen, text)
			n := len(seen)
			mu.Unlock()
			if !first || text == "message 2" {
				if err := stream.Send(done(request, uint64(n))); err != nil {
					return err
				}
			}
			if first && text == "message 4" {
				return status.Error(codes.Unavailable, "out for lunch")
			}
		}
	})
	out, stderr := command(t, "send", "--retry", uuid.NewString(), "--server", addr).
		withInput(chat(1)+chat(2)+chat(3)+chat(4), 0)
	want := []string{"message 1", "message 2", "message 3", "message 4", "message 1", "message 3", "message 4"}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"5", "2", "6", "7"}, seqs(decode[frame](t, out))); diff != "" {
		t.Error(diff)
	}
	if stderr != "collaboard: out for lunch: reconnecting\n" {
		t.Errorf("complained %q", stderr)
	}
}
