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

func (v choiceValue) Set(text string) error {
	if !slices.Contains(v.choices, text) {
		return fmt.Errorf("want one of %s", v.Range())
	}
	*v.p = text
	return nil
}
