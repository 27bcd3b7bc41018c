package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/explain"
)

// bannerSteps is how many steps before a violation its banner shows.
const bannerSteps = 20

// Banner describes a failed run: what was violated, the journey of the message that it is about, the steps that
// led to it, the faults, where its files are, and how to replay it.
func (r *Result) Banner(files []string, replay string) string {
	var b strings.Builder
	if r.Err != nil {
		fmt.Fprintf(&b, "%v\n", r.Err)
	}
	for _, v := range r.Verdicts {
		if v.Ok() {
			continue
		}
		fmt.Fprintln(&b, v)
		if v.Outcome == model.Illegal && v.Step != 0 {
			if line := r.where(v.Step); line != "" {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
	}
	c := r.Explain().Case()
	if c != nil {
		for _, j := range c.Journeys() {
			fmt.Fprint(&b, j)
		}
	}
	if steps, whose := r.lastSteps(c); len(steps) > 0 {
		fmt.Fprintf(&b, "last %d steps%s:\n", len(steps), of(whose))
		for _, s := range steps {
			fmt.Fprintf(&b, "  %v\n", s)
		}
	}
	if faults := r.befell(); len(faults) > 0 {
		var texts []string
		for _, f := range faults {
			texts = append(texts, f.String())
		}
		fmt.Fprintf(&b, "faults: %s\n", strings.Join(texts, " · "))
	}
	if len(files) > 0 {
		fmt.Fprintf(&b, "files: %s\n", strings.Join(files, " · "))
	}
	fmt.Fprintf(&b, "replay: %s", replay)
	return b.String()
}

func of(whose string) string {
	if whose == "" {
		return ""
	}
	return " of " + whose
}

// where says what and where a step was: by what the history says of it, or else the trace.
func (r *Result) where(step uint64) string {
	i, found := slices.BinarySearchFunc(r.History.Events, step, func(e model.Event, step uint64) int {
		switch {
		case e.Step < step:
			return -1
		case e.Step > step:
			return 1
		}
		return 0
	})
	if !found {
		if s, ok := r.Trace.At(step); ok {
			return s.String()
		}
		return ""
	}
	e := &r.History.Events[i]
	parts := []string{fmt.Sprintf("step %d", step), fmt.Sprintf("t=%.6fs", e.Time.Seconds()), string(e.Kind)}
	if e.Transport != "" {
		parts = append(parts, e.Transport)
	}
	switch {
	case e.Peer != "" && e.Transport != "": // a client's
		parts = append(parts, e.Peer+"→"+e.Node)
	case e.Peer != "":
		parts = append(parts, e.Node+"→"+e.Peer)
	case e.Node != "":
		parts = append(parts, e.Node)
	}
	if e.Room != "" {
		at := e.Room
		if e.Seq != 0 {
			at = e.Cursor().In(e.Room)
		}
		parts = append(parts, at)
	}
	return strings.Join(parts, " · ")
}

// lastSteps gives the last steps before a violation, or the run's end if c is nil. If it is a client's, the
// steps are those of its host, and whose is its name.
func (r *Result) lastSteps(c *explain.Case) (steps []Step, whose string) {
	if c == nil {
		return r.Trace.Window(r.Trace.Steps(), bannerSteps), ""
	}
	whose = c.About.Client
	if whose == "" && c.Event != nil {
		whose = c.Event.Node
	}
	for i := c.Step; i > 0 && len(steps) < bannerSteps; i-- {
		s, ok := r.Trace.At(i)
		if ok && (whose == "" || s.Host == whose || s.Peer == whose || i == c.Step) {
			steps = append(steps, s)
		}
	}
	slices.Reverse(steps)
	return steps, whose
}

// befell gives the faults that the run had, without those that only ended others.
func (r *Result) befell() (faults []*FaultRecord) {
	for _, f := range r.Faults {
		if f.Begun() && !f.EndsOthers() {
			faults = append(faults, f)
		}
	}
	return faults
}
