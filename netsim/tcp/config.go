package tcp

import (
	"fmt"
	"math/bits"
	"time"
)

// Congestion names a congestion control algorithm.
type Congestion uint8

const (
	// CUBIC is RFC 9438 with HyStart, Linux's default.
	CUBIC Congestion = iota
	// Reno is RFC 5681.
	Reno
)

// String is the algorithm's name as Linux spells it.
func (c Congestion) String() string {
	switch c {
	case CUBIC:
		return "cubic"
	case Reno:
		return "reno"
	}
	return fmt.Sprintf("Congestion(%d)", uint8(c))
}

// KeepAlive asks an idle peer for a sign of life. The zero value is off.
type KeepAlive struct {
	// Idle is how long nothing has come from the peer before the first probe; 0 turns keep-alive off.
	Idle time.Duration
	// Interval is the time between probes; 0 means 75 s (RFC 9293 §3.8.4 leaves it open; Linux).
	Interval time.Duration
	// Count is how many probes in a row go unanswered before the connection is given up; 0 means 9.
	Count int
}

// Config says how a connection behaves. Its zero value is Linux's defaults with TCP_NODELAY, which is
// how Go opens connections. Use [Config.Settings] to validate it.
type Config struct {
	// MSS is the maximum segment size announced to the peer, in bytes, 88 to 65495; 0 means 1460
	// (MTU 1500 over IPv4). A segment carries 12 bytes less when timestamps are on.
	MSS int
	// InitialWindow is the congestion window after the handshake, in segments, 1 to 1000; 0 means 10
	// (RFC 6928).
	InitialWindow int
	// Congestion is the congestion control algorithm.
	Congestion Congestion

	// SendBuffer is how many bytes Write takes before the peer acknowledged any; 0 means 16 KiB or
	// twice the congestion window, whichever is more, growing up to SendBufferMax.
	SendBuffer int
	// SendBufferMax is how far the send buffer grows by itself; 0 means 4 MiB, or SendBuffer if that
	// is given, which then stays as it is.
	SendBufferMax int
	// ReceiveBuffer is how many bytes of payload the connection holds for its reader, at first;
	// 0 means 65535. At least 1.
	ReceiveBuffer int
	// ReceiveBufferMax is how far the receive buffer grows by itself (dynamic right-sizing); 0 means
	// 3 MiB, or ReceiveBuffer if that is given, which then stays as it is.
	ReceiveBufferMax int

	// MinRTO bounds the variance term of the retransmission timeout from below; 0 means 200 ms.
	MinRTO time.Duration
	// MaxRTO bounds the retransmission timeout from above; 0 means 120 s.
	MaxRTO time.Duration
	// InitialRTO is the timeout before there is a round-trip sample; 0 means 1 s (RFC 6298 §2.1).
	InitialRTO time.Duration
	// SynRetries is how often a SYN is sent again; 0 means 6, -1 never.
	SynRetries int
	// SynLinear is how many of these follow at the first interval before it begins to double; 0 doubles
	// from the start, as RFC 6298 §5.5 has it: after 1, 2, 4 s and so on. Linux since 6.5 does 4.
	SynLinear int
	// SynAckRetries is how often a SYN-ACK is sent again; 0 means 5, -1 never.
	SynAckRetries int
	// Retries2 is how many timeouts in a row, as counted from MinRTO with exponential backoff, pass
	// before an established connection is given up; 0 means 15, some 15 minutes (RFC 1122
	// §4.2.3.5's R2).
	Retries2 int

	// DelayedAckMin is the least delay of a delayed acknowledgement; 0 means 40 ms.
	DelayedAckMin time.Duration
	// DelayedAckMax is the longest; 0 means 200 ms. RFC 9293 §3.8.6.3 demands less than 500 ms.
	DelayedAckMax time.Duration

	// KeepAlive is off when zero.
	KeepAlive KeepAlive
	// UserTimeout is how long sent data may stay unacknowledged before the connection is given up
	// (RFC 5482); 0 leaves it to Retries2.
	UserTimeout time.Duration

	// Nagle turns Nagle's algorithm on (RFC 896), that is, NoDelay off.
	Nagle bool
	// NoTimestamps turns the timestamp option off (RFC 7323).
	NoTimestamps bool
	// NoSACK turns selective acknowledgement off (RFC 2018), and with it RACK and TLP.
	NoSACK bool
	// NoWindowScaling turns the window scale option off (RFC 7323 §2).
	NoWindowScaling bool
	// KeepIdleWindow keeps the congestion window over idle periods, where RFC 2861 would halve it for
	// every timeout that passed.
	KeepIdleWindow bool

	// TimeWait is how long TIME-WAIT lasts, and how long an end that was closed waits in FIN-WAIT-2
	// for the peer to close; 0 means 60 s.
	TimeWait time.Duration

	// Tick is the grain of the timers; 0 means 4 ms, a kernel with HZ=250. Timers further away have a
	// coarser grain, as in the kernel's timer wheel. A negative tick makes timers exact.
	Tick time.Duration
}

// Settings is a validated Config. Connections share it; it does not change.
type Settings struct {
	cfg        Config
	wscale     int8          // announced; -1 is none
	retries2   time.Duration // how long Retries2 timeouts take
	sndFixed   bool          // the send buffer does not grow
	rcvFixed   bool
	keepsAlive bool
}

// Config returns the configuration with all defaults filled in.
func (s *Settings) Config() Config { return s.cfg }

