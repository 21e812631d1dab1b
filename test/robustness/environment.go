package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/collaboard-io/collaboard/board"
	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
	"github.com/collaboard-io/collaboard/persistence"
	"github.com/collaboard-io/collaboard/persistence/postgres"
	"github.com/collaboard-io/collaboard/persistence/sqlite"
	"github.com/collaboard-io/collaboard/test/pgtest"
	"github.com/collaboard-io/collaboard/test/robustness/history"
	"github.com/collaboard-io/collaboard/test/robustness/powerfail"
)

// The stores that a run can be made on.
const (
	onSQLite   = "sqlite"
	onPostgres = "postgres"
)

// environment is what a round of a run breaks, and what it has to do with.
//
//	clients -> front -> server -> back -> PostgreSQL
//	        ---------> second ->
//	                    server -> SQLite file
type environment struct {
	rec    *history.Writer
	tally  *tally
	boards []string
	pace   time.Duration // between two frames of one client, about
	trims  bool          // whether logs lose their beginning
	steady bool          // whether clients keep to the first objects that they have made
	short  bool          // whether slow members are read to from the store; while that fails, acks do not wait for them

	dir    string
	server *server
	second *server       // on the same database, and not broken itself; nil on SQLite
	front  *proxy        // before the server
	disk   *powerfail.FS // under the database; nil for the machine's own

	// Of PostgreSQL.
	cluster *pgtest.Cluster
	back    *proxy // before the database

	file string // of SQLite
}

// setup is what an environment is made of.
type setup struct {
	binary   string
	dir      string // exists; history and logs are left in it
	store    string
	disk     bool // keep the database on a disk that loses power
	boards   int
	pace     time.Duration
	args     []string        // of serve, besides
	settings pgtest.Settings // of PostgreSQL
	second   bool            // another server, where the store can have one
	trim     bool            // whether servers trim the logs
}

// newEnvironment starts everything. It must be closed, also after an error.
func newEnvironment(ctx context.Context, s setup) (_ *environment, err error) {
	env := &environment{tally: newTally(), pace: s.pace, dir: s.dir, trims: s.trim, short: slices.Contains(s.args, shortTail)}
	if env.rec, err = history.Create(filepath.Join(s.dir, "history.jsonl")); err != nil {
		return env, err
	}
	data := s.dir
	if s.disk {
		data = filepath.Join(s.dir, "disk")
		if err := os.MkdirAll(data, 0o755); err != nil {
			return env, err
		}
		if env.disk, err = powerfail.Mount(data); err != nil {
			return env, fmt.Errorf("%w\nset %s=1 to go without power failures", err, powerfail.NoFUSE)
		}
	}
	var spec string
	if s.store == onSQLite {
		env.file = filepath.Join(data, "collaboard.db")
		spec = "sqlite:" + env.file
	} else if spec, err = env.startPostgres(data, s); err != nil { //nolint:contextcheck // has limits of its own
		return env, err
	}
	// Times that are short, so that a fault is over soon and also one that outlasts them is seen.
	args := append([]string{
		"--store", spec, "--commit-timeout", "2s", "--attempt-timeout", "1s", "--room-idle", "1s", "--drain-timeout", "10s",
	}, s.args...)
	if s.trim {
		args = append(args, trimming...)
	}
	if env.server, err = newServer(s.binary, s.dir, "server.log", args...); err != nil {
		return env, err
	}
	if err := env.server.start(); err != nil {
		return env, err
	}
	if s.trim {
		if err := env.keepTrimmed(ctx); err != nil {
			return env, err
		}
	}
	if s.second && s.store == onPostgres {
		if env.second, err = newServer(s.binary, s.dir, "second.log", args...); err != nil {
			return env, err
		}
		if err := env.second.start(); err != nil {
			return env, err
		}
	}
	if env.front, err = newProxy(env.server.addr); err != nil {
		return env, err
	}
	for i := range s.boards {
		id, err := env.createBoard(ctx, fmt.Sprintf("board %d", i+1))
		if err != nil {
			return env, err
		}
		env.boards = append(env.boards, id)
	}
	if env.disk != nil {
		env.disk.Sync() // as initdb does in the end; and so that a server that syncs nothing has its boards
	}
	return env, nil
}

// startPostgres starts PostgreSQL and the proxy before it, and returns what the server is told of it.
func (env *environment) startPostgres(data string, s setup) (spec string, err error) {
	at := ""
	if s.disk {
		at = filepath.Join(data, "postgres")
	}
	if env.cluster, err = pgtest.StartAt(at, s.settings); err != nil {
		return "", err
	}
	direct := env.cluster.URL("postgres")
	cfg, err := pgx.ParseConfig(direct)
	if err != nil {
		return "", err
	}
	target := fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	if env.back, err = newProxy(target); err != nil {
		return "", err
	}
	return strings.Replace(direct, target, env.back.addr(), 1), nil
}

// entrance is the address at which a client enters for the n-th time that goes to both servers in turns.
func (env *environment) entrance(n int) string {
	if env.second != nil && n%2 == 0 {
		return env.second.addr
	}
	return env.front.addr()
}

func (env *environment) createBoard(ctx context.Context, name string) (id string, err error) {
	err = env.call(func(c collaboardv1.BoardServiceClient) error {
		b, err := c.CreateBoard(ctx, &collaboardv1.CreateBoardRequest{Name: name})
		id = b.GetId()
		return err
	})
	return id, err
}

