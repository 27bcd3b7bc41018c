package model

import (
	"cmp"
	"fmt"
	"slices"
)

// resume is the protocol by which a client, whose connection broke, goes on with any edge from its
// cursor. Room by room, there is a log at the broker, and each edge follows it at its own pace.
//
// The edge that a client connects to
//
//  1. subscribes the client to what is to come: to the messages after those that the edge has;
//  2. reads from the broker's log what the client lacks, which may overlap with that. It begins with the
//     message at the cursor, the anchor. If the cursor's epoch is not the log's, if it is ahead of the
//     log, or if messages after it are no longer kept, it says so, and begins at the oldest position
//     that is kept, or at the end of the log;
//  3. sends what it read, and then what comes.
//
// The client takes the next message and no other. It drops what it has; but if the anchor is not the
// message that it had at its cursor, the log is another than the one it has read, and it says so. If it
// meets a hole, it drops the connection and tries again.
//
// Whoever is put at a position is told which message is there, so that there is something to compare; to
// that end the broker remembers the last message that was trimmed. Without the one or the other (the
// mutants blind-start and anchorless) a failover that nobody noticed can cost a client a message.
//
// Its faults: a connection breaks; an edge crashes, and restarts at the log's end; the broker fails over
// to a copy that lacks the last message, and does not notice (the epoch stays); it loses the log (and
// begins another epoch). Each of them makes the edges follow the log anew, and breaks their
// connections. Once in a run, the log may be trimmed.
type resume struct {
	ExploreConfig
}

// The mutants of resume.
const (
	noAnchor      = "no-anchor"
	skipTrimmed   = "skip-trimmed"
	snapshotFirst = "snapshot-first"
	noDedupe      = "no-dedupe"
	blindStart    = "blind-start"
	anchorless    = "anchorless"
	refuseTrimmed = "refuse-trimmed"
)

var resumeMutants = []ExploreMutant{
	{"resume", noAnchor, "the client does not compare the message at its cursor with the one it had"},
	{"resume", skipTrimmed, "a client whose cursor is no longer kept goes on at the oldest message, without a word"},
	{"resume", snapshotFirst, "the edge reads what the client lacks first, and subscribes it then"},
	{"resume", noDedupe, "the client passes on what it has already"},
	{"resume", refuseTrimmed, "a client whose cursor is no longer kept is refused, and tries again"},
	{"resume", blindStart, "a client that is put at a position does not learn which message is there"},
	{"resume", anchorless, "a client whose anchor alone is no longer kept goes on without a comparison"},
}

func newResume(c ExploreConfig) resume { return resume{c} }

// resumeState is a state of the whole system.
type resumeState struct {
	log        [maxMessages]uint8 // the message at each position, counting from 0
	n          uint8              // how many there are
	trimmed    uint8              // positions up to here are no longer kept
	epoch      uint8
	published  uint8
	faults     uint8
	wasTrimmed bool

	has     [2]uint8 // by edge, up to which position it has the log
	clients [maxClients]resumeClient
}

// resumeClient is one client, and its connection.
type resumeClient struct {
	known         bool // it has a position: epoch and cursor
	epoch, cursor uint8
	last          uint8 // the message at the cursor; 0 if it does not know
	got, told     uint8 // messages that it got, and those that it is not owed or was told it will not get; a bit each
	repeated      uint8 // the message that it got twice
	skipped       uint8 // the position that it was moved to without being told

	// The connection. Positions from next up to end have been read from the log and are yet to be sent,
	// and then those after live.
	edge             uint8 // 1 or 2; 0 for none
	subscribed, read bool
	anchor           bool // the next message must be the one at the cursor
	next, end, live  uint8
}

func (c *resumeClient) disconnect() {
	c.edge, c.subscribed, c.read, c.anchor, c.next, c.end, c.live = 0, false, false, false, 0, 0, 0
}

func (p resume) initial() resumeState { return resumeState{faults: uint8(p.Faults)} }

