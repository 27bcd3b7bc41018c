// Package kernel is what a real kernel did: how long messages and fetches took over Linux's TCP on a path
// of known delay and loss, measured once and embedded here, for simulations to be held against.
//
// Its nouns are the [Condition] (what was varied), the [Distribution] (sorted times) and the [Fetch] (one
// request on a fresh connection). Start with [Messages] and [Fetches].
//
// The measurement: Linux 6.18 (HZ=250; SACK, RACK, TLP and timestamps on, tcp_no_metrics_save=1), two network
// namespaces joined by a forwarder in user space, 50 ms each way, MTU 1500, no limit of bandwidth, every
// packet lost with the same probability in either direction, endpoints in Go with TCP_NODELAY. data/README.md
// describes the files.
//
// # Determinism
//
// The data is part of the program. There are no goroutines and there is no I/O.
//
// # Limitations
//
// Three runs of 3,000 messages and ten fetches are a sample. Where few messages are late at all, as beyond
// the 90th percentile at 1 % loss, single runs differ by up to a third among themselves; the forty of [Many]
// together do not. The forwarder was now and then up to 60 ms late, so what lies above [Noise] says nothing
// about the kernel.
package kernel
