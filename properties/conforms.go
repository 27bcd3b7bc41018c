package properties

import "github.com/twohop/twohop/model"

// Conforms holds a run against the whole executable specification of its rooms, [model.Room].
//
// Formally: for every room, the sequence of its events is a path of the state machine model.Room.
//
// It is stricter than the other properties together in what a client may see at each moment (the next
// message and nothing else), and stops at the first step that breaks it, whatever follows. It does not
// cover what should have happened and did not: see [NoLoss].
func Conforms() model.Property { return property{"Conforms", model.Validate} }
