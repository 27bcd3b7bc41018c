package hop1

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	piontransport "github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
)

// WebRTC says how an end makes peer connections. The zero value uses the machine's own interfaces, and
// neither STUN nor TURN. It may be shared by any number of clients and servers, and must not be changed or
// copied once it is used.
type WebRTC struct {
	// Net is the network; nil means the machine's own.
	Net piontransport.Net
	// ICEServers are the STUN and TURN servers to find addresses with. Servers that can be reached directly
	// need none.
	ICEServers []webrtc.ICEServer
	// RelayOnly offers no addresses but those of TURN servers.
	RelayOnly bool
	// MaxMessage is the largest message that channels accept, in bytes, and that the peer is told to send.
	// Clients and servers of this package set it themselves. 0 means 64 KiB.
	MaxMessage int
	// Engine, unless nil, has the last word on pion's settings.
	Engine func(*webrtc.SettingEngine)

	certify     sync.Once
	certificate *webrtc.Certificate
	certifyErr  error
}

const defaultMaxMessage = 64 << 10

// certificates gives the one certificate of this end. That each pair made one of its own would cost more,
// and show nothing.
func (c *WebRTC) certificates() ([]webrtc.Certificate, error) {
	c.certify.Do(func() {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err == nil {
			c.certificate, err = webrtc.GenerateCertificate(key)
		}
		c.certifyErr = err
	})
	if c.certifyErr != nil {
		return nil, fmt.Errorf("certificate: %w", c.certifyErr)
	}
	return []webrtc.Certificate{*c.certificate}, nil
}

// sctpWindow is the least receive window of a pair, in bytes; it is at least twice the largest message, since a
// message is delivered whole.
const sctpWindow = 256 << 10

// engine gives pion's settings.
func (c *WebRTC) engine(maxMessage int) webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	e.DetachDataChannels()     // else nothing would hold back a peer whose messages are not taken
	e.DisableCloseByDTLS(true) // see settle: it would close when the peer does, without waiting
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetSCTPMaxMessageSize(uint32(maxMessage))
	e.SetSCTPMaxReceiveBufferSize(uint32(max(sctpWindow, 2*maxMessage)))
	if c.Net != nil {
		e.SetNet(c.Net)
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	if c.Engine != nil {
		c.Engine(&e)
	}
	return e
}

