package properties_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// story reads a history from events separated by bars, in room "room-1" unless they end with "@" and
// another room's name. A position is "seq" or "epoch:seq". Steps count from 1, and a step takes a
// millisecond.
//
//	p publish a | p ok a 1 | p unknown a | c connected 0 | c resumed 3 | c gone | c deliver e1:1 a | c gap 5 | end
//	p reply b a | c calls seats/x i reserve(1,c) | c told seats/x i ok | c lost seats/x i | s copy a e1
//	s level conns 5 | s queue out 5/10 | k join e1 | k leave e1 | k assign e1 | k announce e1 e2 | k commit e1 e2
//	o sees a_b | o sees nothing
//	fault crash(e1) | heal crash(e1) | wait 5s
//
// The last is no event: it lets the time pass.
func story(t testing.TB, text string) *model.History {
	t.Helper()
	h := &model.History{}
	waited := time.Duration(0)
	var waits []time.Duration // before each event
	for line := range strings.SplitSeq(text, "|") {
		words, room, elsewhere := strings.Cut(strings.TrimSpace(line), "@")
		if !elsewhere {
			room = "room-1"
		}
		if d, is := strings.CutPrefix(words, "wait "); is {
			wait, err := time.ParseDuration(d)
			require.NoError(t, err)
			waited += wait
			continue
		}
		waits = append(waits, waited)
		e, err := event(strings.Fields(words), room)
		require.NoError(t, err, "event %q", line)
		h.Events = append(h.Events, e)
	}
	renumber(h)
	for i := range h.Events {
		h.Events[i].Time += waits[i]
	}
	return h
}

func event(words []string, room string) (model.Event, error) {
	if len(words) == 1 && words[0] == "end" {
		return model.Event{Kind: model.RunEnd}, nil
	}
	if len(words) < 2 {
		return model.Event{}, fmt.Errorf("want a node and a verb")
	}
	switch words[0] {
	case "fault":
		return model.Event{Kind: model.FaultBegin, Note: words[1]}, nil
	case "heal":
		return model.Event{Kind: model.FaultEnd, Note: words[1]}, nil
	}
	e := model.Event{Node: words[0], Room: room, Transport: "ws"}
	verbs := map[string]struct {
		kind model.Kind
		args string // i for ID, p for position, d for Deps, o for Object, n for Note, e for Peer, v for Value/Limit
	}{
		"publish":   {model.PublishCall, "i"},
		"ok":        {model.PublishOK, "ip"},
		"unknown":   {model.PublishUnknown, "i"},
		"connected": {model.Connected, "p"},
		"resumed":   {model.Connected, "p"},
		"gone":      {model.Disconnected, ""},
		"deliver":   {model.Deliver, "pi"},
		"gap":       {model.Discontinuity, "p"},
		"reply":     {model.PublishCall, "id"},
		"calls":     {model.Call, "oin"},
		"told":      {model.Return, "oin"},
		"lost":      {model.ReturnUnknown, "oi"},
		"copy":      {model.Copy, "ie"},
		"level":     {model.Level, "ov"},
		"queue":     {model.Queue, "ov"},
		"join":      {model.Join, "o"},
		"leave":     {model.Leave, "o"},
		"assign":    {model.Assign, "o"},
		"announce":  {model.Announce, "eo"},
		"commit":    {model.Commit, "eo"},
		"sees":      {model.Members, "n"},
	}
	verb, known := verbs[words[1]]
	if !known || len(words) != 2+len(verb.args) {
		return model.Event{}, fmt.Errorf("no verb %q with %d arguments", words[1], len(words)-2)
	}
	e.Kind, e.Resumed = verb.kind, words[1] == "resumed"
	for i, kind := range verb.args {
		switch word := words[2+i]; kind {
		case 'i':
			e.ID = word
		case 'd':
			e.Deps = strings.ReplaceAll(word, ",", " ")
		case 'o':
			e.Object = word
		case 'e':
			e.Peer = word
		case 'n':
			e.Note = strings.ReplaceAll(strings.ReplaceAll(word, ",", ", "), "_", " ")
			if word == "nothing" {
				e.Note = ""
			}
		case 'v':
			if _, err := fmt.Sscanf(word+"/0", "%d/%d", &e.Value, &e.Limit); err != nil {
				return model.Event{}, err
			}
		}
		if kind != 'p' {
			continue
		}
		epoch, seq, named := strings.Cut(words[2+i], ":")
		if !named {
			epoch, seq = "", words[2+i]
		}
		var err error
		if e.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
			return model.Event{}, err
		}
		e.Epoch = epoch
	}
	return e, nil
}

