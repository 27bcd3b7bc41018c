package explain_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/explain"
)

var update = flag.Bool("update", false, "rewrite the golden pictures in testdata")

// overtaken is a message that an edge holds back while the next one passes, under faults.
const overtaken = "0 c-7 connect e1 0|5 d connect e1 0|100 fault partition(e2~redis)|900 p publish z|910 e1 append z 1|911 e1 receive z 1|911 e1 copy z 1 c-7|941 c-7 gets e1 1 z|" +
	"1000 fault loss(lb->c-*,30%)|1010 p publish a|1020 e1 append a 2|1021 e1 receive a 2|1021 e1 copy a 2 c-7|1022 lost lb c-7|1023 p ok a 2|" +
	"1100 p publish b|1110 e1 append b 3|1111 e1 receive b 3|1112 e1 copy b 3 c-7|1140 c-7 gets e1 3 b|1200 lost lb c-7|1230 lost lb c-7|" +
	"3000 heal loss(lb->c-*,30%)|3050 c-7 gone e1 silence|3300 c-7 resume e2 3|3310 e2 copy a 2 c-7|3345 c-7 gets e2 2 a"

// vanished is a message that an edge sends into a crash of its client's connection.
const vanished = "0 c-7 connect e1 0|20 p publish a|41 e1 append a 1|42 e1 receive a 1|43 e1 copy a 1 c-7|44 lost lb c-7|90 p ok a 1|9000 end"

// packets is a run that tells of no messages.
func packets(t *testing.T) *explain.Run {
	run := tale(t, "0 fault pause(web-2)|1 lost web-1 phone|400 heal pause(web-2)|900 end")
	more := []explain.Step{
		{Kind: "send", Host: "phone", Peer: "lb", Len: 300}, {Kind: "forward", Host: "lb", Peer: "phone", Len: 300}, {Kind: "send", Host: "lb", Peer: "web-1", Len: 300},
		{Kind: "arrive", Host: "web-1", Peer: "lb", Len: 300}, {Kind: "send", Host: "web-1", Peer: "lb"}, {Kind: "arrive", Host: "lb", Peer: "web-1"},
		{Kind: "send", Host: "lb", Peer: "web-2", Len: 44}, {Kind: "undeliverable", Host: "web-2", Peer: "lb", Len: 44}, {Kind: "send", Host: "web-1", Peer: "lb", Len: 900},
		{Kind: "cut", Host: "web-1", Peer: "lb", Len: 900}, {Kind: "level", Host: "web-1", Note: "conns 3/0"},
	}
	kept := run.Step
	run.Steps = uint64(len(more)) + 3
	run.Step = func(n uint64) (explain.Step, bool) {
		if n < 4 || n > run.Steps {
			return kept(n)
		}
		s := more[n-4]
		s.Step, s.Time = n, 500*ms+time.Duration(n)*7*ms
		return s, true
	}
	run.History.Events = run.History.Events[:len(run.History.Events)-1]
	run.History.Events = append(run.History.Events, model.Event{Step: run.Steps, Time: 600 * ms, Kind: model.Level, Node: "web-1", Object: "conns", Value: 3})
	return violated(run, model.Subject{})
}

