// Command browser measures the SDK of browsers, in Chromium over the WebSocket bridge, against a client in Go over the
// same bridge, which speaks the same subprotocol and decodes what it gets. It prints one line of JSON.
//
//   - pingpong: one durable frame in flight, from submit to ack
//   - pipelined: as many in flight as the server's window takes
//   - receive: what arrives of a board on which writers write as fast as they can
//
// Server, writers and clients share the machine, whose mood changes from one minute to the next: the clients are
// measured in turns, and the median counts. The server is a process of its own, on an empty SQLite database.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/collaboard-io/collaboard/client"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/test/bench/internal/process"
)

type flags struct {
	Page     string        `placeholder:"DIR" help:"The page of web/e2e/throughput, built; by default it is built."`
	Binary   string        `placeholder:"FILE" help:"The server; by default it is built."`
	Chromium string        `default:"/usr/bin/chromium" env:"CHROMIUM" help:"The browser."`
	Arg      []string      `placeholder:"--FLAG" help:"Further flags of Chromium, as for a profiler."`
	Rounds   int           `default:"3" help:"How often; the median counts."`
	Duration time.Duration `default:"3s" help:"How long each measurement takes, after a warm-up of a second."`
	Payload  int           `default:"200" help:"Bytes of a frame's data."`
	Clients  []string      `enum:"go,sdk,sdk_in_memory,websocket" default:"go,sdk,sdk_in_memory,websocket" help:"What to measure. sdk_in_memory is the SDK with storage: false, websocket the browser's WebSocket alone, which plays ping-pong only."`
	Measures []string      `enum:"pingpong,pipelined,receive" default:"pingpong,pipelined,receive" help:"What of it."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k := kong.Parse(&flags{}, kong.Name("browser"), kong.Description("Measure the browser's SDK against a client in Go over the same bridge."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	k.FatalIfErrorf(k.Run())
}

// task is one measurement.
type task struct {
	Measure  string `json:"measure"`
	URL      string `json:"url"`
	Board    string `json:"board"`
	WarmUp   int64  `json:"warmUp"`   // ms
	Duration int64  `json:"duration"` // ms
	Payload  int    `json:"payload"`
	Window   int    `json:"window"`
	Client   string `json:"client"`
}

// result is what came of it. Acks and deliveries are counted, and times taken, of what arrives in the measured period.
type result struct {
	P50       float64 `json:"p50_ms,omitempty"` // from submit to ack
	P99       float64 `json:"p99_ms,omitempty"`
	PerSecond float64 `json:"per_second"` // acks, or deliveries
	Written   float64 `json:"written_per_second,omitempty"`
}

// window is how many frames are in flight where the server allows 256: the SDK leaves 8 for joins and pings.
const window = 256 - 8

// Run is called by kong.
func (f *flags) Run(ctx context.Context) (err error) {
	if f.Rounds < 1 {
		return errors.New("--rounds must be at least 1")
	}
	dir, err := os.MkdirTemp("", "collaboard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if f.Binary == "" {
		if f.Binary, err = process.Build(ctx, dir); err != nil {
			return err
		}
	}
	if f.Page == "" {
		f.Page = filepath.Join(dir, "page")
		build := exec.CommandContext(ctx, "npm", "run", "--prefix", "web/e2e", "build-throughput", "--", "--outDir", f.Page)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("npm run build-throughput (bench runs at the root of the repository): %w\n%s", err, out)
		}
	}
	page, err := servePage(ctx, f.Page)
	if err != nil {
		return err
	}
	defer page.close()
	srv, err := process.Start(ctx, f.Binary, "sqlite:"+filepath.Join(dir, "bench.db"), "--allowed-origin", page.origin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	chromium, err := openChromium(ctx, f.Chromium, filepath.Join(dir, "profile"), page.origin, f.Arg)
	if err != nil {
		return err
	}
	defer chromium.stop()

	all := map[string]map[string][]result{}
	for _, name := range f.Clients {
		all[name] = map[string][]result{}
	}
	for n := range f.Rounds {
		for _, measure := range f.Measures {
			for _, name := range f.Clients {
				if name == "websocket" && measure != "pingpong" {
					continue
				}
				got, err := f.measure(ctx, srv.Addr, page, name, measure)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", measure, name, err)
				}
				fmt.Fprintf(os.Stderr, "round %d of %d, %s, %s: %+v\n", n+1, f.Rounds, measure, name, got)
				all[name][measure] = append(all[name][measure], got)
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(medians(all))
}

// measure does one measurement on a board of its own.
func (f *flags) measure(ctx context.Context, addr string, page *page, name, measure string) (got result, err error) {
	program, err := client.Dial(addr, client.WithInsecure(), client.WithUserID("bench")) //nolint:contextcheck // Close ends it
	if err != nil {
		return result{}, err
	}
	defer program.Close()
	board, err := program.Boards().CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: measure})
	if err != nil {
		return result{}, err
	}
	t := task{
		Measure: measure, URL: "http://" + addr, Board: board.GetId(), WarmUp: 1000, Duration: f.Duration.Milliseconds(),
		Payload: f.Payload, Window: window, Client: name,
	}
	if measure == "receive" {
		stop := write(ctx, addr, t)
		began := time.Now()
		defer func() {
			now, lookErr := program.Boards().GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: t.Board})
			got.Written = float64(now.GetHeadSeq()) / time.Since(began).Seconds()
			err = errors.Join(err, lookErr, stop())
		}()
	}
	if name == "go" {
		return runBridge(ctx, t)
	}
	return page.run(ctx, t)
}

// medians takes the median of each figure over the rounds.
func medians(all map[string]map[string][]result) map[string]map[string]result {
	out := map[string]map[string]result{}
	for name, measures := range all {
		out[name] = map[string]result{}
		for measure, results := range measures {
			of := func(figure func(result) float64) float64 {
				values := make([]float64, len(results))
				for i, r := range results {
					values[i] = figure(r)
				}
				slices.Sort(values)
				return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
			}
			out[name][measure] = result{
				P50: of(func(r result) float64 { return r.P50 }), P99: of(func(r result) float64 { return r.P99 }),
				PerSecond: of(func(r result) float64 { return r.PerSecond }), Written: of(func(r result) float64 { return r.Written }),
			}
		}
	}
	return out
}
