package edge

import "fmt"

// Mutant names a deliberate bug, which a property must catch. The zero value is none.
type Mutant string

const (
	// Unbounded: whatever a client has not got is kept for it, however far it is behind.
	Unbounded Mutant = "unbounded-queue"
	// Zombie: a room that its last client has left is never closed, and so stays subscribed to.
	Zombie Mutant = "zombie-subscription"
)

func (m Mutant) validate() error {
	switch m {
	case "", Unbounded, Zombie:
		return nil
	}
	return fieldError("Mutant", fmt.Sprintf("%.40q", string(m)), fmt.Sprintf("none, %q or %q", Unbounded, Zombie))
}
