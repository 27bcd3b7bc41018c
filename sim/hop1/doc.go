// Package hop1 is hop 1 made of real code: transports that carry a room's messages from an endpoint
// server to its clients, over real sockets or simulated ones alike.
//
// Its nouns are the [Feed] (what a server serves from), the [Client] (which keeps one subscription
// alive across connections) and the transport between them ([Transports] lists them). Rules of resuming,
// order and duplicates are written once, beside the transports, which only carry frames: hello,
// message, discontinuity, goodbye. A [Publisher] sends messages the other way.
//
// Start with [Handler] on the server, and [NewClient] and [Client.Run] on the client. A transport is
// one file, and one line in transports.go.
//
// A resume replays from the client's cursor inclusively: the message at the cursor, the anchor, shows
// by its ID that both ends mean the same log. If it does not, or the cursor is out of reach, the
// client observes a [model.Discontinuity], never silence. So it does when the feed meets a gap in
// mid-stream. Only if the anchor is the one message that is no longer kept is the epoch taken for proof.
//
// A silent peer is found, and what it held is freed, by the client within IdleTimeout of the last byte
// it heard, and by the WebSocket or WebRTC server within IdleTimeout of the last frame. Both send something
// every Heartbeat, so that only a dead peer is silent.
//
// Of WebRTC there is more than the transport: [WebRTC.Open] opens a [Pair] of any two ends, with channels that
// are reliable or not, over any [Signaller]; a [Switchboard] is one between peers that know each other's
// names; and [ServeTURN] serves STUN and TURN. The network comes with the configuration: package
// netsim/pionnet makes a simulated one.
//
// # Determinism
//
// The package has no globals with timers, channels or goroutines, holds no lock across the network,
// and draws from the [ClientConfig]'s Rand, so that it runs in a testing/synctest bubble over
// connections made there.
//
// Runs with WebRTC are not byte-exact. Pion (ICE, SCTP, SDP) draws from generators that it seeds when the
// process starts, and its goroutines race within one instant, so that packets of one instant may leave in
// another order or differ in size by some bytes, and luck takes another course from there. What comes of a run
// (which addresses were selected, what was delivered) is what to compare.
//
// # Limitations
//
// An SSE server writes and hears nothing back: it finds a half-open client only when the connection's
// send buffer has filled and a write has waited for WriteTimeout, or when TCP gives up. Set a TCP user
// timeout where that matters. WebSocket needs HTTP/1.1, and clients leave without a closing handshake.
// Pages of other origins are not served: there is no CORS, and WebSocket checks Origin.
//
// WebRTC: a frame must get through within IdleTimeout, since part of one is no sign of life. The signalling
// connection goes through a balancer as any other, the pair does not: clients reach the server itself, at an
// address of its own. A server that is told to drain waits for pairs that are just being opened, up to
// IdleTimeout and WriteTimeout together. There is no ICE restart: when an address changes, the client
// reconnects. Pion holds a lock while it closes and waits, which Pair.Close works around; its timers spin
// over a network without any latency, which no real or simulated network is.
package hop1
