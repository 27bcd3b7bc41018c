package scenarios

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/pionnet"
	"github.com/twohop/twohop/sim"
	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// Build adds the nodes and links to a world.
func (p *P2P) Build(w *sim.World) {
	inside := netsim.Link{Latency: time.Millisecond}
	wide := netsim.Link{Latency: p.Latency, Jitter: p.Jitter, Loss: p.Loss, Reorder: p.Reorder}
	if p.Reorder > 0 {
		wide.ReorderBy = time.Duration(2 / p.Rate * float64(time.Second))
	}
	w.Link("*", "*", wide)
	w.Link("redis", "edge", inside)

	store := hop2.NewRedisStore()
	w.Node("redis", func(ctx context.Context, n *sim.Node) error {
		l, err := n.Listen("tcp", ":6379")
		if err != nil {
			return err
		}
		return hop2.ServeRedis(ctx, l, store)
	})
	w.Node("edge", p2pEdge)
	w.Node("stun", func(ctx context.Context, n *sim.Node) error { return serveTURN(ctx, n, hop1.TURN{}) })
	if p.TURN == "on" {
		w.Node("turn", func(ctx context.Context, n *sim.Node) error {
			return serveTURN(ctx, n, hop1.TURN{Relay: n.Addr(), User: turnUser, Password: turnUser, Realm: "p2p", Net: pionnet.New(n)})
		})
	}
	for i := 1; i <= p.Peers; i++ {
		peer := &peer{p: p, index: i, latest: make(map[string]uint64)}
		w.Node(peerName(i), peer.run)
		access := p.access(i)
		if access == "public" {
			continue
		}
		nat := fmt.Sprintf("nat-%d", i)
		w.Node(nat, func(ctx context.Context, _ *sim.Node) error { <-ctx.Done(); return nil })
		kind, err := netsim.ParseNATType(access)
		w.Fail(err)
		_, err = w.Net().Host(nat).NAT(netsim.NATConfig{Type: kind, Inside: peerName(i)})
		w.Fail(err)
		w.Link(peerName(i), nat, inside)
	}
}

// turnUser is the relay's user, and password.
const turnUser = "p2p"

// p2pEdge serves the document, and the switchboard by which peers find each other.
func p2pEdge(ctx context.Context, n *sim.Node) error {
	strategy, err := hop2.New("redis-streams", hop2.Config{Addr: "redis:6379", Dial: n.DialContext, Rand: n.Rand("hop 2")})
	if err != nil {
		return err
	}
	server, err := edge.New(edge.Config{Name: n.Name(), Strategy: strategy})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /peers/{peer}", hop1.NewSwitchboard())
	mux.Handle("/", server.Handler())
	return errors.Join(n.Serve(ctx, ":80", hop1.ConfiguredBy(mux, server.Handler())), strategy.Close())
}

func serveTURN(ctx context.Context, n *sim.Node, cfg hop1.TURN) error {
	conn, err := pionnet.New(n).ListenPacket("udp4", ":3478")
	if err != nil {
		return err
	}
	return hop1.ServeTURN(ctx, conn, nil, cfg)
}

// peer is a person's program.
type peer struct {
	p     *P2P
	index int
	node  *sim.Node
	rtc   *hop1.WebRTC

	mu     sync.Mutex
	open   []*hop1.Pair
	latest map[string]uint64 // by cursor room, the position that is shown
}

const (
	documentEdits = 2                // edits of each peer per second
	pairPatience  = 10 * time.Second // for a pair to open
	callPause     = time.Second      // from a call that failed to the next
)

func (s *peer) run(ctx context.Context, n *sim.Node) error {
	s.node = n
	s.rtc = &hop1.WebRTC{Net: pionnet.New(n), ICEServers: []webrtc.ICEServer{{URLs: []string{"stun:stun:3478"}}}}
	if s.p.TURN == "on" && s.p.mutant != mutantNoRelay {
		s.rtc.ICEServers = append(s.rtc.ICEServers, webrtc.ICEServer{
			URLs: []string{"turn:turn:3478"}, Username: turnUser, Credential: turnUser,
		})
	}
	client, err := hop1.NewClient(hop1.ClientConfig{
		Name: n.Name(), Room: documentRoom, BaseURL: "http://edge", Transport: "ws",
		HTTP: n.Metered(n.HTTPClient()), Rand: n.Rand("client"), Observe: n.Record,
	})
	if err != nil {
		return err
	}
	var parts sync.WaitGroup
	parts.Go(func() { _ = client.Run(ctx) }) // returns when ctx ends, and says so
	parts.Go(func() { s.edit(ctx) })
	parts.Go(func() { s.meet(ctx) })
	parts.Go(func() { s.point(ctx) })
	parts.Wait()
	return nil
}

// rests is when edits and cursors come to rest, so that all can arrive.
func (s *peer) rests() time.Duration {
	return s.p.Duration - max(s.p.Duration/5, 4*time.Second)
}

// edit publishes edits of the document, and does not wait for an answer before the next.
func (s *peer) edit(ctx context.Context) {
	luck := s.node.Rand("edits")
	publisher := hop1.Publisher{
		Name: s.node.Name(), BaseURL: "http://edge", HTTP: s.node.HTTPClient(), AttemptTimeout: 2 * time.Second,
		Observe: s.node.Record,
	}
	var posts sync.WaitGroup
	defer posts.Wait()
	wait := time.Second
	for i := 1; ; i++ {
		if !sleep(ctx, wait) || s.node.Now() >= s.rests() {
			return
		}
		// It fails only when the run ends; what became of the edit is in the history.
		posts.Go(func() {
			post(ctx, s.node, publisher, documentRoom, fmt.Sprintf("%s-%d", s.node.Name(), i), []byte("edit"))
		})
		wait = time.Duration(-math.Log(1-luck.Float64()) / documentEdits * float64(time.Second))
	}
}

