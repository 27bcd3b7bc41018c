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
// The ID of the message at a client's cursor, the anchor, shows that both ends mean the same log. Whoever is
// put at a position is told the anchor, in the hello or the discontinuity, and brings it when it resumes, as a
// [model.Bookmark]; the server compares it with its own, and sends what follows. If they differ, or either is
// not known, or the cursor is out of reach, the client observes a [model.Discontinuity], never silence. So it
// does when the feed meets a gap in mid-stream. To a client that comes with a cursor alone the message at it is
// sent first, for the client to compare.
//
// A silent peer is found, and what it held is freed, by the client within IdleTimeout of the last byte
// it heard, by the WebSocket or WebRTC server within IdleTimeout of the last frame, and by the SSE server, if
// [Configure] set up its http.Server and TCP has the option, within Heartbeat, UserTimeout and one
// retransmission's wait. Who hears nothing for a Heartbeat pings, and is answered, so that only a dead peer is silent.
//
// A [Guard] says whom a server lets in: by credentials, by the origin of a browser's page, and by number.
// A server that drains spreads its clients' return over RetrySpread.
//
// Polling has no heartbeats: a request that is not answered is the sign. A polling client finds a dead
// server within a tenth more than its Interval, and IdleTimeout; a long-polling one within Hold and
// IdleTimeout. A connection, in events, is a series of requests that were all answered, by whichever
// servers. The servers' side has no session to expire: between polls it holds nothing of a client but
// the TCP connection, if it is kept alive; during a long poll, one subscription, for no longer than
// Hold and WriteTimeout, whatever became of the client.
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
// Not to be reproduced is what one packet decides between two goroutines: which of several HTTP/2 streams
// that it wakes runs first, and whether a ping that it carries is answered, if it also ends a wait of the
// sender's own message for room. What clients see does not depend on either.
//
// Runs with WebRTC are not byte-exact. Pion (ICE, SCTP, SDP) draws from generators that it seeds when the
// process starts, and its goroutines race within one instant, so that packets of one instant may leave in
// another order or differ in size by some bytes, and luck takes another course from there. What comes of a run
// (which addresses were selected, what was delivered) is what to compare.
//
// # Limitations
//
// Between polls a server cannot tell a client that is dead from one that waits. What it may hold for
// either is for others to bound: the connection for http.Server's IdleTimeout (one minute by [Configure]),
// which should be longer than the clients' Interval, and the room for what its feed keeps it open after the
// last client. The queue of a polling client is the log: one that is too slow finds its cursor out of
// history.
//
// Where TCP has no user timeout (package net but on Linux, netsim's Stream fidelity, pipes), an SSE server,
// which writes and hears nothing back, finds a half-open client only when the connection's send buffer has
// filled and a write has waited for WriteTimeout, or when TCP gives up. Behind a proxy it finds the proxy.
//
// WebSocket needs HTTP/1.1, and clients leave without a closing handshake. A ping that arrives while a
// message is being written gets no pong; the next one does. What one connection publishes is appended one
// message after the other, in the order sent, but for what was refused because too much waited already.
//
// A proxy that buffers is told from a server that hangs only by whether the answer began ([ErrBuffered]).
// CORS answers name the origins of the [Guard] only; there is no wildcard.
//
// WebRTC: a frame must get through within IdleTimeout, since part of one is no sign of life. The signalling
// connection goes through a balancer as any other, the pair does not: clients reach the server itself, at an
// address of its own. A server that is told to drain waits for pairs that are just being opened, up to
// IdleTimeout and WriteTimeout together. There is no ICE restart: when an address changes, the client
// reconnects. Pion holds a lock while it closes and waits, which Pair.Close works around; its timers spin
// over a network without any latency, which no real or simulated network is.
package hop1
