package model

import "time"

// Kind says what an [Event] records.
type Kind string

// The kinds of events. Each names the fields it fills besides Step, Time, Kind and Node.
const (
	// PublishCall: a publisher begins to publish. Room, ID.
	PublishCall Kind = "publish"
	// PublishOK: the publisher knows its message is in the log. Room, ID, Epoch, Seq.
	PublishOK Kind = "publish-ok"
	// PublishUnknown: the publisher gave up; the message may or may not be in the log. Room, ID, Note.
	PublishUnknown Kind = "publish-unknown"
	// Connected: a client's connection attempt succeeded and its position is agreed. Epoch and Seq are
	// that position: the client is owed everything after it. Room, Epoch, Seq, Transport; Resumed when
	// the client brought a cursor and the server honoured it.
	Connected Kind = "connected"
	// Disconnected: a client's connection ended. Room, Transport, Note (why). It need not have been
	// lost: the Note is [NoteStopped] if the client itself ended it.
	Disconnected Kind = "disconnected"
	// Deliver: a client's application got a message. Room, Epoch, Seq, ID, Transport.
	Deliver Kind = "deliver"
	// Discontinuity: a client was told that messages between its cursor and a new position are out of
	// reach. It is owed everything after that. Room, Epoch, Seq, Transport, Note. Another Epoch than
	// the client's says that the log the client was reading is gone.
	Discontinuity Kind = "discontinuity"

	// Call: a client calls an operation of a shared object, such as a registry or a seat map. Object, ID
	// (of the call, unique for its object), Note (the [Operation]).
	Call Kind = "call"
	// Return: a call has returned. Object, ID, Note (the result).
	Return Kind = "return"
	// ReturnUnknown: a client gave a call up; it may have taken effect, or may yet. Object, ID, Note.
	ReturnUnknown Kind = "return-unknown"

	// Copy: a node sent a copy of a message on to another. Room, ID, Peer (to whom), and Epoch and Seq if it
	// knows them.
	Copy Kind = "copy"
	// Append: a node has put a publisher's message into the log, and hop 2 has said so. Room, ID, Epoch, Seq,
	// Peer (where the log is, if known).
	Append Kind = "append"
	// Receive: a node got a message from hop 2. Room, ID, Epoch, Seq, Peer (from where, if known).
	Receive Kind = "receive"
	// Level: how much of a resource a node holds, such as connections. Object (the resource), Value.
	Level Kind = "level"
	// Queue: how deep a queue of a node is, recorded at least whenever it is deeper than before. Object
	// (the queue), Value (its depth), Limit (what it declares to keep to; 0 if nothing), Peer (for whom).
	Queue Kind = "queue"

	// Join and Leave: an edge joins, or leaves, those that rooms are assigned to. Node is who decided it,
	// and the event is the decision: rooms that move because of it move after it. Object (the edge).
	Join  Kind = "join"
	Leave Kind = "leave"
	// Assign: a room is given an owner for the first time. Room, Object (the owner).
	Assign Kind = "assign"
	// Announce: a room begins to move to another owner, and its messages go to both. Room, Peer (the old
	// owner), Object (the new one).
	Announce Kind = "announce"
	// Commit: a room has moved: the new owner is its only one. Room, Peer (the old owner), Object (the new
	// one).
	Commit Kind = "commit"

	// Members: a node was told who is in a room. Room, Note (their names, with a space between two), Peer (who
	// told it, if known).
	Members Kind = "members"

	// FaultBegin and FaultEnd: a fault takes hold and lets go. Note is the fault's text.
	FaultBegin Kind = "fault-begin"
	FaultEnd   Kind = "fault-end"
	// RunEnd: the run is over; whatever has not happened by now did not happen. It is the last event.
	RunEnd Kind = "run-end"
)

// NoteStopped is the Note of a [Disconnected] that no fault and no server caused: the client's program
// was told to stop. Counts and figures of lost connections leave it out.
const NoteStopped = "client stopped"

// NoteConflated stands in the Note of a [Discontinuity] that skips only messages with a later one of the
// same key: a slow consumer is given the latest values alone. It is owed these, but not what is skipped.
const NoteConflated = "conflated"

// Event is one entry of a [History].
type Event struct {
	// Step numbers the world's steps from 1 and never ties: it is the total order of a run.
	Step uint64 `json:"step"`
	// Time is virtual, since the run began. Several steps may share one.
	Time time.Duration `json:"t_ns"`
	Kind Kind          `json:"kind"`
	// Node is whose call or observation it is: a publisher, a client, or "" for the world's own.
	Node string `json:"node,omitempty"`
	Room string `json:"room,omitempty"`
	// Epoch names the life of the room's log that Seq counts in; see [Cursor]. A room whose events name
	// none has one log, which lives as long as the run. The events of one room either all name an
	// epoch, of those that have a Seq, or none does.
	Epoch     string `json:"epoch,omitempty"`
	Seq       uint64 `json:"seq,omitempty"`
	ID        string `json:"id,omitempty"`
	Transport string `json:"transport,omitempty"`
	// Peer is who was at the other end, such as the edge that a client was connected to, if known.
	Peer    string `json:"peer,omitempty"`
	Resumed bool   `json:"resumed,omitempty"`
	Note    string `json:"note,omitempty"`

	// Deps names the messages that a message follows from, as its publisher says in [PublishCall]: IDs of
	// the same room, with a space between two. It is only for what the history does not show by itself:
	// that a node had seen or published one message before it published the next.
	Deps string `json:"deps,omitempty"`
	// Object is what the event is about: a shared object, a resource, a queue or an edge.
	Object string `json:"object,omitempty"`
	// Value and Limit are numbers of Object. They are not negative.
	Value int64 `json:"value,omitempty"`
	Limit int64 `json:"limit,omitempty"`
}

// Cursor is the position that e speaks of, in its room's log.
func (e *Event) Cursor() Cursor { return Cursor{Epoch: e.Epoch, Seq: e.Seq} }

// positioned reports whether events of this kind say a position in a log.
func (k Kind) positioned() bool {
	return k == PublishOK || k == Connected || k == Deliver || k == Discontinuity
}

// ofRoom reports whether events of this kind are what publishers and clients called and saw of a room,
// which is what [Room] specifies.
func (k Kind) ofRoom() bool {
	switch k {
	case PublishCall, PublishOK, PublishUnknown, Connected, Disconnected, Deliver, Discontinuity:
		return true
	}
	return false
}

// History is what publishers and clients called and saw during one run, in order of Step.
type History struct {
	Events []Event
	// Partial says that the run was cut short, so that liveness cannot be judged: what has not
	// happened yet might still have.
	Partial bool
}
