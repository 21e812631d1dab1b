package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/pgtest"
)

func (p *program) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, text); err != nil {
		p.t.Fatal(err)
	}
}

func texts(frames []frame) (all []string) {
	for _, f := range frames {
		all = append(all, f.ChatMessage.Text)
	}
	return all
}

func TestSendRetry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, addr := serve(t, dir, "127.0.0.1:0")
	out, _ := command(t, "board", "create", "x", "--server", addr).run(0)
	board := strings.TrimSpace(out)
	p := command(t, "send", "--retry", board, "--server", addr).start()
	p.say(chat(1))
	p.out.await(t, `"seq":"1"`, 1)
	server.signal(syscall.SIGKILL)
	server.wait()
	p.err.await(t, `^collaboard: the connection to .* was lost: reconnecting$`, 1)
	p.say(chat(2))
	serve(t, dir, addr)
	p.out.await(t, `"seq":"2"`, 1)
	p.err.await(t, `^collaboard: connected again$`, 1)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(p.err.String(), "\n"); n != 2 {
		t.Errorf("complained:\n%s", p.err)
	}
}

// While the database is away frames are refused for now. That is not the end of them.
func TestSendRetryStoreOutage(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, nil)
	_, addr := serve(t, t.TempDir(), "127.0.0.1:0", "--store", database.URL("postgres"), "--commit-timeout", "500ms")
	cli := func(args ...string) *program { return command(t, args...).env("COLLABOARD_SERVER=" + addr) }
	out, _ := cli("board", "create", "x").run(0)
	board := strings.TrimSpace(out)
	p := cli("send", "--retry", board).start()
	p.say(chat(1))
	p.out.await(t, `"seq":"1"`, 1)
	if err := database.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	want := []string{"message 1"}
	for n := 2; n <= 100; n++ {
		p.say(chat(n))
		want = append(want, fmt.Sprintf("message %d", n))
	}
	p.err.await(t, `^collaboard: the server refuses frames for now: .*: trying again$`, 1)
	if err := database.Restart(); err != nil {
		t.Fatal(err)
	}
	p.out.await(t, `"seq":"100"`, 1)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.err.await(t, `^collaboard: the server accepts frames again$`, 1)
	answers := decode[frame](t, p.out.String())
	for i, a := range answers {
		if a.Status != "STATUS_DONE" || a.Seq != fmt.Sprint(i+1) {
			t.Errorf("answer %d is %+v", i, a)
		}
	}
	out, _ = cli("tail", board).run(0)
	if diff := cmp.Diff(want, texts(decode[frame](t, out))); diff != "" || len(answers) != len(want) {
		t.Errorf("%d answers, and in the log: %s", len(answers), diff)
	}
}

// Each frame has one line, in order, whatever became of it on the way.
func TestSendRetryAnswers(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	missing, id := uuid.NewString(), uuid.NewString()
	mine := fmt.Sprintf(`{"id":"%s","chatMessage":{"text":"mine"}}`+"\n", id)
	out, stderr := cli("send", "--retry", board).withInput(chat(1)+
		`{"objectUpdate":{"id":"`+uuid.NewString()+`","x":1}}`+"\n"+
		mine+mine+
		`{"boardId":"`+missing+`","chatMessage":{"text":"x"}}`+"\n"+
		huge+chat(2), 1)
	var got []string
	for _, f := range decode[frame](t, out) {
		answer := f.Status + " " + f.Seq
		if f.Error != nil {
			answer = f.Status + " " + f.Error.Code
		} else if f.Ack.Duplicate {
			answer += " again"
		}
		got = append(got, answer)
		if f.ID == "" || f.ID != f.ParentID || (f.BoardID != board && f.BoardID != missing) {
			t.Errorf("answer %+v", f)
		}
	}
	want := []string{
		"STATUS_DONE 1", "STATUS_ERROR OBJECT_NOT_FOUND", "STATUS_DONE 2", "STATUS_DONE 2 again",
		"STATUS_ERROR BOARD_NOT_FOUND", "STATUS_ERROR TOO_LARGE", "STATUS_DONE 3",
	}
	if diff := cmp.Diff(want, got); diff != "" || stderr != "" {
		t.Errorf("%s\ncomplained %q", diff, stderr)
	}
}