func renumber(h *model.History) {
	for i := range h.Events {
		h.Events[i].Step = uint64(i + 1)
		h.Events[i].Time = time.Duration(i+1) * time.Millisecond
	}
}

// judgement is a history with the verdict that a property must give.
type judgement struct {
	name, story string
	want        model.Outcome
	step        uint64 // for Illegal
	detail      string // part of the detail
}

func judge(t *testing.T, p model.Property, tests []judgement) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := p.Check(story(t, tt.story))
			require.Equal(t, tt.want, v.Outcome, v)
			require.Equal(t, tt.step, v.Step, v)
			require.Contains(t, v.Detail, tt.detail)
			require.Equal(t, p.Name(), v.Property)
			require.Equal(t, v, p.Check(story(t, tt.story)), "the same history, the same verdict")
		})
	}
}

const (
	legal   = model.Ok
	illegal = model.Illegal
	unknown = model.Unknown
)

// twoEpochs publishes a and b into epoch e1 of room-1, then z into epoch e2 (steps 1 to 6).
const twoEpochs = "p publish a|p ok a e1:1|p publish b|p ok b e1:2|p publish z|p ok z e2:1|"

// log3 publishes a, b and c into room-1 (steps 1 to 6).
const log3 = "p publish a|p ok a 1|p publish b|p ok b 2|p publish c|p ok c 3|"

