package hop1

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

var live = flag.Bool("live", false, "run the tests that need real UDP sockets")

// ends are a Signaller's two ends, in memory.
type end struct{ out, in chan Signal }

func newEnds() (a, b end) {
	there, back := make(chan Signal, 100), make(chan Signal, 100)
	return end{there, back}, end{back, there}
}

func (e end) Send(_ context.Context, s Signal) error { e.out <- s; return nil }

func (e end) Receive(ctx context.Context) (Signal, error) {
	select {
	case s := <-e.in:
		return s, nil
	case <-ctx.Done():
		return Signal{}, ctx.Err()
	}
}

// openPair opens a pair over the test's network.
func openPair(t testing.TB, one, two *WebRTC, channels ...ChannelConfig) (a, b *Pair) {
	near, far := newEnds()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var errA, errB error
	wg.Go(func() { a, errA = one.Open(ctx, near, true, channels...) })
	wg.Go(func() { b, errB = two.Open(ctx, far, false, channels...) })
	wg.Wait()
	require.NoError(t, errors.Join(errA, errB))
	return a, b
}

// Goal: messages of every size arrive whole; one that is too large is refused by its sender, and the receiver
// holds back one who sends more than it takes.
func TestChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rtc := webrtcOn(t)
		rtc.MaxMessage = 100_000
		a, b := openPair(t, rtc, rtc, ChannelConfig{Label: "x"})
		defer b.Close()
		defer a.Close()
		ctx := t.Context()
		for _, size := range []int{0, 1, leastBuffer, leastBuffer + 1, 65536, 100_000} {
			text := strings.Repeat("x", size)
			require.NoError(t, a.Channels[0].Send(ctx, []byte(text), size%2 == 0))
			got, isText, err := b.Channels[0].Receive()
			require.NoError(t, err)
			require.Equal(t, text, string(got))
			require.Equal(t, size%2 == 0, isText)
		}
		require.Error(t, a.Channels[0].Send(ctx, make([]byte, 100_001), false))

		// Nobody receives: what the windows do not take is not accepted.
		full, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		sent := 0
		var err error
		for ; err == nil; sent++ {
			err = a.Channels[0].Send(full, make([]byte, 10_000), false)
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, sent, 60, "of 10 kB, with a window of 256 KiB and a buffer of 64 KiB")
		require.LessOrEqual(t, a.Channels[0].Buffered(), channelBuffer+10_000+sctpWindow)
	})
}

// Goal: what is left of a pair after one end has closed it, or vanished, is found, and ends calls.
func TestPairBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := openPair(t, webrtcOn(t), webrtcOn(t), ChannelConfig{Label: "x"})
		require.NoError(t, a.Close())
		require.NoError(t, a.Close(), "it is idempotent")
		_, _, err := b.Channels[0].Receive()
		require.Error(t, err)
		<-b.Broken()
		require.NoError(t, b.Close())

		a, b = openPair(t, webrtcOn(t), webrtcOn(t), ChannelConfig{Label: "x"})
		packetsOf(t).cutOff()
		began := time.Now()
		<-a.Broken()
		require.InDelta(t, 30, time.Since(began).Seconds(), 5, "ICE's own patience (5 s and 25 s)")
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

// Goal: what cannot become a pair is refused with a reason.
func TestPairErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := newEnds()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := webrtcOn(t).Open(ctx, near, true)
		require.ErrorContains(t, err, "channels: none; want at least one")
		_, err = webrtcOn(t).Open(ctx, near, true, ChannelConfig{}, ChannelConfig{Unordered: true})
		require.ErrorContains(t, err, `Label: "" twice; want another for each channel`)

		far.out <- Signal{Goodbye: "no such peer", RetryMS: 1500}
		_, err = webrtcOn(t).Open(ctx, near, true, ChannelConfig{})
		require.ErrorContains(t, err, "no such peer")
		require.Equal(t, 1500*time.Millisecond, hintOf(err))

		near, far = newEnds()
		far.out <- Signal{Offer: "v=0\r\nnonsense"}
		_, err = webrtcOn(t).Open(ctx, near, false, ChannelConfig{})
		require.ErrorContains(t, err, "signalling: offer: ")

		near, far = newEnds()
		for range maxEarly + 1 {
			far.out <- Signal{Candidate: &webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 1 10.0.0.9 9 typ host"}}
		}
		_, err = webrtcOn(t).Open(ctx, near, false, ChannelConfig{})
		require.ErrorContains(t, err, "65 candidates before a description")

		near, _ = newEnds()
		_, err = webrtcOn(t).Open(ctx, near, true, ChannelConfig{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "this end offered host, the other nothing")
	})
}

