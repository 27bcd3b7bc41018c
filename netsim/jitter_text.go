package netsim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var shapeNames = [...]string{
	shapeConstant: "constant", shapeUniform: "uniform", shapeNormal: "normal", shapeLogNormal: "lognormal",
	shapePareto: "pareto", shapeEmpirical: "empirical",
}

// String gives the text form, which [ParseVariation] reads back: constant(5ms), uniform(5ms),
// normal(10ms), lognormal(10ms, 0.5), pareto(5ms, 2.5) or empirical(1ms, 2ms, 5ms).
func (v Variation) String() string {
	var args []string
	switch v.shape {
	case shapeEmpirical:
		for i := range v.samples() {
			args = append(args, v.sample(i).String())
		}
	case shapeLogNormal, shapePareto:
		args = []string{v.scale.String(), formatFloat(v.form)}
	default:
		args = []string{v.scale.String()}
	}
	return shapeNames[v.shape] + "(" + strings.Join(args, ", ") + ")"
}

// ParseVariation reads the text form of a variation; see [Variation.String]. It knows no link, so that
// Uniform and Normal may turn out too wide for one.
func ParseVariation(s string) (Variation, error) {
	v, err := parseVariation(s)
	if err == nil {
		err = v.validate(maxDelay)
	}
	if err != nil {
		return Variation{}, fmt.Errorf("variation %.80q: %w", s, err)
	}
	return v, nil
}

func parseVariation(s string) (Variation, error) {
	name, args, err := parseCall(s)
	if err != nil {
		return Variation{}, err
	}
	scale := func(of func(time.Duration) Variation) (Variation, error) {
		if len(args) != 1 {
			return Variation{}, fmt.Errorf("%d arguments; want 1, as in %s(5ms)", len(args), name)
		}
		d, err := parseDuration(args[0])
		return of(d), err
	}
	scaleAndForm := func(of func(time.Duration, float64) Variation) (Variation, error) {
		if len(args) != 2 {
			return Variation{}, fmt.Errorf("%d arguments; want 2, as in %s(5ms, 2.5)", len(args), name)
		}
		d, err := parseDuration(args[0])
		if err != nil {
			return Variation{}, err
		}
		form, err := parseFloat(args[1])
		return of(d, form), err
	}
	switch name {
	case "constant":
		return scale(Constant)
	case "uniform":
		return scale(Uniform)
	case "normal":
		return scale(Normal)
	case "lognormal":
		return scaleAndForm(LogNormal)
	case "pareto":
		return scaleAndForm(Pareto)
	case "empirical":
		delays := make([]time.Duration, len(args))
		for i, arg := range args {
			if delays[i], err = parseDuration(arg); err != nil {
				return Variation{}, err
			}
		}
		return Empirical(delays...), nil
	}
	return Variation{}, fmt.Errorf("unknown distribution %.40q; want %s", name, strings.Join(shapeNames[:], ", "))
}

// MarshalText is String, for flag.TextVar and JSON.
func (v Variation) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is ParseVariation.
func (v *Variation) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVariation(string(text))
	return err
}

// parseCall takes "name(arg, arg)" apart. No argument contains a parenthesis.
func parseCall(s string) (name string, args []string, err error) {
	name, rest, open := strings.Cut(s, "(")
	inside, after, closed := strings.Cut(rest, ")")
	if !open || !closed || after != "" || strings.Contains(inside, "(") {
		return "", nil, errors.New("want a name and its arguments in parentheses, as in normal(10ms)")
	}
	if strings.TrimSpace(inside) == "" {
		return name, nil, nil
	}
	for arg := range strings.SplitSeq(inside, ",") {
		args = append(args, strings.TrimSpace(arg))
	}
	return name, args, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a duration such as 10ms", s)
	}
	return d, nil
}

func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a number", s)
	}
	return f, nil
}

// formatFloat gives the shortest text that parseFloat reads back exactly.
func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