// resolve fills in the default of one number of a Config and checks its bounds, unless there has been
// an error before.
func resolve[T int | time.Duration](err *error, name string, p *T, def, least, most T) {
	if *err != nil {
		return
	}
	if *p == 0 {
		*p = def
	}
	if *p < least || *p > most {
		*err = fmt.Errorf("tcp: Config.%s is %v: want %v to %v, or 0 for the default %v",
			name, *p, least, most, def)
	}
}

// Settings fills in the defaults and validates. The error names the field, its value and what is
// allowed.
func (c Config) Settings() (*Settings, error) {
	s := &Settings{cfg: c, wscale: -1}
	if err := s.resolve(); err != nil {
		return nil, err
	}
	if !s.cfg.NoWindowScaling {
		s.wscale = windowScale(s.cfg.ReceiveBufferMax)
	}
	s.retries2 = backoffTime(s.cfg.MinRTO, s.cfg.MaxRTO, s.cfg.Retries2)
	s.keepsAlive = s.cfg.KeepAlive.Idle > 0
	return s, nil
}

const (
	day        = 24 * time.Hour
	maxBuffer  = 1 << 28                // well inside half of the sequence space
	minSegment = 88                     // what Linux takes for the least MSS
	longestAck = 500 * time.Millisecond // RFC 9293 §3.8.6.3
)

func (s *Settings) resolve() error {
	c := &s.cfg
	if c.Congestion > Reno {
		return fmt.Errorf("tcp: Config.Congestion is %d: want CUBIC (0) or Reno (1)", c.Congestion)
	}
	s.sndFixed = c.SendBuffer != 0 && c.SendBufferMax == 0
	if s.sndFixed {
		c.SendBufferMax = c.SendBuffer
	}
	s.rcvFixed = c.ReceiveBuffer != 0 && c.ReceiveBufferMax == 0
	if s.rcvFixed {
		c.ReceiveBufferMax = c.ReceiveBuffer
	}
	if c.KeepAlive.Idle == 0 && c.KeepAlive != (KeepAlive{}) {
		return fmt.Errorf("tcp: Config.KeepAlive.Idle is 0 with Interval %v and Count %d: "+
			"want all zero, or Idle above 0", c.KeepAlive.Interval, c.KeepAlive.Count)
	}
	var err error
	resolve(&err, "MSS", &c.MSS, 1460, minSegment, 65495)
	resolve(&err, "InitialWindow", &c.InitialWindow, 10, 1, 1000)
	resolve(&err, "SendBuffer", &c.SendBuffer, 16<<10, 1, maxBuffer)
	resolve(&err, "SendBufferMax", &c.SendBufferMax, max(4<<20, c.SendBuffer), c.SendBuffer, maxBuffer)
	resolve(&err, "ReceiveBuffer", &c.ReceiveBuffer, 65535, 1, maxBuffer)
	resolve(&err, "ReceiveBufferMax", &c.ReceiveBufferMax, max(3<<20, c.ReceiveBuffer), c.ReceiveBuffer, maxBuffer)
	resolve(&err, "SynRetries", &c.SynRetries, 6, -1, 100)
	resolve(&err, "SynLinear", &c.SynLinear, 0, 0, 100)
	resolve(&err, "SynAckRetries", &c.SynAckRetries, 5, -1, 100)
	resolve(&err, "Retries2", &c.Retries2, 15, 1, 100)
	resolve(&err, "MinRTO", &c.MinRTO, 200*time.Millisecond, time.Millisecond, time.Minute)
	resolve(&err, "MaxRTO", &c.MaxRTO, 120*time.Second, c.MinRTO, day)
	resolve(&err, "InitialRTO", &c.InitialRTO, time.Second, time.Millisecond, c.MaxRTO)
	resolve(&err, "DelayedAckMin", &c.DelayedAckMin, 40*time.Millisecond, time.Millisecond, longestAck)
	resolve(&err, "DelayedAckMax", &c.DelayedAckMax,
		max(200*time.Millisecond, c.DelayedAckMin), c.DelayedAckMin, longestAck)
	resolve(&err, "UserTimeout", &c.UserTimeout, 0, 0, 365*day)
	resolve(&err, "TimeWait", &c.TimeWait, time.Minute, time.Millisecond, day)
	resolve(&err, "Tick", &c.Tick, 4*time.Millisecond, -day, time.Second)
	if c.KeepAlive.Idle != 0 {
		resolve(&err, "KeepAlive.Idle", &c.KeepAlive.Idle, 0, time.Millisecond, 365*day)
		resolve(&err, "KeepAlive.Interval", &c.KeepAlive.Interval, 75*time.Second, time.Millisecond, 365*day)
		resolve(&err, "KeepAlive.Count", &c.KeepAlive.Count, 9, 1, 127)
	}
	return err
}

// windowScale is the shift that Linux announces for a buffer that may grow to this size: at most 14,
// and one more than a 16-bit window needs (RFC 7323 §2.3), for half of its buffer is meant for
// overhead.
func windowScale(buffer int) int8 {
	return int8(min(max(bits.Len(uint(buffer))-15, 0), 14))
}

// backoffTime is how long n timeouts beyond the first take when each is twice the one before.
func backoffTime(first, most time.Duration, n int) time.Duration {
	var sum time.Duration
	for rto := first; n >= 0; n-- {
		sum += rto
		rto = min(2*rto, most)
	}
	return sum
}
