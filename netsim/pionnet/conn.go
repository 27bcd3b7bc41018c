package pionnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pion/transport/v5"

	"github.com/twohop/twohop/netsim"
)

// udpConn is a UDP socket with the methods of *net.UDPConn that pion has in its interface.
type udpConn struct{ *netsim.UDPConn }

// SetReadBuffer does nothing: the network's sockets have the size that Linux gives them.
func (*udpConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing: writes never wait.
func (*udpConn) SetWriteBuffer(int) error { return nil }

func (c *udpConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromUDPAddrPort(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadMsgUDP is ReadFromUDP: there is no out-of-band data.
func (c *udpConn) ReadMsgUDP(p, _ []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, addr, err = c.ReadFromUDP(p)
	return n, 0, 0, addr, err
}

func (c *udpConn) WriteToUDP(p []byte, addr *net.UDPAddr) (int, error) {
	if addr == nil {
		return c.Write(p) // which says that there is no destination, unless the socket was dialled
	}
	return c.WriteToUDPAddrPort(p, addrPort(addr))
}

// WriteMsgUDP is WriteToUDP: out-of-band data, such as ECN marks, is not sent.
func (c *udpConn) WriteMsgUDP(p, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	n, err = c.WriteToUDP(p, addr)
	return n, len(oob), err
}

func addrPort(a *net.UDPAddr) netip.AddrPort {
	at := a.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// tcpConn is a TCP connection with the methods of *net.TCPConn that pion has in its interface.
type tcpConn struct{ *netsim.Conn }

func newTCPConn(op string, c net.Conn) (transport.TCPConn, error) {
	t, ok := c.(*netsim.Conn)
	if !ok {
		return nil, errors.Join(unsupported(op, "tcp", fmt.Sprintf("a connection of type %T", c)), c.Close())
	}
	return &tcpConn{t}, nil
}

// ReadFrom copies from r until its end.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c.Conn}, r) // without the method, which would call itself
}

// SetKeepAlivePeriod sets the time before and between keep-alive probes, and turns them on.
func (c *tcpConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d})
}

// SetReadBuffer does nothing: the window is the network's business.
func (*tcpConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing, as SetReadBuffer.
func (*tcpConn) SetWriteBuffer(int) error { return nil }

// tcpListener is a listener with the methods of *net.TCPListener that pion has in its interface.
type tcpListener struct{ net.Listener }

func (l *tcpListener) AcceptTCP() (transport.TCPConn, error) {
	c, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return newTCPConn("accept", c)
}

// SetDeadline is not supported, but for the zero time, which means none.
func (l *tcpListener) SetDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return unsupported("set", "tcp", "a listener's deadline")
}
