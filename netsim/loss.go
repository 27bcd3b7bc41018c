package netsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// GilbertElliott is a model of loss in bursts: a channel that is in a good or a bad state, loses packets
// with another probability in each, and may change its state after each packet (Gilbert 1960, Elliott
// 1963). The zero value loses nothing.
//
// The parameters are those of netem's gemodel and of Haßlinger and Hohlfeld, The Gilbert-Elliott Model for
// Packet Loss in Real Time Services on the Internet (2008). [Bursts] finds them for a mean loss and length
// of bursts. A pipe's first packet finds the channel in either state with the probability of the long run,
// so that short runs have the same mean loss as long ones.
//
// The state changes with packets and not with time: a sender that falls silent finds the channel as it
// left it. What lasts a given time is a partition.
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
	return nil
}

// String gives the text form, which [ParseGilbertElliott] reads back: gemodel(p, r, 1-h, 1-k), in the order
// of netem's parameters.
func (g GilbertElliott) String() string {
	return fmt.Sprintf("gemodel(%s, %s, %s, %s)", formatFloat(g.P), formatFloat(g.R), formatFloat(g.LossBad), formatFloat(g.LossGood))
}

// ParseGilbertElliott reads the text form of a model, see [GilbertElliott.String], or bursts(loss,
// meanLength), which is [Bursts]. All numbers are fractions, not percentages.
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
	numbers := make([]float64, len(args))
	for i, arg := range args {
		if numbers[i], err = parseFloat(arg); err != nil {
			return GilbertElliott{}, err
		}
	}
	switch {
	case name == "gemodel" && len(numbers) == 4:
		return GilbertElliott{numbers[0], numbers[1], numbers[2], numbers[3]}, nil
	case name == "bursts" && len(numbers) == 2:
		return Bursts(numbers[0], numbers[1]), nil
	}
	return GilbertElliott{}, errors.New("want gemodel(p, r, 1-h, 1-k) or bursts(loss, meanLength)")
}

// MarshalText is String, for flag.TextVar and JSON.
func (g GilbertElliott) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is ParseGilbertElliott.
func (g *GilbertElliott) UnmarshalText(text []byte) (err error) {
	*g, err = ParseGilbertElliott(string(text))
	return err
}

// channel is the state of a GilbertElliott.
type channel uint8

const (
	channelUnused channel = iota
	channelGood
	channelBad
)

// loses draws whether a packet is lost, by the state that it finds, and which state the next one finds.
func (c *channel) loses(g *GilbertElliott, luck *rand.PCG) bool {
	if *c == channelUnused {
		*c = channelGood
		if uniform(luck) < g.bad() {
			*c = channelBad
		}
	}
	loss, change, other := g.LossGood, g.P, channelBad
	if *c == channelBad {
		loss, change, other = g.LossBad, g.R, channelGood
	}
	lost := uniform(luck) < loss
	if uniform(luck) < change {
		*c = other
	}
	return lost
}
