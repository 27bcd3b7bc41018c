// Package hop2 is the second hop: it moves messages from where they are made to the endpoint servers
// that hold connections, with real brokers' client code.
//
// Its nouns are the [Strategy] (publish, subscribe from a cursor, unsubscribe), the [Subscription]
// (one reader of one room's log) and the [Gap] (an announced hole; there is no silent one).
// [ServeRedis], [ServeNATS] and [ServeKafka] are brokers to go with them, on any net.Listener, each with
// its data in a store that outlives it.
//
// Start with [New], which makes a strategy by name, and [PromisesOf], which tells what it promises:
//
//   - pull: subscriptions poll a store for what is newer than their cursors. See [Pull], and package
//     store for the store.
//   - redis-streams: a stream per room keeps history, Redis pub/sub carries live messages. See [Redis].
//   - redis-pubsub: Redis pub/sub alone. What is missed is lost, and announced. See [Redis].
//   - kafka: a partition per room, and rules by which its readers agree on IDs. See [Kafka], [KafkaCluster] for
//     several brokers, and [KafkaGroup] for servers that share the reading.
//   - nats: core NATS, with a sequencer ([RunSequencer]). What is missed is lost, and announced. See [NATS].
//   - jetstream: a stream of NATS JetStream per room. See [JetStream].
//
// [NewRing] makes one, of the name [RingName], that needs more than a broker's address: a room belongs to one edge, which a source
// delivers to. See [Ring] and [Controller], and packages source and coord. [NewSharded] makes one of any name over
// several brokers that know nothing of each other.
//
// A [Relay] stands between any of them and a region's edges: it subscribes once to a room, keeps its latest
// messages, and sends each on once to every edge, or to further relays. They read it by a [Relayed], which
// promises what the relay's own strategy does.
//
// # Determinism
//
// The package runs on real sockets and in a testing/synctest bubble alike. Time and randomness come
// from the standard library, chance from [Config].Rand. Commands of goroutines that wake at one
// instant are gathered for 50 µs and sent in a canonical order over one connection, so that the same
// run writes the same bytes whatever the scheduler does. What other packages' jitter would disturb
// (go-redis's and franz-go's retries, nats.go's reconnection) is switched off. A message and a timer that
// fall on the same nanosecond of the same host can still go either way; so can two subscriptions to one
// room that a JetStream strategy makes at one instant from different positions.
//
// JetStream's consumers are goroutines of the server, and which of them writes first is the scheduler's
// choice: [ServeNATS] puts what they write at one instant in a canonical order, which takes 1 µs. Importing
// the package starts one goroutine, the clock that nats-server has for the process: a bubble must not.
//
// # Limitations
//
// Of two strategies of one node that dial one address at the same instant, the scheduler decides who is
// first. Ring and Relayed keep their own connections apart, but not those of two of them.
//
// A relay answers the operations of one request together: while one of them waits for what the relay must ask
// upstream for, up to [RelayConfig].Timeout, the others of its batch wait, too.
//
// A broker that loses the end of a room's log and keeps its epoch, as an asynchronous replica does when it takes
// over, or one that had not synced, is noticed by a reader that was ahead of it or, once other messages have filled
// the positions again, that had another message at its own; either is announced as a gap. That shows a reader whose
// log is another, but for one whose own message happens to have come to the same position again. It takes that the
// broker remembers which message was there: redis, pull and ring do for [Config].Remember messages, kafka as long, and
// jetstream as long as it keeps the message (a reader of which that one was trimmed is told of a gap). To nats, and
// to jetstream in memory, it cannot happen: their restart begins another epoch. IDs are
// remembered per room up to [Config].Remember, or by jetstream for [Config].RememberFor, and not across the
// loss of the broker's data. Subscribing to a room creates its epoch: a broker keeps a small key, stream or
// topic for every room ever asked for, and kafka a replica of the room's end in each strategy.
//
// Where the embedded brokers differ from real ones: miniredis has no persistence, so a [RedisStore] loses
// nothing that was executed, as with appendfsync always. The embedded nats-server is shut down, not killed,
// so its store has all that was acknowledged; the tests kill a real one (2.9, the embedded is 2.15) and find
// the same. kfake is no Kafka, and kafka has not been tried against a real cluster: it is one program with one log
// of each partition, so that there are no replicas, none that lag, and no acknowledged message that an election
// loses; it elects nobody ([KafkaCluster] does); it lists brokers that are away; its controller and the coordinators
// of its groups do not move; it draws lots for the leader of a group of the classic protocol. Real
// servers by default take messages of 1 MiB, which bodies of more than 750 kB exceed; the embedded ones take 2.
// A sequencer outlives a real NATS server that it does not share a host with: then its restart is a gap, not
// a new epoch.
package hop2