func TestNoLoss(t *testing.T) {
	judge(t, properties.NoLoss(), []judgement{
		{"all delivered", log3 + "c connected 0|c deliver 1 a|c deliver 2 b|c deliver 3 c|end", legal, 0, "3 (client, message) pairs of 1 subscriptions"},
		{"from its first position on", log3 + "c connected 2|c deliver 3 c|d connected 1|d deliver 2 b|d deliver 3 c|end", legal, 0, "3 (client, message) pairs of 2"},
		{"across a resume", log3 + "c connected 0|c deliver 1 a|c gone|c resumed 1|c deliver 2 b|c deliver 3 c|end", legal, 0, ""},
		{"late and out of order is not lost", log3 + "c connected 0|c deliver 2 b|c deliver 3 c|c deliver 1 a|end", legal, 0, ""},
		{"repetition makes up for nothing", log3 + "c connected 0|c deliver 1 a|c deliver 1 a|c deliver 3 c|end", illegal, 11, `client "c" never saw room-1#2 (message "b") by the end of the run, with the log at room-1#3; missing in all: 1 of 3`},
		{"the last one missing", log3 + "c connected 0|c deliver 1 a|c deliver 2 b|end", illegal, 10, "never saw room-1#3"},
		{"known from another client only", "p publish a|p unknown a|d connected 0|c connected 0|d deliver 1 a|end", illegal, 6, `client "c" never saw room-1#1 (message "a")`},
		{"known from what comes after it", "p publish a|p unknown a|p publish b|p ok b 2|c connected 0|c deliver 2 b|end", illegal, 7, `client "c" never saw room-1#1 by the end`},
		{"gone and never back", log3 + "c connected 0|c deliver 1 a|c gone|end", illegal, 10, "never saw room-1#2"},
		{"a second room", log3 + "c connected 0|c deliver 1 a|c deliver 2 b|c deliver 3 c|c connected 0@x|p publish z@x|p ok z 1@x|end", illegal, 14, "never saw x#1"},

		{"announced", log3 + "c connected 0|c deliver 1 a|c gap 2|c deliver 3 c|end", legal, 0, "2 (client, message) pairs"},
		{"announced after a new start", log3 + "c connected 0|c deliver 1 a|c gone|c connected 2|c gap 2|c deliver 3 c|end", legal, 0, "2 (client, message) pairs"},
		{"announced before a new start", log3 + "c connected 0|c deliver 1 a|c gap 2|c connected 2|c deliver 3 c|end", legal, 0, "2 (client, message) pairs"},
		{"announced to the end", log3 + "c connected 0|c deliver 1 a|c gap 3|end", legal, 0, "1 (client, message) pairs"},
		{"owed again after the announcement", log3 + "c connected 0|c gap 2|end", illegal, 9, "never saw room-1#3"},
		{"what was skipped before is not forgiven", log3 + "c connected 0|c deliver 2 b|c gap 3|end", illegal, 10, "never saw room-1#1"},
		{"announced too little", log3 + "c connected 0|c connected 2|c gap 1|c deliver 3 c|end", illegal, 8, "never saw room-1#2"},
		{"announced too little, but made up for", log3 + "c connected 0|c connected 2|c gap 1|c deliver 2 b|c deliver 3 c|end", legal, 0, "2 (client, message) pairs"},

		{"silent jump", log3 + "c connected 0|c deliver 1 a|c gone|c connected 2|c deliver 3 c|end", illegal, 10, `client "c" never saw room-1#2 (message "b"): it jumped over 1 messages without a discontinuity; missing in all: 1 of 3`},
		{"silent jump that claims to resume", log3 + "c connected 0|c deliver 1 a|c gone|c resumed 2|c deliver 3 c|end", illegal, 10, "jumped over 1"},
		{"silent jump to the end", log3 + "c connected 0|c connected 3|end", illegal, 8, "jumped over 3"},
		{"announced after it happened", log3 + "c connected 0|c connected 2|c deliver 3 c|c gap 3|end", illegal, 8, "jumped over 2"},
		{"announced in another room", log3 + "c connected 0|c connected 0@x|c connected 2|c gap 2@x|c deliver 3 c|end", illegal, 9, "jumped over 2"},
		{"announced to another client", log3 + "c connected 0|d connected 0|c connected 3|d gap 3|end", illegal, 9, `client "c"`},
		{"jump over what comes after all", log3 + "c connected 0|c connected 2|c deliver 3 c|c deliver 1 a|c deliver 2 b|end", legal, 0, ""},
		{"the first loss is named", log3 + "b connected 0|c connected 0|c connected 3|d connected 0|d connected 3|end", illegal, 9, `client "c"`},

		{"nothing published", "c connected 0|end", unknown, 0, "nothing to check"},
		{"nobody connected", log3 + "end", unknown, 0, "nothing to check"},
		{"connected at the end of the log", log3 + "c connected 3|end", unknown, 0, "nothing to check"},
		{"all forgiven", log3 + "c connected 0|c gap 3|end", unknown, 0, "nothing to check"},
		{"no end, nothing missing", log3 + "c connected 2|c deliver 3 c", unknown, 0, "nothing is missing so far among 1"},
		{"no end, one missing", log3 + "c connected 1|c deliver 2 b", unknown, 0, `client "c" has not got room-1#3 yet; missing in all: 1 of 2`},
		{"no end, but a silent jump", log3 + "c connected 0|c connected 2|c deliver 3 c", illegal, 8, "jumped over 2"},
		{"no end, and the jump may yet be announced", log3 + "c connected 0|c connected 2", unknown, 0, "not got room-1#1 yet"},
		{"sent back", log3 + "c connected 2|c gap 0|c deliver 1 x|end", unknown, 0, `client "c" was sent back to room-1#0 at step 8`},
		{"sent back, and a loss elsewhere", log3 + "c connected 2|c gap 0|p publish z@x|p ok z 1@x|c connected 0@x|end", illegal, 12, "never saw x#1"},
		{"absurd position", "p publish a|p ok a 18446744073709551615|c connected 0|end", illegal, 4, "missing in all: 18446744073709551615 of 18446744073709551615"},
		{"absurd position got", "p publish a|c connected 0|c deliver 18446744073709551615 a|c gap 18446744073709551615|end", illegal, 5, "never saw room-1#1 by the end"},
	})
}