// connect makes a peer connection that has yet to meet its peer.
func (c *WebRTC) connect(maxMessage int) (*webrtc.PeerConnection, error) {
	certificates, err := c.certificates()
	if err != nil {
		return nil, err
	}
	// There is no media, so that neither codecs nor interceptors are registered.
	api := webrtc.NewAPI(webrtc.WithSettingEngine(c.engine(maxMessage)), webrtc.WithMediaEngine(&webrtc.MediaEngine{}),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	cfg := webrtc.Configuration{ICEServers: c.ICEServers, Certificates: certificates}
	if c.RelayOnly {
		cfg.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	return api.NewPeerConnection(cfg)
}

// Pair is an open peer connection with its channels.
type Pair struct {
	// Channels are as they were asked for.
	Channels []*Channel

	pc        *webrtc.PeerConnection
	settle    time.Duration // before it is closed
	broken    chan struct{} // closed when either end has closed the connection, or it has failed
	breakOnce sync.Once

	out       *outbox
	opened    chan opening
	early     []webrtc.ICECandidateInit // the reading goroutine's: candidates that came before their description
	fell      chan error                // why signalling ended before its time
	mu        sync.Mutex
	told      []string           // kinds of the peer's candidates
	cancel    context.CancelFunc // ends signalling
	helpers   sync.WaitGroup
	signalled chan struct{} // closed when signalling has ended
	closing   sync.Once
	closeErr  error
}

// Open opens a pair with the peer at the other end of the signaller, as the one that offers or the one that
// answers, until ctx ends. The error then says how far it came. The signaller is used until both ends have
// opened the pair, or it is closed; see [Pair.Signalled].
func (c *WebRTC) Open(ctx context.Context, peer Signaller, offers bool, channels ...ChannelConfig) (*Pair, error) {
	maxMessage := c.MaxMessage
	if maxMessage == 0 {
		maxMessage = defaultMaxMessage
	}
	return c.open(ctx, peer, offers, maxMessage, channels)
}

func (c *WebRTC) open(ctx context.Context, peer Signaller, offers bool, maxMessage int, channels []ChannelConfig) (*Pair, error) {
	if err := checkLabels(channels); err != nil {
		return nil, fmt.Errorf("webrtc: %w", err)
	}
	pc, err := c.connect(maxMessage)
	if err != nil {
		return nil, fmt.Errorf("webrtc: %w", err)
	}
	signalling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Pair{
		pc: pc, settle: settle, broken: make(chan struct{}), out: newOutbox(), opened: make(chan opening, len(channels)),
		Channels: make([]*Channel, len(channels)),
		fell:     make(chan error, 2), cancel: cancel, signalled: make(chan struct{}),
	}
	if !offers {
		p.settle = settleAnswering
	}
	if err := p.begin(offers, maxMessage, channels); err != nil {
		close(p.signalled)
		return nil, errors.Join(fmt.Errorf("webrtc: %w", err), p.Close())
	}
	p.signal(signalling, peer)
	if err := p.await(ctx); err != nil {
		err = fmt.Errorf("webrtc: %w; %s", err, p.state())
		return nil, errors.Join(err, p.Close())
	}
	p.out.put(Signal{Done: true})
	return p, nil
}

// begin sets everything up, and makes the offer.
func (p *Pair) begin(offers bool, maxMessage int, channels []ChannelConfig) error {
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			p.fail()
		}
	})
	p.pc.SCTP().OnClose(func(error) { p.fail() }) // the peer has left
	p.pc.OnICECandidate(func(found *webrtc.ICECandidate) {
		if found != nil {
			init := found.ToJSON()
			p.out.put(Signal{Candidate: &init})
		}
	})
	if !offers {
		p.pc.OnDataChannel(func(dc *webrtc.DataChannel) {
			i := slices.IndexFunc(channels, func(c ChannelConfig) bool { return c.Label == dc.Label() })
			if i >= 0 {
				p.addChannel(i, dc, maxMessage)
			}
		})
		return nil
	}
	for i, cfg := range channels {
		dc, err := p.pc.CreateDataChannel(cfg.Label, cfg.init())
		if err != nil {
			return fmt.Errorf("channel %.40q: %w", cfg.Label, err)
		}
		p.addChannel(i, dc, maxMessage)
	}
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	p.out.put(Signal{Offer: offer.SDP})
	return nil
}

// addChannel has the i-th channel counted when it is open.
func (p *Pair) addChannel(i int, dc *webrtc.DataChannel, maxMessage int) {
	c := &Channel{dc: dc, pair: p, low: make(chan struct{}, 1), most: maxMessage}
	dc.SetBufferedAmountLowThreshold(channelBuffer)
	dc.OnBufferedAmountLow(func() {
		select {
		case c.low <- struct{}{}:
		default:
		}
	})
	dc.OnOpen(func() {
		raw, err := dc.DetachWithDeadline()
		if err != nil {
			p.fail() // the connection was closed meanwhile
			return
		}
		c.raw = raw
		p.opened <- opening{i, c}
	})
}

// opening is a channel that has opened, and its place.
type opening struct {
	index   int
	channel *Channel
}

func (p *Pair) fail() { p.breakOnce.Do(func() { close(p.broken) }) }

// signal starts the exchange of signals.
func (p *Pair) signal(ctx context.Context, peer Signaller) {
	var both sync.WaitGroup
	both.Go(func() {
		if err := p.out.send(ctx, peer); err != nil {
			p.fell <- err
		}
	})
	both.Go(func() {
		if err := p.listen(ctx, peer); err != nil {
			p.fell <- err
		}
	})
	p.helpers.Go(func() {
		both.Wait()
		close(p.signalled)
	})
}

// listen takes signals until the peer is done.
func (p *Pair) listen(ctx context.Context, peer Signaller) error {
	for {
		s, err := peer.Receive(ctx)
		if err != nil {
			return err
		}
		if s.Done {
			return nil
		}
		if err := p.take(s); err != nil {
			return err
		}
	}
}

func (p *Pair) take(s Signal) error {
	if err := s.validate(); err != nil { // not every Signaller has looked
		return err
	}
	switch {
	case s.Goodbye != "":
		return &goodbye{reason: s.Goodbye, retry: s.retry()}
	case s.Offer != "":
		return p.answer(s.Offer)
	case s.Answer != "":
		return p.describe(webrtc.SDPTypeAnswer, s.Answer)
	case p.pc.RemoteDescription() == nil:
		if len(p.early) == maxEarly {
			return fmt.Errorf("protocol: %d candidates before a description", maxEarly+1)
		}
		p.early = append(p.early, *s.Candidate)
		return nil
	default:
		return p.candidate(*s.Candidate)
	}
}

