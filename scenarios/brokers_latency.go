package scenarios

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twohop/twohop/model"
)

// AddedLatency judges what the hop adds, from the publisher's call to the edge, while nothing fails: at the 99th
// percentile less than 10 ms of every strategy that pushes, and of pull what its interval explains, [model.Poll].
func (b *Brokers) AddedLatency() model.Property { return addedLatency{b} }

type addedLatency struct{ b *Brokers }

func (addedLatency) Name() string { return "AddedLatency" }

const (
	// mostAdded is how much a hop may add in a data centre, at the 99th percentile.
	mostAdded = 10 * time.Millisecond
	// insideCentre is the longest one-way delay between hosts of a data centre.
	insideCentre = time.Millisecond
	// leastAdded is how many messages of each strategy it takes to judge.
	leastAdded = 20
	// pullInterval is that of pull, by default.
	pullInterval = time.Second
	// pollFalseAlarm is how probable it is at most that the waits for a poll are judged to be none by chance.
	pollFalseAlarm = 1e-6
)

// judgesLatency tells whether the parameters give occasion to judge the latency that is added: all is in a data centre,
// whose cards are not limited, and much more than enough is published before anything fails.
func (b *Brokers) judgesLatency() bool {
	from, _ := b.faulty()
	calm := b.calm(from)
	return b.Latency <= insideCentre && b.Uplink == 0 && calm.to-calm.from >= pullInterval &&
		float64(b.Publishers)*b.Rate*pullInterval.Seconds() >= 2*leastAdded
}

// messages counts the messages that latencies are of.
func messages(ls []model.Latency) int {
	type message struct{ room, id string }
	seen := map[message]bool{}
	for _, l := range ls {
		seen[message{l.Room, l.ID}] = true
	}
	return len(seen)
}

func (a addedLatency) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: a.Name()}
	if err := model.WellFormed(h); err != nil {
		v.Outcome, v.Detail = model.Unknown, "malformed history: "+err.Error()
		return v
	}
	worst, polled := time.Duration(0), ""
	for _, strategy := range a.b.strategies() {
		tally := a.b.tally(h, strategy)
		calm := tally.undisturbed
		if strategy == "pull" { // whatever the phase of a poll, as much time before it as any other
			whole := (tally.calm.to - tally.calm.from).Truncate(pullInterval)
			calm = slices.DeleteFunc(calm, func(l model.Latency) bool { return l.Published < tally.calm.to-whole })
		}
		if n := messages(calm); n < leastAdded {
			v.Outcome, v.Detail = model.Unknown, fmt.Sprintf("too little to judge: %d messages by %s while nothing failed; it takes %d", n, strategy, leastAdded)
			return v
		}
		if strategy == "pull" {
			detail, ok := a.b.explained(calm)
			if !ok {
				v.Outcome, v.Detail = model.Illegal, detail
				return v
			}
			polled = "; pull: " + detail
			continue
		}
		p99 := distribution(calm).Quantile(0.99)
		if p99 >= mostAdded {
			v.Outcome, v.Detail = model.Illegal, fmt.Sprintf("%s adds %v at the 99th percentile; want less than %v", strategy, micros(p99), mostAdded)
			return v
		}
		worst = max(worst, p99)
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("at most %v at the 99th percentile where messages are pushed%s", micros(worst), polled)
	return v
}

// explained tells whether latencies are those of polling: within its bounds, and of its distribution, as far as a
// sample of independent messages is (the inequality of Dvoretzky, Kiefer and Wolfowitz, with the constant of P. Massart,
// 1990).
func (b *Brokers) explained(calm []model.Latency) (detail string, ok bool) {
	form := model.Poll{
		Path:   model.Push{Store: model.Leg{Latency: b.Latency}, Fetch: model.Leg{Latency: b.Latency}},
		Period: model.Leg{Latency: pullInterval},
	}
	if b.Relays > 0 { // what edges get from them is pushed
		form.Path.Publish, form.Path.Deliver = form.Path.Store, form.Path.Fetch
	}
	d := distribution(calm)
	least, greatest := form.Bounds()
	first, last := d.Sorted[0], d.Quantile(1)
	if first < least || last > greatest+formSlack {
		return fmt.Sprintf("pull took %v to %v; an interval of %v explains %v to %v, and at most %v more", micros(first), micros(last), pullInterval, least, greatest, formSlack), false
	}
	off, allowed := kolmogorov(d, form), math.Sqrt(math.Log(2/pollFalseAlarm)/(2*float64(messages(calm))))
	if off > allowed {
		return fmt.Sprintf("pull's latencies are %.2f from the distribution that an interval of %v explains; allowed is %.2f with %d messages", off, pullInterval, allowed, messages(calm)), false
	}
	return fmt.Sprintf("%v to %v, as an interval of %v explains", micros(first), micros(last), pullInterval), true
}

// distribution is that of all latencies together.
func distribution(ls []model.Latency) model.Distribution {
	var d model.Distribution
	for _, l := range ls {
		d.Sorted = append(d.Sorted, l.Value())
	}
	slices.Sort(d.Sorted)
	return d
}
