// Package netsim is a virtual network in virtual time: hosts, links, TCP, UDP, NAT, DNS, L4 balancing.
//
// A [Network] owns [Host]s, the [Link]s between them (a [Profile] is a ready-made pair), and the
// [Bottleneck]s that a host's traffic shares. A host's Listen and Dial give net.Listener and net.Conn,
// so programs written for package net run on it unmodified. Connections are modelled segment by
// segment (package tcp), or, at [Stream] fidelity, as byte streams with latency. A host can be made a
// [Balancer], a [NAT] or a [Firewall] for others. A [Fault] changes the network in mid-run, and
// Config.Capture writes what is sent for Wireshark. WebRTC runs on it by package pionnet.
//
// Start with [New] inside a testing/synctest bubble; package sim does that and more for you.
//
// # Determinism
//
// One goroutine, the loop, owns the network. It waits until all others are durably blocked, takes what
// they did in canonical order (host, connection), and applies one event. Events are totally ordered by
// time and by when they were planned. Luck is drawn per link direction. See [Network.RunUntil].
//
// # Limitations
//
// What several goroutines of one host do to the network in one instant is ordered by connection, but
// dials to the same address keep the order in which they came. IPv4 only; nothing is fragmented, and
// the only ICMP message is the one for a UDP port on which nobody listens. Hosts' own names resolve at
// once, as from a hosts file; see [Network.UseDNS] for others. See package tcp for what of TCP is not
// modelled.
package netsim