// What a client is owed when the room's log loses its history and begins another epoch.
func TestNoLossAcrossEpochs(t *testing.T) {
	judge(t, properties.NoLoss(), []judgement{
		{"told, having got all", twoEpochs + "c connected e1:0|c deliver e1:1 a|c deliver e1:2 b|c gap e2:0|c deliver e2:1 z|end", legal, 0, "3 (client, message) pairs of 1 subscriptions"},
		{"told, with acknowledged messages gone", twoEpochs + "c connected e1:0|c deliver e1:1 a|c gap e2:0|c deliver e2:1 z|end", legal, 0, "2 (client, message) pairs"},
		{"told after a new start", twoEpochs + "c connected e1:1|c gone|c connected e2:0|c gap e2:0|c deliver e2:1 z|end", legal, 0, "1 (client, message) pairs"},
		{"told of the new end", twoEpochs + "c connected e1:2|c gap e2:1|end", unknown, 0, "nothing to check"},
		{"new clients are owed nothing old", twoEpochs + "c connected e2:0|c deliver e2:1 z|end", legal, 0, "1 (client, message) pairs"},
		{"an acknowledgement that comes late", "p publish a|p publish z|p ok z e2:1|p ok a e1:1|c connected e2:0|c deliver e2:1 z|end", legal, 0, "1 (client, message) pairs"},
		{"through two epochs", "p publish a|p ok a e1:1|p publish b|p ok b e2:1|p publish d|p ok d e3:1|" +
			"c connected e1:0|c deliver e1:1 a|c gap e2:0|c deliver e2:1 b|c gap e3:0|c deliver e3:1 d|end", legal, 0, "3 (client, message) pairs"},
		{"past an epoch", "p publish a|p ok a e1:1|p publish b|p ok b e2:1|p publish d|p ok d e3:1|" +
			"c connected e1:0|c deliver e1:1 a|c gap e3:0|c deliver e3:1 d|end", legal, 0, "2 (client, message) pairs"},

		{"told of the next epochs, but skipped before", "p publish a|p publish b|p ok a e1:1|p ok b e1:2|p publish d|p ok d e2:1|p publish f|p ok f e3:1|" +
			"c connected e1:0|c deliver e1:2 b|c gap e2:0|c deliver e2:1 d|c gap e3:0|c deliver e3:1 f|end", illegal, 15, "never saw room-1#e1:1"},

		{"never told, and missing the old", twoEpochs + "c connected e1:0|c deliver e1:1 a|end", illegal, 9,
			`client "c" never saw room-1#e1:2 (message "b") by the end of the run, with the log at room-1#e1:2; missing in all: 2 of 3`},
		{"never told, and missing the new", twoEpochs + "c connected e1:2|end", illegal, 8,
			`client "c" never saw room-1#e2:1 (message "z") by the end of the run, with the log at room-1#e2:1 and the client at room-1#e1:2`},
		{"never told, as others were", "c connected e1:0|d connected e1:0|p publish a|p ok a e2:1|d gap e2:0|d deliver e2:1 a|end", illegal, 7, `client "c" never saw room-1#e2:1`},
		{"known from a move only", "p publish a|c connected e1:0|d connected e1:0|d gap e2:0|d deliver e2:1 a|end", illegal, 6, `client "c" never saw room-1#e2:1`},
		{"told of one epoch, not of the next", twoEpochs + "p publish d|p ok d e3:1|c connected e1:2|c gap e2:0|c deliver e2:1 z|end", illegal, 12, `never saw room-1#e3:1 (message "d")`},
		{"told and left behind", twoEpochs + "c connected e1:2|c gap e2:0|end", illegal, 9, "never saw room-1#e2:1"},
		{"told of a gap in the old only", twoEpochs + "c connected e1:0|c gap e1:2|end", illegal, 9, "missing in all: 1 of 1"},
		{"told in another room", twoEpochs + "c connected e1:2|c connected e1:0@x|c gap e2:1@x|end", illegal, 10, "room-1#e2:1"},

		{"silent new start", twoEpochs + "c connected e1:1|c gone|c connected e2:0|c deliver e2:1 z|end", illegal, 9,
			`client "c" never saw room-1#e1:2 (message "b"): it went from room-1#e1:1 to room-1#e2:0 without a discontinuity; missing in all: 1 of 2`},
		{"silent new start at the end", twoEpochs + "c connected e1:2|c connected e2:1|end", illegal, 8, "never saw room-1#e2:1"},
		{"silent new start that claims to resume", twoEpochs + "c connected e1:1|c gone|c resumed e2:1|end", illegal, 9, "from room-1#e1:1 to room-1#e2:1"},
		{"silent change in mid-stream", twoEpochs + "c connected e1:1|c deliver e2:1 z|end", illegal, 8, "from room-1#e1:1 to room-1#e2:0"},
		{"silent change, with nothing missed", twoEpochs + "c connected e1:2|c deliver e2:1 z|end", legal, 0, ""},
		{"announced after it happened", twoEpochs + "c connected e1:1|c connected e2:0|c deliver e2:1 z|c gap e2:1|end", illegal, 8, "without a discontinuity"},
		{"announced in part", twoEpochs + "c connected e1:2|c connected e2:1|c gap e2:0|end", illegal, 8, "never saw room-1#e2:1"},
		{"announced in the old epoch only", twoEpochs + "c connected e1:1|c connected e2:1|c gap e1:2|end", illegal, 8, "never saw room-1#e2:1"},
		{"connected on the way to a newer one", twoEpochs + "c connected e1:1|c connected e2:1|c gap e3:0|end", unknown, 0, "nothing to check"},

		{"no end, and may yet be told", twoEpochs + "c connected e1:1", unknown, 0, "has not got room-1#e1:2 yet; missing in all: 2 of 2"},
		{"no end, but gone silently", twoEpochs + "c connected e1:1|c connected e2:0|c deliver e2:1 z", illegal, 8, "without a discontinuity"},
		{"sent back within an epoch forgives nothing", twoEpochs + "c connected e1:0|c deliver e1:1 a|c gap e1:0|end", illegal, 10, "never saw room-1#e1:2"},
		{"epochs named in part", log3 + "c connected e1:0|end", unknown, 0, "malformed history: step 7: connected: Epoch is"},
		{"absurd positions", "p publish a|p publish b|p ok a e1:18446744073709551615|p ok b e2:1|c connected e1:18446744073709551615|" +
			"c connected e2:18446744073709551615|c gap e2:18446744073709551615|end", unknown, 0, "nothing to check"},
	})
}

