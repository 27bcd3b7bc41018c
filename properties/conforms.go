package properties

import "github.com/twohop/twohop/model"

// Conforms holds a run against the whole executable specification: that of its rooms, [model.Room], and
// that of the sessions of its clients and publishers, [model.Sessions].
//
// Formally: for every room, the sequence of its events is a path of the state machine model.Room; and
// the sequence of all events is a path of the state machine model.Sessions.
//
// It is stricter than the other properties together in what a client may see at each moment (the next
// message and nothing else), and stops at the first step that breaks it, whatever follows. It does not
// cover what should have happened and did not: see [NoLoss].
func Conforms() model.Property { return property{"Conforms", checkConforms} }

func checkConforms(h *model.History) model.Verdict {
	rooms, sessions := model.Validate(h), model.ValidateSessions(h)
	if sessions.Outcome == model.Illegal && (rooms.Outcome != model.Illegal || sessions.Step < rooms.Step) {
		return sessions
	}
	return rooms
}
