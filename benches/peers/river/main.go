// River, as `bench peers` measures it: what was asked for, timed by itself, in seconds on the last line.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"golang.org/x/sync/errgroup"
)

const usage = "usage: version | migrate URL | enqueue URL JOBS BATCH CLIENTS | drain URL JOBS WORKERS"

// A row while a job isn't completed; the states are named so that the index is used.
const unfinished = `select 1 from river_job
	where state in ('available', 'cancelled', 'discarded', 'pending', 'retryable', 'running', 'scheduled') limit 1`

type hello struct {
	Number int    `json:"number"`
	Word   string `json:"word"`
}

func (hello) Kind() string { return "hello" }

type worker struct {
	river.WorkerDefaults[hello]
	ran *atomic.Int64
}

func (w *worker) Work(context.Context, *river.Job[hello]) error {
	w.ran.Add(1)
	return nil
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "version":
		return version()
	case len(args) < 2:
		return errors.New(usage)
	}
	config, err := pgxpool.ParseConfig(args[1])
	if err != nil {
		return err
	}
	config.MaxConns = 10
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	numbers := make([]int, len(args)-2)
	for i, word := range args[2:] {
		if numbers[i], err = strconv.Atoi(word); err != nil {
			return err
		}
	}
	var took time.Duration
	switch {
	case args[0] == "migrate" && len(numbers) == 0:
		return migrate(ctx, pool)
	case args[0] == "enqueue" && len(numbers) == 3:
		took, err = enqueue(ctx, pool, numbers[0], numbers[1], numbers[2])
	case args[0] == "drain" && len(numbers) == 2:
		took, err = drain(ctx, pool, int64(numbers[0]), numbers[1])
	default:
		return errors.New(usage)
	}
	if err == nil {
		fmt.Println(took.Seconds())
	}
	return err
}

func version() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the program doesn't know what it was built of")
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/riverqueue/river" {
			fmt.Printf("River %s, %s\n", strings.TrimPrefix(module.Version, "v"), info.GoVersion)
			return nil
		}
	}
	return errors.New("the program was built without River")
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func enqueue(ctx context.Context, pool *pgxpool.Pool, jobs, batch, clients int) (time.Duration, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		return 0, err
	}
	params := make([]river.InsertManyParams, batch)
	for i := range params {
		params[i].Args = hello{Number: 1, Word: "two"}
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			for range jobs / batch / clients {
				if _, err := client.InsertManyFast(ctx, params); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return time.Since(began), err
}

func drain(ctx context.Context, pool *pgxpool.Pool, jobs int64, maxWorkers int) (time.Duration, error) {
	var ran atomic.Int64
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{ran: &ran})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// What River's own benchmark sets: with the defaults (100 ms, 1 s) it waits most of the time.
		FetchCooldown:     2 * time.Millisecond,
		FetchPollInterval: 20 * time.Millisecond,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers}},
		Workers:           workers,
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	// The database is asked only at the end, as where Gritstone is measured.
	for ran.Load() < jobs {
		time.Sleep(time.Millisecond)
	}
	for {
		var one int
		err := pool.QueryRow(ctx, unfinished).Scan(&one)
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if err != nil {
			return 0, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	return took, client.Stop(ctx)
}
