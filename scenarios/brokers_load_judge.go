package scenarios

import (
	"fmt"
	"math"
	"time"

	"github.com/twohop/twohop/model"
)

// ClosedForm holds each load's mean latency against what the card must make of the messages as they were published
// ([model.FanoutPath]), in which there is no chance; and their waits in that against those of an M/D/1 queue
// ([model.FanoutQueue]), as far as chance allows ([model.QueueWindow]).
func (l *BrokerLoad) ClosedForm() model.Property { return loadForm{l} }

type loadForm struct{ l *BrokerLoad }

func (loadForm) Name() string { return "ClosedForm" }

const (
	// loadFalseAlarm is how probable it is at most that a run in which all is right is judged to be off the M/D/1 queue.
	loadFalseAlarm = 1e-6
	// leastLoads is how many loads it takes to judge.
	leastLoads = 3
)

func (f loadForm) Check(h *model.History) model.Verdict {
	v := model.Verdict{Property: f.Name()}
	if err := model.WellFormed(h); err != nil {
		v.Outcome, v.Detail = model.Unknown, "malformed history: "+err.Error()
		return v
	}
	loads := f.l.loads(h)
	judged, worst, chance := 0, 0.0, 0.0
	for i, path := range f.l.judged(loads) {
		a := &loads[i]
		got := a.took.Mean()
		if got < path.least || got > path.most {
			v.Outcome = model.Illegal
			v.Detail = fmt.Sprintf("at a utilization of %.2f the mean latency is %v; for when messages were published, the closed form says %v, and %v to %v, as packets carry one message or several",
				a.utilization, micros(got), micros(path.mean), micros(path.least), micros(path.most))
			return v
		}
		worst = max(worst, math.Abs(float64(got-path.mean))/float64(path.mean))
		mean, expected, allowed, ok := a.waits()
		if !ok {
			continue
		}
		judged++
		if off := (mean - expected).Abs(); off > allowed {
			v.Outcome = model.Illegal
			v.Detail = fmt.Sprintf("at a utilization of %.2f messages wait %v on average for when they were published, where an M/D/1 queue has them wait %v, and chance makes that %v more or less at most",
				a.utilization, micros(mean), micros(expected), micros(allowed))
			return v
		}
		chance = max(chance, float64((mean-expected).Abs())/float64(allowed))
	}
	if judged < leastLoads {
		v.Outcome, v.Detail = model.Unknown, fmt.Sprintf("too little to judge: %d loads that the card's queue has room for; it takes %d", judged, leastLoads)
		return v
	}
	v.Outcome, v.Detail = model.Ok, fmt.Sprintf("%d loads, their mean latencies within %.1f %% of the closed form for when messages were published, which is no more than %.0f %% as far from an M/D/1 queue as chance can make it",
		judged, 100*worst, 100*chance)
	return v
}

func micros(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// judgedPath is what the mean latency at one load should be, and the bounds of what it may be.
type judgedPath struct{ mean, least, most time.Duration }

// judged gives those loads, in order, that the closed form holds for: the messages that wait at any time are no more
// than the card's queue takes.
//
// How much work one message is, is not known better than this. It shares its packets with others, or does not, which
// makes it less or more by no more than the headers of all. What is sent anyhow, such as answers to edges that ask
// whether there was anything, is counted as the messages' work, so that it may be as little as at any load. And of
// copies that take several packets, those of several receivers may take turns.
func (l *BrokerLoad) judged(loads []brokerLoad) (paths []judgedPath) {
	headers, least := 0.0, time.Duration(math.MaxInt64)
	for _, a := range loads {
		headers = max(headers, a.headers)
		if a.form.Service > 0 {
			least = min(least, a.form.Service)
		}
	}
	same := l.path(loads, asMeasured)
	less := l.path(loads, func(a *brokerLoad) float64 { return (1 - headers) * float64(least) / float64(max(a.form.Service, 1)) })
	more := l.path(loads, func(*brokerLoad) float64 { return 1 + headers })
	for i := range loads {
		if loads[i].overloaded() || more[i].most > l.Queue || len(loads[i].took.Sorted) == 0 {
			break // what it leaves behind weighs on the next, too
		}
		paths = append(paths, judgedPath{same[i].mean, less[i].mean, more[i].mean + loads[i].turns})
	}
	return paths
}

// waits gives the mean wait of a load's messages in the queue as it went, and what is expected of a Poisson process; ok
// is false if that is nothing. The first message's moment still owes to the load before.
func (a *brokerLoad) waits() (mean, expected, allowed time.Duration, ok bool) {
	if len(a.queue.Arrivals) < 2 {
		return 0, 0, 0, false
	}
	first, _ := a.queue.Waits()
	w := a.queue
	w.From, w.Start, w.Arrivals = w.Arrivals[0], first[0]+w.Service, w.Arrivals[1:]
	waits, _ := w.Waits()
	for _, d := range waits {
		mean += d
	}
	expected, allowed, ok = w.Expect(a.rate, loadFalseAlarm/float64(len(brokerLoads)))
	return mean / time.Duration(len(waits)), expected, allowed, ok
}
