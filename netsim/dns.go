package netsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Zone is what the network's name servers know: IPv4 addresses of names, each for a time. It may be
// changed at any time, from any goroutine of the bubble; hosts notice when what they have cached has
// run out.
type Zone struct {
	mu      sync.Mutex // never held while waiting
	records map[string]record
}

type record struct {
	addrs []netip.Addr
	ttl   time.Duration
	fails bool
}

// Set gives a name its addresses. Whoever has asked may use the answer for ttl, which is cut to whole
// seconds, and ask again afterwards.
func (z *Zone) Set(name string, ttl time.Duration, addrs ...netip.Addr) error {
	key, err := zoneName(name)
	if err != nil {
		return err
	}
	if ttl < 0 || ttl >= 1<<31*time.Second {
		return fmt.Errorf("netsim: zone: %s: ttl is %v; want 0 to 2^31-1 seconds (RFC 2181 §8)", name, ttl)
	}
	if len(addrs) == 0 {
		return fmt.Errorf("netsim: zone: %s: no addresses; use Remove to make the name unknown", name)
	}
	for _, a := range addrs {
		if !a.Is4() {
			return fmt.Errorf("netsim: zone: %s: %v is not an IPv4 address", name, a)
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[key] = record{addrs: slices.Clone(addrs), ttl: ttl}
	return nil
}

// Remove makes a name unknown: the answer is NXDOMAIN.
func (z *Zone) Remove(name string) error {
	key, err := zoneName(name)
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.records, key)
	return nil
}

// Fail makes questions for a name fail: the answer is SERVFAIL, until the name is set or removed.
func (z *Zone) Fail(name string) error {
	key, err := zoneName(name)
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[key] = record{fails: true}
	return nil
}

// zoneName brings a name into the form in which it is looked up: lower case, with a final dot.
func zoneName(name string) (string, error) {
	key := strings.ToLower(strings.TrimSuffix(name, ".")) + "."
	if _, err := dnsmessage.NewName(key); err != nil || key == "." || strings.Contains(key, "..") {
		return "", fmt.Errorf("netsim: zone: %.80q is not a domain name", name)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(key, "."), ".") {
		if len(label) > 63 {
			return "", fmt.Errorf("netsim: zone: %.80q has a label of %d bytes; at most 63 are allowed (RFC 1035 §2.3.4)", name, len(label))
		}
	}
	return key, nil
}

// answer answers one question as it came from the wire; nil if it is none.
func (z *Zone) answer(query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil || header.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	z.mu.Lock()
	r, known := z.records[strings.ToLower(q.Name.String())]
	z.mu.Unlock()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case r.fails:
		m.RCode = dnsmessage.RCodeServerFailure
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA && q.Class == dnsmessage.ClassINET:
		for _, a := range r.addrs {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: uint32(r.ttl / time.Second)},
				Body:   &dnsmessage.AResource{A: a.As4()},
			})
		}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil // more addresses than fit: as good as no answer
	}
	return packed
}

// Zone is what the network's name servers know.
func (n *Network) Zone() *Zone { return &n.zone }

// dnsPort is where name servers listen.
const dnsPort = 53

