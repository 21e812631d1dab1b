package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/server"
	"github.com/collaboard-io/collaboard/server/auth"
	"github.com/collaboard-io/collaboard/test/issuer"
)

// withTokens is a server's configuration that believes an issuer, whose clock may be 30 s late.
func withTokens(t *testing.T, iss *issuer.Issuer) server.Config {
	t.Helper()
	v, err := auth.NewJWT(t.Context(), slog.New(slog.DiscardHandler), auth.JWTConfig{Issuer: iss.URL, Audience: issuer.Audience, Keys: iss.Keys()})
	if err != nil {
		t.Fatal(err)
	}
	return server.Config{Auth: v}
}

func bearer(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// createBoardAs is createBoard with a token.
func (r *running) createBoardAs(t *testing.T, token string) *collaboardv1.Board {
	t.Helper()
	b, err := r.boards.CreateBoard(bearer(t.Context(), token), &collaboardv1.CreateBoardRequest{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEveryMethodWantsAToken goes through the contract, so that a method that is added is not forgotten.
func TestEveryMethodWantsAToken(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	srv := serve(t, sqliteDatabase(t)(t), withTokens(t, iss))
	conn := srv.dial(t)
	methods := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("collaboard.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				method := service.Methods().Get(j)
				name := "/" + string(service.FullName()) + "/" + string(method.Name())
				for what, header := range map[string][]string{
					"none": nil, "empty": {""}, "scheme": {"Basic YTpi"}, "no token": {"Bearer "}, "garbage": {"Bearer x"},
					"two":     {"Bearer " + iss.Token("ada", time.Hour), "Bearer " + iss.Token("bob", time.Hour)},
					"expired": {"Bearer " + iss.Token("ada", -time.Hour)},
				} {
					ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": header, "user-id": {"ada"}})
					if err := callEmpty(ctx, conn, name, method); status.Code(err) != codes.Unauthenticated {
						t.Errorf("%s with %s: %v", name, what, err)
					}
				}
				err := callEmpty(bearer(t.Context(), iss.Token("ada", time.Hour)), conn, name, method)
				if code := status.Code(err); code == codes.Unauthenticated || code == codes.Internal {
					t.Errorf("%s with a token: %v", name, err)
				}
			}
		}
		return true
	})
	if methods < 20 {
		t.Errorf("there are but %d methods", methods)
	}
	resp, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health is for everybody: %v, %v", resp, err)
	}
}