// Goal: a server ends what does not become a pair, after IdleTimeout and WriteTimeout, and frees it; a client that
// sends messages is told that it may not.
func TestServerOfPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newMemFeed()
		w := newWire(t, testServer(t, feed))
		dial := func() *signalling {
			conn, _, err := websocket.Dial(t.Context(), w.url+"/rooms/r/webrtc", &websocket.DialOptions{HTTPClient: w.client})
			require.NoError(t, err)
			return newSignalling(conn)
		}
		idle := dial()
		began := time.Now()
		s, err := idle.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, Signal{Goodbye: "no peer connection"}, s)
		require.InDelta(t, 6, time.Since(began).Seconds(), 0.001)
		idle.close()
		time.Sleep(settleOf("webrtc"))
		open, _ := feed.subscriptions()
		require.Zero(t, open)

		chatty := dial()
		defer chatty.close()
		pair, err := webrtcOn(t).Open(t.Context(), chatty, true, frameChannel...)
		require.NoError(t, err)
		defer pair.Close()
		require.NoError(t, pair.Channels[0].Send(t.Context(), []byte("hello?"), true))
		for {
			b, _, err := pair.Channels[0].Receive()
			require.NoError(t, err)
			f, err := decodeFrame(b)
			require.NoError(t, err)
			if f.Type == frameGoodbye {
				require.Equal(t, reasonSpoke, f.Reason)
				break
			}
		}
	})
}

// Goal: what came before the end of a pair is not lost to a client that was busy when both came.
// Method: it looks when the server has said goodbye and closed the pair, and, in some of many pairs, would take the
// one for the other.
func TestGoodbyeBeforeTheEnd(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			feed := newMemFeed()
			w := newWire(t, testServer(t, feed))
			c, err := NewClient(ClientConfig{Room: "r", BaseURL: w.url, Transport: "webrtc", HTTP: w.client, WebRTC: webrtcOn(t)})
			require.NoError(t, err)
			s, err := dialWebRTC(t.Context(), &c.cfg, claim{})
			require.NoError(t, err)
			defer s.close()
			feed.fail(ErrClosed)
			time.Sleep(time.Second)
			<-s.(*webrtcStream).pair.Broken()
			var types []frameType
			for {
				f, err := s.next(t.Context())
				if err != nil {
					break
				}
				types = append(types, f.Type)
			}
			require.Equal(t, []frameType{frameHello, frameGoodbye}, types)
		})
	}
}

// Goal: the switchboard brings peers together by name, and tells those who call nobody.
func TestSwitchboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := NewSwitchboard()
		mux := http.NewServeMux()
		mux.Handle("GET /peers/{peer}", board)
		w := newWire(t, mux)
		dial := func(name string) *Switch {
			s, err := DialSwitch(t.Context(), w.client, w.url+"/peers/"+name)
			require.NoError(t, err)
			t.Cleanup(s.Close)
			return s
		}
		_, err := DialSwitch(t.Context(), w.client, w.url+"/peers/no%20name")
		require.ErrorContains(t, err, "refused with 400")
		anna, ben := dial("anna"), dial("ben")
		var answered sync.WaitGroup
		answered.Go(func() {
			talk, err := ben.Answer(t.Context())
			if err != nil || talk.Peer() != "anna" {
				t.Errorf("%v, %v", talk, err)
				return
			}
			pair, err := webrtcOn(t).Open(t.Context(), talk, false, ChannelConfig{Label: "x"})
			if err != nil {
				t.Error(err)
				return
			}
			if err := pair.Channels[0].Send(t.Context(), []byte("hello, anna"), true); err != nil {
				t.Error(err)
			}
			<-pair.Broken()
			_ = pair.Close()
		})
		pair, err := webrtcOn(t).Open(t.Context(), anna.Call("ben"), true, ChannelConfig{Label: "x"})
		require.NoError(t, err)
		b, _, err := pair.Channels[0].Receive()
		require.NoError(t, err)
		require.Equal(t, "hello, anna", string(b))
		require.NoError(t, pair.Close())
		answered.Wait()

		_, err = webrtcOn(t).Open(t.Context(), anna.Call("nobody"), true, ChannelConfig{})
		require.ErrorContains(t, err, "no such peer")
		ben.Close()
		_, err = ben.Answer(t.Context())
		require.ErrorIs(t, err, errSwitchClosed)
	})
}

