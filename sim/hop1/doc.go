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
// it heard, and by the WebSocket server within IdleTimeout of the last frame. Both send something
// every Heartbeat, so that only a dead peer is silent.
//
// Polling has no heartbeats: a request that is not answered is the sign. A polling client finds a dead
// server within a tenth more than its Interval, and IdleTimeout; a long-polling one within Hold and
// IdleTimeout. A connection, in events, is a series of requests that were all answered, by whichever
// servers. The servers' side has no session to expire: between polls it holds nothing of a client but
// the TCP connection, if it is kept alive; during a long poll, one subscription, for no longer than
// Hold and WriteTimeout, whatever became of the client.
//
// # Determinism
//
// The package has no globals with timers, channels or goroutines, holds no lock across the network,
// and draws from the [ClientConfig]'s Rand, so that it runs in a testing/synctest bubble over
// connections made there.
//
// # Limitations
//
// An SSE server writes and hears nothing back: it finds a half-open client only when the connection's
// send buffer has filled and a write has waited for WriteTimeout, or when TCP gives up. Set a TCP user
// timeout where that matters. WebSocket needs HTTP/1.1, and clients leave without a closing handshake.
//
// Between polls a server cannot tell a client that is dead from one that waits. What it may hold for
// either is for others to bound: the connection for http.Server's IdleTimeout (none by default), which
// should be longer than the clients' Interval, and the room for what its feed keeps it open after the
// last client. For polling clients a queue cannot overflow: one that is too slow finds its cursor out of
// history.
//
// Pages of other origins are not served: there is no CORS, and WebSocket checks Origin.
package hop1
