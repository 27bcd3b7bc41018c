// Package netsim is a virtual network: hosts, links, TCP, and an L4 balancer, in virtual time.
//
// A [Network] owns [Host]s and the [Link]s between them. A host's Listen and Dial give net.Listener
// and net.Conn, so programs written for package net run on it unmodified. Connections are modelled
// segment by segment (package tcp), or, at [Stream] fidelity, as byte streams with latency.
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
// dials to the same address keep the order in which they came. Names resolve at once, as from a hosts
// file. There is no UDP and no NAT.
package netsim
