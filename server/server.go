// Package server is the collaboration server: the gRPC services, the persistence interceptor, and the sessions behind
// it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/server/room"
	"github.com/collaboard-io/collaboard/server/web"
)

// Server accepts frames, makes them durable, and lets the members of their boards hear of them.
type Server struct {
	cfg       Config
	log       *slog.Logger
	hub       *room.Hub
	committer *persistence.Committer
	grpc      *grpc.Server
	web       *web.Server
	health    *health.Server
	draining  chan struct{}
}

// New returns a server over the store, which it does not close. It does nothing before Serve.
func New(store persistence.Store, log *slog.Logger, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	validator, err := protovalidate.New(protovalidate.WithMessages(&collaboardv1.Frame{}))
	if err != nil {
		return nil, fmt.Errorf("compile the contract's rules: %w", err)
	}
	s := &Server{
		cfg: cfg, log: log, hub: room.NewHub(store, log, cfg.Room), web: web.New(log, cfg.Web), health: health.NewServer(),
		draining: make(chan struct{}),
	}
	commit := cfg.Commit
	commit.OnHealth = func(healthy bool, cause error) {
		if healthy {
			log.Info("store is back: durable frames are taken again")
		} else {
			log.Error("store cannot be reached: durable frames are refused", "error", cause)
		}
		s.hub.SetHealthy(healthy)
	}
	commit.OnError = func(err error, boards, frames int) {
		log.Warn("commit failed", "error", err, "boards", boards, "frames", frames)
	}
	s.committer = persistence.NewCommitter(store, commit)
	door := doorman{verifier: cfg.Auth}
	persist := &persist{
		door: door, hub: s.hub, committer: s.committer, validator: validator, limits: cfg.limits(), log: log, draining: s.draining,
	}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(readBuffer),
		grpc.MaxHeaderListSize(64<<10),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.WaitForHandlers(true), // they use the store, which is closed when Serve has returned
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: cfg.PingInterval, Timeout: cfg.PingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.serveUnary, door.unary, validateUnary(validator)),
		grpc.ChainStreamInterceptor(s.serveStream, s.endWatches, door.stream, persist.intercept),
	)
	collaboardv1.RegisterCollaborationServiceServer(s.grpc, &collaborationService{server: s})
	collaboardv1.RegisterBoardServiceServer(s.grpc, &boardService{
		store: store, hub: s.hub, committer: s.committer, validator: validator,
		fileLimit: persistence.FileLimit{Files: cfg.MaxFiles, Bytes: cfg.MaxFilesBytes},
		uploads:   newUploads(cfg.UploadBytes), uploadTimeout: cfg.Commit.CommitTimeout,
		past: make(chan struct{}, pastBoards), pastTimeout: cfg.PastTimeout,
		making: make(chan struct{}, makingBoards), draining: s.draining,
	})
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	for name := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING)
	}
	return s, nil
}

// Serve serves lis, native clients and browsers alike, until ctx ends, and then drains: it takes no more streams and no
// more frames, commits and answers those it has, ends the streams with UNAVAILABLE, and returns nil. What has not ended
// by the drain deadline is cut off, and an error says so. Serve may be called once; it closes lis.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	workers, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorkers()
	g, broken := errgroup.WithContext(workers)
	g.Go(func() error { return s.hub.Run(workers) })
	g.Go(func() error {
		defer stopWorkers() // drained, it was the last to need the hub
		return s.committer.Run(workers)
	})
	split := web.NewSplit(lis)
	g.Go(split.Serve)
	g.Go(func() error { return s.serveNative(split.HTTP2) })
	g.Go(func() error { return s.serveNative(s.web.Native()) })
	g.Go(func() error { return s.web.Serve(split.HTTP1) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			split.Close()
			return s.drain(stopWorkers)
		case <-broken.Done():
			split.Close()
			s.grpc.Stop()
			s.web.Close()
			s.web.Shutdown()
			s.committer.Drain() // or it would go on without a server
			return nil
		}
	})
	err := g.Wait()
	s.hub.Close()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	s.log.InfoContext(ctx, "drained")
	return nil
}