// Goal: the transport works over real sockets.
func TestLiveWebRTC(t *testing.T) {
	if !*live {
		t.Skip("needs UDP sockets: run with -live")
	}
	loopback := func() *WebRTC {
		return &WebRTC{Engine: func(e *webrtc.SettingEngine) {
			e.SetIncludeLoopbackCandidate(true)
			e.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil })
		}}
	}
	feed := newMemFeed()
	h, err := Handler(ServerConfig{Feed: feed, Name: "edge-1", WebRTC: loopback()})
	require.NoError(t, err)
	srv := httptest.NewServer(h)
	defer srv.Close()
	s := &system{feed: feed, url: srv.URL, http: srv.Client()}
	s.join(t, "webrtc", func(c *ClientConfig) { c.WebRTC = loopback() })
	feed.publish(200)
	s.rec.await(t, model.Deliver, 200)
	feed.fail(ErrClosed)
	s.rec.await(t, model.Connected, 2)
	feed.publish(100)
	s.rec.await(t, model.Deliver, 300)
	require.Equal(t, simtest.UpTo(1, 300), s.rec.seqs())
	require.ErrorIs(t, s.stop(), context.Canceled)
}

func FuzzDecodeSignal(f *testing.F) {
	for _, seed := range []string{
		`{"offer":"v=0"}`, `{"answer":"v=0"}`, `{"candidate":{"candidate":"candidate:1 1 udp 1 10.0.0.1 9 typ host","sdpMid":"0"}}`,
		`{"done":true}`, `{"goodbye":"draining","retry_ms":250}`, `{"offer":"a","done":true}`, `{}`, `null`, `{"retry_ms":-1,"goodbye":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSignal(b)
		if err == nil && s.validate() != nil {
			t.Errorf("%q is accepted, but not valid", b)
		}
	})
}

func FuzzDecodeLetter(f *testing.F) {
	for _, seed := range []string{
		`{"peer":"anna","talk":1,"signal":{"done":true}}`, `{"peer":"","talk":1,"signal":{"done":true}}`,
		`{"peer":"anna","talk":-1}`, `{"peer":"anna","talk":1,"answers":true,"signal":{"offer":"v=0"}}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLetter(b)
		if err == nil && (model.CheckRoom(l.Peer) != nil || l.Signal.validate() != nil) {
			t.Errorf("%q is accepted, but not valid", b)
		}
	})
}

// nobody is a Signaller with one signal, and then another.
type nobody struct{ signals []Signal }

func (*nobody) Send(context.Context, Signal) error { return nil }

func (n *nobody) Receive(context.Context) (Signal, error) {
	if len(n.signals) == 0 {
		return Signal{}, errors.New("nobody is there")
	}
	s := n.signals[0]
	n.signals = n.signals[1:]
	return s, nil
}

// FuzzOffer: whatever a client offers, and names as its candidates, the server neither panics nor hangs.
func FuzzOffer(f *testing.F) {
	pc, err := new(WebRTC).connect(defaultMaxMessage)
	require.NoError(f, err)
	_, err = pc.CreateDataChannel("frames", nil)
	require.NoError(f, err)
	offer, err := pc.CreateOffer(nil)
	require.NoError(f, err)
	require.NoError(f, pc.GracefulClose())
	f.Add(offer.SDP, "candidate:1 1 udp 1 10.0.0.1 9 typ host")
	f.Add(strings.ReplaceAll(offer.SDP, "fingerprint", "fingerprints"), "candidate:")
	f.Add("v=0\r\n", "")
	rtc := &WebRTC{Net: &packetNet{of: &packets{}}} // without an interface that has an address
	f.Fuzz(func(t *testing.T, sdp, candidate string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		peer := &nobody{[]Signal{{Offer: sdp}, {Candidate: &webrtc.ICECandidateInit{Candidate: candidate}}}}
		if pair, err := rtc.Open(ctx, peer, false, frameChannel...); err == nil {
			t.Error("a pair with nobody", pair.Close())
		}
	})
}

// BenchmarkWebRTCPair opens pairs and keeps them, over a network in memory. It reports how much memory a pair
// holds, both ends and their channel, beside the wall time to open it.
func BenchmarkWebRTCPair(b *testing.B) {
	nets := &packets{sockets: map[netip.AddrPort]*packetConn{}, cut: map[netip.AddrPort]bool{}}
	ends := []*WebRTC{
		{Net: &packetNet{of: nets, ip: netip.AddrFrom4([4]byte{10, 0, 0, 1})}},
		{Net: &packetNet{of: nets, ip: netip.AddrFrom4([4]byte{10, 0, 0, 2})}},
	}
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	p, q := openPair(b, ends[0], ends[1], frameChannel...) // what is made once
	require.NoError(b, errors.Join(p.Close(), q.Close()))
	before := live()
	var pairs []*Pair
	b.ResetTimer()
	for range b.N {
		p, q := openPair(b, ends[0], ends[1], frameChannel...)
		pairs = append(pairs, p, q)
	}
	b.StopTimer()
	b.ReportMetric(float64(live()-before)/float64(b.N), "B/pair")
	for _, p := range pairs {
		require.NoError(b, p.Close())
	}
}
