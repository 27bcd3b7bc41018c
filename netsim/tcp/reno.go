package tcp

// renoThreshold is half of the window, and at least two segments (RFC 5681 §3.1 equation 4, with
// cwnd in place of FlightSize, for cwnd does not grow beyond what is used).
func renoThreshold(cwnd uint32) uint32 { return max(cwnd/2, 2) }
