package tcp

import (
	"fmt"
	"time"
)

// check panics if the connection's state contradicts itself.
func (c *Conn) check(name string, now time.Duration) {
	must := func(ok bool, format string, args ...any) {
		if !ok {
			panic(fmt.Sprintf("%s at %v in %v: %s", name, now, c.state, fmt.Sprintf(format, args...)))
		}
	}
	must(seqLEQ(c.una, c.nxt), "SND.UNA %d > SND.NXT %d", c.una, c.nxt)
	must(c.cc.cwnd >= 1, "cwnd is 0")
	must(c.cc.ssthresh >= 1, "ssthresh is 0")
	if c.state == Closed {
		must(c.flight == nil && c.snd.len == 0 && c.rcv.gaps == nil, "closed, and yet it holds memory")
		_, ok := c.Deadline()
		must(!ok, "closed, and yet a timer is set")
		return
	}
	if c.synchronized() && c.state != TimeWait {
		must(c.snd.base == c.una || c.flags&finSent != 0 && c.una == c.nxt, "send buffer at %d, SND.UNA %d", c.snd.base, c.una)
		must(seqGEQ(c.snd.end()+1, c.nxt), "SND.NXT %d is beyond the data's end %d", c.nxt, c.snd.end())
		must((c.flight != nil) == (c.una != c.nxt), "flight %v with %d bytes out", c.flight != nil, c.nxt-c.una)
	}
	if c.flight != nil {
		must(c.rtx.kind != timerNone && c.rtx.kind != timerPersist, "data in flight and no timer")
		c.flight.check(c, must)
	}
	c.checkQueue("send buffer", &c.snd.queue, must)
	c.checkQueue("receive buffer", &c.rcv.queue, must)
	end, held := c.rcv.nxt, 0
	for r := c.rcv.gaps; r != nil; r = r.next {
		must(seqGT(r.seq, end), "reassembly block at %d touches what ends at %d", r.seq, end)
		must(r.data.len > 0, "empty reassembly block at %d", r.seq)
		end = r.end()
		held += r.data.len
	}
	must(held == int(c.rcv.gapLen), "%d bytes beyond gaps, counted %d", held, c.rcv.gapLen)
	must(seqLEQ(c.win.acked, c.rcvNxt()), "acknowledged %d beyond RCV.NXT %d", c.win.acked, c.rcvNxt())
}

func (c *Conn) checkQueue(name string, q *queue, must func(bool, string, ...any)) {
	n := 0
	var last *chunk
	for k := q.head; k != nil; k = k.next {
		must(k.off < k.end, "%s holds an empty chunk", name)
		n += k.end - k.off
		last = k
	}
	must(n == q.len, "%s holds %d bytes, counted %d", name, n, q.len)
	must(last == q.tail, "%s has lost its tail", name)
}

func (f *flight) check(c *Conn, must func(bool, string, ...any)) {
	var packets, sackedN, lostN, retransN, listedN int
	at := c.una
	for i := f.first; i != f.limit; i++ {
		s := f.at(i)
		if s.bits&merged != 0 {
			must(s.bits == merged, "merged segment %d has bits %b", i, s.bits)
			continue
		}
		must(s.seq == at, "segment %d begins at %d, not %d", i, s.seq, at)
		must(seqLT(s.seq, s.end), "empty segment %d", i)
		at = s.end
		packets++
		count := func(bit sentBits, n *int) {
			if s.bits&bit != 0 {
				*n++
			}
		}
		count(sacked, &sackedN)
		count(lost, &lostN)
		count(retrans, &retransN)
		count(listed, &listedN)
		must(s.bits&sacked == 0 || s.bits&(lost|retrans|listed) == 0, "SACKed segment %d has bits %b", i, s.bits)
		must(s.bits&listed != 0 || s.bits&sacked != 0 || s.bits&(lost|retrans) == lost, "segment %d is not listed, bits %b", i, s.bits)
		if s.bits&(lost|retrans) == lost {
			must(int32(i-f.hint) >= 0, "lost segment %d is before the hint %d", i, f.hint)
		}
	}
	must(seqGEQ(f.fack, c.una) && seqLEQ(f.fack, c.nxt), "highest SACK %d, SND.UNA %d, SND.NXT %d", f.fack, c.una, c.nxt)
	must(at == c.nxt, "scoreboard ends at %d, SND.NXT %d", at, c.nxt)
	must(packets == f.packetsOut, "%d segments out, counted %d", packets, f.packetsOut)
	must(sackedN == f.sackedOut, "%d segments SACKed, counted %d", sackedN, f.sackedOut)
	must(lostN == f.lostOut, "%d segments lost, counted %d", lostN, f.lostOut)
	must(retransN == f.retransOut, "%d segments sent again, counted %d", retransN, f.retransOut)
	must(f.inFlight() >= 0 && f.leftOut() <= f.packetsOut, "in flight %d, left %d of %d", f.inFlight(), f.leftOut(), f.packetsOut)
	n := 0
	prev := nowhere
	for i := f.oldest; i != nowhere; i = f.at(i).next {
		s := f.at(i)
		must(s.bits&listed != 0 && s.prev == prev, "segment %d in the list by time has bits %b", i, s.bits)
		must(prev == nowhere || f.at(prev).at <= s.at, "list by time is out of order at %d", i)
		prev = i
		n++
		must(n <= packets, "list by time has a loop")
	}
	must(n == listedN && prev == f.last, "%d segments listed, counted %d", n, listedN)
}
