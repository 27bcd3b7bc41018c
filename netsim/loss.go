package netsim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// GilbertElliott is a model of loss in bursts: a channel that is in a good or a bad state, loses packets
// with another probability in each, and may change its state after each packet (Gilbert 1960, Elliott
// 1963). The zero value loses nothing.
//
// The parameters are those of netem's gemodel and of Haßlinger and Hohlfeld, The Gilbert-Elliott Model for
// Packet Loss in Real Time Services on the Internet (2008). [Bursts] and [Fades] find them for a mean loss
// and length of bursts. A pipe's first packet finds the channel in either state with the probability of the
// long run, so that short runs have the same mean loss as long ones.
//
// With Slot 0 the state changes with packets, as in netem: a sender that falls silent finds the channel as
// it left it. That suits steady streams. But a TCP connection whose window is lost sends ever more rarely,
// and may meet a single burst for minutes. With a Slot the state changes with time, as a radio channel's
// does, whoever sends.
type GilbertElliott struct {
	// P is the probability, in [0, 1], that the channel becomes bad after a packet in the good state.
	P float64
	// R is the probability that it becomes good after a packet in the bad state, in [0, 1]; not 0 if P
	// is not 0.
	R float64
	// LossBad is the probability that a packet in the bad state is lost, in [0, 1]: 1-h.
	LossBad float64
	// LossGood is the probability that a packet in the good state is lost, in [0, 1]: 1-k.
	LossGood float64
	// Slot, if set, is after how much time the state may change, instead of after each packet; at most an
	// hour.
	Slot time.Duration
}

// Bursts is the model that loses a given fraction of packets on average, in bursts of lost packets whose
// length has a given mean: Gilbert's, with nothing lost in the good state and all in the bad. Loss is in
// [0, 1), meanLength at least 1, and at least so much that they can come so often: loss/(1-loss). Whatever
// else is given makes a model that no link accepts. If meanLength is 1/(1-loss), losses are independent
// (Bernoulli).
func Bursts(loss, meanLength float64) GilbertElliott {
	if loss == 0 && meanLength >= 1 {
		return GilbertElliott{}
	}
	r := 1 / meanLength
	return GilbertElliott{P: r * loss / (1 - loss), R: r, LossBad: 1}
}

// Fades is the model that loses a given fraction of packets on average, all of them while the channel is
// bad, which lasts a given time on average. Loss is in [0, 0.99], meanLength above 0 and at most an hour.
// Whatever else is given makes a model that no link accepts.
func Fades(loss float64, meanLength time.Duration) GilbertElliott {
	if loss == 0 && meanLength > 0 {
		return GilbertElliott{}
	}
	slot := max(meanLength/100, 1)
	g := Bursts(loss, float64(meanLength)/float64(slot))
	g.Slot = slot
	return g
}

// bad is the probability, in the long run, that the channel is bad.
func (g GilbertElliott) bad() float64 {
	if g.P == 0 {
		return 0
	}
	return g.P / (g.P + g.R)
}

// MeanLoss is the probability that a packet is lost, about all packets.
func (g GilbertElliott) MeanLoss() float64 {
	bad := g.bad()
	return bad*g.LossBad + (1-bad)*g.LossGood
}

// validate says which parameter is wrong, and what is allowed.
func (g GilbertElliott) validate() error {
	for _, p := range []struct {
		field string
		value float64
	}{{"P", g.P}, {"R", g.R}, {"LossBad", g.LossBad}, {"LossGood", g.LossGood}} {
		if !isProbability(p.value) {
			return fmt.Errorf("want %s in [0, 1], not %s (for bursts, a mean length of at least 1 and at least loss/(1-loss))", p.field, formatFloat(p.value))
		}
	}
	if g.P > 0 && g.R == 0 {
		return errors.New("want R above 0 if P is, or the channel stays bad for ever")
	}
	if g.Slot < 0 || g.Slot > maxDelay {
		return fmt.Errorf("want Slot from 0 to %v", maxDelay)
	}
	return nil
}

