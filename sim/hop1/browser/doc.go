// Package browser is what a browser puts between a page and the network, as far as it bears on real-time
// updates: how many connections a page may have to one server, how an EventSource reconnects, and what
// becomes of timers in a tab that nobody looks at.
//
// Its nouns are the [Browser] (whose client makes all requests and WebSockets of its pages), the
// [EventSource] of the HTML standard, and a page's [Timers]. A client of package hop1 becomes one in a
// browser by having [Browser.Client] as its HTTP, and one in a page by waiting with its [Timers.Wait].
//
// Start with [New].
//
// # Determinism
//
// The package draws no random numbers and has no globals that change. It runs on real sockets and in a
// testing/synctest bubble alike.
//
// # Limitations
//
// Requests that wait for a connection are served in order: real browsers put some before others. Over HTTP/2
// more streams than the server allows at once (250, with net/http) get a second connection where a browser
// has them wait. There is one limit for each origin, and none for a browser as a whole (Chromium: 256
// sockets). A page is loud, or has a WebRTC connection, only if it is said so. Same-origin policy
// and CORS are not modelled.
package browser
