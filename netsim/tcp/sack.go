package tcp

import "time"

// highestSacked is the end of the highest segment that has been SACKed, or SND.UNA.
func (c *Conn) highestSacked() uint32 {
	if c.flight == nil {
		return c.una
	}
	return c.flight.fack
}

// processSACK marks what a segment's SACK blocks cover (RFC 2018 §4, RFC 6675 §4).
func (c *Conn) processSACK(now time.Duration, seg *Segment, a *ackEvent) {
	f := c.flight
	blocks := seg.SACK[:seg.numSACK()]
	if c.processDSACK(seg, a) {
		blocks = blocks[1:]
	}
	fack := f.fack
	for _, b := range blocks {
		if seqLT(b.Start, b.End) && seqGEQ(b.Start, c.una) && seqLEQ(b.End, c.nxt) && seqGT(b.End, seg.Ack) {
			c.sackBlock(now, b, fack, a)
		}
	}
	if a.reordered {
		c.noteReordering(a.lowest, f.fack)
		a.reordered = false
	}
}

// sackBlock marks the segments that lie inside a block.
func (c *Conn) sackBlock(now time.Duration, b Block, fack uint32, a *ackEvent) {
	f := c.flight
	begin := f.find(b.Start)
	i := begin
	for i != f.limit {
		s := f.at(i)
		switch {
		case s.bits&merged != 0:
			i++
			continue
		case seqGT(s.end, b.End):
			c.skipNext(begin, i)
			return
		case s.bits&sacked != 0:
			i = s.next
			continue
		}
		if s.bits&everRetrans == 0 {
			c.originalDelivered(s, a, fack)
			if !a.sackTimed {
				a.sackAt, a.sackTimed = s.at, true
			}
		}
		c.rackAdvance(now, s)
		f.markSacked(i)
		f.fack = seqMax(f.fack, s.end)
		a.dataSacked = true
		a.delivered++
		i++
	}
	c.skipNext(begin, i)
}

// skipNext notes that all segments from begin to end have been SACKed, so that the next block that
// begins there, as it will when it has grown, is quickly gone through.
func (c *Conn) skipNext(begin, end uint32) {
	if begin == end {
		return
	}
	if s := c.flight.at(begin); s.bits&sacked != 0 {
		s.next = end
	}
}

// processDSACK handles a D-SACK, which reports something that arrived twice (RFC 2883 §4): a first
// block below the acknowledgement, or inside the second block. It reports whether there was one.
func (c *Conn) processDSACK(seg *Segment, a *ackEvent) bool {
	b := seg.SACK[0]
	n := seg.numSACK()
	inSecond := n > 1 && seqGEQ(b.Start, seg.SACK[1].Start) && seqLEQ(b.End, seg.SACK[1].End)
	if n == 0 || !seqLT(b.Start, seg.Ack) && !inSecond {
		return false
	}
	length := b.End - b.Start
	if seqGEQ(b.Start, b.End) || length > c.maxWnd {
		return true // it makes no sense, but it is no SACK either
	}
	size := c.segmentSize()
	dups := (length + size - 1) / size
	if f := c.flight; f != nil && f.tlp.out && f.tlp.high == b.End && dups == 1 {
		a.dsackProbe = true
	}
	c.info.dsacks += dups
	if c.info.dsacks > c.info.retransmits {
		return true // duplicated by the network, not by us
	}
	a.dsack = true
	a.delivered += int(dups)
	if c.rack.seen && !a.dsackProbe {
		c.rack.dsack = true
	}
	if c.undo.armed && c.undo.resent > 0 && seqLEQ(b.End, a.una) && seqGT(b.End, c.undo.marker) {
		c.undo.resent = max(c.undo.resent-int32(dups), 0)
	}
	return true
}

// fillSACK adds the SACK option: first what arrived twice, then what has most recently arrived beyond
// a gap (RFC 2018 §4, RFC 2883 §4). Beside a timestamp there is room for three blocks.
func (c *Conn) fillSACK(seg *Segment) {
	room := MaxSACK
	if seg.HasTS {
		room--
	}
	n := 0
	if c.ack.dup != (Block{}) {
		seg.SACK[0] = c.ack.dup
		c.ack.dup = Block{}
		n = 1
	}
	if c.rcv.gaps != nil {
		n += c.rcv.blocks(seg.SACK[n:room])
	}
	seg.NumSACK = n
}

// fitSACK leaves out the blocks for which a segment has no room beside its payload, so that it is no
// larger than the peer's MSS allows (RFC 9293 §3.7.1: the MSS does not count options, whoever sends
// them has to). Nothing is lost by it: what arrived out of order was acknowledged at once, without
// payload. (Linux makes the payload smaller instead.)
func (c *Conn) fitSACK(seg *Segment) {
	room := int(c.mss) - len(seg.Payload)
	for seg.NumSACK > 0 && 4+8*seg.NumSACK > room {
		seg.NumSACK--
	}
}
