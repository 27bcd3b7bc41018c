package tcp

// Sequence numbers are 32 bits wide and wrap. Of two that are less than 2³¹ apart, the earlier is the
// one from which the other is reached by adding (RFC 9293 §3.4).

// seqLT reports whether a comes before b.
func seqLT(a, b uint32) bool { return int32(a-b) < 0 }

// seqLEQ reports whether a comes before b or is b.
func seqLEQ(a, b uint32) bool { return int32(a-b) <= 0 }

// seqGT reports whether a comes after b.
func seqGT(a, b uint32) bool { return int32(a-b) > 0 }

// seqGEQ reports whether a comes after b or is b.
func seqGEQ(a, b uint32) bool { return int32(a-b) >= 0 }

// seqMax is the later of two sequence numbers.
func seqMax(a, b uint32) uint32 {
	if seqLT(a, b) {
		return b
	}
	return a
}

// seqMin is the earlier of two sequence numbers.
func seqMin(a, b uint32) uint32 {
	if seqLT(a, b) {
		return a
	}
	return b
}