// maxEarly bounds the candidates that are kept for a description which has not come yet.
const maxEarly = 64

func (p *Pair) candidate(c webrtc.ICECandidateInit) error {
	p.mu.Lock()
	p.told = append(p.told, candidateKinds("a="+c.Candidate)...)
	p.mu.Unlock()
	if err := p.pc.AddICECandidate(c); err != nil {
		return fmt.Errorf("candidate %.80q: %w", c.Candidate, err)
	}
	return nil
}

func (p *Pair) describe(kind webrtc.SDPType, sdp string) error {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}); err != nil {
		return fmt.Errorf("%v: %w", kind, err)
	}
	for _, c := range p.early {
		if err := p.candidate(c); err != nil {
			return err
		}
	}
	p.early = nil
	return nil
}

func (p *Pair) answer(offer string) error {
	if err := p.describe(webrtc.SDPTypeOffer, offer); err != nil {
		return err
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	p.out.put(Signal{Answer: answer.SDP})
	return nil
}

// await waits for the channels to open.
func (p *Pair) await(ctx context.Context) error {
	for range p.Channels {
		select {
		case o := <-p.opened:
			p.Channels[o.index] = o.channel
		case err := <-p.fell:
			return fmt.Errorf("signalling: %w", err)
		case <-p.broken:
			return errPairBroken
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// state tells people why a pair is not open: most often no two addresses reach each other.
func (p *Pair) state() string {
	kinds := func(d *webrtc.SessionDescription, more ...string) string {
		if d == nil {
			return "nothing"
		}
		found := append(candidateKinds(d.SDP), more...)
		if len(found) == 0 {
			return "no address"
		}
		slices.Sort(found)
		return strings.Join(slices.Compact(found), ", ")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("ICE is %v; this end offered %s, the other %s", p.pc.ICEConnectionState(),
		kinds(p.pc.LocalDescription()), kinds(p.pc.RemoteDescription(), p.told...))
}

// candidateKinds lists the kinds of the candidates in a description, such as "host".
func candidateKinds(sdp string) []string {
	var kinds []string
	for line := range strings.Lines(sdp) {
		if !strings.HasPrefix(line, "a=candidate:") {
			continue
		}
		fields := strings.Fields(line)
		if i := slices.Index(fields, "typ"); i >= 0 && i+1 < len(fields) {
			kinds = append(kinds, fields[i+1])
		}
	}
	return kinds
}

// Selected gives the kinds of the two addresses that the pair uses, this end's and the peer's: "host", "srflx",
// "prflx" or "relay" (RFC 8445 §5.1.1). They are empty if the pair is closed.
func (p *Pair) Selected() (local, remote string) {
	pair, err := p.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return "", ""
	}
	return pair.Local.Typ.String(), pair.Remote.Typ.String()
}

// Signalled is closed when the pair needs its signaller no more.
func (p *Pair) Signalled() <-chan struct{} { return p.signalled }

// Broken is closed when either end has closed the pair, or it has failed: ICE has heard nothing of the peer for
// half a minute.
func (p *Pair) Broken() <-chan struct{} { return p.broken }

// settle is how long a pair that is to be closed is left to itself. If the peer has just closed it, pion is
// still taking that in, and its SCTP transport, while it is stopped, waits for up to 200 ms with a lock held
// that this needs. That costs a real program 200 ms; in virtual time, which stands still while anyone waits
// for a lock, it would be for ever. A moment of virtual time, however short, passes when all is at rest.
//
// The two ends must not be at rest for equally long: an end that closes on the acknowledgement of its goodbye
// would abort the association in the very instant in which the abort of the other comes, which closed on the
// goodbye itself.
const (
	settle          = time.Microsecond
	settleAnswering = 3 * time.Microsecond
)

// Close closes the pair, at once, and waits for all that it started. Blocked calls on its channels fail. It is
// idempotent.
func (p *Pair) Close() error {
	p.closing.Do(func() {
		p.fail()
		p.cancel()
		p.helpers.Wait()
		time.Sleep(p.settle)
		p.closeErr = p.pc.GracefulClose()
	})
	return p.closeErr
}