// ServeDNS answers questions about the network's zone on UDP port 53, until ctx ends. It is a name
// server's process, to be run by a goroutine of its host.
func (h *Host) ServeDNS(ctx context.Context) error {
	c, err := h.openUDP("udp", fmt.Sprintf(":%d", dnsPort), endpoint{})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // it may have been closed with the host
	buf := make([]byte, 512)
	for {
		m, from, err := c.ReadFromUDPAddrPort(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if answer := h.net.zone.answer(buf[:m]); answer != nil {
			if _, err := c.WriteToUDPAddrPort(answer, from); err != nil {
				return err
			}
		}
	}
}

// UseDNS has the hosts that a pattern matches (see SetLink) ask a name server for names that are not
// hosts'. It is for the loop's goroutine.
func (n *Network) UseDNS(pattern, server string) error {
	hosts, err := n.Match(pattern)
	if err != nil {
		return err
	}
	to := n.Host(server)
	if to == nil {
		return fmt.Errorf("netsim: name server %q: no host has that name%s", server, n.hostList())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range hosts {
		h.resolver = resolver{server: to, cache: make(map[string]cached)}
	}
	return nil
}

// resolver is a host's stub resolver. It is guarded by net.mu.
type resolver struct {
	server *Host // nil: there is none
	cache  map[string]cached
}

type cached struct {
	addrs   []uint32
	expires time.Duration
}

// How a stub resolver insists, by the defaults of resolv.conf(5).
const (
	dnsTimeout  = 5 * time.Second
	dnsAttempts = 2
)

// LookupHost finds the addresses of a name as the host's programs would: by the hosts' names first,
// then by the name server, if there is one.
func (h *Host) LookupHost(ctx context.Context, name string) ([]string, error) {
	ips, err := h.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(ips))
	for i, ip := range ips {
		addrs[i] = addrOf(ip).String()
	}
	return addrs, nil
}

// ask asks the name server, or the answers that it gave before.
func (h *Host) ask(ctx context.Context, name string) ([]uint32, error) {
	notFound := &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	key, err := zoneName(name)
	n := h.net
	n.mu.Lock()
	r := h.resolver
	known, ok := r.cache[key]
	n.mu.Unlock()
	switch {
	case err != nil || r.server == nil:
		return nil, notFound
	case ok && n.Now() < known.expires:
		return known.addrs, nil
	}
	var last error
	for range dnsAttempts {
		addrs, ttl, err := h.askOnce(ctx, r.server, key)
		if err == nil {
			n.mu.Lock()
			r.cache[key] = cached{addrs, n.Now() + ttl}
			n.mu.Unlock()
			return addrs, nil
		}
		if errors.Is(err, errNoName) {
			return nil, notFound
		}
		if ctx.Err() != nil {
			return nil, contextError(ctx.Err())
		}
		last = err
	}
	timeout, ok := errors.AsType[net.Error](last)
	return nil, &net.DNSError{
		Err: last.Error(), Name: name, Server: r.server.name, IsTimeout: ok && timeout.Timeout(), IsTemporary: true,
	}
}

var (
	errNoName   = errors.New("no such host")
	errNoAnswer = errors.New("server misbehaving")
)

// askOnce asks one question and waits for its answer.
func (h *Host) askOnce(ctx context.Context, server *Host, key string) ([]uint32, time.Duration, error) {
	c, err := h.openUDP("udp", ":0", endpoint{server.ip, dnsPort})
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = c.Close() }() // it may have been closed with the host
	h.net.mu.Lock()
	id := uint16(h.luck.Uint64())
	h.net.mu.Unlock()
	name, err := dnsmessage.NewName(key)
	if err != nil {
		return nil, 0, err
	}
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := query.Pack()
	if err != nil {
		return nil, 0, err
	}
	if _, err := c.Write(packed); err != nil {
		return nil, 0, err
	}
	if err := c.SetReadDeadline(time.Now().Add(dnsTimeout)); err != nil {
		return nil, 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })() // fails only if it is over
	buf := make([]byte, 512)
	for {
		m, err := c.Read(buf)
		if err != nil {
			return nil, 0, err
		}
		if addrs, ttl, mine, err := parseAnswer(buf[:m], id); mine {
			return addrs, ttl, err
		}
	}
}

// parseAnswer reads an answer; mine is false if it is not one to the question with the given ID.
func parseAnswer(data []byte, id uint16) (addrs []uint32, ttl time.Duration, mine bool, err error) {
	var m dnsmessage.Message
	if m.Unpack(data) != nil || m.ID != id || !m.Response {
		return nil, 0, false, nil
	}
	switch m.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return nil, 0, true, errNoName
	default:
		return nil, 0, true, errNoAnswer
	}
	for _, a := range m.Answers {
		if body, ok := a.Body.(*dnsmessage.AResource); ok {
			addrs = append(addrs, ipOf(netip.AddrFrom4(body.A)))
			ttl = time.Duration(a.Header.TTL) * time.Second
		}
	}
	if len(addrs) == 0 {
		return nil, 0, true, errNoName
	}
	return addrs, ttl, true, nil
}