func TestNoLossPartial(t *testing.T) {
	h := story(t, log3+"c connected 0|c deliver 1 a|end")
	require.Equal(t, illegal, properties.NoLoss().Check(h).Outcome)
	h.Partial = true
	require.Equal(t, unknown, properties.NoLoss().Check(h).Outcome)
}

func TestNoDuplicate(t *testing.T) {
	judge(t, properties.NoDuplicate(), []judgement{
		{"once each", log3 + "c connected 0|c deliver 1 a|d connected 0|d deliver 1 a|c deliver 2 b", legal, 0, "3 deliveries"},
		{"same ID in two rooms", "c deliver 1 a|c deliver 1 a@x", legal, 0, "2 deliveries"},
		{"same position twice", "c deliver 1 a|c deliver 2 b|c deliver 1 a", illegal, 3, `client "c" saw room-1#1 again, as "a"; it had it since step 1`},
		{"same position, another message", "c deliver 1 a|c deliver 1 b", illegal, 2, "room-1#1 again"},
		{"same message, another position", "c deliver 1 a|c deliver 2 b|c deliver 3 a", illegal, 3, `message "a" again, as room-1#3; it had it as room-1#1 since step 1`},
		{"after a resume", "c connected 0|c deliver 1 a|c gone|c resumed 1|c deliver 1 a", illegal, 5, "again"},
		{"after a silent new start", "c connected 0|c deliver 1 a|c gone|c connected 0|c deliver 1 b", illegal, 5, "again"},
		{"positions of a new epoch", "c connected 0|c deliver 1 a|c gap 0|c deliver 1 b", legal, 0, ""},
		{"messages of another epoch", "c connected 0|c deliver 1 a|c gap 0|c deliver 1 a", illegal, 4, `message "a" again`},
		{"a discontinuity ahead begins nothing", "c connected 0|c deliver 1 a|c gap 5|c deliver 1 b", illegal, 4, "again"},
		{"not fooled by a far connection", "c connected 0|c deliver 5 a|c connected 9|c gap 7|c deliver 5 b", illegal, 5, "again"},
		{"positions of epochs with names", "c connected e1:0|c deliver e1:1 a|c gap e2:0|c deliver e2:1 b", legal, 0, "2 deliveries"},
		{"positions of epochs, told of or not", "c connected e1:0|c deliver e1:1 a|c deliver e2:1 b", legal, 0, "2 deliveries"},
		{"a position of an epoch twice", "c deliver e1:1 a|c gap e2:0|c deliver e2:1 b|c gap e1:0|c deliver e1:1 z", illegal, 5, "room-1#e1:1 again"},
		{"sent back within an epoch", "c deliver e1:1 a|c gap e1:0|c deliver e1:1 b", illegal, 3, "room-1#e1:1 again"},
		{"published again into a log that forgot it", "c deliver e1:1 a|c gap e2:0|c deliver e2:1 a", illegal, 3, `message "a" again, as room-1#e2:1; it had it as room-1#e1:1`},
		{"nothing delivered", log3 + "c connected 0|end", unknown, 0, "nothing to check"},
	})
}