// call makes calls to the server, past the proxy.
func (env *environment) call(f func(collaboardv1.BoardServiceClient) error) error {
	conn, err := grpc.NewClient(env.server.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	return errors.Join(f(collaboardv1.NewBoardServiceClient(conn)), conn.Close())
}

// heads returns how long each board's log is, as the server has it.
func (env *environment) heads(ctx context.Context) (map[string]uint64, error) {
	heads := map[string]uint64{}
	return heads, env.call(func(c collaboardv1.BoardServiceClient) error {
		for _, id := range env.boards {
			b, err := c.GetBoard(ctx, &collaboardv1.GetBoardRequest{BoardId: id})
			if err != nil {
				return err
			}
			heads[id] = b.GetHeadSeq()
		}
		return nil
	})
}

// recordEnd records the snapshots that the server makes, and then, past the server, what the database holds: the truth
// that a history is compared with. It ends the server. Frames that nobody waits for any more may come in between.
func (env *environment) recordEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, name := range env.boards {
		err := env.call(func(c collaboardv1.BoardServiceClient) error { return env.recordSnapshot(ctx, c, "", name, 0) })
		if err != nil {
			return err
		}
	}
	if err := env.server.kill(); err != nil {
		return err
	}
	if env.second != nil {
		if err := env.second.kill(); err != nil {
			return err
		}
	}
	store, driver, source, err := env.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	trimmed := map[string][]history.Event{}
	if env.trims {
		if trimmed, err = trimmedFrames(ctx, driver, source); err != nil {
			return err
		}
	}
	for _, name := range env.boards {
		if err := env.recordLog(ctx, store, name, trimmed[name]); err != nil {
			return err
		}
	}
	return nil
}

// copied is the copy of a SQLite file as it was in the end.
const copied = "end.db"

// open opens the database itself, and says how else: of SQLite a copy, since a process must not map a file that it serves.
func (env *environment) open(ctx context.Context) (_ persistence.Store, driver, source string, err error) {
	if env.cluster != nil {
		source = env.cluster.URL("postgres")
		store, err := postgres.Open(ctx, source, postgres.Config{AllowNoFsync: true})
		return store, "pgx", source, err
	}
	source = filepath.Join(env.dir, copied)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(env.file + suffix)
		if err == nil {
			err = os.WriteFile(source+suffix, b, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, "", "", err
		}
	}
	store, err := sqlite.Open(ctx, source, sqlite.Config{})
	return store, "sqlite", source, err
}

// verify has the program check the database that was left.
func (env *environment) verify(ctx context.Context, binary string) error {
	spec := "sqlite:" + filepath.Join(env.dir, copied)
	if env.cluster != nil {
		spec = env.cluster.URL("postgres")
	}
	said, err := exec.CommandContext(ctx, binary, "verify", "--store", spec).CombinedOutput()
	if err != nil {
		return fmt.Errorf("verify: %w: %s", err, said)
	}
	return nil
}

func (env *environment) recordLog(ctx context.Context, store persistence.Store, name string, trimmed []history.Event) error {
	id, err := persistence.ParseBoardID(name)
	if err != nil {
		return err
	}
	boards, err := store.Boards(ctx, id)
	if err != nil {
		return err
	}
	if len(boards) != 1 {
		return fmt.Errorf("board %s is not there", name)
	}
	b := boards[0]
	for _, e := range trimmed {
		e.Epoch = b.Epoch.String()
		env.rec.Add(e)
	}
	const page = 2000
	for after := b.First - 1; ; {
		records, err := store.Read(ctx, persistence.ReadParams{Board: id, After: after, Limit: page})
		if err != nil {
			return err
		}
		for _, r := range records {
			env.rec.Add(history.Event{
				Kind: history.KindLog, Board: name, Epoch: b.Epoch.String(), Seq: uint64(r.Seq), Frame: r.ID.String(), From: r.Sender, Body: r.Body,
			})
			after = r.Seq
		}
		if len(records) < page {
			break
		}
	}
	env.rec.Add(history.Event{Kind: history.KindHead, Board: name, Epoch: b.Epoch.String(), Seq: uint64(b.Head), Objects: b.Objects})
	return nil
}

// recordSnapshot asks for a snapshot as of a seq, or the newest, and records it.
func (env *environment) recordSnapshot(ctx context.Context, c collaboardv1.BoardServiceClient, user, name string, at uint64) error {
	asked := env.rec.Now()
	stream, err := c.GetSnapshot(ctx, &collaboardv1.GetSnapshotRequest{BoardId: name, AtSeq: at})
	if err != nil {
		return err
	}
	for state := board.New(); ; {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		state.Load(chunk)
		if chunk.GetLast() {
			env.rec.Add(history.Event{
				Kind: history.KindSnapshot, Client: user, Asked: asked, Want: at, Board: name, Epoch: chunk.GetPosition().GetEpoch(),
				Seq: state.Seq(), Digest: history.Digest(state.Snapshot()),
			})
			return nil
		}
	}
}

func (env *environment) close() error {
	var errs []error
	if env.front != nil {
		errs = append(errs, env.front.close())
	}
	if env.server != nil {
		errs = append(errs, env.server.close())
	}
	if env.second != nil {
		errs = append(errs, env.second.close())
	}
	if env.back != nil {
		errs = append(errs, env.back.close())
	}
	if env.cluster != nil {
		if log, err := env.cluster.Log(); err == nil {
			errs = append(errs, os.WriteFile(filepath.Join(env.dir, "postgres.log"), []byte(log), 0o600))
		}
		errs = append(errs, env.cluster.Close())
	}
	if env.disk != nil {
		errs = append(errs, env.disk.Close())
	}
	if env.rec != nil {
		errs = append(errs, env.rec.Close())
	}
	return errors.Join(errs...)
}
