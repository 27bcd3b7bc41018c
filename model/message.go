package model

// Message is one update of a room, as it travels from the publisher over both hops to the clients.
type Message struct {
	Room string `json:"room"`
	// Seq is the message's position in its room's log, counting from 1. A message that has not been
	// appended yet has 0.
	Seq uint64 `json:"seq"`
	// ID is chosen by the publisher, unique in the room: publishing the same ID again appends nothing.
	ID string `json:"id"`
	// Publisher names who published it.
	Publisher string `json:"publisher"`
	Body      []byte `json:"body"`
}
