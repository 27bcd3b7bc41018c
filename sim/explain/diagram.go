package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

// Diagram is a space-time diagram of what led to a violation. Hosts are lanes, and time runs down: a line an
// event, and no scale, so that what took a microsecond and what took seconds are both seen.
type Diagram struct {
	// Title is the verdict, and Lanes are the hosts, from the publishers to the clients.
	Title string
	Lanes []string

	rows   []row
	arrows []arrow
	bands  []band
	lane   map[string]int
}

// row is an event.
type row struct {
	step   uint64
	time   time.Duration
	text   string
	lane   int // where it happened; -1 for nowhere in particular
	tone   tone
	cross  bool          // something ended here
	broken bool          // the violation
	before time.Duration // a long time has passed since the row before; 0 if not
	left   int           // events left out before this one
}

// tone is how loud something is drawn.
type tone uint8

const (
	toneQuiet tone = iota // what only surrounds it
	tonePlain
	toneLoud  // the message that the verdict is about
	toneFault // what goes wrong
)

// arrow is a message on its way, from a lane at a row to a lane at a row.
type arrow struct {
	fromRow, fromLane, toRow, toLane int
	tone                             tone
	dashed                           bool
	lost                             bool // it did not arrive: it is crossed out
}

// band is a fault on a lane, from a row to a row.
type band struct {
	lane, from, to int
	text           string
}

// The most events that a diagram has, and the least of them, at its beginning, that stay when some are left out.
const (
	mostRows = 48
	headRows = 16
)

// longTime is how long nothing must happen for the diagram to show it.
const longTime = 400 * time.Millisecond

// Diagram draws what led to the violation: the journeys of its messages, the connections of the client, other
// messages that it got meanwhile, packets that it lost, and faults. Where nothing is known of messages, it
// draws packets.
func (c *Case) Diagram() *Diagram {
	b := &builder{c: c, seen: map[*model.Event]bool{}}
	journeys := c.Journeys()
	for i, j := range journeys {
		for _, s := range j.Stops {
			text, t := s.Text, stopTone(s.event)
			if len(journeys) > 1 && is(s.event, j.About) && !ofConnection(s.event.Kind) {
				text = c.run.place(j.About.Room, j.About.Cursor()) + ": " + text
			}
			if i > 0 && t == toneLoud {
				t = tonePlain
			}
			b.event(s.event, text, t)
		}
	}
	if len(journeys) == 0 {
		b.packets()
	} else {
		b.surroundings()
		b.losses()
	}
	b.violation()
	return b.build(journeys)
}

func stopTone(e *model.Event) tone {
	switch e.Kind {
	case model.FaultBegin, model.FaultEnd:
		return toneFault
	}
	if ofConnection(e.Kind) {
		return tonePlain
	}
	return toneLoud
}

// ofConnection reports whether events of a kind are about a client's connection, and not about a message.
func ofConnection(k model.Kind) bool { return ofClient(k) && k != model.Deliver }

// builder gathers what a diagram shows.
type builder struct {
	c     *Case
	seen  map[*model.Event]bool
	items []item
}

// item is a row to be.
type item struct {
	row
	host  string
	event *model.Event // of the history or trail; nil if it is of the trace
	peer  string       // of a packet: where it was going
	lost  bool         // and did not arrive
	late  bool         // at host, from peer
	from  *Step        // and when it was sent, if it arrived
}

func (b *builder) event(e *model.Event, text string, t tone) {
	if e == nil || b.seen[e] {
		return
	}
	b.seen[e] = true
	b.items = append(b.items, item{row: row{step: e.Step, time: e.Time, text: text, tone: t, cross: e.Kind == model.Disconnected}, host: e.Node, event: e})
}

// begin is the time of the first item.
func (b *builder) begin() time.Duration {
	first := b.c.Time
	for _, i := range b.items {
		first = min(first, i.time)
	}
	return first
}

// mostAround is how many events are shown that only surround a journey.
const mostAround = 12

