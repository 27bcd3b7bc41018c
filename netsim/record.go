package netsim

import (
	"fmt"

	"github.com/twohop/twohop/netsim/capture"
)

// recorder writes what is sent into a capture. Each packet is recorded once a leg, by the host that
// sends it, with what became of it: so each connection is seen whole, every segment once, and lost ones
// with their retransmissions, as from inside the sender's host.
type recorder struct {
	out        *capture.Writer // nil if nothing is captured
	interfaces map[*Host]int
	err        error // the first
}

var fateNotes = [...]string{fateLost: "lost", fateCut: "cut off", fateQueueFull: "dropped by a full queue", fateTooBig: "larger than the MTU"}

// record records a packet that is being sent.
func (n *Network) record(p *packet, f fate) {
	r := &n.recorder
	if r.out == nil || r.err != nil || p.proto == protoUnreachable {
		return
	}
	id, err := r.interfaceOf(p.from)
	if err == nil {
		to := capture.Packet{
			At: n.clock, Interface: id, Direction: capture.Out,
			Src: p.src.addrPort(), Dst: p.dst.addrPort(), ID: p.ident, Hops: p.hops, Note: fateNotes[f],
		}
		if p.proto == protoTCP {
			p.ident, err = r.out.TCP(to, &p.seg)
		} else {
			p.ident, err = r.out.UDP(to, p.payload)
		}
	}
	if err != nil {
		r.err = fmt.Errorf("netsim: capture: %w", err)
	}
}

// interfaceOf gives the capture's interface of a host, which it adds the first time.
func (r *recorder) interfaceOf(h *Host) (int, error) {
	if id, ok := r.interfaces[h]; ok {
		return id, nil
	}
	id, err := r.out.Interface(h.name, h.Addr())
	r.interfaces[h] = id
	return id, err
}

// CloseCapture finishes the capture that Config.Capture asked for, and reports the first error that
// writing it met. Nothing is captured afterwards.
func (n *Network) CloseCapture() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := &n.recorder
	if r.out == nil {
		return nil
	}
	err := r.out.Close()
	r.out = nil
	if r.err != nil {
		return r.err
	}
	return err
}
