// Package hop2 is the second hop: it moves messages from where they are made to the endpoint servers
// that hold connections, with real brokers' client code.
//
// Its nouns are the [Strategy] (publish, subscribe from a cursor, unsubscribe), the [Subscription]
// (one reader of one room's log) and the [Gap] (an announced hole; there is no silent one).
// [ServeRedis] is a broker to go with them, on any net.Listener, with its data in a [RedisStore].
//
// Start with [New], which makes a strategy by name:
//
//   - pull: subscriptions poll a store for what is newer than their cursors. See [Pull], and package
//     store for the store.
//   - redis: a stream per room keeps history, Redis pub/sub carries live messages. See [Redis].
//
// [NewRing] makes one that needs more than a broker's address: a room belongs to one edge, which a source
// delivers to. See [Ring] and [Controller], and packages source and coord.
//
// # Determinism
//
// The package runs on real sockets and in a testing/synctest bubble alike. Time and randomness come
// from the standard library, chance from [Config].Rand. Commands of goroutines that wake at one
// instant are gathered for 50 µs and sent in a canonical order over one connection, so that the same
// run writes the same bytes whatever the scheduler does. What other packages' jitter would disturb
// (go-redis's retries) is switched off. A message and a timer that fall on the same nanosecond of
// the same host can still go either way.
//
// # Limitations
//
// Of two strategies of one node that dial one address at the same instant, the scheduler decides who is
// first. Ring keeps its own connections apart, but not those of two rings.
//
// A broker that loses the end of a room's log and keeps its epoch, as an asynchronous replica does
// when it takes over, is noticed (and announced as a gap) only if a reader was ahead of it. IDs are
// remembered per room up to [Config].Remember, and not across the loss of the broker's data.
// Subscribing to a room creates its epoch: a broker keeps a small key for every room ever asked for.
package hop2
