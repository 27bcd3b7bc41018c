package scenarios

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
	"github.com/twohop/twohop/sim"
)

// CapsuleVersion is the version of the form that capsules are stored in.
const CapsuleVersion = 1

// Capsule is all that it takes to make a run again: what [Capsule.Run] does is a function of it, and of the
// program's version. It is stored as JSON.
type Capsule struct {
	// Version is CapsuleVersion.
	Version  int    `json:"version"`
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	// Params are the parameters that are not the defaults, as [Set] takes them.
	Params map[string]string `json:"params,omitempty"`
	Mutant string            `json:"mutant,omitempty"`
	// Check are properties that the run is judged by besides the scenario's own, as [properties.Find] reads them.
	Check []string `json:"check,omitempty"`
	// Faults are all the faults of the run, if the scenario is [Faulty]; else, and as Added, those besides
	// the scenario's own.
	Faults *sim.Schedule `json:"faults,omitempty"`
	Added  sim.Schedule  `json:"added,omitempty"`
	// Property is the property that the run violates, and Detail its verdict's detail; "" if it is not known to
	// violate any.
	Property string `json:"property,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// NewCapsule makes the capsule of a run of a scenario, with its parameters, mutant and faults as they are.
func NewCapsule(s Scenario, mutant string, seed uint64, added sim.Schedule) (*Capsule, error) {
	c := &Capsule{Version: CapsuleVersion, Scenario: s.Name(), Seed: seed, Mutant: mutant, Added: added}
	plain, err := New(s.Name())
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{}
	for _, p := range plain.Params() {
		defaults[p.Name] = p.Value.String()
	}
	for _, p := range s.Params() {
		if text := p.Value.String(); text != defaults[p.Name] {
			if c.Params == nil {
				c.Params = map[string]string{}
			}
			c.Params[p.Name] = text
		}
	}
	if f, ok := s.(Faulty); ok {
		faults := f.Faults()
		c.Faults = &faults
	}
	return c, nil
}

// ReadCapsule reads a capsule that [Capsule.Write] has written. The error says what is wrong: it is no
// capsule, or one of another version, or it names what this program does not have.
func ReadCapsule(r io.Reader) (*Capsule, error) {
	data, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("capsule: corrupted: %w", err)
	}
	if version.Version != CapsuleVersion {
		return nil, fmt.Errorf("capsule: version %d; this program reads version %d", version.Version, CapsuleVersion)
	}
	c := new(Capsule)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("capsule: corrupted: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("capsule: corrupted: something follows it")
	}
	if _, err := c.Build(); err != nil {
		return nil, err
	}
	if _, err := FindProperties(c.Check); err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	return c, nil
}

// FindProperties gives properties by their text forms; see [properties.Find].
func FindProperties(texts []string) (found []model.Property, err error) {
	for _, text := range texts {
		p, err := properties.Find(text)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// Write writes the capsule as indented JSON.
func (c *Capsule) Write(w io.Writer) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("capsule: %w", err)
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// Build makes the scenario, ready to run.
func (c *Capsule) Build() (Scenario, error) {
	s, err := New(c.Scenario)
	if err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		if err := Set(s, name, c.Params[name]); err != nil {
			return nil, fmt.Errorf("capsule: %w", err)
		}
	}
	if c.Mutant != "" {
		if err := s.Mutate(c.Mutant); err != nil {
			return nil, fmt.Errorf("capsule: %w", err)
		}
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	if c.Faults != nil {
		f, ok := s.(Faulty)
		if !ok {
			return nil, fmt.Errorf("capsule: the scenario %s has no faults to choose", c.Scenario)
		}
		f.SetFaults(*c.Faults)
	}
	return s, nil
}

// Run makes the capsule's run. cfg's Seed and Faults do not matter.
func (c *Capsule) Run(t *testing.T, cfg sim.Config) (*Report, *sim.Result, error) {
	s, err := c.Build()
	if err != nil {
		return nil, nil, err
	}
	besides, err := FindProperties(c.Check)
	if err != nil {
		return nil, nil, fmt.Errorf("capsule: %w", err)
	}
	cfg.Seed, cfg.Faults = c.Seed, c.Added
	report, res := Execute(t, s, c.Mutant, cfg, besides...)
	return report, res, nil
}

// Judge notes what a run violates: the capsule's property, if that is among it, or else the first.
func (c *Capsule) Judge(r *Report) {
	var first *model.Verdict
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.Outcome == model.Illegal && (first == nil || v.Property == c.Property) {
			first = v
		}
	}
	c.Property, c.Detail = "", ""
	if first != nil {
		c.Property, c.Detail = first.Property, first.Detail
	}
}

// Command is the command line that makes the run, without the program's name.
func (c *Capsule) Command() string {
	words := []string{"run", c.Scenario, "--seed", fmt.Sprint(c.Seed)}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		words = append(words, "--set", name+"="+c.Params[name])
	}
	if c.Mutant != "" {
		words = append(words, "--mutant", c.Mutant)
	}
	for _, text := range c.Check {
		words = append(words, "--check", text)
	}
	all := c.Added
	if c.Faults != nil {
		words = append(words, "--faults", "none")
		all = slices.Concat(*c.Faults, all)
	}
	for _, f := range all {
		words = append(words, "--fault", f.String())
	}
	for i := range words {
		words[i] = ShellQuote(words[i])
	}
	return strings.Join(words, " ")
}

// ShellQuote protects a word from the shell, if it needs that.
func ShellQuote(word string) string {
	if word == "" || strings.ContainsAny(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
