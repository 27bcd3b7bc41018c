package model

import (
	"cmp"
	"fmt"
	"slices"
)

// scaling is the protocol by which a room moves from one edge, edge-1, to another, edge-2, in four
// steps, without its clients losing a message:
//
//  1. announce: the coordinator records the old and the new owner. The source learns of it.
//  2. move: clients are told, one by one, to leave the old owner for the new one.
//  3. meanwhile the source sends every message to both.
//  4. commit: when all clients have moved, the new owner is the only one. The old one retires.
//
// An edge has only what the source has sent to it since it was first an owner. It does not ask for
// more: an edge that can fetch history hides a missing step as a delay. Hence two conditions on
// step 2: the source has confirmed that it sends to both, and the client has got from the old owner
// everything from before that moment. And an owner that loses its memory takes clients anew.
//
// The source sends to an edge in order, over a link that takes any time. A client that is cut off asks
// the coordinator whom to connect to, which takes time too, so that the answer may be wrong when the
// client comes there; an edge lets nobody in that the coordinator does not send to it.
//
// Its faults: a client's connection breaks; the new owner crashes before the commit, and comes back
// with nothing. That an owner crashes alone is no question of scaling, and not in here.
type scaling struct {
	ExploreConfig
}

// The mutants of scaling: the four steps, and the two conditions.
const (
	noAnnounce = "no-announce"
	noMove     = "no-move"
	noDual     = "no-dual"
	noCommit   = "no-commit"
	noDrain    = "no-drain"
	noConfirm  = "no-confirm"
)

var scalingMutants = []ExploreMutant{
	{"scaling", noAnnounce, "step 1 left out: clients move, and then the assignment changes"},
	{"scaling", noMove, "step 2 left out: the ring is updated before the clients have moved"},
	{"scaling", noDual, "step 3 left out: until the commit, messages go to the old owner only"},
	{"scaling", noCommit, "step 4 left out: the old owner retires, and stays the owner of record"},
	{"scaling", noDrain, "a client is told to move before it has got what the new owner never will"},
	{"scaling", noConfirm, "clients are told to move before the source has confirmed that it sends to both"},
}

func newScaling(c ExploreConfig) scaling { return scaling{c} }

// The states of the assignment, as the coordinator has it and as the source knows it.
const (
	assignedOld uint8 = iota
	assignedBoth
	assignedNew
)

// Edges, as where a client is or is going; none is 0.
const (
	nowhere uint8 = iota
	oldEdge
	newEdge
)

// scalingState is a state of the whole system. Positions are those of the room's log.
type scalingState struct {
	log, assigned, known, faults uint8

	down    [3]bool  // by edge
	fed     [3]bool  // the edge has been sent to since it last started
	from    [3]uint8 // where what it was sent begins
	sent    [3]uint8 // up to where it was sent
	got     [3]uint8 // up to where that has arrived
	retired bool
	clients [maxClients]scalingClient
}

// scalingClient is one client. It is at an edge, going to one, or neither.
type scalingClient struct {
	at, going, cursor uint8
	skipped           uint8 // position that it was sent past without getting it
}

func (p scaling) initial() scalingState {
	s := scalingState{faults: uint8(p.Faults)}
	s.fed[oldEdge] = true
	for i := range p.Clients {
		s.clients[i].at = oldEdge
	}
	return s
}

func (p scaling) canonical(s scalingState) scalingState {
	slices.SortFunc(s.clients[:p.Clients], func(a, b scalingClient) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.going, b.going), cmp.Compare(a.cursor, b.cursor), cmp.Compare(a.skipped, b.skipped))
	})
	return s
}

// The verbs of scaling's moves.
const (
	scPublish uint8 = iota
	scAnnounce
	scLearn
	scReceive
	scDeliver
	scMove
	scAsk
	scArrive
	scCommit
	scRetire
	scRestart
	scCut
	scCrash
)

func (p scaling) moves(s scalingState, emit func(move, scalingState)) {
	p.sourceMoves(s, emit)
	p.coordinatorMoves(s, emit)
	for _, e := range []uint8{oldEdge, newEdge} {
		if s.got[e] < s.sent[e] && !s.down[e] {
			to := s
			to.got[e]++
			emit(move{verb: scReceive, where: e, n: to.got[e]}, to)
		}
	}
	for i := range p.Clients {
		p.clientMoves(s, uint8(i), emit)
	}
	if s.down[newEdge] {
		to := s
		to.down[newEdge] = false
		if s.known != assignedOld {
			to.begin(newEdge)
		}
		emit(move{verb: scRestart, where: newEdge}, to)
	}
	if s.faults > 0 && !s.down[newEdge] && s.assigned != assignedNew {
		to := s
		to.faults--
		to.crash(newEdge)
		emit(move{verb: scCrash, where: newEdge, mayNot: true}, to)
	}
}

