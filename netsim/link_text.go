package netsim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// String gives the text form, which [ParseLink] reads back: the fields that are not zero, as in
// "latency=40ms variation=pareto(5ms, 2.5) loss=0.01 rate=10Mbit". Latency is always there.
func (l Link) String() string {
	s := printFields(linkFields, &l)
	if l.Latency == 0 {
		s = strings.TrimSuffix("latency=0s "+s, " ")
	}
	return s
}

// ParseLink reads the text form of a link: fields in any order, separated by spaces, as [Link.String]
// writes them. The keys are latency, jitter, variation ([ParseVariation]), loss, burst
// ([ParseGilbertElliott]), duplicate, reorder, reorder-by, rate (bits per second, with bit, kbit, Mbit or
// Gbit), queue (bytes), queue-packets and mtu. What is left out is zero.
func ParseLink(s string) (Link, error) {
	l, err := parseFields(linkFields, s)
	if err == nil {
		err = l.validate()
	}
	if err != nil {
		return Link{}, fmt.Errorf("%.200q: %w", s, err)
	}
	return l, nil
}

// MarshalText is String, for flag.TextVar and JSON.
func (l Link) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is ParseLink.
func (l *Link) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLink(string(text))
	return err
}

var linkFields = []field[Link]{
	fieldOf("latency", func(l *Link) *time.Duration { return &l.Latency }, time.Duration.String, parseDuration),
	fieldOf("jitter", func(l *Link) *time.Duration { return &l.Jitter }, time.Duration.String, parseDuration),
	fieldOf("variation", func(l *Link) *Variation { return &l.Variation }, Variation.String, ParseVariation),
	fieldOf("loss", func(l *Link) *float64 { return &l.Loss }, formatFloat, parseFloat),
	fieldOf("burst", func(l *Link) *GilbertElliott { return &l.Burst }, GilbertElliott.String, ParseGilbertElliott),
	fieldOf("duplicate", func(l *Link) *float64 { return &l.Duplicate }, formatFloat, parseFloat),
	fieldOf("reorder", func(l *Link) *float64 { return &l.Reorder }, formatFloat, parseFloat),
	fieldOf("reorder-by", func(l *Link) *time.Duration { return &l.ReorderBy }, time.Duration.String, parseDuration),
	fieldOf("rate", func(l *Link) *int64 { return &l.Rate }, formatRate, parseRate),
	fieldOf("queue", func(l *Link) *int { return &l.Queue }, strconv.Itoa, parseInt),
	fieldOf("queue-packets", func(l *Link) *int { return &l.QueuePackets }, strconv.Itoa, parseInt),
	fieldOf("mtu", func(l *Link) *int { return &l.MTU }, strconv.Itoa, parseInt),
}

// field is one "key=value" of the text form of a T.
type field[T any] struct {
	key   string
	print func(*T) string // "" for the zero value
	parse func(*T, string) error
}

// fieldOf makes a field from where it is in a T and how a value of its type prints and parses.
func fieldOf[T any, V comparable](key string, at func(*T) *V, print func(V) string, parse func(string) (V, error)) field[T] {
	var zero V
	return field[T]{
		key: key,
		print: func(t *T) string {
			if v := *at(t); v != zero {
				return print(v)
			}
			return ""
		},
		parse: func(t *T, s string) (err error) {
			*at(t), err = parse(s)
			return err
		},
	}
}

func printFields[T any](fields []field[T], t *T) string {
	var parts []string
	for _, f := range fields {
		if text := f.print(t); text != "" {
			parts = append(parts, f.key+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

func parseFields[T any](fields []field[T], s string) (t T, err error) {
	seen := make(map[string]bool)
	for _, part := range splitFields(s) {
		key, text, found := strings.Cut(part, "=")
		if !found {
			return t, fmt.Errorf("%.40q is not of the form key=value", part)
		}
		if seen[key] {
			return t, fmt.Errorf("%s is given twice", key)
		}
		seen[key] = true
		f := findField(fields, key)
		if f == nil {
			return t, fmt.Errorf("unknown key %.40q; want %s", key, keys(fields))
		}
		if err := f.parse(&t, text); err != nil {
			return t, fmt.Errorf("%s: %w", key, err)
		}
	}
	return t, nil
}

func findField[T any](fields []field[T], key string) *field[T] {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

func keys[T any](fields []field[T]) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	return strings.Join(names, ", ")
}

// splitFields splits at spaces, but for those in parentheses.
func splitFields(s string) []string {
	depth := 0
	return strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return depth <= 0 && (r == ' ' || r == '\t' || r == '\n')
	})
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a whole number", s)
	}
	return n, nil
}

// The units of rates are decimal, as everywhere in networking.
var rateUnits = []struct {
	suffix string
	bits   int64
}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

func formatRate(rate int64) string {
	for _, u := range rateUnits {
		if rate%u.bits == 0 {
			return strconv.FormatInt(rate/u.bits, 10) + u.suffix
		}
	}
	panic("netsim: every rate is a multiple of 1 bit/s")
}

// parseRate reads what formatRate writes, and fractions such as 1.6Mbit if they come to whole bits.
func parseRate(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, u := range rateUnits {
		if n, found := strings.CutSuffix(s, u.suffix); found {
			number, unit = n, u.bits
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	bits := math.Round(f * float64(unit))
	if err != nil || !(bits >= 0 && bits <= maxRate) || math.Abs(bits-f*float64(unit)) > 1e-6*bits {
		return 0, fmt.Errorf("%.40q is not a rate such as 10Mbit", s)
	}
	return int64(bits), nil
}