// canonical orders the edges by what they have, and the clients. If the edges have the same, either
// order of them may give the least order of the clients.
func (p resume) canonical(s resumeState) resumeState {
	swapped := s
	swapped.has[0], swapped.has[1] = s.has[1], s.has[0]
	for i := range swapped.clients[:p.Clients] {
		if e := s.clients[i].edge; e != 0 {
			swapped.clients[i].edge = 3 - e
		}
	}
	switch {
	case s.has[0] < s.has[1]:
		sortClients(s.clients[:p.Clients])
		return s
	case s.has[0] > s.has[1]:
		sortClients(swapped.clients[:p.Clients])
		return swapped
	}
	sortClients(s.clients[:p.Clients])
	sortClients(swapped.clients[:p.Clients])
	for i := range s.clients[:p.Clients] {
		if c := s.clients[i].compare(swapped.clients[i]); c != 0 {
			if c > 0 {
				return swapped
			}
			break
		}
	}
	return s
}

func sortClients(cs []resumeClient) { slices.SortFunc(cs, resumeClient.compare) }

func (c resumeClient) compare(d resumeClient) int { return cmp.Compare(c.key(), d.key()) }

// key packs a client into a number, which orders clients. No field takes more than five bits.
func (c *resumeClient) key() uint64 {
	key := uint64(0)
	for _, bit := range [...]bool{c.known, c.subscribed, c.read, c.anchor} {
		key <<= 1
		if bit {
			key |= 1
		}
	}
	for _, field := range [...]uint8{c.epoch, c.cursor, c.last, c.got, c.told, c.repeated, c.skipped, c.edge, c.next, c.end, c.live} {
		key = key<<5 | uint64(field)
	}
	return key
}

// The verbs of resume's moves.
const (
	rsPublish uint8 = iota
	rsReceive
	rsConnect
	rsSubscribe
	rsRead
	rsSend
	rsTrim
	rsCut
	rsCrash
	rsFailover
	rsLose
)

func (p resume) moves(s resumeState, emit func(move, resumeState)) {
	if int(s.published) < p.Messages {
		to := s
		to.published++
		to.log[to.n] = to.published
		to.n++
		emit(move{verb: rsPublish, n: to.published, mayNot: true}, to)
	}
	for e := range s.has {
		if s.has[e] < s.n {
			to := s
			to.has[e]++
			emit(move{verb: rsReceive, where: uint8(e + 1), n: to.has[e]}, to)
		}
	}
	for i := range p.Clients {
		p.clientMoves(s, uint8(i), emit)
	}
	for up := s.trimmed + 1; up <= s.n && !s.wasTrimmed; up++ {
		to := s
		to.trimmed, to.wasTrimmed = up, true
		emit(move{verb: rsTrim, n: up, mayNot: true}, to)
	}
	if s.faults > 0 {
		p.faultMoves(s, emit)
	}
}

func (p resume) clientMoves(s resumeState, i uint8, emit func(move, resumeState)) {
	c := s.clients[i]
	with := func(m move, change func(to *resumeState, c *resumeClient)) {
		to := s
		change(&to, &to.clients[i])
		m.who = i
		emit(m, to)
	}
	if c.edge == 0 {
		for e := uint8(1); e <= 2; e++ {
			with(move{verb: rsConnect, where: e}, func(_ *resumeState, c *resumeClient) { c.edge = e })
		}
		return
	}
	if !c.subscribed && (c.read || p.Mutant != snapshotFirst) {
		with(move{verb: rsSubscribe, where: c.edge}, func(to *resumeState, c *resumeClient) { c.subscribed, c.live = true, to.has[c.edge-1] })
	}
	if !c.read && (c.subscribed || p.Mutant == snapshotFirst) {
		with(move{verb: rsRead, where: c.edge}, p.read)
	}
	if c.read && (c.next > 0 || c.subscribed && c.live < s.has[c.edge-1]) {
		with(move{verb: rsSend, where: c.edge}, p.send)
	}
}

