// Package coord is a coordination service: a small registry of keys, replicated by raft over a few nodes,
// with compare-and-swap, leases and watches.
//
// Its nouns are the registry (the state, a pure machine), the [Node] (one replica) and the [Client]. Start
// with [Start] on each node, and [NewClient] elsewhere.
//
// Reads and writes are linearizable: a write is answered when it is committed, and a read when the leader
// has confirmed that it still is the leader (raft's ReadIndex). Every request has an ID, and is done once
// however often it is sent. A watch gives the latest state of the keys that begin with a prefix whenever
// one of them changes; it may skip states in between and, being answered by any node, lag, but it never
// goes back.
//
// The consensus is go.etcd.io/raft/v3, driven through its RawNode, which starts no goroutines and tells no
// time: ticks, messages and requests reach it through one mailbox that one goroutine empties.
//
// # Determinism
//
// A node's ticks are its own timer's. The jitter of raft's elections comes from crypto/rand, which a world
// seeds for each instant.
//
// # Limitations
//
// The members are fixed. A lease is timed by the leader of the moment, and starts afresh with a new one:
// it never ends early, but may end late by as long as the service had no leader, and once more its length.
package coord
