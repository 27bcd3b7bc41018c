package conformance

import "time"

// What the suite's systems are configured with, besides defaults.
const (
	interval     = time.Second // of polls
	hold         = 5 * time.Second
	idleTimeout  = 3 * time.Second // the default
	writeTimeout = 300 * time.Millisecond
)

// traits is what a transport declares of itself. The zero value, which a transport has that is not
// listed, promises most.
type traits struct {
	// finds is the time within which a client finds that its server is gone without a word. 0 means
	// idleTimeout.
	finds time.Duration
	// forgets is the time within which a server frees what it holds of a client that is gone without a
	// word. 0 means idleTimeout, and less than 0 that it may never.
	forgets time.Duration
	// requests: a connection is a series of requests, so that the client may be served elsewhere, and is
	// never a slow consumer, without losing it.
	requests bool
	// opens is how long a connection's opening may take, beyond what one over TCP takes.
	opens time.Duration
	// direct: connections go from the client to the edge, past the balancer, which can neither cut nor forget
	// them.
	direct bool
	// inexact says why traces of the same seed differ, if they do.
	inexact string
	// except names networks, checks, or both as network/check, that are not for it, with the reason; "live"
	// is all that runs over loopback sockets.
	except map[string]string
}

// declared has every transport that is not all that one could wish.
var declared = map[string]traits{
	"longpoll": {finds: hold + idleTimeout, forgets: hold + writeTimeout, requests: true},
	"poll":     {finds: interval*11/10 + idleTimeout, forgets: time.Millisecond, requests: true},
	"sse":      {forgets: -1}, // its server hears nothing: see package hop1's limitations
	"webrtc": {
		opens:   500 * time.Millisecond, // ICE, DTLS and SCTP shake hands one after the other
		direct:  true,
		inexact: "pion draws from generators that it seeds when the process starts",
		except: map[string]string{
			"balancer idle time-out": "peer connections do not go through the balancer",
		},
	},
}

func traitsOf(transport string) traits {
	tr := declared[transport]
	if tr.finds == 0 {
		tr.finds = idleTimeout
	}
	if tr.forgets == 0 {
		tr.forgets = idleTimeout
	}
	return tr
}

// excepted gives the reason for which a case is not for the transport; "" if it is.
func (tr traits) excepted(network, check string) string {
	for _, name := range []string{network, check, network + "/" + check} {
		if why := tr.except[name]; why != "" {
			return why
		}
	}
	return ""
}