// read is the edge's step 2, and the client's learning where it starts.
func (p resume) read(s *resumeState, c *resumeClient) {
	c.read = true
	foreign := c.epoch != s.epoch
	switch {
	case !c.known: // it begins at what is to come
		c.known = true
		p.put(s, c, s.has[c.edge-1])
	case !foreign && c.cursor > s.trimmed && c.cursor <= s.n:
		c.anchor = true
		c.toSend(c.cursor, s.n)
	case !foreign && c.cursor == s.trimmed: // there is no anchor, or the broker remembers it
		if c.cursor > 0 && p.Mutant != anchorless {
			p.compare(s, c, s.log[c.cursor-1])
		}
		c.toSend(c.cursor+1, s.n)
	case p.Mutant == skipTrimmed && !foreign && c.cursor < s.trimmed:
		c.skipped, c.cursor = s.trimmed, s.trimmed
		c.toSend(s.trimmed+1, s.n)
	case p.Mutant == refuseTrimmed && !foreign && c.cursor < s.trimmed:
		c.disconnect()
	default:
		start := s.trimmed
		if !foreign && c.cursor > s.n {
			start = s.n
		}
		p.put(s, c, start)
		c.toSend(start+1, s.n)
	}
}

// toSend says which positions are to be sent first.
func (c *resumeClient) toSend(next, end uint8) {
	if next <= end {
		c.next, c.end = next, end
	}
}

// messages gives those at the positions up to one, a bit each.
func (s *resumeState) messages(up uint8) (bits uint8) {
	for _, m := range s.log[:min(up, s.n)] {
		bits |= 1 << m
	}
	return bits
}

// put moves a client to a position. It is told that it will not get what it lacks of what is before.
func (p resume) put(s *resumeState, c *resumeClient, at uint8) {
	c.epoch, c.cursor, c.last, c.anchor = s.epoch, at, 0, false
	if at > 0 && p.Mutant != blindStart {
		c.last = s.log[at-1]
	}
	c.told |= s.messages(at)
}

// compare looks whether the message at the client's cursor is the one that it had, and tells it if not.
func (p resume) compare(s *resumeState, c *resumeClient, m uint8) {
	if c.last != 0 && c.last != m && p.Mutant != noAnchor {
		p.put(s, c, c.cursor)
	}
	c.last, c.anchor = m, false
}

// send sends the next message, and the client takes it.
func (p resume) send(s *resumeState, c *resumeClient) {
	at := c.next
	switch {
	case at == 0:
		c.live++
		at = c.live
	case at == c.end:
		c.next, c.end = 0, 0
	default:
		c.next++
	}
	m := s.log[at-1]
	switch {
	case c.anchor && at > c.cursor || at > c.cursor+1:
		c.disconnect()
	case at == c.cursor+1:
		c.take(m)
		c.cursor, c.last = at, m
	default:
		if at == c.cursor {
			p.compare(s, c, m)
		}
		if p.Mutant == noDedupe {
			c.take(m)
		}
	}
}

// take hands a message to the client's application.
func (c *resumeClient) take(m uint8) {
	if c.got&(1<<m) != 0 {
		c.repeated = m
	}
	c.got |= 1 << m
}

func (p resume) faultMoves(s resumeState, emit func(move, resumeState)) {
	s.faults--
	for i := range p.Clients {
		if s.clients[i].edge != 0 {
			to := s
			to.clients[i].disconnect()
			emit(move{verb: rsCut, who: uint8(i), where: s.clients[i].edge, mayNot: true}, to)
		}
	}
	for e := uint8(1); e <= 2; e++ {
		to := s
		to.restart(e)
		emit(move{verb: rsCrash, where: e, mayNot: true}, to)
	}
	if s.n == 0 {
		return
	}
	failed, lost := s, s
	failed.n--
	failed.log[failed.n] = 0
	failed.trimmed = min(failed.trimmed, failed.n)
	failed.restart(1)
	failed.restart(2)
	emit(move{verb: rsFailover, n: s.log[s.n-1], mayNot: true}, failed)
	lost.n, lost.trimmed, lost.log = 0, 0, [maxMessages]uint8{}
	lost.epoch++
	lost.restart(1)
	lost.restart(2)
	emit(move{verb: rsLose, mayNot: true}, lost)
}