// meet opens a pair with every other peer: it calls those with a greater number, and is called by the others.
func (s *peer) meet(ctx context.Context) {
	var board *hop1.Switch
	for ctx.Err() == nil && board == nil {
		dial, cancel := context.WithTimeout(ctx, 3*time.Second)
		board, _ = hop1.DialSwitch(dial, s.node.HTTPClient(), "http://edge/peers/"+s.node.Name())
		cancel()
	}
	if board == nil {
		return
	}
	defer board.Close()
	var talks sync.WaitGroup
	defer talks.Wait()
	if !sleep(ctx, time.Second) { // for all to be at the switchboard
		return
	}
	for j := s.index + 1; j <= s.p.Peers; j++ {
		talks.Go(func() { s.call(ctx, board, j) })
	}
	for {
		talk, err := board.Answer(ctx)
		if err != nil {
			return
		}
		talks.Go(func() { s.talk(ctx, talk, false) })
	}
}

// call tries to open the pair with a peer for as long as patience lasts: one whose first packet was lost comes to the
// switchboard seconds after the others.
func (s *peer) call(ctx context.Context, board *hop1.Switch, j int) {
	event := model.Event{Kind: model.PublishCall, Room: pairsRoom, ID: pairID(s.index, j)}
	s.node.Record(event)
	patience := s.node.Now() + pairPatience
	err := s.talk(ctx, board.Call(peerName(j)), true)
	for err != nil && s.node.Now() < patience && sleep(ctx, callPause) {
		err = s.talk(ctx, board.Call(peerName(j)), true)
	}
	if err != nil && ctx.Err() == nil {
		event.Kind, event.Note = model.PublishUnknown, err.Error()
		s.node.Record(event)
	}
}

// talk opens a pair, and shows the peer's cursor until it ends.
func (s *peer) talk(ctx context.Context, talk *hop1.Talk, calls bool) error {
	defer talk.Close()
	opening, cancel := context.WithTimeout(ctx, pairPatience)
	pair, err := s.rtc.Open(opening, talk, calls, hop1.ChannelConfig{Label: reliable},
		hop1.ChannelConfig{Label: unreliable, Unordered: true, Unreliable: true})
	cancel()
	if err != nil {
		return err
	}
	local, remote := pair.Selected()
	var j int
	if _, err := fmt.Sscanf(talk.Peer(), "peer-%d", &j); err != nil {
		return errors.Join(err, pair.Close())
	}
	s.node.Record(model.Event{
		Kind: model.Deliver, Node: s.node.Name() + "-with-" + talk.Peer(), Room: pairsRoom, ID: pairID(s.index, j),
		Transport: "pair", Peer: talk.Peer(), Note: local + " to " + remote,
	})
	s.mu.Lock()
	s.open = append(s.open, pair)
	s.mu.Unlock()
	var shows sync.WaitGroup
	for k, channel := range []string{reliable, unreliable} {
		shows.Go(func() { s.show(pair.Channels[k], channel, talk.Peer()) })
	}
	select {
	case <-ctx.Done():
	case <-pair.Broken():
	}
	err = pair.Close()
	shows.Wait()
	return err
}

// show takes a peer's positions, and shows the latest.
func (s *peer) show(c *hop1.Channel, channel, peer string) {
	room := cursorRoom(channel, peer)
	for {
		b, _, err := c.Receive()
		if err != nil {
			return
		}
		if len(b) != positionLen {
			continue
		}
		seq := binary.BigEndian.Uint64(b)
		s.mu.Lock()
		news := seq > s.latest[room]
		s.latest[room] = max(seq, s.latest[room])
		s.mu.Unlock()
		if news || s.p.mutant == mutantStaleCursor {
			s.node.Record(model.Event{
				Kind: model.Deliver, Room: room, Seq: seq, ID: fmt.Sprint(seq), Transport: "cursor, " + channel, Peer: peer,
			})
		}
	}
}

// positionLen is the size of a position: its number, and two coordinates.
const positionLen = 16

// point sends this peer's positions to all that are there.
func (s *peer) point(ctx context.Context) {
	interval := time.Duration(float64(time.Second) / s.p.Rate)
	if !sleep(ctx, time.Duration(s.node.Rand("cursor").Int64N(int64(interval)))) {
		return
	}
	for seq := uint64(1); s.node.Now() < s.rests(); seq++ {
		for _, channel := range []string{reliable, unreliable} {
			s.node.Record(model.Event{Kind: model.PublishCall, Room: cursorRoom(channel, s.node.Name()), ID: fmt.Sprint(seq)})
		}
		var position [positionLen]byte
		binary.BigEndian.PutUint64(position[:], seq)
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		for _, pair := range open {
			for _, c := range pair.Channels {
				// A position that does not get through is overtaken by the next; one that cannot be sent at
				// once is not worth to wait for.
				if c.Buffered() < mostBehind {
					_ = c.Send(ctx, position[:], false)
				}
			}
		}
		if !sleep(ctx, interval) {
			return
		}
	}
}

// mostBehind is how many bytes of positions may wait in a channel for new ones to be sent.
const mostBehind = 32 << 10