// Each diagram looks as it did when somebody last looked at it. After a change on purpose, run
// go test ./sim/explain -update and look again.
func TestGolden(t *testing.T) {
	for name, run := range map[string]*explain.Run{
		"overtaken": violated(tale(t, overtaken), model.Subject{}),
		"vanished":  violated(tale(t, vanished), model.Subject{Client: "c-7", Room: "r", ID: "a"}),
		"packets":   packets(t),
	} {
		t.Run(name, func(t *testing.T) {
			var svg bytes.Buffer
			require.NoError(t, run.Case().Diagram().WriteSVG(&svg))
			golden := filepath.Join("testdata", name+".svg")
			if *update {
				require.NoError(t, os.WriteFile(golden, svg.Bytes(), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), svg.String())
			require.NoError(t, readXML(svg.Bytes()))
		})
	}
}

func readXML(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Goal: lanes are the hosts that have to do with it, from publishers to clients; faults that name them are on
// them.
func TestLanes(t *testing.T) {
	text := overtaken
	for i := range 30 { // that have nothing to do with it
		text = fmt.Sprintf("0 bystander-%d connect e%d 0|", i, i+3) + text + fmt.Sprintf("|3345 bystander-%d gets e%d 2 a", i, i+3)
	}
	run := tale(t, text)
	about := model.Subject{Client: "c-7", Room: "r", Seq: 2, ID: "a"}
	run.Verdicts = []model.Verdict{{Property: "InOrder", Outcome: model.Illegal, Step: run.History.Events[len(run.History.Events)-31].Step, About: about}}
	d := run.Case().Diagram()
	require.Equal(t, []string{"p", "redis", "e1", "e2", "lb", "c-7"}, d.Lanes)
	var svg bytes.Buffer
	require.NoError(t, d.WriteSVG(&svg))
	require.Equal(t, 2, strings.Count(svg.String(), ">partition(e2|redis)</text>"), "on both its hosts")
	require.Equal(t, 2, strings.Count(svg.String(), ">loss(lb-&gt;c-*,30%)</text>"))
	require.True(t, strings.Contains(svg.String(), "3 packets between lb and c-7: lost"))
	require.NotContains(t, svg.String(), "bystander")
}

// Goal: odd runs are drawn, and nothing of what they say is taken for markup; long ones are cut.
func TestOddDiagrams(t *testing.T) {
	evil := `</text><script>alert("x")</script>&` + strings.Repeat("x", 300)
	run := violated(tale(t, vanished), model.Subject{Client: evil, Room: evil, ID: evil})
	for i := range run.History.Events {
		e := &run.History.Events[i]
		e.Node, e.Room, e.ID, e.Note = evil, evil, evil, evil
	}
	long := "0 c connect e1 0|1 p publish a"
	for i := range 500 {
		long += fmt.Sprintf("|%d e1 copy a 1 c|%d c gone e1 silence|%d c resume e1 0", i+2, i+2, i+2)
	}
	for name, run := range map[string]*explain.Run{
		"evil": run, "one event": violated(tale(t, "0 end"), model.Subject{}), "long": violated(tale(t, long), model.Subject{Client: "c", Room: "r", ID: "a"}),
	} {
		var svg, page bytes.Buffer
		require.NoError(t, run.Case().Diagram().WriteSVG(&svg), name)
		require.NoError(t, readXML(svg.Bytes()), name)
		require.NotContains(t, svg.String(), "<script", name)
		require.Less(t, strings.Count(svg.String(), "<circle"), 100, name)
		require.NoError(t, (&explain.Page{Title: evil, Case: run.Case(), Verdicts: run.Verdicts, Last: []string{evil}, Files: []string{evil}, Replay: evil}).Write(&page), name)
		require.NotContains(t, page.String(), "<script", name)
		if name == "long" {
			require.Contains(t, svg.String(), "events left out")
		}
	}
}

// Goal: a page has what a banner has, and pictures.
func TestPage(t *testing.T) {
	run := violated(tale(t, overtaken), model.Subject{})
	var page bytes.Buffer
	require.NoError(t, (&explain.Page{
		Title: "chat · seed 7", Verdicts: run.Verdicts, Case: run.Case(), Last: []string{"step 1", "step 2"}, Whose: "c-7", Err: "a node failed",
		Faults: []explain.Fault{{Text: "crash(e1) 5s–8s", Bites: 3}}, Figures: []explain.Figure{{Name: "Timeline", SVG: []byte("<svg/>")}},
		Files: []string{"trace.jsonl"}, Replay: "twohop run chat --seed 7",
	}).Write(&page))
	for _, want := range []string{
		"<title>chat · seed 7</title>", `<td class="illegal">Illegal</td>`, "it is wrong", "a node failed", "twohop run chat --seed 7", "Journey of r#2", "Journey of r#3",
		"c-7 gets it over ws from e2", "data:image/svg&#43;xml;base64,PHN2Zy8&#43;", "crash(e1) 5s–8s", "Last 2 steps of c-7", `<a href="trace.jsonl">`,
	} {
		require.Contains(t, page.String(), want)
	}
}
