package netsim

// Counters is what has passed a host's network interface since the network began, through all of the
// host's lives, loopback included. Bytes are those of IP packets: headers and payload, retransmissions and
// acknowledgements too, without anything of the link layer.
//
// A packet that gets lost counts where it was sent only. At Stream fidelity there are next to no
// acknowledgements, and one packet carries up to 64 KiB, so that packets and bytes are fewer than TCP's.
type Counters struct {
	PacketsSent     uint64 `json:"packets_sent"`
	PacketsReceived uint64 `json:"packets_received"`
	BytesSent       uint64 `json:"bytes_sent"`
	BytesReceived   uint64 `json:"bytes_received"`
	// Dialed counts TCP connections that the host began to open, Opened those of them whose handshake it
	// completed, and Accepted the handshakes completed by its listeners.
	Dialed   uint64 `json:"dialed"`
	Opened   uint64 `json:"opened"`
	Accepted uint64 `json:"accepted"`
}

// Bytes is how many bytes were sent and received.
func (c Counters) Bytes() uint64 { return c.BytesSent + c.BytesReceived }

// Counters gives the host's counters. It is for the loop's goroutine.
func (h *Host) Counters() Counters {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.counters
}

func (c *Counters) sent(p *packet) {
	c.PacketsSent++
	c.BytesSent += uint64(p.wireLen())
}

func (c *Counters) received(p *packet) {
	c.PacketsReceived++
	c.BytesReceived += uint64(p.wireLen())
}

// established counts a handshake that an end of a connection has completed.
func (c *Counters) established(accepted bool) {
	if accepted {
		c.Accepted++
	} else {
		c.Opened++
	}
}
