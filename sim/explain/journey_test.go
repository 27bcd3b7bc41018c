package explain_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/explain"
)

const ms = time.Millisecond

// tale is a run of one room, "r", that is told a line an event: a number of milliseconds, and
//
//	p publish a | p ok a 1 | p unknown a why | c connect e1 0 | c resume e1 1 | c gone why | c gap e1 5 | c gets e1 1 a
//	e1 append a 1 | e1 receive a 1 | e1 copy a 1 c | fault crash(e1) | heal crash(e1) | lost lb c | end
//
// In a fault, ~ stands for a bar. The middle line is the trail's, and a loss is a step of the trace alone. A step of the history is numbered as its
// line is.
func tale(t *testing.T, text string) *explain.Run {
	run := &explain.Run{History: &model.History{}}
	steps := map[uint64]explain.Step{}
	for line := range strings.SplitSeq(text, "|") {
		words := strings.Fields(line)
		var at int
		_, err := fmt.Sscan(words[0], &at)
		require.NoError(t, err, line)
		run.Steps++
		e := model.Event{Step: run.Steps, Time: time.Duration(at) * ms}
		words = append(words[1:], "", "", "", "", "")
		if event(&e, words) {
			run.Trail = append(run.Trail, e)
		} else if e.Kind != "" {
			run.History.Events = append(run.History.Events, e)
		}
		s := explain.Step{Step: e.Step, Time: e.Time, Kind: string(e.Kind), Host: e.Node, Note: e.Note}
		if words[0] == "lost" {
			s.Kind, s.Host, s.Peer, s.Len = "lost", words[1], words[2], 100
		}
		steps[e.Step] = s
	}
	run.Step = func(n uint64) (explain.Step, bool) {
		s, ok := steps[n]
		return s, ok
	}
	return run
}

// event makes an event of its words, and reports whether it is the trail's.
func event(e *model.Event, words []string) (trail bool) {
	number := func(s string) (n uint64) {
		_, _ = fmt.Sscan(s, &n) // 0 if it is none
		return n
	}
	switch words[0] {
	case "fault":
		e.Kind, e.Note = model.FaultBegin, strings.ReplaceAll(words[1], "~", "|")
		return false
	case "heal":
		e.Kind, e.Note = model.FaultEnd, words[1]
		return false
	case "end":
		e.Kind = model.RunEnd
		return false
	case "lost":
		return false
	}
	e.Node, e.Room = words[0], "r"
	kinds := map[string]model.Kind{
		"publish": model.PublishCall, "ok": model.PublishOK, "unknown": model.PublishUnknown, "connect": model.Connected, "resume": model.Connected,
		"gone": model.Disconnected, "gap": model.Discontinuity, "gets": model.Deliver, "append": model.Append, "receive": model.Receive, "copy": model.Copy,
	}
	e.Kind = kinds[words[1]]
	switch words[1] {
	case "publish", "ok":
		e.ID, e.Seq = words[2], number(words[3])
	case "unknown":
		e.ID, e.Note = words[2], words[3]
	case "connect", "resume", "gap":
		e.Peer, e.Seq, e.Transport, e.Resumed = words[2], number(words[3]), "ws", words[1] == "resume"
	case "gone":
		e.Peer, e.Note = words[2], words[3]
	case "gets":
		e.Peer, e.Seq, e.ID, e.Transport = words[2], number(words[3]), words[4], "ws"
	case "append", "receive":
		e.ID, e.Seq, e.Peer = words[2], number(words[3]), "redis"
		return true
	case "copy":
		e.ID, e.Seq, e.Peer = words[2], number(words[3]), words[4]
		return true
	}
	return false
}

// violated has a verdict on the run, by default about the event of the last step.
func violated(run *explain.Run, about model.Subject) *explain.Run {
	last := run.History.Events[len(run.History.Events)-1]
	run.Verdicts = []model.Verdict{{Property: "InOrder", Outcome: model.Illegal, Step: last.Step, Detail: "it is wrong", About: about}}
	return run
}

const usual = "0 c connect e1 0|10 p publish a|20 e1 append a 1|21 e1 receive a 1"

