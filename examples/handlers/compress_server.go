//go:build ignore

// Compresses files: a server that is posted each job, and answers when the job is over.
//
// A job of class CompressFile has two arguments: the file, and where its .gz goes. Listens on 127.0.0.1, port 8080 or $PORT.
//
//	go build -o compress-server compress_server.go
package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
)

const chunk = 1 << 20

// Job is what is posted, as far as it is of interest here.
type Job struct {
	ID        string   `json:"id"`
	Arguments []string `json:"arguments"`
}

// Answer is how a run ended.
type Answer struct {
	Outcome string `json:"outcome"`
	Error   *Error `json:"error,omitempty"`
}

// Error is why a job was not done.
type Error struct {
	Class   string `json:"exception_class"`
	Message string `json:"message"`
}

// compress writes target whole or not at all, and twice the same: a run may be cut short and followed by another.
func compress(ctx context.Context, source, target string) (err error) {
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
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(compressed, content, chunk); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return os.Rename(half.Name(), target)
}

// run runs one job. Its context is the request's: the engine hangs up when the job is to stop.
func run(ctx context.Context, job Job) Answer {
	err := fmt.Errorf("%d arguments were given where two files are wanted", len(job.Arguments))
	if len(job.Arguments) == 2 {
		err = compress(ctx, job.Arguments[0], job.Arguments[1])
	}
	switch {
	case err == nil:
		return Answer{Outcome: "done"}
	case errors.Is(err, context.Canceled):
		log.Printf("job %s was stopped", job.ID)
		return Answer{Outcome: "release"}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		// It won't come back by trying again.
		return Answer{Outcome: "fail", Error: &Error{Class: fmt.Sprintf("%T", err), Message: err.Error()}}
	default:
		return Answer{Outcome: "retry", Error: &Error{Class: fmt.Sprintf("%T", err), Message: err.Error()}}
	}
}

func jobs(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "jobs are posted", http.StatusMethodNotAllowed)
		return
	}
	var job Job
	if err := json.NewDecoder(r.Body).Decode(&job); err != nil {
		// 422: it won't become readable by being sent again.
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// An answer in the body counts more than the status.
	if err := json.NewEncoder(w).Encode(run(r.Context(), job)); err != nil {
		log.Printf("job %s: its answer was not heard: %v", job.ID, err)
	}
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/jobs", jobs)
	// The health check: nothing is claimed before it answers 2xx.
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
