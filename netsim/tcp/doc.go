// Package tcp is one end of a TCP connection as a pure state machine: segments, the user's calls and
// the time go in, segments come out.
//
// Its nouns are the [Conn] (one end of a connection), the [Segment] (what goes over the wire), the
// [Config] with the validated [Settings] that connections share, and the [Pool] (the memory they
// share). Start with [New], then [Conn.Connect] or [Conn.Accept]; feed it with [Conn.Input] and,
// when [Conn.Deadline] is due, [Conn.Timer]; use it with [Conn.Write], [Conn.Read] and
// [Conn.Close], and call [Conn.Flush] after those.
//
// It does what Linux does, whose mechanisms decide how long a message takes when segments are lost:
// RFC 9293 with RFC 5961's checks; timestamps, PAWS and window scaling (RFC 7323); SACK and D-SACK
// (RFC 2018, 2883); RACK-TLP (RFC 8985); proportional rate reduction (RFC 9937); F-RTO and Eifel
// (RFC 5682, 3522); CUBIC with HyStart, or Reno (RFC 9438, 5681); retransmission timeouts of
// RFC 6298 with a floor of 200 ms for the variance; timers on the ticks of a kernel with HZ=250;
// delayed and quick acknowledgements; receive-buffer right-sizing.
//
// # Determinism
//
// There are no goroutines, no clock, no randomness and no maps: what comes out depends on what goes
// in. Arithmetic is on integers. What differs between kernels by chance (timestamp offset, phase of
// the timer tick) is derived from the initial sequence number.
//
// # Limitations
//
// No urgent data, ECN, Fast Open, pacing, path MTU discovery or segmentation offload. ICMP errors do
// not exist. A receiver never drops what it has SACKed. HyStart++ (RFC 9406) is not implemented, as
// it is not in Linux.
package tcp