// sendsTo reports whether a source that knows of an assignment sends to an edge.
func (p scaling) sendsTo(known, edge uint8) bool {
	switch known {
	case assignedOld:
		return edge == oldEdge
	case assignedBoth:
		return edge == oldEdge || p.Mutant != noDual
	}
	return edge == newEdge
}

// begin makes an edge begin at the log's end.
func (s *scalingState) begin(edge uint8) {
	s.fed[edge] = true
	s.from[edge], s.sent[edge], s.got[edge] = s.log, s.log, s.log
}

func (s *scalingState) crash(edge uint8) {
	s.down[edge], s.fed[edge] = true, false
	s.from[edge], s.sent[edge], s.got[edge] = 0, 0, 0
	for i := range s.clients {
		c := &s.clients[i]
		if c.at == edge {
			c.at = nowhere
		}
		if c.going == edge { // it was told by, or because of, an edge that is gone
			c.going = nowhere
		}
	}
}

func (p scaling) sourceMoves(s scalingState, emit func(move, scalingState)) {
	if int(s.log) < p.Messages {
		to := s
		to.log++
		for _, e := range []uint8{oldEdge, newEdge} {
			if p.sendsTo(s.known, e) && s.fed[e] && !s.down[e] {
				to.sent[e] = to.log
			}
		}
		emit(move{verb: scPublish, n: to.log, mayNot: true}, to)
	}
	if s.known != s.assigned {
		to := s
		to.known = s.assigned
		if first := s.known == assignedOld; (first || !p.sendsTo(s.known, newEdge)) && !s.down[newEdge] {
			to.begin(newEdge)
		}
		emit(move{verb: scLearn, n: to.known}, to)
	}
}

func (p scaling) coordinatorMoves(s scalingState, emit func(move, scalingState)) {
	before := assignedBoth // what the commit follows on
	if p.Mutant == noAnnounce {
		before = assignedOld
	} else if s.assigned == assignedOld {
		to := s
		to.assigned = assignedBoth
		emit(move{verb: scAnnounce}, to)
	}
	moved := p.allAt(s, newEdge)
	if s.assigned == before && (moved || p.Mutant == noMove) && p.Mutant != noCommit {
		to := s
		to.assigned = assignedNew
		emit(move{verb: scCommit}, to)
	}
	over := s.assigned == assignedNew || p.Mutant == noCommit && moved
	if over && !s.retired && !p.anyAt(s, oldEdge) {
		to := s
		to.retired = true
		to.crash(oldEdge)
		emit(move{verb: scRetire}, to)
	}
}

func (p scaling) allAt(s scalingState, edge uint8) bool {
	return !slices.ContainsFunc(s.clients[:p.Clients], func(c scalingClient) bool { return c.at != edge })
}

func (p scaling) anyAt(s scalingState, edge uint8) bool {
	return slices.ContainsFunc(s.clients[:p.Clients], func(c scalingClient) bool { return c.at == edge })
}

func (p scaling) clientMoves(s scalingState, i uint8, emit func(move, scalingState)) {
	c := s.clients[i]
	with := func(m move, change func(to *scalingState, c *scalingClient)) {
		to := s
		change(&to, &to.clients[i])
		m.who = i
		emit(m, to)
	}
	switch {
	case c.at != nowhere:
		if e := c.at; c.cursor < s.got[e] && s.got[e] > s.from[e] {
			with(move{verb: scDeliver, where: e}, func(to *scalingState, c *scalingClient) { to.deliver(c, e) })
		}
		if p.toMove(s, c) {
			with(move{verb: scMove}, func(_ *scalingState, c *scalingClient) { c.at, c.going = nowhere, newEdge })
		}
		if s.faults > 0 {
			with(move{verb: scCut, where: c.at, mayNot: true}, func(to *scalingState, c *scalingClient) { to.faults--; c.at = nowhere })
		}
	case c.going != nowhere:
		let := !s.down[c.going] && p.admits(s, c.going)
		with(move{verb: scArrive, where: c.going}, func(_ *scalingState, c *scalingClient) {
			if let {
				c.at = c.going
			}
			c.going = nowhere
		})
	default:
		owner := oldEdge
		if s.assigned == assignedNew {
			owner = newEdge
		}
		if !s.down[owner] { // else it asks again and again
			with(move{verb: scAsk, where: owner}, func(_ *scalingState, c *scalingClient) { c.going = owner })
		}
	}
}

