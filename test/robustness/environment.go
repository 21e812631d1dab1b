package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
)

// The stores that a run can be made on.
const (
	onSQLite   = "sqlite"
	onPostgres = "postgres"
)

// environment is what a round of a run breaks, and what it has to do with.
//
//	clients -> front -> server -> back -> PostgreSQL
//	                           -> SQLite file
type environment struct {
	rec    *history.Writer
	tally  *tally
	boards []string
	pace   time.Duration // between two frames of one client, about
	steady bool          // whether clients keep to the first objects that they have made

	server *server
	front  *proxy // before the server

	// Of PostgreSQL.
	cluster *pgtest.Cluster
	back    *proxy // before the database

	file string // of SQLite
}

// newEnvironment starts everything in dir, which must exist. It must be closed, also after an error.
func newEnvironment(ctx context.Context, binary, dir, store string, boards int, pace time.Duration, args ...string) (_ *environment, err error) {
	env := &environment{tally: newTally(), pace: pace}
	if env.rec, err = history.Create(filepath.Join(dir, "history.jsonl")); err != nil {
		return env, err
	}
	var spec string
	if store == onSQLite {
		env.file = filepath.Join(dir, "collaboard.db")
		spec = "sqlite:" + env.file
	} else {
		if env.cluster, err = pgtest.Start(nil); err != nil { //nolint:contextcheck // has limits of its own
			return env, err
		}
		direct := env.cluster.URL("postgres")
		cfg, err := pgx.ParseConfig(direct)
		if err != nil {
			return env, err
		}
		target := fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
		if env.back, err = newProxy(target); err != nil {
			return env, err
		}
		spec = strings.Replace(direct, target, env.back.addr(), 1)
	}
	// Times that are short, so that a fault is over soon and also one that outlasts them is seen.
	args = append([]string{
		"--store", spec, "--commit-timeout", "2s", "--attempt-timeout", "1s", "--room-idle", "1s", "--drain-timeout", "10s",
	}, args...)
	if env.server, err = newServer(binary, dir, args...); err != nil {
		return env, err
	}
	if err := env.server.start(); err != nil {
		return env, err
	}
	if env.front, err = newProxy(env.server.addr); err != nil {
		return env, err
	}
	for i := range boards {
		id, err := env.createBoard(ctx, fmt.Sprintf("board %d", i+1))
		if err != nil {
			return env, err
		}
		env.boards = append(env.boards, id)
	}
	return env, nil
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

// open opens the database itself, past the server and past the proxy: what it holds is the truth that a history is
// compared with.
func (env *environment) open(ctx context.Context) (persistence.Store, error) {
	if env.cluster != nil {
		return postgres.Open(ctx, env.cluster.URL("postgres"), postgres.Config{})
	}
	return sqlite.Open(ctx, env.file, sqlite.Config{})
}

// heads returns how long each board's log is.
func (env *environment) heads(ctx context.Context) (map[string]uint64, error) {
	store, err := env.open(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	heads := map[string]uint64{}
	for _, name := range env.boards {
		id, err := persistence.ParseBoardID(name)
		if err != nil {
			return nil, err
		}
		found, err := store.Boards(ctx, id)
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("board %s is not there", name)
		}
		heads[name] = uint64(found[0].Head)
	}
	return heads, nil
}

// recordEnd records what the database holds, and the snapshots that the server makes of it.
func (env *environment) recordEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	store, err := env.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	for _, name := range env.boards {
		// In this order: frames that nobody waits for any more may still come in between.
		if err := env.recordSnapshot(ctx, name); err != nil {
			return err
		}
		if err := env.recordLog(ctx, store, name); err != nil {
			return err
		}
	}
	return nil
}

func (env *environment) recordLog(ctx context.Context, store persistence.Store, name string) error {
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
	const page = 2000
	for after := persistence.Seq(0); ; {
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

func (env *environment) recordSnapshot(ctx context.Context, name string) error {
	return env.call(func(c collaboardv1.BoardServiceClient) error {
		stream, err := c.GetSnapshot(ctx, &collaboardv1.GetSnapshotRequest{BoardId: name})
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
					Kind: history.KindSnapshot, Board: name, Epoch: chunk.GetPosition().GetEpoch(), Seq: state.Seq(),
					Digest: history.Digest(state.Snapshot()),
				})
				return nil
			}
		}
	})
}

func (env *environment) close() error {
	var errs []error
	if env.front != nil {
		errs = append(errs, env.front.close())
	}
	if env.server != nil {
		errs = append(errs, env.server.close())
	}
	if env.back != nil {
		errs = append(errs, env.back.close())
	}
	if env.cluster != nil {
		if log, err := env.cluster.Log(); err == nil && env.server != nil {
			errs = append(errs, os.WriteFile(filepath.Join(filepath.Dir(env.server.log.Name()), "postgres.log"), []byte(log), 0o600))
		}
		errs = append(errs, env.cluster.Close())
	}
	if env.rec != nil {
		errs = append(errs, env.rec.Close())
	}
	return errors.Join(errs...)
}
