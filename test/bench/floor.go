package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// floorServer is the least that a gRPC server of durable frames can be: it writes and syncs a few pages for each frame,
// and sends the frame back. What it adds to the write and the sync is what gRPC, two processes and the machine cost,
// and no server can add less.
type floorServer struct {
	collaboardv1.UnimplementedCollaborationServiceServer

	pages *pages
}

// Collaborate answers frames, one at a time.
func (s *floorServer) Collaborate(stream collaboardv1.CollaborationService_CollaborateServer) error {
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.pages.sync()
		}
		if err == nil {
			err = stream.Send(frame)
		}
		if err != nil {
			return err
		}
	}
}

// pages is a file that is written as SQLite writes its log for one frame: four pages, and a sync.
type pages struct {
	file *os.File
	data [4 * 4096]byte
	next int64
}

// pagesFile is so long that no write makes it longer: that would be another kind of sync.
const pagesFile = 256

func openPages(path string) (*pages, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	p := &pages{file: file}
	for range pagesFile {
		if err := p.sync(); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return p, nil
}

func (p *pages) sync() error {
	_, err := p.file.WriteAt(p.data[:], p.next%pagesFile*int64(len(p.data)))
	p.next++
	return errors.Join(err, p.file.Sync())
}

// serveFloor prints its address, and serves until its input ends.
func serveFloor(ctx context.Context, path string) error {
	p, err := openPages(path)
	if err != nil {
		return err
	}
	defer p.file.Close()
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := grpc.NewServer(grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(1<<20))
	collaboardv1.RegisterCollaborationServiceServer(srv, &floorServer{pages: p})
	fmt.Println(lis.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		srv.Stop()
	}()
	return srv.Serve(lis)
}

// measureFloor returns the medians, in ms, of the write and sync alone, and of the same as a bare gRPC server does it.
func (b *bench) measureFloor(ctx context.Context) (alone, served float64, err error) {
	p, err := openPages(filepath.Join(b.dir, "floor-alone"))
	if err != nil {
		return 0, 0, err
	}
	defer p.file.Close()
	if alone, err = b.medianTime(p.sync); err != nil {
		return 0, 0, err
	}

	bare, err := b.startBare(ctx, "--floor-server", filepath.Join(b.dir, "floor-served"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()
	conn, err := grpc.NewClient(bare.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<20))
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	stream, err := collaboardv1.NewCollaborationServiceClient(conn).Collaborate(ctx)
	if err != nil {
		return 0, 0, err
	}
	data := &collaboardv1.Frame_Custom{Custom: &collaboardv1.Custom{Type: "bench", Data: make([]byte, 200)}}
	served, err = b.medianTime(func() error {
		if err := stream.Send(&collaboardv1.Frame{Id: uuid.NewString(), Payload: data}); err != nil {
			return err
		}
		_, err := stream.Recv()
		return err
	})
	return alone, served, err
}

// medianTime calls fn again and again, and returns the median of the times that it takes, in ms.
func (b *bench) medianTime(fn func() error) (float64, error) {
	var times []float64
	for end := time.Now().Add(b.duration); ; {
		begin := time.Now()
		if !begin.Before(end) {
			return median(times), nil
		}
		if err := fn(); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(begin).Nanoseconds())/1e6)
	}
}
