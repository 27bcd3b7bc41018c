package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/twohop/twohop/scenarios"
)

// progress is a bar on a terminal that shows how much virtual time has passed; elsewhere it is nothing.
type progress struct {
	bar    *progressbar.ProgressBar
	length time.Duration
}

func newProgress(stderr io.Writer, s scenarios.Scenario, o *runOptions) *progress {
	f, ok := stderr.(*os.File)
	if !ok || o.quiet || o.json || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	total := s.Length() * time.Duration(o.repeat)
	return &progress{
		length: s.Length(),
		bar: progressbar.NewOptions64(total.Milliseconds(),
			progressbar.OptionSetWriter(stderr),
			progressbar.OptionSetDescription(s.Name()),
			progressbar.OptionSetWidth(40),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true),
		),
	}
}

func (p *progress) update(repetition int, now time.Duration) {
	if p.bar == nil {
		return
	}
	at := p.length*time.Duration(repetition) + min(now, p.length)
	_ = p.bar.Set64(at.Milliseconds()) // a bar that cannot be drawn is no reason to stop
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish() // as above
	}
}

// bar is a bar on a terminal that shows how many runs have been made; elsewhere it is nothing.
type bar struct{ bar *progressbar.ProgressBar }

func newBar(stderr io.Writer, total int, what string, hidden bool) *bar {
	f, ok := stderr.(*os.File)
	if !ok || hidden || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(40),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
	)}
}

func (b *bar) done() {
	if b.bar != nil {
		_ = b.bar.Add(1) // a bar that cannot be drawn is no reason to stop
	}
}

func (b *bar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish() // as above
	}
}
