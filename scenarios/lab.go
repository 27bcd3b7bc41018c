package scenarios

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/hop1"
)

// lab is a small system without faults, loss or jitter, in which the latency of a transport can be held
// against its closed form: publishers, a broker and one edge within a data centre, and clients that
// connect to the edge.
type lab struct {
	w *sim.World
	// inside is one way between any two hosts of the data centre.
	inside time.Duration

	mu      sync.Mutex
	owed    int // deliveries to come
	arrived int
	online  int // connections that clients have had
}

// labInside is so short that what happens inside takes next to nothing of a latency.
const labInside = 50 * time.Microsecond

// newLab adds the data centre to a world.
func newLab(w *sim.World) *lab {
	l := &lab{w: w, inside: labInside}
	w.Link("*", "*", netsim.Link{Latency: l.inside})
	w.Node("edge", endpoint(redisSource(w, "redis-streams", "redis", sourceOptions{})))
	return l
}

// before is what an update takes until it has reached the clients' edge: from the publisher to the edge, to
// the broker, and back.
func (l *lab) before() model.Push {
	leg := model.Leg{Latency: l.inside}
	return model.Push{Publish: leg, Store: leg, Fetch: leg}
}

// client adds a client that is so far from the edge, one way, and connects after wait.
func (l *lab) client(name string, away, wait time.Duration, cfg hop1.ClientConfig) {
	l.w.Link(name, "edge", netsim.Link{Latency: away})
	l.w.Node(name, func(ctx context.Context, n *sim.Node) error {
		cfg.Name, cfg.BaseURL, cfg.HTTP, cfg.Rand = n.Name(), "http://edge", n.Metered(n.HTTPClient()), n.Rand("client")
		cfg.Observe, cfg.WebRTC = func(e model.Event) { l.observe(n, e) }, &hop1.WebRTC{Net: pionnet.New(n)}
		client, err := hop1.NewClient(cfg)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		_ = client.Run(ctx) // returns when ctx ends, and says so
		return nil
	})
}

// publisher adds a publisher. Its program gets a function that publishes without waiting for the answer.
func (l *lab) publisher(name string, program func(ctx context.Context, n *sim.Node, publish func(room, id string))) {
	l.w.Node(name, func(ctx context.Context, n *sim.Node) error {
		p := hop1.Publisher{
			Name: n.Name(), BaseURL: "http://edge", HTTP: n.HTTPClient(),
			Observe: func(e model.Event) { l.observe(n, e) },
		}
		var posts sync.WaitGroup
		defer posts.Wait()
		program(ctx, n, func(room, id string) {
			posts.Go(func() {
				// It fails only when the run ends; what became of the message is in the history.
				post(ctx, n, p, room, id, nil)
			})
		})
		return nil
	})
}

// owe says that so many more deliveries are to come.
func (l *lab) owe(deliveries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed += deliveries
}

func (l *lab) observe(n *sim.Node, e model.Event) {
	n.Record(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case model.Deliver:
		l.arrived++
	case model.Connected:
		l.online++
	}
}

// connected is how many connections there were.
func (l *lab) connected() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.online
}

func (l *lab) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.arrived >= l.owed
}

// run lets a length of virtual time pass, and then what more it takes for all to arrive.
func (l *lab) run(length time.Duration) {
	l.w.RunFor(length)
	for waited := time.Duration(0); waited < settleLimit && !l.done() && !l.w.Interrupted(); waited += time.Second {
		l.w.RunFor(time.Second)
	}
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// milliseconds writes a duration as a table has it.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
