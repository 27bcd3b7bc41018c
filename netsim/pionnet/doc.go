// Package pionnet lets pion's WebRTC run on a simulated network: it is pion's transport.Net, made from a
// host of package netsim, so that latency, loss, NAT and every other feature of links apply.
//
// Its noun is the [Net], made by [New] from a [Host]: a *netsim.Host, or a node of package sim. Give it to
// webrtc.SettingEngine.SetNet, or to whatever else of pion asks for a transport.Net.
//
// It is a package of its own so that programs without WebRTC do not link pion.
//
// # Determinism
//
// A Net has no state, goroutine or timer of its own: it is as deterministic as the network. Pion is not
// quite. Its ICE, SCTP and SDP draw from generators that it seeds when the process starts, and goroutines
// of one peer race in one instant, so two runs of one seed need not have the same trace hash. What came of
// them, such as the pair of candidates that was selected, is what to compare.
//
// # Limitations
//
// IPv4, UDP and TCP, and one interface a host. Buffer sizes cannot be set, and a UDP socket is dialled
// from a port that the host picks. Nothing is heard of names by multicast DNS: turn it off.
package pionnet