func TestInOrder(t *testing.T) {
	judge(t, properties.InOrder(), []judgement{
		{"in order", "c deliver 1 a|d deliver 5 e|c deliver 2 b|d deliver 6 f", legal, 0, "4 deliveries"},
		{"gaps do not matter", "c deliver 1 a|c deliver 9 b", legal, 0, ""},
		{"repetitions do not matter", "c deliver 1 a|c deliver 2 b|c deliver 1 a|c deliver 2 b|c deliver 3 c", legal, 0, ""},
		{"rooms do not matter to one another", "c deliver 5 a|c deliver 1 a@x", legal, 0, ""},
		{"swapped", "c7 deliver 30 a|c7 deliver 32 b|c7 deliver 31 c", illegal, 3, `client "c7" saw room-1#31 after room-1#32`},
		{"before its start", "c connected 5|c deliver 6 a|c gone|c resumed 6|c deliver 5 e", illegal, 5, "room-1#5 after room-1#6"},
		{"from a new epoch on", "c connected 5|c deliver 6 a|c gap 0|c deliver 1 x", legal, 0, ""},
		{"within a new epoch", "c connected 5|c deliver 6 a|c gap 0|c deliver 2 x|c deliver 1 y", illegal, 5, "room-1#1 after room-1#2"},
		{"in epoch after epoch", "c deliver e1:8 a|c gap e2:0|c deliver e2:1 b|c deliver e2:2 d", legal, 0, "3 deliveries"},
		{"within the later epoch", "c deliver e1:8 a|c gap e2:0|c deliver e2:2 b|c deliver e2:1 d", illegal, 4, "room-1#e2:1 after room-1#e2:2"},
		{"sent back within an epoch, named", "c deliver e1:8 a|c gap e1:0|c deliver e1:1 b", illegal, 3, "room-1#e1:1 after room-1#e1:8"},
		{"epochs in turns", "c deliver e1:1 a|c deliver e2:1 b|c deliver e1:2 d", illegal, 3, "room-1#e1:2 after room-1#e2:1: it had left that epoch"},
		{"repetitions from an epoch it left", "c deliver e1:1 a|c deliver e2:1 b|c deliver e1:1 a|c deliver e2:2 d", legal, 0, ""},
		{"a discontinuity ahead begins nothing", "c deliver 2 b|c gap 5|c deliver 1 a", illegal, 3, "room-1#1 after room-1#2"},
		{"nothing delivered", log3 + "end", unknown, 0, "nothing to check"},
	})
}

