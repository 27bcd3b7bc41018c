package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Param is a parameter that a scenario declares.
type Param struct {
	Name, Help string
	Value      Value
}

// Value is a parameter's value, bound to a field of its scenario.
type Value interface {
	// String is the value as text that Set reads back.
	String() string
	// Set reads the value from text. The error says what is allowed.
	Set(text string) error
	// Unit is what the value counts or is measured in; "" if it has no unit.
	Unit() string
	// Range is what is allowed, in words.
	Range() string
	// Smaller are texts of smaller values that make a run smaller, the smallest first; none if there is none,
	// or if the value is no size.
	Smaller() []string
	// JSON is the value as encoding/json shall write it.
	JSON() any
}

// intValue counts something.
type intValue struct {
	p        *int
	min, max int
	unit     string
}

func (v intValue) String() string { return strconv.Itoa(*v.p) }
func (v intValue) Unit() string   { return v.unit }
func (v intValue) Range() string  { return fmt.Sprintf("%d to %d", v.min, v.max) }
func (v intValue) JSON() any      { return *v.p }

// Smaller gives the least value, the middle, and one less.
func (v intValue) Smaller() (texts []string) {
	last := v.min - 1
	for _, n := range []int{v.min, v.min + (*v.p-v.min)/2, *v.p - 1} {
		if n > last && n < *v.p {
			texts = append(texts, strconv.Itoa(n))
			last = n
		}
	}
	return texts
}

func (v intValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("want a whole number, %s", v.Range())
	}
	*v.p = n
	return nil
}

// durationValue is a span of time.
type durationValue struct {
	p        *time.Duration
	min, max time.Duration
}

func (v durationValue) String() string { return v.p.String() }
func (v durationValue) Unit() string   { return "duration" }
func (v durationValue) Range() string  { return fmt.Sprintf("%v to %v", v.min, v.max) }
func (v durationValue) JSON() any      { return v.p.String() }

// Smaller gives the least value, and the middle, to the next 10 ms above.
func (v durationValue) Smaller() (texts []string) {
	const unit = 10 * time.Millisecond
	last := v.min - 1
	for _, d := range []time.Duration{v.min, (v.min + (*v.p-v.min)/2 + unit - 1).Truncate(unit)} {
		if d > last && d < *v.p {
			texts = append(texts, d.String())
			last = d
		}
	}
	return texts
}

func (v durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < v.min || d > v.max {
		return fmt.Errorf("want a duration such as 250ms or 1m30s, %s", v.Range())
	}
	*v.p = d
	return nil
}

// floatValue is a number with a fraction, such as a probability or a rate.
type floatValue struct {
	p        *float64
	min, max float64
	unit     string
}

func (v floatValue) String() string { return strconv.FormatFloat(*v.p, 'g', -1, 64) }
func (v floatValue) Unit() string   { return v.unit }
func (v floatValue) Range() string  { return fmt.Sprintf("%g to %g", v.min, v.max) }
func (v floatValue) JSON() any      { return *v.p }

// Smaller gives the least value, and half of what is above it, unless that is little.
func (v floatValue) Smaller() (texts []string) {
	if *v.p > v.min {
		texts = append(texts, strconv.FormatFloat(v.min, 'g', -1, 64))
	}
	if above := *v.p - v.min; above > (v.max-v.min)/1000 {
		texts = append(texts, strconv.FormatFloat(v.min+above/2, 'g', 3, 64))
	}
	return texts
}

func (v floatValue) Set(text string) error {
	percent := strings.HasSuffix(text, "%") && v.unit == "probability"
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if percent {
		f /= 100
	} else if strings.HasSuffix(text, "%") {
		err = strconv.ErrSyntax
	}
	if err != nil || !(f >= v.min && f <= v.max) { // the negation also catches NaN
		return fmt.Errorf("want a number, %s", v.Range())
	}
	*v.p = f
	return nil
}

// choiceValue is one of several names.
type choiceValue struct {
	p       *string
	choices []string
}

func (v choiceValue) String() string { return *v.p }
func (v choiceValue) Unit() string   { return "" }
func (v choiceValue) Range() string  { return strings.Join(v.choices, " | ") }
func (v choiceValue) JSON() any      { return *v.p }

func (v choiceValue) Smaller() []string { return nil }

func (v choiceValue) Set(text string) error {
	if !slices.Contains(v.choices, text) {
		return fmt.Errorf("want one of %s", v.Range())
	}
	*v.p = text
	return nil
}