// surroundings adds what the client got besides in the same room, the latest of it.
func (b *builder) surroundings() {
	about, begin := b.c.About, b.begin()
	var around []*model.Event
	for _, e := range b.c.run.merged() {
		if e.Time < begin || e.Time > b.c.Time || e.Step > b.c.Step || e.Room != about.Room || b.seen[e] {
			continue
		}
		toClient := e.Kind == model.Copy && e.Peer == about.Client || ofClient(e.Kind) && e.Node == about.Client
		if toClient {
			around = append(around, e)
		}
	}
	for _, e := range around[max(0, len(around)-mostAround):] {
		b.event(e, b.surroundingText(e), toneQuiet)
	}
}

func (b *builder) surroundingText(e *model.Event) string {
	what := b.c.run.place(e.Room, e.Cursor())
	switch e.Kind {
	case model.Copy:
		return fmt.Sprintf("%s hands %s to %s", e.Node, what, e.Peer)
	case model.Deliver:
		return fmt.Sprintf("%s gets %s", e.Node, what)
	}
	return b.c.run.clientText(e, model.Subject{})
}

// mostLosses is how many kinds of losses are shown.
const mostLosses = 8

// losses adds the packets from and to the client that did not get through. Those that were lost in the same way
// one after the other are one.
func (b *builder) losses() {
	client := b.c.About.Client
	if client == "" {
		return
	}
	counts := []int{}
	first := len(b.items)
	for i := b.c.run.firstStep(b.begin()); i <= b.c.Step; i++ {
		s, ok := b.c.run.step(i)
		if !ok {
			break
		}
		if s.Host != client && s.Peer != client || !slices.Contains(lossKinds, s.Kind) {
			continue
		}
		if n := len(b.items); n > first && b.items[n-1].host == s.Host && b.items[n-1].peer == s.Peer && s.Time-b.items[n-1].time < time.Second {
			counts[len(counts)-1]++
			continue
		}
		if len(counts) == mostLosses {
			break
		}
		counts = append(counts, 1)
		b.items = append(b.items, item{row: row{step: s.Step, time: s.Time, text: s.Kind, tone: toneFault}, host: s.Host, peer: s.Peer, lost: true, late: late(s.Kind)})
	}
	for i, n := range counts {
		it := &b.items[first+i]
		what := "a packet"
		if n > 1 {
			what = fmt.Sprintf("%d packets", n)
		}
		it.text = fmt.Sprintf("%s between %s and %s: %s", what, it.host, it.peer, it.text)
	}
}

// violation marks what the verdict is about.
func (b *builder) violation() {
	c := b.c
	text := "✗ " + c.Verdict.Property
	for i := range b.items {
		if it := &b.items[i]; it.step == c.Step && (it.event == nil || it.event == c.Event) {
			it.text, it.tone, it.broken = text+": "+it.text, toneFault, true
			return
		}
	}
	it := item{row: row{step: c.Step, time: c.Time, text: text, tone: toneFault, broken: true}, event: c.Event}
	if e := c.Event; e != nil {
		it.host = e.Node
		switch {
		case e.Kind == model.RunEnd:
			it.text += ": the run is over"
		case e.Room != "" && ofClient(e.Kind):
			it.text += ": " + b.surroundingText(e)
		default:
			it.text += fmt.Sprintf(": %s %s", e.Kind, e.Node)
		}
	}
	b.items = append(b.items, it)
}

// build puts everything in order, and into lanes.
func (b *builder) build(journeys []*Journey) *Diagram {
	slices.SortStableFunc(b.items, func(a, c item) int {
		return cmp.Or(cmp.Compare(a.time, c.time), cmp.Compare(a.step, c.step))
	})
	left := 0
	if over := len(b.items) - mostRows; over > 0 {
		b.items = slices.Delete(b.items, headRows, headRows+over)
		left = over
	}
	d := &Diagram{Title: b.c.Verdict.String(), lane: map[string]int{}}
	b.lanes(d)
	for i := range b.items {
		it := &b.items[i]
		it.lane = -1
		if lane, ok := d.lane[it.host]; ok {
			it.lane = lane
		}
		if i == headRows {
			it.left = left
		}
		if i > 0 && it.left == 0 {
			if gap := it.time - b.items[i-1].time; gap >= longTime {
				it.before = gap
			}
		}
		d.rows = append(d.rows, it.row)
	}
	b.arrows(d, journeys)
	for _, j := range journeys {
		b.deadEnd(d, j.dead)
	}
	b.bands(d)
	return d
}