func TestLinearizable(t *testing.T) {
	judge(t, properties.Linearizable(), []judgement{
		{"one after another", log3 + "c deliver 1 a|c deliver 2 b|d deliver 1 a|end", legal, 0, "3 appends and 6 observed positions of 1 logs"},
		{"seen before the return", "p publish a|c deliver 1 a|p ok a 1", legal, 0, ""},
		{"concurrent, in any order", "p publish a|q publish b|q ok b 1|p ok a 2", legal, 0, ""},
		{"seen though given up", "p publish a|p unknown a|c deliver 1 a", legal, 0, ""},
		{"given up, and lands later", "p publish a|p unknown a|q publish b|q ok b 1|c deliver 2 a", legal, 0, ""},
		{"given up, never seen, fills a hole", "p publish a|p unknown a|q publish b|q ok b 2", legal, 0, ""},
		{"given up, never lands", "p publish a|p unknown a|q publish b|q ok b 1|end", legal, 0, ""},
		{"tried again", "p publish a|p unknown a|p publish a|p ok a 1|p publish a|p ok a 1", legal, 0, ""},
		{"rooms are apart", "p publish a|p ok a 1|p publish a@x|p ok a 1@x", legal, 0, "2 appends and 2 observed positions of 2 logs"},

		{"before its publish is called", "c deliver 1 a|p publish a|p ok a 1", illegal, 1, "nobody had called publish for"},
		{"never published", log3 + "c deliver 4 d", illegal, 7, `client "c" saw room-1#4 as message "d", which nobody had called publish for`},
		{"against real time", "p publish a|p ok a 2|q publish b|q ok b 1", illegal, 2, "no order of the 1 messages"},
		{"against real time, with room for it", "p publish a|q publish x|p ok a 2|q publish b|q ok b 1", illegal, 5, "no order of the 3 messages published so far"},
		{"two messages at a position", log3 + "c deliver 2 b|d deliver 2 c", illegal, 8, `client "d" saw room-1#2 as message "c", but at step 4 message "b" was there`},
		{"a message at two positions", log3 + "c deliver 1 a|p publish d|d deliver 4 a", illegal, 9, `but at step 2 it was at room-1#1`},
		{"another position on trying again", "p publish a|p ok a 1|p publish a|p publish b|p ok a 2", illegal, 5, "but at step 2 it was at room-1#1"},
		{"position zero", "p publish a|p ok a 0", illegal, 2, "room-1#0"},
		{"a hole that nothing fills", log3 + "p publish d|p ok d 5", illegal, 8, "no order of the 4"},
		{"the filler was published too late", "p publish a|c deliver 2 a|q publish b|q unknown b", illegal, 2, "no order of the 1"},
		{"the filler turns up elsewhere", "p publish a|q publish b|p ok a 2|s publish d|q ok b 3", illegal, 5, "no order of the 3"},
		{"the wrong room", "p publish a|p ok a 1|c deliver 1 a@x", illegal, 3, "x#1"},
		{"absurd position", "p publish a|p ok a 18446744073709551615", illegal, 2, ""},
		{"one epoch after another", "p publish a|p ok a e1:1|p publish b|p ok b e2:1|c deliver e1:1 a|c deliver e2:1 b", legal, 0, "2 appends and 4 observed positions of 2 logs"},
		{"one publish in two epochs", "p publish a|c deliver e1:1 a|p ok a e2:1|c deliver e2:1 a", legal, 0, "2 appends and 3 observed positions of 2 logs"},
		{"a later epoch seen first", "p publish a|p publish b|p ok b e2:1|p ok a e1:1", legal, 0, ""},
		{"a hole in the new epoch that nothing fills", "p publish a|p ok a e1:1|p publish b|p ok b e2:3", illegal, 4, "no order of the 2"},
		{"two messages at a position of an epoch", "p publish a|p publish b|p ok a e1:1|p ok a e2:1|p ok b e2:1", illegal, 5, `but at step 4 message "a" was there`},
		{"a message at two positions of an epoch", "p publish a|p publish b|p ok a e1:1|p ok b e2:1|c deliver e2:2 a|d deliver e2:3 a", illegal, 6, "but at step 5 it was at room-1#e2:2"},
		{"against real time in an epoch", "p publish a|p ok a e1:1|q publish b|q ok b e2:2|p publish d|p ok d e2:1", illegal, 6, "no order of the 3"},
		{"epochs in turns", "p publish a|p ok a e1:1|q publish b|q ok b e2:1|p publish d|p ok d e1:2", illegal, 6,
			`publisher "p" was told room-1#e1:2 for message "d", but then epochs "e1" and "e2" were appended to in turns: ` +
				"the one was there by step 2 and has a message whose publish was called at step 5, the other by step 4 and at step 3"},
		{"epochs in turns, one of them seen empty", "c connected e1:0|d connected e2:0|p publish a|p publish b|p ok a e1:1|p ok b e2:1", illegal, 6, "appended to in turns"},
		{"the first step of two rooms", log3 + "d deliver 1 z@y|c deliver 1 z@x", illegal, 7, "y#1"},

		{"nothing observed", "p publish a|p unknown a|c connected 0|end", unknown, 0, "nothing to check"},
	})
}

// A message that arrives without an ID is nobody's, even where a hole would have room for it.
func TestLinearizableEmptyID(t *testing.T) {
	h := story(t, "p publish a|q publish b|p ok a 2|c deliver 1 x")
	h.Events[3].ID = ""
	v := properties.Linearizable().Check(h)
	require.Equal(t, illegal, v.Outcome)
	require.Equal(t, uint64(4), v.Step)
}

func TestLinearizableWithin(t *testing.T) {
	for _, limit := range []time.Duration{0, -time.Second} {
		_, err := properties.LinearizableWithin(limit)
		require.ErrorContains(t, err, "it must be positive")
	}
	h := story(t, log3+"end")
	p, err := properties.LinearizableWithin(time.Minute)
	require.NoError(t, err)
	require.Equal(t, legal, p.Check(h).Outcome)
	p, err = properties.LinearizableWithin(1) // is over before it begins
	require.NoError(t, err)
	v := p.Check(h)
	require.Equal(t, unknown, v.Outcome)
	require.Contains(t, v.Detail, "not decided within 1ns")
}

func TestVisualizeLinearizable(t *testing.T) {
	var page strings.Builder
	require.NoError(t, properties.VisualizeLinearizable(story(t, log3+"c deliver 2 c|end"), &page))
	require.Contains(t, page.String(), "read(2)")
	require.Contains(t, page.String(), "</html>")
	require.Error(t, properties.VisualizeLinearizable(nil, &page))
	require.NoError(t, properties.VisualizeLinearizable(&model.History{}, &page))
}

