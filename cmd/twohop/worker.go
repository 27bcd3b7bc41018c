package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/scenarios"
	"github.com/twohop/twohop/sim"
)

// workerName is the hidden command that makes runs for another process.
const workerName = "worker"

// workerGCPercent lets a worker's heap grow to five times what is in use, a few dozen megabytes, before it is
// collected: that takes a quarter of the time that it would otherwise.
const workerGCPercent = 400

// job is a run that a worker is to make.
type job struct {
	Capsule *scenarios.Capsule
	// Keep says that the failure's steps are wanted, which takes memory and time. Then Dir is where they, and
	// the report on it, go, and Replay is the line that makes the run again.
	Keep   bool
	Dir    string `json:",omitempty"`
	Replay string `json:",omitempty"`
	// Repeat is how often the run is made, and must be the same; 0 means once. Nothing is written of several.
	Repeat int `json:",omitempty"`
}

// outcome is what came of a job.
type outcome struct {
	Report *scenarios.Report `json:",omitempty"`
	Result model.Outcome
	Banner string `json:",omitempty"` // if the run was not Ok, and its steps were kept
	// Lost says why there is no report: the worker has crashed, or was killed at its limit.
	Lost string `json:",omitempty"`
	// Refused says which fault could not happen, and why, as when it names no host: the job makes no sense.
	Refused string `json:",omitempty"`
	// Spoiled says that the run has left goroutines behind, which may run for ever: its process is to make no other.
	Spoiled bool `json:",omitempty"`
	// Diverged says that the run's repetitions were not the same; the report's Error says where.
	Diverged bool `json:",omitempty"`
}

// illegal reports whether a property was violated: the one named, or any if name is "".
func (o *outcome) illegal(name string) bool {
	if o.Report == nil {
		return false
	}
	for _, v := range o.Report.Verdicts {
		if v.Outcome == model.Illegal && (name == "" || v.Property == name) {
			return true
		}
	}
	return false
}

// workerCommand makes the runs that it reads from its standard input, one JSON object each, and answers in
// kind, until the input ends.
func workerCommand(t *testing.T) *cobra.Command {
	return &cobra.Command{
		Use:    workerName,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// There is a worker for each processor, and in a run one goroutine at a time does anything.
			runtime.GOMAXPROCS(1)
			debug.SetGCPercent(workerGCPercent)
			// A terminal's Ctrl-C is sent to workers, too. Whoever asked for the run says what becomes of it.
			_, stop := interruptions(io.Discard)
			defer stop()
			in, out := json.NewDecoder(cmd.InOrStdin()), json.NewEncoder(cmd.OutOrStdout())
			for {
				var j job
				if err := in.Decode(&j); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return fmt.Errorf("worker: %w", err)
				}
				o, err := work(t, j)
				if err == nil {
					err = out.Encode(o)
				}
				if err != nil {
					return fmt.Errorf("worker: %w", err)
				}
			}
		},
	}
}

func work(t *testing.T, j job) (*outcome, error) {
	report, res, err := j.Capsule.Run(t, sim.Config{DropTrace: !j.Keep, Repeat: j.Repeat})
	if err != nil {
		return nil, err
	}
	o := &outcome{Report: report, Result: report.Outcome(), Diverged: report.Diverged()}
	if wrong, ok := errors.AsType[*sim.FaultError](res.Err); ok {
		o.Refused = wrong.Error()
	}
	_, hung := errors.AsType[*sim.HangError](res.Err)
	_, leaked := errors.AsType[*sim.LeakError](res.Err)
	o.Spoiled = hung || leaked
	if j.Keep && j.Repeat <= 1 && o.Result != model.Ok {
		files, err := report.Write(j.Dir, j.Replay)
		if err != nil {
			return nil, err
		}
		o.Banner = res.Banner(files, j.Replay)
	}
	return o, nil
}

// worker is another process that makes runs, one at a time. It is started when it is needed, and again after
// a run that has ended it. Only one goroutine uses it.
type worker struct {
	limit   time.Duration // of wall time, for one run
	process *exec.Cmd
	stdin   io.WriteCloser
	out     *json.Decoder
	errs    *tail
}

// run makes a run. A run that crashes its process, or takes longer than the limit, is an outcome like others;
// an error says that there can be no workers.
func (w *worker) run(j job) (*outcome, error) {
	if w.process == nil {
		if err := w.start(); err != nil {
			return nil, err
		}
	}
	process := w.process.Process
	timedOut := make(chan struct{})
	timer := time.AfterFunc(w.limit, func() {
		close(timedOut)
		_ = process.Kill() // it may have ended at this very moment
	})
	o := new(outcome)
	err := json.NewEncoder(w.stdin).Encode(j)
	if err == nil {
		err = w.out.Decode(o)
	}
	if timer.Stop() && err == nil {
		if o.Spoiled {
			w.stop()
		}
		return o, nil
	}
	end := w.wait()
	select {
	case <-timedOut:
		return &outcome{Result: model.Unknown, Lost: fmt.Sprintf("killed after %v without an end", w.limit)}, nil
	default:
		return &outcome{Result: model.Unknown, Lost: fmt.Sprintf("its process has crashed (%v): %s", end, w.errs)}, nil
	}
}

func (w *worker) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	w.errs = &tail{}
	w.process = exec.Command(self, workerName)
	w.process.Stderr = w.errs
	if w.stdin, err = w.process.StdinPipe(); err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	stdout, err := w.process.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	w.out = json.NewDecoder(stdout)
	if err := w.process.Start(); err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	return nil
}

// wait waits for the end of a process that ends, and gives how it ended.
func (w *worker) wait() error {
	_ = w.stdin.Close() // it is no more than a sign to end
	err := w.process.Wait()
	w.process = nil
	return err
}

// stop ends the worker's process, if there is one.
func (w *worker) stop() {
	if w.process != nil {
		_ = w.process.Process.Kill() // it is idle, and has nothing to save
		_ = w.wait()
	}
}

// tail keeps the end of what a process writes.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > tailBytes {
		t.text = t.text[len(t.text)-tailBytes:]
	}
	return len(p), nil
}

// String is the end of what was written, on one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(t.text)), " ")
}