// callEmpty calls a method with an empty message, and waits for its end.
func callEmpty(ctx context.Context, conn *grpc.ClientConn, name string, method protoreflect.MethodDescriptor) error {
	request, response := &collaboardv1.Ping{}, &collaboardv1.Pong{} // empty, as any message may be
	if !method.IsStreamingClient() && !method.IsStreamingServer() {
		return conn.Invoke(ctx, name, request, response)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(request) // it may have ended: RecvMsg says why
	_ = stream.CloseSend()
	for {
		if err := stream.RecvMsg(response); err != nil {
			return err
		}
	}
}

// TestTokenSaysWho: what a client says of itself beside its token is believed of its name alone.
func TestTokenSaysWho(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	srv := serve(t, sqliteDatabase(t)(t), withTokens(t, iss))
	token := iss.Token("ada", time.Hour)
	board := srv.createBoardAs(t, token)
	if board.GetOwner() != "ada" {
		t.Errorf("the owner is %q", board.GetOwner())
	}
	named := iss.Token("ada", time.Hour, map[string]any{"name": "Ada L"})
	for name, tc := range map[string]struct{ token, says, want string }{
		"nothing": {token, "", "ada"}, "own name": {token, "Countess", "Countess"}, "name of the token": {named, "Countess", "Ada L"},
	} {
		c := srv.connect(t, "authorization", "bearer "+tc.token, "user-id", "bob", "display-name", tc.says, "color", "#1e90ff")
		joined := c.join(board.GetId(), nil)
		me := joined.GetMembers()[len(joined.GetMembers())-1]
		for _, m := range joined.GetMembers() {
			if m.GetConnectionId() == c.received()[0].GetSessionWelcome().GetConnectionId() {
				me = m
			}
		}
		if me.GetUserId() != "ada" || me.GetDisplayName() != tc.want || me.GetColor() != "#1e90ff" {
			t.Errorf("%s: the member is %v", name, me)
		}
		c.mustAck(chat(board.GetId(), "hello"))
		welcome := c.received()[0].GetSessionWelcome()
		if left := time.Until(welcome.GetExpiresAt().AsTime()); welcome.GetUserId() != "ada" || left < time.Hour || left > time.Hour+time.Minute {
			t.Errorf("%s: the welcome is %v", name, welcome)
		}
		if f := c.heard(board.GetId(), 1)[0]; f.GetFrom() != "ada" {
			t.Errorf("%s: the frame is of %q", name, f.GetFrom())
		}
	}
}

// TestStreamEndsWithItsToken: it is answered what it had sent, and hears no more.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), withTokens(t, iss))
		long := iss.Token("bob", time.Hour)
		board := srv.createBoardAs(t, long).GetId()
		bob := srv.connect(t, "authorization", "Bearer "+long)
		ada := srv.connect(t, "authorization", "Bearer "+iss.Token("ada", time.Minute))
		ada.join(board, nil)
		pass(89 * time.Second) // with the skew it is good for 90 s
		ada.mustAck(chat(board, "still here"))
		bob.mustAck(chat(board, "is heard"))
		ada.heard(board, 2)
		pass(2 * time.Second)
		if err := ada.end(); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "the token has ended") {
			t.Errorf("the stream ended with %v", err)
		}
		bob.mustAck(chat(board, "is not heard"))
		pass(time.Second)
		if n := len(ada.heardOf(board)); n != 2 {
			t.Errorf("ada has heard %d frames", n)
		}
		log, err := srv.boards.ReadLog(bearer(t.Context(), iss.Token("ada", time.Second)), &collaboardv1.ReadLogRequest{BoardId: board})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := log.Recv(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestTokenIsRenewedOnTheStream: with another token of the same user the stream goes on, with any other as before.
func TestTokenIsRenewedOnTheStream(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), withTokens(t, iss))
		board := srv.createBoardAs(t, iss.Token("bob", time.Hour)).GetId()
		c := srv.connect(t, "authorization", "Bearer "+iss.Token("ada", time.Minute))
		renew := func(token string) *collaboardv1.Frame {
			return c.ask(&collaboardv1.Frame{Payload: &collaboardv1.Frame_SessionRenew{SessionRenew: &collaboardv1.SessionRenew{Token: token}}})
		}
		for name, token := range map[string]string{
			"of another": iss.Token("bob", time.Hour), "garbage": "x", "expired": iss.Token("ada", -time.Hour), "empty": "",
		} {
			answer := renew(token).GetError()
			if code := answer.GetCode(); code != collaboardv1.ErrorCode_UNAUTHENTICATED || answer.GetRetryable() {
				t.Errorf("%s: %v", name, answer)
			}
		}
		pass(80 * time.Second)
		done := renew(iss.Token("ada", time.Hour)).GetSessionRenewed()
		if left := time.Until(done.GetExpiresAt().AsTime()); left < time.Hour || left > time.Hour+time.Minute {
			t.Errorf("renewed until %v", done)
		}
		cancel := &collaboardv1.Frame{Id: newID(), ParentId: newID(), Status: collaboardv1.Status_STATUS_CANCEL}
		cancel.Payload = &collaboardv1.Frame_SessionRenew{SessionRenew: &collaboardv1.SessionRenew{Token: iss.Token("ada", time.Second)}}
		c.send(proto.CloneOf(cancel)) // is a cancel, and nothing else
		pass(30 * time.Minute)
		c.mustAck(chat(board, "still here"))
		renew(iss.Token("ada", time.Minute)) // for a shorter time
		c.mustAck(chat(board, "still here"))
		pass(91 * time.Second)
		if err := c.end(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

// TestNoTokenToRenew: a server that asks for none says so.
func TestNoTokenToRenew(t *testing.T) {
	t.Parallel()
	srv := serve(t, sqliteDatabase(t)(t), server.Config{})
	c := srv.connect(t)
	answer := c.ask(&collaboardv1.Frame{Payload: &collaboardv1.Frame_SessionRenew{SessionRenew: &collaboardv1.SessionRenew{Token: "x"}}})
	if answer.GetError().GetCode() != collaboardv1.ErrorCode_INVALID_FRAME {
		t.Errorf("answered %v", answer)
	}
}

// TestWhoDoesNotReadHearsNoMoreEither: what was said after the token had ended does not wait for a member that reads it late.
func TestWhoDoesNotReadHearsNoMoreEither(t *testing.T) {
	t.Parallel()
	iss := issuer.New(t)
	synctest.Test(t, func(t *testing.T) {
		srv := serveInMemory(t, sqliteDatabase(t)(t), withTokens(t, iss))
		long := iss.Token("bob", time.Hour)
		board := srv.createBoardAs(t, long).GetId()
		bob := srv.connect(t, "authorization", "Bearer "+long)
		ctx, cancel := context.WithCancel(bearer(context.Background(), iss.Token("ada", time.Minute)))
		defer cancel()
		ada, err := collaboardv1.NewCollaborationServiceClient(srv.dial(t)).Collaborate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		join := joinFrame(board)
		join.Id = newID()
		if err := ada.Send(join); err != nil {
			t.Fatal(err)
		}
		const before, after = 20, 20
		for range before {
			bob.mustAck(custom(board, 100<<10))
		}
		pass(2 * time.Minute)
		for range after {
			bob.mustAck(custom(board, 100<<10))
		}
		heard := 0
		for {
			f, err := ada.Recv()
			if err != nil {
				if status.Code(err) != codes.Unauthenticated {
					t.Errorf("the stream ended with %v", err)
				}
				break
			}
			if f.GetSeq() > 0 {
				heard = int(f.GetSeq())
			}
		}
		if heard == 0 || heard > before {
			t.Errorf("ada has heard up to seq %d", heard)
		}
	})
}