func TestSendRetryInvalidLines(t *testing.T) {
	t.Parallel()
	cli, board := setup(t)
	for input, want := range map[string]string{
		`{"ping":{}}`:                 `line 2: not a durable frame, and --retry is for those alone`,
		`{"cursorMove":{"x":1}}`:      `line 2: not a durable frame, and --retry is for those alone`,
		`{}`:                          `line 2: not a durable frame, and --retry is for those alone`,
		`{"id":"1","chatMessage":{}}`: `line 2: id: "1" is not a UUID`,
		`{"boardId":"1","chatMessage":{"text":"x"}}`:                        `line 2: boardId: "1" is not a UUID`,
		`{"status":"STATUS_CANCEL","parentId":"` + board + `"}`:             `line 2: not a durable frame, and --retry is for those alone`,
		`{"status":"STATUS_EVENT","chatMessage":{"text":"not from a log"}}`: `line 2: not a durable frame, and --retry is for those alone`,
	} {
		input = chat(1) + input + "\n" + chat(2)
		out, stderr := cli("send", "--retry", board).withInput(input, 1)
		if stderr != "collaboard: "+want+": it was not sent, nor what follows it\n" {
			t.Errorf("complained %q, want %q", stderr, want)
		}
		if answers := decode[frame](t, out); len(answers) != 1 || answers[0].Status != "STATUS_DONE" {
			t.Errorf("printed %q", out)
		}
		file := filepath.Join(t.TempDir(), "frames")
		if err := os.WriteFile(file, []byte(input), 0o600); err != nil {
			t.Fatal(err)
		}
		out, stderr = cli("send", "--retry", board, "--file", file).run(1)
		if out != "" || stderr != "collaboard: "+file+": "+want+": nothing was sent\n" {
			t.Errorf("printed %q, complained %q", out, stderr)
		}
	}
}

// After a reconnect, what was not answered is sent again, in its order, before anything else; what was is not.
func TestSendRetryReconnects(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	streams := 0
	var seen []string
	addr := serveFake(t, func(stream collaborateStream) error {
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
	if stderr != "collaboard: out for lunch: reconnecting\ncollaboard: connected again\n" {
		t.Errorf("complained %q", stderr)
	}
}

// A token that is no longer good when the connection is made again ends the command, which says what it leaves.
func TestSendRetryGivesUp(t *testing.T) {
	t.Parallel()
	var streams atomic.Int32
	once := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if streams.Add(1) > 1 {
			return status.Error(codes.Unauthenticated, "the token has expired")
		}
		return handler(srv, stream)
	}
	addr := serveFake(t, func(stream collaborateStream) error {
		var requests []*collaboardv1.Frame
		for len(requests) < 4 {
			request, err := stream.Recv()
			if err != nil {
				return err
			}
			requests = append(requests, request)
		}
		if err := stream.Send(done(requests[0], 1)); err != nil {
			return err
		}
		if err := stream.Send(refusal(requests[1], collaboardv1.ErrorCode_PERMISSION_DENIED, false)); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "out for lunch")
	}, grpc.StreamInterceptor(once))
	file := filepath.Join(t.TempDir(), "frames")
	if err := os.WriteFile(file, []byte(chat(1)+chat(2)+chat(3)+chat(4)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr := command(t, "send", "--retry", uuid.NewString(), "--server", addr, "--file", file).run(1)
	if got := decode[frame](t, out); len(got) != 2 || got[0].Seq != "1" || got[1].Error.Code != "PERMISSION_DENIED" {
		t.Errorf("printed %q", out)
	}
	want := "collaboard: out for lunch: reconnecting\n" +
		"collaboard: lines 3-4 were not answered: they may be in the log or not\n" +
		"collaboard: frames with ids of their own can be sent again, and are in the log once\n" +
		"collaboard: the server does not know who you are: the token has expired: see --token\n"
	if diff := cmp.Diff(want, stderr); diff != "" {
		t.Error(diff)
	}
}

func TestSendInterrupted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"send"}, {"send", "--retry"}} {
		received := make(chan struct{})
		addr := serveFake(t, func(stream collaborateStream) error {
			for n := range 2 {
				request, err := stream.Recv()
				if err != nil {
					return err
				}
				if n == 0 {
					err = stream.Send(done(request, 1))
				}
				if err != nil {
					return err
				}
			}
			close(received)
			<-stream.Context().Done()
			return nil
		})
		p := command(t, append(args, uuid.NewString(), "--server", addr)...).start()
		p.say(chat(1) + chat(2))
		p.out.await(t, `"seq":"1"`, 1)
		<-received
		p.signal(syscall.SIGINT)
		// Its input does not end: the test holds the other end.
		p.err.await(t, `^collaboard: line 2 was not answered: it may be in the log or not; nothing after line 2 was sent$`, 1)
		p.err.await(t, `^collaboard: interrupted$`, 1)
		if code := p.wait(); code != 1 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