func (s *Server) serveNative(lis net.Listener) error {
	if err := s.grpc.Serve(lis); !errors.Is(err, grpc.ErrServerStopped) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // what it has accepted goes on
}

// lastWords is how long browsers have to be told that their calls were cut off.
const lastWords = time.Second

// ErrDrainDeadline means that streams or commits had not ended by the drain deadline.
var ErrDrainDeadline = errors.New("cut off at the drain deadline")

func (s *Server) drain(stopWorkers context.CancelFunc) error {
	s.log.Info("draining", "deadline", s.cfg.DrainTimeout)
	s.health.Shutdown()
	close(s.draining) // sessions answer what they have read, and end
	s.web.Drain()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.grpc.GracefulStop()
		s.web.Shutdown()
	}()
	deadline := time.NewTimer(s.cfg.DrainTimeout)
	defer deadline.Stop()
	var err error
	select {
	case <-ended:
	case <-deadline.C:
		err = ErrDrainDeadline
		s.grpc.Stop()
		cutOff := time.AfterFunc(lastWords, s.web.Close)
		<-ended
		cutOff.Stop()
	}
	s.committer.Drain() // what was submitted by streams that broke is still committed, while the hub goes on
	if err != nil {
		stopWorkers()
	}
	return err
}

// serveUnary is the outermost interceptor: it recovers from panics and turns errors into statuses.
func (s *Server) serveUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(s.log, info.FullMethod, p)
		}
	}()
	resp, err = handler(ctx, req)
	return resp, s.ended(info.FullMethod, err)
}

func (s *Server) serveStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(s.log, info.FullMethod, p)
		}
	}()
	return s.ended(info.FullMethod, handler(srv, ss))
}

// ended is how a call ends with err. What the client is not told is in the log.
func (s *Server) ended(method string, err error) error {
	ended := callError(err)
	if status.Code(ended) == codes.Internal {
		s.log.Error("call failed", "method", method, "error", err)
	}
	return ended
}

// panicked logs a panic and returns how the call ends. A defect that one client meets must not end the others' streams.
func panicked(log *slog.Logger, where string, p any) error {
	log.Error("panic", "in", where, "panic", p, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "internal error")
}

// endWatches ends grpc's own streams when the server is asked to stop: a watch of its health, or a session of reflection,
// has no end of its own, and a drain waits for every stream.
func (s *Server) endWatches(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, "/grpc.") {
		return handler(srv, ss)
	}
	ctx, cancel := context.WithCancelCause(ss.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-s.draining:
			cancel(errShutdown)
		case <-ctx.Done():
		}
	}()
	err := handler(srv, &contextStream{ServerStream: ss, ctx: ctx})
	if cause := context.Cause(ctx); errors.Is(cause, errShutdown) {
		return cause
	}
	return err
}

func validateUnary(validator protovalidate.Validator) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := validate(validator, req); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

type collaborationService struct {
	collaboardv1.UnimplementedCollaborationServiceServer

	server *Server
}

// Collaborate serves one client's stream.
func (c *collaborationService) Collaborate(stream collaboardv1.CollaborationService_CollaborateServer) error {
	sess := c.server.newSession(stream)
	sess.log.Debug("stream opened")
	err := sess.run(stream.Context())
	sess.log.Debug("stream closed", "error", err)
	return err
}

// newSession is a function of its own, and not inlined, for what it needs of the stack: with it a stream that waits would
// hold 16 KiB of stack instead of 8.
//
//go:noinline
func (s *Server) newSession(stream grpc.ServerStream) *session {
	conn := uuid.New()
	who := identityFrom(stream.Context())
	return &session{
		hub: s.hub, limits: s.cfg.limits(), log: s.log.With("conn", conn, "user", who.user), version: s.cfg.Version,
		throttle: room.NewThrottle(s.cfg.EphemeralRate), stream: stream, conn: conn, who: who,
		wake: make(chan struct{}, 1), members: map[persistence.BoardID]*membership{}, joins: map[string]*membership{},
	}
}
