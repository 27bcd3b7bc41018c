package model

import "fmt"

// Outcome is what a property says of a history.
type Outcome string

// The outcomes. Unknown never passes: it says that the check could not be completed.
const (
	Ok      Outcome = "Ok"
	Illegal Outcome = "Illegal"
	Unknown Outcome = "Unknown"
)

// Verdict is the answer of one property.
type Verdict struct {
	// Property is the property's name.
	Property string  `json:"property"`
	Outcome  Outcome `json:"verdict"`
	// Step is the step that broke the property; 0 unless Illegal.
	Step uint64 `json:"step,omitempty"`
	// Detail says why, in a sentence; for Ok it may say what was checked.
	Detail string `json:"detail"`
	// About is what an Illegal is about, if that is not plain from the event at Step, as when something did
	// not happen.
	About Subject `json:"about,omitzero"`
}

// Subject is a message, and a client to whom it matters. Fields that are not known are zero.
type Subject struct {
	Client string `json:"client,omitempty"`
	Room   string `json:"room,omitempty"`
	// Epoch and Seq are the message's position in the room's log, and ID its name.
	Epoch string `json:"epoch,omitempty"`
	Seq   uint64 `json:"seq,omitempty"`
	ID    string `json:"id,omitempty"`
}

// Cursor is the message's position.
func (s Subject) Cursor() Cursor { return Cursor{Epoch: s.Epoch, Seq: s.Seq} }

// Ok reports whether the property holds. Unknown does not.
func (v Verdict) Ok() bool { return v.Outcome == Ok }

// String is the first line of a failure: outcome, property and reason.
func (v Verdict) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Outcome, v.Property, v.Detail)
}

// Property judges histories. Implementations are in package properties.
type Property interface {
	// Name is the property's name, such as "NoLoss".
	Name() string
	// Check judges a whole history. It does not change it.
	Check(*History) Verdict
}