// Goal: of whatever became of a message, it is said where it ended.
func TestWhereItEnded(t *testing.T) {
	missing := model.Subject{Client: "c", Room: "r", Seq: 1, ID: "a"}
	for _, c := range []struct {
		name, tale string
		end        []string
	}{
		{"never in the log", "0 c connect e1 0|10 p publish a|99 end", []string{"It ended on its way to the log: nothing shows that it ever was there."}},
		{"given up", "0 c connect e1 0|10 p publish a|50 p unknown a late|99 end", []string{"It ended with its publisher: nothing shows that it ever was in the log."}},
		{"only the log had it", "0 c connect e1 0|10 p publish a|20 e1 append a 1|30 p ok a 1|99 end", []string{"It ended in the log: no edge has got it from hop 2."}},
		{"another edge had it", "0 c connect e1 0|10 p publish a|20 e2 append a 1|21 e2 receive a 1|99 end", []string{"e1, to which c was connected as far as it knew, never got it from hop 2."}},
		{"kept by the edge", usual + "|99 end", []string{"It ended at e1, which got it while c was connected there, and never handed it on."}},
		{"lost on the way", usual + "|22 e1 copy a 1 c|30 lost e1 c|40 lost lb c|41 lost lb d|50 c gone e1 silence|99 end", []string{
			"It ended between e1, which handed it on at t=0.022000s, and c, which never got it.", "Packets from or to c that did not arrive since: 2.", "c has not connected again since t=0.050000s.",
		}},
		{"jumped over", "0 c connect e1 0|3 fault crash(e1)|5 c gone e1 silence|10 p publish a|20 e2 append a 1|21 e2 receive a 1|30 c connect e2 1", []string{
			"c was not connected when it came into the log.", "c connected at t=0.030000s to e2, and started from r#1, which is past it.", "Faults begun and not ended: crash(e1).",
		}},
		{"not replayed", "0 c connect e1 0|5 c gone e1 silence|10 p publish a|20 e2 append a 1|30 c resume e2 0|99 end", []string{
			"c was not connected when it came into the log.", "c connected at t=0.030000s to e2, and resumed from r#0, which is before it, and was not given it.",
		}},
		{"told", usual + "|30 c gap e1 4|99 end", []string{"c was told that it would not get it."}},
		{"it came", usual + "|22 e1 copy a 1 c|40 c gets e1 1 a|41 d gets e1 1 a|42 x gets e1 1 a|99 end", []string{"2 other clients have got it.", "c has got it 30ms after the call of publish."}},
		{"without a trail", "0 c connect e1 0|10 p publish a|20 p ok a 1|99 end", []string{"c was connected when it came into the log, to e1, and never got it."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			js := violated(tale(t, c.tale), missing).Case().Journeys()
			require.Len(t, js, 1)
			require.Equal(t, c.end, js[0].End)
		})
	}
}

// Goal: the journey names each hop, of what is late and of what overtook it, or of what came twice.
func TestJourneys(t *testing.T) {
	late := usual + "|25 p publish b|26 e1 append b 2|27 e1 receive b 2|30 e1 copy b 2 c|40 c gets e1 2 b|45 e1 copy a 1 c|50 c gets e1 1 a"
	js := violated(tale(t, late), model.Subject{}).Case().Journeys()
	require.Len(t, js, 2)
	require.Equal(t, `journey of r#1 (message "a") to c:
  t=0.000000s c connects to e1 over ws, starting from r#0: right before it
  t=0.010000s p calls publish
  t=0.020000s e1 has put it into the log of redis, as r#1
  t=0.021000s e1 gets it from hop 2, redis
  t=0.045000s e1 hands it to its connection with c
  t=0.050000s c gets it over ws from e1
  c has got it 40ms after the call of publish.
`, js[0].String())
	require.Equal(t, `r#2 (message "b") to c`, js[1].Title())
	require.Equal(t, []string{"c has got it 15ms after the call of publish."}, js[1].End)

	twice := usual + "|22 e1 copy a 1 c|40 c gets e1 1 a|50 c gets e1 1 a"
	js = violated(tale(t, twice), model.Subject{}).Case().Journeys()
	require.Len(t, js, 1)
	require.Equal(t, []string{"c has got it 2 times, the last 10ms after the first."}, js[0].End)
	require.Contains(t, js[0].String(), "c gets it again over ws from e1")
}

// Goal: a journey of many edges has those that matter only.
func TestManyEdges(t *testing.T) {
	text := "0 c connect e1 0|10 p publish a|20 e9 append a 1"
	for i := range 12 {
		text += fmt.Sprintf("|%d e%d receive a 1", 21+i, i)
	}
	js := violated(tale(t, text+"|99 end"), model.Subject{Client: "c", Room: "r", ID: "a"}).Case().Journeys()
	require.Len(t, js, 1)
	require.Equal(t, "10 other edges have got it from hop 2.", js[0].End[0])
	require.Equal(t, 2, strings.Count(js[0].String(), "gets it from hop 2"))
}

// Goal: the violation that comes first is explained, and epochs are named where there is more than one.
func TestCase(t *testing.T) {
	run := violated(tale(t, "0 c connect e1 0|10 p publish a|40 c gets e1 1 a|50 c gets e1 1 a"), model.Subject{})
	run.Verdicts = append(run.Verdicts, model.Verdict{Outcome: model.Unknown}, model.Verdict{Property: "First", Outcome: model.Illegal, Step: 3}, model.Verdict{Property: "Second", Outcome: model.Illegal, Step: 3})
	c := run.Case()
	require.Equal(t, "First", c.Verdict.Property)
	require.Equal(t, model.Subject{Client: "c", Room: "r", Seq: 1, ID: "a"}, c.About)
	require.Equal(t, 40*ms, c.Time)

	for _, e := range []int{2, 3} {
		run.History.Events[e].Epoch = fmt.Sprint("life-", e)
	}
	require.Equal(t, `r#life-2:1 (message "a") to c`, run.Case().Journeys()[0].Title())

	run.Verdicts = []model.Verdict{{Outcome: model.Ok}}
	require.Nil(t, run.Case())
	require.Nil(t, (&explain.Run{}).Case())
	require.Empty(t, violated(tale(t, "0 c connect e1 0|99 end"), model.Subject{}).Case().Journeys())
	require.Empty(t, violated(tale(t, "0 c connect e1 0|99 end"), model.Subject{Room: "r", ID: "nobody's"}).Case().Journeys())
}
