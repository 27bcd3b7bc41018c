// Package livebrowser is a test: a real browser's EventSource, WebSocket, fetch and RTCPeerConnection, in a page
// of a few lines, against the same servers that worlds run, on loopback. It has no code but its tests', which the flag
// -live asks for.
//
// # Determinism
//
// None: a browser is a program of its own, and its time is real.
//
// # Limitations
//
// The browser is Debian's chromium, without a window.
package livebrowser