// String gives the text form, which [ParseGilbertElliott] reads back: gemodel(p, r, 1-h, 1-k), in the order
// of netem's parameters, with the slot as a fifth if there is one: gemodel(0.01, 0.1, 1, 0, 2ms).
func (g GilbertElliott) String() string {
	args := make([]string, 0, 5)
	for _, p := range []float64{g.P, g.R, g.LossBad, g.LossGood} {
		args = append(args, formatFloat(p))
	}
	if g.Slot != 0 {
		args = append(args, g.Slot.String())
	}
	return "gemodel(" + strings.Join(args, ", ") + ")"
}

// ParseGilbertElliott reads the text form of a model, see [GilbertElliott.String], or bursts(0.02, 4), which
// is [Bursts], or fades(0.02, 50ms), which is [Fades]. Numbers are fractions, not percentages.
func ParseGilbertElliott(s string) (GilbertElliott, error) {
	g, err := parseGilbertElliott(s)
	if err == nil {
		err = g.validate()
	}
	if err != nil {
		return GilbertElliott{}, fmt.Errorf("loss model %.80q: %w", s, err)
	}
	return g, nil
}

func parseGilbertElliott(s string) (GilbertElliott, error) {
	name, args, err := parseCall(s)
	if err != nil {
		return GilbertElliott{}, err
	}
	numbers, lasts := args, time.Duration(0)
	if name == "gemodel" && len(args) == 5 || name == "fades" && len(args) == 2 {
		numbers = args[:len(args)-1]
		if lasts, err = parseDuration(args[len(args)-1]); err != nil {
			return GilbertElliott{}, err
		}
	}
	p := make([]float64, len(numbers))
	for i, number := range numbers {
		if p[i], err = parseFloat(number); err != nil {
			return GilbertElliott{}, err
		}
	}
	switch {
	case name == "gemodel" && len(p) == 4:
		return GilbertElliott{p[0], p[1], p[2], p[3], lasts}, nil
	case name == "bursts" && len(p) == 2:
		return Bursts(p[0], p[1]), nil
	case name == "fades" && len(args) == 2:
		return Fades(p[0], lasts), nil
	}
	return GilbertElliott{}, errors.New("want gemodel(p, r, 1-h, 1-k), gemodel(p, r, 1-h, 1-k, slot), bursts(loss, length) or fades(loss, 50ms)")
}

// MarshalText is String, for flag.TextVar and JSON.
func (g GilbertElliott) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is ParseGilbertElliott.
func (g *GilbertElliott) UnmarshalText(text []byte) (err error) {
	*g, err = ParseGilbertElliott(string(text))
	return err
}

// channel is the state of a GilbertElliott.
type channel struct {
	used bool          // by a packet: before the first, either state may be
	bad  bool          // the state
	at   time.Duration // when it was that state
}

// loses draws whether a packet that is sent at a given time is lost. Packets are sent in order of time,
// but for those that find a limit lifted while others still wait: they find the channel as those do.
func (c *channel) loses(g *GilbertElliott, at time.Duration, luck *rand.PCG) bool {
	at = max(at, c.at)
	if bad, settled := c.chance(g, at); !settled {
		c.bad = uniform(luck) < bad
	}
	c.used, c.at = true, at
	loss := g.LossGood
	if c.bad {
		loss = g.LossBad
	}
	return uniform(luck) < loss
}

// chance is the probability that the channel is bad for a packet, unless that is settled, since it had no
// chance to change. After n chances it is π + (x-π)·(1-P-R)^n, where π is the probability in the long run
// and x is 1 if the channel was bad and 0 if it was good.
func (c *channel) chance(g *GilbertElliott, at time.Duration) (bad float64, settled bool) {
	steps := 1.0
	if g.Slot > 0 {
		steps = float64(at/g.Slot - c.at/g.Slot)
	}
	switch {
	case !c.used:
		return g.bad(), false
	case steps == 0:
		return 0, true
	}
	bad = g.bad()
	was := 0.0
	if c.bad {
		was = 1
	}
	if g.P+g.R > 0 {
		return bad + (was-bad)*math.Pow(1-g.P-g.R, steps), false
	}
	return was, false
}
