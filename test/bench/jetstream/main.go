// Command jetstream measures NATS JetStream the way that test/bench measures Collaboard: a server in a process of its own,
// with a file store, and clients that publish durably and await every ack. It is a module of its own, so that nobody who
// builds Collaboard gets a second server along.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// workload is what the clients do. A subject stands for a board; the streams, each of which has files of its own to sync,
// share the subjects.
type workload struct {
	clients, inFlight, boards, streams, payload int
	duration                                    time.Duration
}

// result is in milliseconds, and of the acks alone.
type result struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		err = serve(os.Args[2], os.Args[3] == "always")
	case len(os.Args) == 3 && os.Args[1] == "measure":
		var duration time.Duration
		if duration, err = time.ParseDuration(os.Args[2]); err == nil {
			err = measureAll(context.Background(), duration)
		}
	default:
		err = errors.New("usage: jetstream measure DURATION")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "jetstream:", err)
		os.Exit(1)
	}
}

// measureAll prints figures by how the server syncs, and by workload, as JSON.
func measureAll(ctx context.Context, duration time.Duration) error {
	all := map[string]map[string]result{}
	for _, sync := range []string{"always", "default"} {
		all[sync] = map[string]result{}
		for name, w := range map[string]workload{
			"a":      {clients: 64, inFlight: 16, boards: 64, streams: 64, payload: 200, duration: duration},
			"one":    {clients: 64, inFlight: 16, boards: 64, streams: 1, payload: 200, duration: duration},
			"single": {clients: 1, inFlight: 1, boards: 1, streams: 1, payload: 200, duration: duration},
		} {
			got, err := measure(ctx, sync, w)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", sync, name, err)
			}
			all[sync][name] = got
		}
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

// serve prints its URL, and serves until its input ends. always syncs before each ack; else that is done every two minutes,
// which is JetStream's default.
func serve(dir string, always bool) error {
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, SyncAlways: always, NoSigs: true,
	})
	if err != nil {
		return err
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		return errors.New("the server did not start")
	}
	fmt.Println(srv.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

func measure(ctx context.Context, sync string, w workload) (got result, err error) {
	dir, err := os.MkdirTemp("", "collaboard-jetstream-")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, self, "serve", dir, sync)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return result{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, stdin.Close(), cmd.Wait()) }()
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return result{}, fmt.Errorf("the server: %w", err)
	}
	return w.run(ctx, strings.TrimSpace(url))
}

func (w workload) run(ctx context.Context, url string) (result, error) {
	admin, err := nats.Connect(url)
	if err != nil {
		return result{}, err
	}
	defer admin.Close()
	js, err := jetstream.New(admin)
	if err != nil {
		return result{}, err
	}
	for n := range w.streams {
		var subjects []string
		for board := n; board < w.boards; board += w.streams {
			subjects = append(subjects, subject(board))
		}
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: fmt.Sprintf("boards%d", n), Subjects: subjects, Storage: jetstream.FileStorage,
		}); err != nil {
			return result{}, err
		}
	}
	clients := make([]jetstream.JetStream, w.clients)
	defer func() {
		for _, js := range clients {
			if js != nil {
				js.Conn().Close()
			}
		}
	}()
	for n := range clients {
		conn, err := nats.Connect(url)
		if err != nil {
			return result{}, err
		}
		if clients[n], err = jetstream.New(conn); err != nil {
			return result{}, err
		}
	}
	var (
		all   []time.Duration
		first error
		mu    sync.Mutex
		wg    sync.WaitGroup
	)
	begin := time.Now()
	for n, js := range clients {
		wg.Go(func() {
			acks, err := w.client(ctx, js, subject(n%w.boards), begin.Add(w.duration))
			mu.Lock()
			defer mu.Unlock()
			all, first = append(all, acks...), cmp.Or(first, err)
		})
	}
	wg.Wait()
	if first != nil {
		return result{}, first
	}
	took := time.Since(begin).Seconds()
	slices.Sort(all)
	at := func(share float64) float64 { return all[int(share*float64(len(all)-1))].Seconds() * 1e3 }
	return result{PerSecond: float64(len(all)) / took, P50: at(0.5), P99: at(0.99)}, nil
}

// client publishes until the time ends, with so many messages under way, and returns how long each ack took.
func (w workload) client(ctx context.Context, js jetstream.JetStream, subject string, end time.Time) ([]time.Duration, error) {
	type sent struct {
		at  time.Time
		ack jetstream.PubAckFuture
	}
	payload := make([]byte, w.payload)
	flight := make(chan sent, w.inFlight)
	room := make(chan struct{}, w.inFlight)
	var (
		acks   []time.Duration
		failed error
	)
	done := make(chan struct{})
	go func() { // acks of one stream come in the order of its messages
		defer close(done)
		for s := range flight {
			select {
			case <-s.ack.Ok():
				acks = append(acks, time.Since(s.at))
			case err := <-s.ack.Err():
				failed = cmp.Or(failed, err)
			case <-ctx.Done():
			}
			<-room
		}
	}()
	for time.Now().Before(end) && ctx.Err() == nil {
		room <- struct{}{}
		at := time.Now()
		ack, err := js.PublishAsync(subject, payload)
		if err != nil {
			close(flight)
			<-done
			return acks, err
		}
		flight <- sent{at, ack}
	}
	close(flight)
	<-done
	return acks, cmp.Or(failed, ctx.Err())
}

func subject(n int) string { return fmt.Sprintf("board.%d", n) }
