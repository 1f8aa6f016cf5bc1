//go:build ignore

// Compresses files: a long-lived handler that reads a job per line and answers with a line.
//
// A job of class CompressFile has two arguments: the file, and where its .gz goes. While it runs it says how far it is, and
// stops when it is told to.
//
//	go build -o compress compress.go
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	chunk    = 1 << 20
	sayEvery = 64 * chunk
)

// Message is a line from the engine: a job, or the claim of one that must stop.
type Message struct {
	Claim     int64             `json:"claim"`
	Arguments []json.RawMessage `json:"arguments"`
	Cancel    *int64            `json:"cancel"`
}

// Line is what goes back: an answer, or news of a job that runs.
type Line struct {
	Claim    int64  `json:"claim"`
	Outcome  string `json:"outcome,omitempty"`
	Error    *Error `json:"error,omitempty"`
	Progress any    `json:"progress,omitempty"`
	Log      string `json:"log,omitempty"`
}

// Error is why a job was not done.
type Error struct {
	Class   string `json:"exception_class"`
	Message string `json:"message"`
}

// compress writes target whole or not at all, and twice the same: a run may be cut short and followed by another.
func compress(ctx context.Context, source, target string, onProgress func(bytes int64)) (err error) {
	content, err := os.Open(source)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return err
	}
	half, err := os.CreateTemp(filepath.Dir(target), "*.half")
	if err != nil {
		return err
	}
	defer func() {
		half.Close()
		if err != nil {
			os.Remove(half.Name())
		}
	}()
	compressed := gzip.NewWriter(half)
	for done := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		copied, err := io.CopyN(compressed, content, chunk)
		done += copied
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		onProgress(done)
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return os.Rename(half.Name(), target)
}

// run runs one job and returns its answer.
func run(ctx context.Context, job Message) Line {
	source, target, err := filesOf(job)
	if err == nil {
		err = compress(ctx, source, target, func(bytes int64) {
			if bytes%sayEvery == 0 {
				say(Line{Claim: job.Claim, Progress: map[string]int64{"bytes": bytes}})
			}
		})
	}
	switch {
	case err == nil:
		say(Line{Claim: job.Claim, Log: "compressed " + source})
		return Line{Claim: job.Claim, Outcome: "done"}
	case errors.Is(err, context.Canceled):
		return Line{Claim: job.Claim, Outcome: "release"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		// It won't come back by trying again.
		return Line{Claim: job.Claim, Outcome: "fail", Error: described(err)}
	default:
		return Line{Claim: job.Claim, Outcome: "retry", Error: described(err)}
	}
}

func filesOf(job Message) (source, target string, err error) {
	if len(job.Arguments) != 2 {
		return "", "", fmt.Errorf("%d arguments were given where two files are wanted", len(job.Arguments))
	}
	if err := json.Unmarshal(job.Arguments[0], &source); err != nil {
		return "", "", err
	}
	return source, target, json.Unmarshal(job.Arguments[1], &target)
}

func described(err error) *Error {
	return &Error{Class: fmt.Sprintf("%T", err), Message: err.Error()}
}

func say(line Line) {
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		// Nobody listens any more.
		os.Exit(1)
	}
}

// task is a job, and what tells it to stop.
type task struct {
	job  Message
	ctx  context.Context
	stop context.CancelFunc
}

// read passes jobs on, and stops the one whose cancel arrives, until stdin ends.
func read(tasks chan<- task) {
	defer close(tasks)
	var running task
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var message Message
		if err := lines.Decode(&message); err != nil {
			return
		}
		if message.Cancel != nil {
			// One of a job that is over already means nothing.
			if *message.Cancel == running.job.Claim {
				running.stop()
			}
			continue
		}
		running = task{job: message}
		running.ctx, running.stop = context.WithCancel(context.Background())
		tasks <- running
	}
}

func main() {
	tasks := make(chan task)
	go read(tasks)
	for task := range tasks {
		say(run(task.ctx, task.job))
		task.stop()
	}
}
