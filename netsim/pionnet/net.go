package pionnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/pion/transport/v5"

	"github.com/twohop/twohop/netsim"
)

// Host is where a program runs that uses the network: a *[netsim.Host], or a *sim.Node, whose network dies
// with its process.
type Host interface {
	Addr() netip.Addr
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	LookupHost(ctx context.Context, name string) ([]string, error)
}

var _ Host = (*netsim.Host)(nil)

// Net is the network as a host sees it. Any goroutine of the bubble may use it.
type Net struct{ host Host }

var _ transport.Net = (*Net)(nil)

// New makes the Net of a host.
func New(h Host) *Net { return &Net{h} }

// ErrNotSupported is the error of what is in transport.Net and not on this network.
var ErrNotSupported = errors.New("not supported on a simulated network")

func unsupported(op, network string, what string) error {
	return &net.OpError{Op: op, Net: network, Err: fmt.Errorf("%s: %w", what, ErrNotSupported)}
}

// ListenPacket opens a UDP socket; see [netsim.Host.ListenPacket].
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	c, err := n.listenUDP(network, address)
	if err != nil {
		return nil, err // not a nil *udpConn
	}
	return c, nil
}

// ListenUDP opens a UDP socket. A nil address means any port.
func (n *Net) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	address := ":0"
	if laddr != nil {
		address = bind(laddr.IP, laddr.Port)
	}
	c, err := n.listenUDP(network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (n *Net) listenUDP(network, address string) (*udpConn, error) {
	c, err := n.host.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*netsim.UDPConn)
	if !ok {
		return nil, errors.Join(unsupported("listen", network, fmt.Sprintf("a socket of type %T", c)), c.Close())
	}
	return &udpConn{u}, nil
}

// bind gives the text of an address to listen on.
func bind(ip net.IP, port int) string {
	host := ""
	if len(ip) > 0 && !ip.IsUnspecified() {
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// ListenTCP announces on a TCP port. A nil address means any.
func (n *Net) ListenTCP(network string, laddr *net.TCPAddr) (transport.TCPListener, error) {
	address := ":0"
	if laddr != nil {
		address = bind(laddr.IP, laddr.Port)
	}
	l, err := n.host.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &tcpListener{l}, nil
}

// Dial connects over TCP or UDP; see [netsim.Host.DialContext].
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.host.DialContext(context.Background(), network, address)
}

// DialUDP opens a UDP socket that is connected to raddr, from a port that the host picks: laddr must be nil
// or have port 0.
func (n *Net) DialUDP(network string, laddr, raddr *net.UDPAddr) (transport.UDPConn, error) {
	if laddr != nil && laddr.Port != 0 {
		return nil, unsupported("dial", network, "a local port")
	}
	if raddr == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "missing address"}}
	}
	c, err := n.Dial(network, raddr.String())
	if err != nil {
		return nil, err
	}
	u, ok := c.(*netsim.UDPConn)
	if !ok {
		return nil, errors.Join(unsupported("dial", network, fmt.Sprintf("a socket of type %T", c)), c.Close())
	}
	return &udpConn{u}, nil
}

// DialTCP opens a TCP connection to raddr, from a port that the host picks: laddr must be nil or have port 0.
func (n *Net) DialTCP(network string, laddr, raddr *net.TCPAddr) (transport.TCPConn, error) {
	if laddr != nil && laddr.Port != 0 {
		return nil, unsupported("dial", network, "a local port")
	}
	if raddr == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "missing address"}}
	}
	c, err := n.Dial(network, raddr.String())
	if err != nil {
		return nil, err
	}
	return newTCPConn("dial", c)
}

// resolve finds the first address of "name:port".
func (n *Net) resolve(address string) (netip.AddrPort, error) {
	name, digits, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return netip.AddrPort{}, &net.AddrError{Err: fmt.Sprintf("port %q is not a number from 0 to 65535", digits), Addr: address}
	}
	if name == "" {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)), nil
	}
	addr, err := n.lookup(name)
	return netip.AddrPortFrom(addr, uint16(port)), err
}

func (n *Net) lookup(name string) (netip.Addr, error) {
	addrs, err := n.host.LookupHost(context.Background(), name)
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.ParseAddr(addrs[0])
}

// ResolveIPAddr finds an address of a name.
func (n *Net) ResolveIPAddr(_, address string) (*net.IPAddr, error) {
	addr, err := n.lookup(address)
	if err != nil {
		return nil, err
	}
	return &net.IPAddr{IP: addr.AsSlice()}, nil
}

// ResolveUDPAddr finds an address of "name:port".
func (n *Net) ResolveUDPAddr(_, address string) (*net.UDPAddr, error) {
	at, err := n.resolve(address)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(at), nil
}

// ResolveTCPAddr finds an address of "name:port".
func (n *Net) ResolveTCPAddr(_, address string) (*net.TCPAddr, error) {
	at, err := n.resolve(address)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(at), nil
}

// The only interface that a host has; its network is netsim's 10.0.0.0/8.
const (
	interfaceName  = "eth0"
	interfaceIndex = 1
	interfaceMTU   = 1500
	networkBits    = 8
)

// Interfaces lists the host's one interface, with the address that it has now.
func (n *Net) Interfaces() ([]*transport.Interface, error) {
	i := transport.NewInterface(net.Interface{
		Index: interfaceIndex, MTU: interfaceMTU, Name: interfaceName,
		Flags: net.FlagUp | net.FlagRunning | net.FlagBroadcast,
	})
	i.AddAddress(&net.IPNet{IP: n.host.Addr().AsSlice(), Mask: net.CIDRMask(networkBits, 32)})
	return []*transport.Interface{i}, nil
}

// InterfaceByIndex gives interface 1, the only one.
func (n *Net) InterfaceByIndex(index int) (*transport.Interface, error) {
	if index != interfaceIndex {
		return nil, fmt.Errorf("%w: %d", transport.ErrInterfaceNotFound, index)
	}
	return n.only()
}

// InterfaceByName gives eth0, the only interface.
func (n *Net) InterfaceByName(name string) (*transport.Interface, error) {
	if name != interfaceName {
		return nil, fmt.Errorf("%w: %.40q", transport.ErrInterfaceNotFound, name)
	}
	return n.only()
}

func (n *Net) only() (*transport.Interface, error) {
	all, err := n.Interfaces()
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// CreateDialer gives a dialer of this network. Of d, the Timeout and Deadline count, and LocalAddr must be nil.
func (n *Net) CreateDialer(d *net.Dialer) transport.Dialer { return &dialer{n, d} }

type dialer struct {
	net *Net
	cfg *net.Dialer
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx := context.Background()
	if d.cfg != nil {
		if d.cfg.LocalAddr != nil {
			return nil, unsupported("dial", network, "a local address")
		}
		if d.cfg.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d.cfg.Timeout)
			defer cancel()
		}
		if !d.cfg.Deadline.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, d.cfg.Deadline)
			defer cancel()
		}
	}
	return d.net.host.DialContext(ctx, network, address)
}

// CreateListenConfig gives a listener's configuration of this network. The options of a *net.ListenConfig
// are for real sockets and have no effect.
func (n *Net) CreateListenConfig(*net.ListenConfig) transport.ListenConfig { return listenConfig{n} }

type listenConfig struct{ net *Net }

func (l listenConfig) Listen(_ context.Context, network, address string) (net.Listener, error) {
	return l.net.host.Listen(network, address)
}

func (l listenConfig) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	return l.net.ListenPacket(network, address)
}
