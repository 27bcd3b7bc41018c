package plots_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

const ms = time.Millisecond

// chat is a made-up run that looks like a real one: clients spread over three edges and some
// transports, ten rooms in which somebody publishes every 400 ms, and edge-2 down from 5 s to 8 s. Its
// clients come back after a jittered back-off, with what they missed.
type chat struct {
	clients    int
	transports []string
	end        time.Duration
	crash      bool
	// noise makes the tail: a lost segment costs a retransmission timeout.
	noise float64
}

const (
	rooms     = 10
	interval  = 400 * ms
	crashAt   = 5 * time.Second
	restartAt = 8 * time.Second
)

func (c chat) history() *model.History {
	rng := rand.New(rand.NewPCG(7, 11))
	var events []model.Event
	add := func(at time.Duration, e model.Event) {
		e.Time = at
		events = append(events, e)
	}
	back := make([]time.Duration, c.clients) // when each client is back
	for i := range c.clients {
		e := model.Event{Node: fmt.Sprintf("c%d", i), Room: room(i), Transport: c.transport(i), Peer: fmt.Sprintf("edge-%d", i%3)}
		first := e
		first.Kind = model.Connected
		add(time.Duration(rng.IntN(250))*ms, first)
		if c.crash && i%3 == 2 {
			back[i] = restartAt + time.Duration(100+rng.ExpFloat64()*350)*ms
			gone, again := e, e
			gone.Kind = model.Disconnected
			add(crashAt+time.Duration(rng.IntN(40))*ms, gone)
			again.Kind, again.Resumed = model.Connected, true
			add(back[i], again)
		}
	}
	if c.crash {
		add(crashAt, model.Event{Kind: model.FaultBegin, Note: "crash(edge-2)"})
		add(restartAt, model.Event{Kind: model.FaultEnd, Note: "crash(edge-2)"})
	}
	for r := range rooms {
		seq := uint64(0)
		for at := 300*ms + time.Duration(r)*37*ms; at < c.end-2*time.Second; at += interval {
			seq++
			m := model.Event{Room: room(r), ID: fmt.Sprintf("m%d-%d", r, seq), Node: fmt.Sprintf("p%d", r)}
			call := m
			call.Kind = model.PublishCall
			add(at, call)
			for i := r; i < c.clients; i += rooms {
				got := at + c.delay(rng, c.transport(i))
				if got > crashAt && got < back[i] {
					got = back[i] + time.Duration(20+rng.IntN(30))*ms
				}
				m.Kind, m.Node, m.Seq, m.Transport = model.Deliver, fmt.Sprintf("c%d", i), seq, c.transport(i)
				add(got, m)
			}
		}
	}
	return inOrder(events, c.end)
}

// delay is what a delivery takes on each transport when nothing is broken.
func (c chat) delay(rng *rand.Rand, transport string) time.Duration {
	d := 35 + 30*rng.Float64()
	switch transport {
	case "longpoll":
		if rng.Float64() < 0.2 { // it is between two requests
			d += 80 * rng.Float64()
		}
	case "poll":
		d += 1000 * rng.Float64()
	case "webrtc":
		d -= 8
	}
	if rng.Float64() < c.noise {
		d += 200 * math.Pow(2, float64(rng.IntN(3)))
	}
	return time.Duration(d * float64(ms))
}

func room(i int) string               { return fmt.Sprintf("room-%d", i%rooms) }
func (c chat) transport(i int) string { return c.transports[i/3%len(c.transports)] }

// inOrder sorts by time and numbers the steps.
func inOrder(events []model.Event, end time.Duration) *model.History {
	slices.SortStableFunc(events, func(a, b model.Event) int { return cmp.Compare(a.Time, b.Time) })
	events = append(events, model.Event{Kind: model.RunEnd, Time: max(end, events[len(events)-1].Time)})
	for i := range events {
		events[i].Step = uint64(i + 1)
	}
	return &model.History{Events: events}
}