// deliver gives a client the next message that its edge has.
func (s *scalingState) deliver(c *scalingClient, edge uint8) {
	if c.cursor < s.from[edge] {
		c.skipped, c.cursor = c.cursor+1, s.from[edge]
	}
	c.cursor++
}

// toMove reports whether a client is to be told to move.
func (p scaling) toMove(s scalingState, c scalingClient) bool {
	if c.at != oldEdge || s.down[newEdge] || p.Mutant == noMove {
		return false
	}
	if p.Mutant == noAnnounce {
		return s.assigned == assignedOld
	}
	confirmed := s.known == assignedBoth || p.Mutant == noConfirm
	drained := c.cursor >= s.from[newEdge] || p.Mutant == noDrain
	return s.assigned == assignedBoth && confirmed && drained
}

// admits reports whether an edge lets clients in.
func (p scaling) admits(s scalingState, edge uint8) bool {
	if edge == oldEdge {
		return s.assigned != assignedNew
	}
	return s.assigned != assignedOld || p.Mutant == noAnnounce
}

func (p scaling) broken(s scalingState) string {
	for i, c := range s.clients[:p.Clients] {
		if c.skipped > 0 {
			return fmt.Sprintf("client-%d never gets m%d: edge-%d has only what comes after m%d", i+1, c.skipped, c.at, s.from[c.at])
		}
	}
	return ""
}

func (p scaling) unfinished(s scalingState) string {
	for i, c := range s.clients[:p.Clients] {
		where := "connected to nobody"
		if c.at != nowhere {
			where = fmt.Sprintf("at edge-%d", c.at)
		}
		if c.cursor < s.log {
			return fmt.Sprintf("client-%d never gets m%d: it is %s, and nothing more happens", i+1, c.cursor+1, where)
		}
	}
	return ""
}

func (p scaling) tell(m move, from, to scalingState) string {
	client := fmt.Sprintf("client-%d", m.who+1)
	switch m.verb {
	case scPublish:
		var edges string
		for _, e := range []uint8{oldEdge, newEdge} {
			if from.sent[e] != to.sent[e] {
				if edges != "" {
					edges += " and "
				}
				edges += fmt.Sprintf("edge-%d", e)
			}
		}
		if edges == "" {
			edges = "nobody"
		}
		return fmt.Sprintf("m%d is published, and sent to %s", m.n, edges)
	case scAnnounce:
		return "the coordinator announces that the room moves from edge-1 to edge-2"
	case scLearn:
		return "the source learns " + [...]string{"", "of the announcement", "of the commit"}[m.n]
	case scReceive:
		return fmt.Sprintf("edge-%d receives m%d", m.where, m.n)
	case scDeliver:
		return fmt.Sprintf("%s gets m%d from edge-%d", client, to.clients[m.who].cursor, m.where)
	case scMove:
		return client + " is told to move, and leaves edge-1 for edge-2"
	case scAsk:
		return fmt.Sprintf("%s asks the coordinator, which sends it to edge-%d", client, m.where)
	case scArrive:
		if to.clients[m.who].at == nowhere {
			return fmt.Sprintf("%s is not let in at edge-%d", client, m.where)
		}
		return fmt.Sprintf("%s connects to edge-%d, having got %s", client, m.where, upToMessage(to.clients[m.who].cursor))
	case scCommit:
		return "the coordinator commits: edge-2 owns the room"
	case scRetire:
		return "edge-1 retires"
	case scRestart:
		return "edge-2 restarts, with nothing in memory"
	case scCut:
		return fmt.Sprintf("fault: %s's connection to edge-%d breaks", client, m.where)
	case scCrash:
		return "fault: edge-2 crashes"
	}
	return fmt.Sprintf("move %d", m.verb)
}

// upToMessage tells what a client has got.
func upToMessage(cursor uint8) string {
	if cursor == 0 {
		return "nothing yet"
	}
	return fmt.Sprintf("up to m%d", cursor)
}
