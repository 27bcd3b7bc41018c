package tcp

import "time"

// micros is a duration in microseconds, the grain of Linux's round-trip measurements.
type micros = uint32

func toMicros(d time.Duration) micros {
	return micros(min(max(d/time.Microsecond, 1), 1<<31))
}

func fromMicros(m micros) time.Duration { return time.Duration(m) * time.Microsecond }

// millis is a point in time in milliseconds since the run began, for what needs no finer grain. It
// wraps after 49 days, which only matters to what compares times that far apart.
type millis uint32

func toMillis(t time.Duration) millis { return millis(t / time.Millisecond) }

// since is the time that has passed since then.
func (m millis) since(then millis) time.Duration {
	return time.Duration(m-then) * time.Millisecond
}

// rttEstimator computes the retransmission timeout. It is RFC 6298 with two of Linux's changes: the
// variance falls slowly, once per round trip and by a quarter, and is kept above MinRTO, so that the
// timeout is SRTT + max(MinRTO, 4·RTTVAR) rather than max(1 s, SRTT + 4·RTTVAR).
type rttEstimator struct {
	srtt   micros // 8·SRTT; 0 before the first sample
	mdev   micros // 4·the mean deviation
	top    micros // greatest mdev in this round trip, at least MinRTO
	rttvar micros // 4·RTTVAR
	round  uint32 // the round trip ends when this sequence number is acknowledged
	lowest windowedMin
}

// sample takes a measurement into account.
func (e *rttEstimator) sample(now, rtt time.Duration, floor time.Duration, una, nxt uint32) {
	m := toMicros(rtt)
	e.lowest.update(now, m)
	least := toMicros(floor)
	if e.srtt == 0 { // RFC 6298 §2.2
		e.srtt = 8 * m
		e.mdev = 2 * m
		e.rttvar = max(e.mdev, least)
		e.top = e.rttvar
		e.round = nxt
		return
	}
	// RFC 6298 §2.3 with α = 1/8 and β = 1/4; but a sample below SRTT that would raise the deviation
	// counts for an eighth of that, for a shrinking round trip is no reason to wait longer.
	err := int64(m) - int64(e.srtt/8)
	e.srtt = uint32(int64(e.srtt) + err)
	dev := max(err, -err) - int64(e.mdev/4)
	if err < 0 && dev > 0 {
		dev /= 8
	}
	e.mdev = uint32(int64(e.mdev) + dev)
	if e.mdev > e.top {
		e.top = e.mdev
		e.rttvar = max(e.rttvar, e.top)
	}
	if seqGT(una, e.round) {
		if e.top < e.rttvar {
			e.rttvar -= (e.rttvar - e.top) / 4
		}
		e.round = nxt
		e.top = least
	}
}

// smoothed is SRTT; 0 before the first sample.
func (e *rttEstimator) smoothed() time.Duration { return fromMicros(e.srtt / 8) }

// rto is the timeout without backoff; initial before the first sample.
func (e *rttEstimator) rto(initial time.Duration) time.Duration {
	if e.srtt == 0 {
		return initial
	}
	return fromMicros(e.srtt/8) + fromMicros(e.rttvar)
}

// windowedMin is the least of the samples of the last five minutes, after Kathleen Nichols' filter:
// it remembers the best, and the best since two later moments, to fall back on as they expire.
type windowedMin struct {
	best [3]struct {
		at  uint32 // seconds since the run began
		val micros
	}
}

// minRTTWindow is how long a sample counts, in seconds (Linux's tcp_min_rtt_wlen).
const minRTTWindow = 300

func (w *windowedMin) update(now time.Duration, m micros) {
	at := uint32(now / time.Second)
	b := &w.best
	if m <= b[0].val || b[0].val == 0 || at-b[2].at > minRTTWindow {
		for i := range b {
			b[i].at, b[i].val = at, m
		}
		return
	}
	if m <= b[1].val {
		b[1].at, b[1].val = at, m
		b[2] = b[1]
	} else if m <= b[2].val {
		b[2].at, b[2].val = at, m
	}
	switch age := at - b[0].at; {
	case age > minRTTWindow:
		b[0], b[1] = b[1], b[2]
		b[2].at, b[2].val = at, m
		if at-b[0].at > minRTTWindow {
			b[0], b[1] = b[1], b[2]
		}
	case b[1].at == b[0].at && age > minRTTWindow/4:
		b[1].at, b[1].val = at, m
		b[2] = b[1]
	case b[2].at == b[1].at && age > minRTTWindow/2:
		b[2].at, b[2].val = at, m
	}
}

// value is the minimum; 0 before the first sample.
func (w *windowedMin) value() micros { return w.best[0].val }
