package properties

import (
	"cmp"
	"fmt"
	"io"
	"math"

	"github.com/anishathalye/porcupine"

	"github.com/twohop/twohop/model"
)

// VisualizeLinearizable writes an HTML page, complete in itself, that shows the operations of every
// room's log over the steps of the run, the faults, and the longest linear orders that were found: the
// operation that fits nowhere is plain to see. It takes at most [DefaultLimit] of wall-clock time to
// search.
func VisualizeLinearizable(h *model.History, w io.Writer) error {
	if err := model.WellFormed(h); err != nil {
		return fmt.Errorf("visualize linearizability: malformed history: %w", err)
	}
	return visualize(h, logModel(roomLogs(h.Events)), w)
}

// VisualizeLinearizableOf is [VisualizeLinearizable] for the shared objects of a kind, as in
// [LinearizableOf].
func VisualizeLinearizableOf(kind string, h *model.History, w io.Writer) error {
	o, err := findObject(kind)
	if err != nil {
		return fmt.Errorf("visualize linearizability: %w", err)
	}
	if err := model.WellFormed(h); err != nil {
		return fmt.Errorf("visualize linearizability: malformed history: %w", err)
	}
	calls, _, err := o.callsOf(h.Events)
	if err != nil {
		return fmt.Errorf("visualize linearizability: %w", err)
	}
	return visualize(h, o.porcupineModel(calls), w)
}

// drawable is a property that can draw what violates it.
type drawable struct {
	property
	draw func(*model.History, io.Writer) error
}

// Visualize writes an HTML page, complete in itself, of the histories that led to a verdict of this property: of the
// room, or the shared object, that it is about, up to its step, and the faults. See [VisualizeLinearizable].
func (d drawable) Visualize(h *model.History, v model.Verdict, w io.Writer) error {
	return d.draw(ledTo(h, v.Step), w)
}

// ledTo gives the part of a history that is about what the event of a step is about, up to that, with the faults.
func ledTo(h *model.History, step uint64) *model.History {
	events := upTo(h, step)
	if len(events) == 0 {
		return h
	}
	last := &events[len(events)-1]
	part := &model.History{Partial: true}
	for i := range events {
		e := &events[i]
		fault := e.Kind == model.FaultBegin || e.Kind == model.FaultEnd
		if fault || e.Room == last.Room && e.Object == last.Object {
			part.Events = append(part.Events, *e)
		}
	}
	return part
}

func visualize(h *model.History, m porcupine.Model, w io.Writer) error {
	_, info := porcupine.CheckOperationsVerbose(m, nil, DefaultLimit)
	info.AddAnnotations(faultAnnotations(h))
	if err := porcupine.Visualize(m, info, w); err != nil {
		return fmt.Errorf("visualize linearizability: %w", err)
	}
	return nil
}

// faultAnnotations gives each fault a bar, on a line of its kind: of the text up to the first parenthesis.
func faultAnnotations(h *model.History) []porcupine.Annotation {
	var all []porcupine.Annotation
	open := map[string][]int{} // by note, in all
	for i := range h.Events {
		e := &h.Events[i]
		if e.Step > math.MaxInt64 {
			continue // which WellFormed has ruled out
		}
		switch e.Kind {
		case model.FaultBegin:
			open[e.Note] = append(open[e.Note], len(all))
			all = append(all, porcupine.Annotation{
				Tag: cmp.Or(faultKind(e.Note), "fault"), Start: int64(e.Step), Description: cmp.Or(e.Note, "fault"),
				Details:         fmt.Sprintf("%s from step %d, t=%v", e.Note, e.Step, e.Time),
				BackgroundColor: "#f6c9c0",
			})
		case model.FaultEnd:
			if begun := open[e.Note]; len(begun) > 0 {
				a := &all[begun[0]]
				a.End = int64(e.Step)
				a.Details += fmt.Sprintf(" to step %d, t=%v", e.Step, e.Time)
				open[e.Note] = begun[1:]
			}
		}
	}
	for _, begun := range open { // they last to the end
		for _, i := range begun {
			all[i].End = int64(h.Events[len(h.Events)-1].Step)
			all[i].Details += " to the end"
		}
	}
	return all
}

// faultKind is a fault's kind: its text up to the first parenthesis.
func faultKind(note string) string {
	for i, r := range note {
		if r == '(' {
			return note[:i]
		}
	}
	return note
}