func TestRegistry(t *testing.T) {
	var names []string
	for _, p := range properties.All() {
		names = append(names, p.Name())
		found, err := properties.Find(strings.ToUpper(p.Name()))
		require.NoError(t, err)
		require.Equal(t, p.Name(), found.Name())
	}
	require.Equal(t, []string{"NoLoss", "NoDuplicate", "InOrder", "Linearizable", "Conforms"}, names)
	entries := map[string]bool{}
	for _, e := range properties.Catalogue() {
		p, err := properties.Find(e.Example)
		require.NoError(t, err)
		require.Equal(t, e.Name, p.Name())
		require.False(t, entries[e.Name])
		entries[e.Name] = true
	}
	for _, name := range names {
		require.True(t, entries[name])
	}
	for text, want := range map[string]string{
		"nosuch":                            `no property "nosuch"; there are NoLoss, NoDuplicate, InOrder, Linearizable, Conforms, FIFO, `,
		"nosuch(1)":                         `no property "nosuch"`,
		"Staleness":                         "property Staleness takes 1 arguments, not 0; write it as Staleness(2s)",
		"NoLoss(2s)":                        "takes 0 arguments, not 1",
		"Staleness(2s":                      "property: operation \"Staleness(2s\": byte 13",
		"Staleness(0s)":                     `property Staleness: "0s"; want a positive duration`,
		"reconnect(abc)":                    `property Reconnect: "abc"; want a positive duration`,
		"BoundedQueue(-1)":                  `limit "-1"; want a whole number`,
		"MinimalMovement(-0.1)":             `slack "-0.1"; want a number from 0`,
		"MinimalMovement(nan)":              `slack "nan"`,
		"FanoutBound(1, 10, 1ms, 1ms, 0s)":  "Branch is 1; want 2",
		"FanoutBound(2, x, 1ms, 1ms, 0s)":   `leaves "x"`,
		"FanoutBound(2, 10, 1ms, 1ms, -1s)": `slack "-1s"`,
		"FanoutBound(2, 10, 1ms, 1ms)":      "takes 5 arguments, not 4",
	} {
		_, err := properties.Find(text)
		require.ErrorContains(t, err, want, text)
	}

	good := story(t, log3+"c connected 0|c deliver 1 a|c deliver 2 b|c deliver 3 c|end")
	for _, v := range properties.Check(good) {
		require.True(t, v.Ok(), v)
	}
	vs := properties.Check(good, properties.InOrder(), properties.NoLoss())
	require.Equal(t, "InOrder", vs[0].Property)
	require.Equal(t, "NoLoss", vs[1].Property)

	ties := story(t, log3+"end")
	ties.Events[1].Step = 1
	for _, h := range []*model.History{nil, ties} {
		for _, v := range properties.Check(h) {
			require.Equal(t, unknown, v.Outcome, v)
			require.Contains(t, v.Detail, "malformed history")
		}
	}
}

func ExampleCheck() {
	h := &model.History{Events: []model.Event{
		{Step: 1, Kind: model.PublishCall, Node: "p1", Room: "room-1", ID: "a"},
		{Step: 2, Kind: model.Connected, Node: "c7", Room: "room-1", Seq: 0},
		{Step: 3, Kind: model.Deliver, Node: "c7", Room: "room-1", Seq: 1, ID: "a"},
		{Step: 4, Kind: model.Deliver, Node: "c7", Room: "room-1", Seq: 1, ID: "a"},
		{Step: 5, Kind: model.RunEnd},
	}}
	for _, v := range properties.Check(h, properties.NoLoss(), properties.NoDuplicate()) {
		fmt.Println(v)
	}
	// Output:
	// Ok: NoLoss: 1 (client, message) pairs of 1 subscriptions, all delivered
	// Illegal: NoDuplicate: client "c7" saw room-1#1 again, as "a"; it had it since step 3
}

// Whichever specification is broken first is the one that Conforms names.
func TestConforms(t *testing.T) {
	judge(t, properties.Conforms(), []judgement{
		{"all", log3 + "k join e1|k assign e1|c connected 0|c deliver 1 a|c gone|end", legal, 0, "9 events of 1 rooms follow the specification"},
		{"the room's", log3 + "c connected 0|c deliver 2 b|c gone|c deliver 1 a", illegal, 8, "saw room-1#2, but had got to room-1#0 only"},
		{"the session's", log3 + "c connected 0|c gone|c deliver 1 a|c deliver 3 c", illegal, 9, "but was not connected"},
		{"the assignment's", log3 + "k join e1|k assign e1|s copy a e1|k join e2|s copy a e2|c connected 0|c deliver 2 b", illegal, 11, `but it is "e1"'s`},
		{"nothing of a room", "k join e1|end", unknown, 0, "nothing to check"},
	})
}