// restart makes an edge follow the log from its end, with no client.
func (s *resumeState) restart(edge uint8) {
	s.has[edge-1] = s.n
	for i := range s.clients {
		if s.clients[i].edge == edge {
			s.clients[i].disconnect()
		}
	}
}

func (p resume) broken(s resumeState) string {
	for i, c := range s.clients[:p.Clients] {
		switch {
		case c.repeated > 0:
			return fmt.Sprintf("client-%d got m%d twice", i+1, c.repeated)
		case c.skipped > 0:
			return fmt.Sprintf("client-%d was moved to position %d of the log without being told", i+1, c.skipped)
		}
	}
	return ""
}

func (p resume) unfinished(s resumeState) string {
	for i, c := range s.clients[:p.Clients] {
		for at, m := range s.log[:s.n] {
			if (c.got|c.told)&(1<<m) == 0 {
				return fmt.Sprintf("client-%d never gets m%d, which is at position %d of the log, and was not told so", i+1, m, at+1)
			}
		}
	}
	return ""
}

func (p resume) tell(m move, from, to resumeState) string {
	client := fmt.Sprintf("client-%d", m.who+1)
	switch m.verb {
	case rsPublish:
		return fmt.Sprintf("m%d is published, at position %d of the log", m.n, to.n)
	case rsReceive:
		return fmt.Sprintf("edge-%d receives m%d", m.where, to.log[m.n-1])
	case rsConnect:
		return fmt.Sprintf("%s connects to edge-%d", client, m.where)
	case rsSubscribe:
		return fmt.Sprintf("edge-%d subscribes %s to what comes after position %d", m.where, client, to.clients[m.who].live)
	case rsRead:
		return fmt.Sprintf("edge-%d reads the log up to position %d for %s, which %s",
			m.where, to.n, client, readOutcome(from.clients[m.who], to.clients[m.who]))
	case rsSend:
		return p.tellSend(m, from, to)
	case rsTrim:
		return fmt.Sprintf("the log is trimmed up to position %d", m.n)
	case rsCut:
		return fmt.Sprintf("fault: %s's connection to edge-%d breaks", client, m.where)
	case rsCrash:
		return fmt.Sprintf("fault: edge-%d crashes, and restarts", m.where)
	case rsFailover:
		return fmt.Sprintf("fault: the broker fails over to a copy that lacks m%d", m.n)
	case rsLose:
		return "fault: the broker loses the log, and begins another epoch"
	}
	return fmt.Sprintf("move %d", m.verb)
}

// readOutcome tells what a client learnt of where it starts.
func readOutcome(before, after resumeClient) string {
	switch {
	case !before.known:
		return fmt.Sprintf("starts at position %d", after.cursor)
	case after.edge == 0:
		return fmt.Sprintf("is refused, as its position %d is no longer kept", after.cursor)
	case after.skipped > 0:
		return fmt.Sprintf("is moved from position %d to %d, and not told", before.cursor, after.cursor)
	case after.epoch != before.epoch || after.cursor != before.cursor:
		return fmt.Sprintf("is moved from position %d to %d, and told", before.cursor, after.cursor)
	case after.told != before.told:
		return fmt.Sprintf("is told that the log is not the one it has read up to position %d", after.cursor)
	}
	return fmt.Sprintf("resumes from position %d", after.cursor)
}

func (p resume) tellSend(m move, from, to resumeState) string {
	before, after := from.clients[m.who], to.clients[m.who]
	at := before.next
	if at == 0 {
		at = before.live + 1
	}
	what := fmt.Sprintf("client-%d is sent m%d from position %d", m.who+1, from.log[at-1], at)
	switch {
	case after.edge == 0:
		return what + ", finds a hole before it, and drops the connection"
	case after.got != before.got || after.repeated != 0:
		return what + ", and takes it"
	case after.told != before.told:
		return what + ", where it had another: it is told that the log is not the one it has read"
	}
	return what + ", and drops it"
}
