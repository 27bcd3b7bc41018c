package scenarios

import "maps"

// params are a scenario's parameters, by name.
type params = map[string]string

// smallChat has few clients and messages, so that a run is quick, and stays connected for most of the time.
func smallChat(more params) params {
	return merged(params{"clients": "6", "rooms": "2", "publishers": "2", "rate": "2"}, more)
}

// thinChat has a room in which more is said than goes through the links to its clients.
func thinChat(more params) params {
	return merged(smallChat(params{
		"clients": "3", "rooms": "1", "rate": "10", "body": "8192", "thin": "400", "transport": "sse",
		"queue": "8", "history": "64", "duration": "12s",
	}), more)
}

// merged gives some parameters, with more in their place and besides.
func merged(all, more params) params {
	all = maps.Clone(all)
	maps.Copy(all, more)
	return all
}

// The settings of the catalogue. The bounds of time that they promise are those of the chat's parts together: a
// dead connection is noticed within 3 s (three heartbeats), and a new one made within 5 s (the dial time-out) of
// the one attempt that may have begun before the fault ended, or a second of back-off and its next attempt.
var (
	// chatHeavy is the chat in all that it promises to survive.
	chatHeavy = &Setting{
		Name: "chat under heavy faults", Scenario: "chat", Params: smallChat(nil), Faults: "heavy",
		Check: []string{"Staleness(8s)", "Reconnect(10s)", "HonestRecovery", "FIFO", "Causal", "TotalOrder"},
	}
	// chatTrimmed keeps a history shorter than what is published while a client is away.
	chatTrimmed = &Setting{
		Name: "chat with a short history", Scenario: "chat", Params: smallChat(params{"rate": "8", "history": "4", "queue": "4", "duration": "15s"}), Faults: "heavy",
		Check: []string{"HonestRecovery", "Reconnect(10s)"},
	}
	// chatLossy is a chat over a broker that keeps nothing.
	chatLossy = &Setting{
		Name: "chat over pub/sub", Scenario: "chat", Params: smallChat(params{"hop2": "redis-pubsub"}), Faults: "heavy",
		Check: []string{"HonestRecovery", "TotalOrder"},
	}
	// chatBusy is one room in which much is published, so that what happens within a round trip matters.
	chatBusy = &Setting{
		Name: "a busy room", Scenario: "chat", Params: smallChat(params{"rooms": "1", "rate": "25"}), Faults: "heavy",
		Check: []string{"HonestRecovery"},
	}
	// chatRace is the same over a broker that numbers messages and keeps none.
	chatRace = &Setting{
		Name: "a busy room over pub/sub", Scenario: "chat", Params: smallChat(params{"rooms": "1", "rate": "20", "hop2": "redis-pubsub", "clients": "4", "duration": "12s"}), Faults: "light",
		Check: []string{"HonestRecovery"},
	}
	// chatStored is the chat over a database that is polled, whose disk loses what was not synced.
	chatStored = &Setting{
		Name: "chat over a polled store", Scenario: "chat", Params: smallChat(params{"hop2": "pull"}), Faults: "heavy",
	}
	// chatSilent is a chat in which little is said, behind a balancer that forgets whoever says nothing.
	chatSilent = &Setting{
		Name: "a quiet chat behind an impatient balancer", Scenario: "chat",
		Params: smallChat(params{"rate": "0.1", "idle": "4s", "duration": "60s"}), Faults: "light", Check: []string{"Staleness(8s)"},
	}
	// chatCrash has an edge away for long, and promises that its clients find another meanwhile.
	chatCrash = &Setting{
		Name: "an edge away for long", Scenario: "chat", Params: smallChat(params{"duration": "40s"}), Schedule: "crash(edge-1)@5s for 25s",
		Check: []string{"ReconnectThroughout(8s)", "StalenessThroughout(12s)"},
	}
	// chatBroker has the broker restart, and promises that messages flow again soon after it is back.
	chatBroker = &Setting{
		Name: "a broker that restarts", Scenario: "chat", Params: smallChat(params{"duration": "30s"}), Schedule: "crash(redis)@8s for 1s",
		Check: []string{"StalenessThroughout(8s)"},
	}
	// chatDrain has an edge told to stop, at which all of its clients look for another at once.
	chatDrain = &Setting{
		Name: "an edge that drains", Scenario: "chat", Params: smallChat(params{"clients": "60", "loss": "0", "jitter": "0s", "duration": "20s"}),
		Schedule: "stop(edge-1)@5s for 6s", Check: []string{"ReconnectRate(20, 20ms)"},
	}
	// chatConflated has clients behind thin links, who are given the latest values alone.
	chatConflated = &Setting{
		Name: "thin links, conflated", Scenario: "chat",
		Params: thinChat(params{"slow": "conflate"}), Faults: "light",
		Check: []string{"HonestRecovery"},
	}
	// chatBacklog has clients behind thin links, who are let go when they are too far behind.
	chatBacklog = &Setting{
		Name: "thin links, the slow let go", Scenario: "chat",
		Params: thinChat(nil), Faults: "light",
	}
	// chatDropped has clients behind thin links, who skip the oldest.
	chatDropped = &Setting{
		Name: "thin links, the oldest dropped", Scenario: "chat",
		Params: thinChat(params{"slow": "drop-oldest"}), Faults: "light",
		Check: []string{"HonestRecovery"},
	}

	// chatThin has clients behind thin links, whom nothing befalls.
	chatThin = &Setting{
		Name: "thin links without faults", Scenario: "chat",
		Params: thinChat(params{"clients": "2", "slow": "drop-oldest", "history": "1000", "duration": "20s"}), Faults: "none",
		Check: []string{"HonestRecovery", "Staleness(8s)"},
	}
	// scalingSmall has an edge come and go where rooms belong to edges.
	scalingSmall = &Setting{
		Name: "scaling by consistent hashing", Scenario: "scaling",
		Params: params{"placement": "consistent", "clients": "24", "rooms": "12", "edges": "2", "rate": "15", "pace": "500ms", "duration": "40s", "transport": "ws"},
	}
	// bookingsHeavy is objects shared over the coordination service.
	bookingsHeavy = &Setting{Name: "bookings under heavy faults", Scenario: "bookings", Faults: "heavy"}
	// orderLamport is a conversation that readers put in order by Lamport clocks.
	orderLamport = &Setting{Name: "a conversation in order", Scenario: "order", Faults: "heavy"}
	// failedOver has the broker fail over to a copy that lags, whatever else befalls the chat.
	failedOver = &Setting{Name: "a broker that fails over, under heavy faults", Scenario: "failover", Faults: "heavy"}
	// whoIsThere shows who is in a room.
	whoIsThere = &Setting{Name: "who is there, under heavy faults", Scenario: "presence", Faults: "heavy"}
	// follower is one room with many followers, who are served by a tree of relays, and naively beside that.
	follower = &Setting{Name: "one room with many followers", Scenario: "celebrity", Params: params{"clients": "120", "sizes": "2", "branch": "5", "uplink": "2", "updates": "2"}}
	// brokerLossy is edges that subscribe to a broker that keeps nothing, and restarts.
	brokerLossy = &Setting{
		Name: "edges of a broker that keeps nothing", Scenario: "brokers", Params: params{"hop2": "redis-pubsub", "edges": "2", "rate": "10", "duration": "12s"},
	}
	// brokerRelayed is edges behind a relay that restarts.
	brokerRelayed = &Setting{
		Name: "edges behind a relay that restarts", Scenario: "brokers",
		Params: params{"hop2": "redis-streams", "fault": "relay-restart", "relays": "1", "edges": "2", "rate": "10", "duration": "12s"},
	}
	// brokerNear is edges that are near a broker to which nothing happens.
	brokerNear = &Setting{
		Name: "edges near their broker", Scenario: "brokers", Params: params{"hop2": "nats", "fault": "none", "edges": "1", "rooms": "2"},
	}
	// brokerLoaded is a broker behind a slow network card, at ever more load.
	brokerLoaded = &Setting{
		Name: "a broker's network card held against its closed form", Scenario: "broker-load", Params: params{"each": "10s", "edges": "2", "uplink": "1.6"},
	}
	// proxied is clients behind proxies with every kind of fault.
	proxied = &Setting{Name: "clients behind proxies", Scenario: "proxies", Params: params{"clients": "1", "duration": "20s"}}
	// peers is peer connections through address translators, over links that lose and reorder.
	peers = &Setting{Name: "peers behind address translators", Scenario: "p2p", Params: params{"peers": "5", "rate": "5", "duration": "15s"}}
	// heldToKernel holds the modelled TCP against a real one.
	heldToKernel = &Setting{Name: "TCP held against a kernel's", Scenario: "fidelity", Params: params{"messages": "1500", "fetches": "0"}}
	// callbacks and intervals hold polling against its closed forms.
	callbacks = &Setting{Name: "long polling held against its closed form", Scenario: "callback-gap"}
	intervals = &Setting{Name: "polling held against its closed form", Scenario: "poll-interval", Params: params{"clients": "4", "duration": "40s"}}
)

// MutantCases is the catalogue of mutants, in the order in which it is listed.
func MutantCases() []MutantCase {
	return []MutantCase{
		{"no-resume", chatHeavy, "A client library that reconnects by subscribing anew, without the last event ID that it has.", "NoLoss"},
		{"no-dedupe", chatHeavy, "At-least-once delivery handed on as it comes, as by consumers of queues that redeliver.", "NoDuplicate"},
		{"concurrent-dispatch", chatHeavy, "A goroutine, or a thread of a pool, for each message: their order is whose turn comes first.", "InOrder"},
		{"deaf-client", chatHeavy, "A client without a read time-out, which keeps a half-open connection for as long as the kernel does.", "Staleness"},
		{"no-dial-timeout", chatHeavy, "A connect call with the kernel's time-out of two minutes: recovery never ends when an edge dies.", "Reconnect"},
		{"forgetful-broker", chatHeavy, "A publisher that tries again after a time-out, at a broker that does not know the first attempt.", "Linearizable"},
		{"snapshot-last", chatBusy, "Subscribe, then read the history: what comes in between is in both.", "NoDuplicate"},
		{"snapshot-first", chatBusy, "Read the history, then subscribe: what comes in between is in neither.", "NoLoss"},
		{"skip-trimmed", chatTrimmed, "A resume from beyond the history that goes on with the oldest message that is left, and says nothing.", "NoLoss"},
		{"endless-recovery", chatTrimmed, "A client that takes an unrecoverable position for a failure of the connection, and tries it again for ever.", "Reconnect"},
		{"hush-gaps", chatLossy, "An application that is not told, or does not ask, whether its session was recovered.", "HonestRecovery"},
		{"sequence-race", chatRace, "GET, add one, SET: two publishers get the same number.", "Conforms"},
		{"ack-before-fsync", chatStored, "A database with synchronous commit off, or a drive with a volatile cache: the acknowledged is gone after a crash.", "NoLoss"},
		{"slow-heartbeat", chatSilent, "A heartbeat of a minute behind a balancer with an idle time-out of less.", "Staleness"},
		{"pinned", chatCrash, "A client that keeps the address it was given, or the cookie of its sticky session, when that server is gone.", "ReconnectThroughout"},
		{"believe-silence", chatBroker, "A subscriber connection without keep-alive: after the broker's restart it waits on a socket that is dead.", "StalenessThroughout"},
		{"no-jitter", chatDrain, "Back-off without jitter: the herd that was let go together comes back together.", "ReconnectRate"},
		{"zombie-subscription", chatHeavy, "An unsubscribe that is forgotten when the last listener leaves: subscriptions pile up at the broker.", "NoZombie"},
		{"unbounded-queue", chatBacklog, "A send queue without a limit for each connection: one slow reader, and the server is out of memory.", "BoundedQueue"},
		{"trim-conflated", chatConflated, "A throttle without a trailing edge: the last value waits for a next one that does not come.", "LastValue"},
		{"drop-silently", chatDropped, "A full channel and a select with a default: what does not fit is dropped and nobody is told.", "HonestRecovery"},
		{"wait-for-slowest", chatThin, "A broadcast that writes to one connection after the other, and waits for each.", "Staleness"},
		{"no-dual-send", scalingSmall, "A hand-over with one owner at a time: what is sent while clients are on their way goes where they are not.", "DualDelivery"},
		{"early-commit", scalingSmall, "The routing table is changed first, and the connections are moved after that.", "Prompt"},
		{"modulo", scalingSmall, "hash(key) mod N: one server more, and nearly every key moves.", "MinimalMovement"},
		{"no-resume", scalingSmall, "A redirect that forgets what the client had: the new server starts it at the live end.", "NoLoss"},
		{"stale-reads", bookingsHeavy, "Reads from whoever was leader last: a deposed leader on the wrong side of a partition serves the past.", "LinearizableRegistry"},
		{"ack-before-fsync", bookingsHeavy, "A replicated log on disks that lie about flushing: a power cut takes back what a majority had acknowledged.", "LinearizableRegistry"},
		{"retry-blindly", bookingsHeavy, "A conditional write that timed out is tried again and fails on its own effect.", "LinearizableRegistry"},
		{"check-then-act", bookingsHeavy, "SELECT, then UPDATE, without a transaction: the seat is sold twice.", "LinearizableSeats"},
		{"blind-bid", bookingsHeavy, "Compare in the application, then write: of two bids at the same time the later write wins, not the higher bid.", "LinearizableAuction"},
		{"wall-clock", orderLamport, "ORDER BY created_at, where created_at is the sender's own clock: an answer comes before the question.", "Causal"},
		{"no-witness", orderLamport, "A counter for each sender that is called a logical clock, and never takes in what is received.", "Causal"},
		{"arrival-order", orderLamport, "Each reader shows messages as its connections happen to deliver them.", "TotalOrder"},
		{"round-robin", orderLamport, "Messages without a key go to the partitions in turn: a publisher's order is lost between them.", "FIFO"},
		{"blind-start", failedOver, "A failover of an asynchronously replicated broker, which nobody notices: the new master fills positions again.", "Refill"},
		{"presence-never-leaves", whoIsThere, "An entry in a set when somebody comes, to be removed by a handler that a crash does not run.", "Presence"},
		{"bypass", follower, "A region whose servers each subscribe to the origin, past the cache that was put there for them.", "FanoutBound"},
		{"slow-path", follower, "A measurement that forgets a part of the path.", "FanoutBound"},
		{"tree-only", follower, "A benchmark whose baseline has the optimisation, too.", "NaiveBreaks"},
		{"slow-nic", follower, "A capacity plan by the rate on the label.", "ClosedForm"},
		{"silent-gap", brokerLossy, "A fire-and-forget broker whose subscribers reconnect and do not ask what they missed.", "NoLoss"},
		{"own-numbers", brokerRelayed, "A proxy that gives events IDs of its own, and knows no better after a restart than what the first client tells it.", "Conforms"},
		{"slow-path", brokerNear, "Servers that were put into another region than their broker.", "AddedLatency"},
		{"slow-card", brokerLoaded, "A queue somewhere that nobody has in the capacity plan.", "ClosedForm"},
		{"no-resume", proxied, "A stream that a proxy cuts again and again, each time started anew at the live end.", "NoLoss"},
		{"no-dedupe", proxied, "A stream that a proxy cuts again and again, replayed from the last event each time.", "NoDuplicate"},
		{"stale-cursor", peers, "An unordered channel whose reader shows what comes last, not what is newest.", "LatestWins"},
		{"no-relay", peers, "No TURN server: two peers behind symmetric translators never meet.", "Pairs"},
		{"slow-path", heldToKernel, "A simulated path that takes a fifth longer than the one it stands for.", "LikeKernel"},
		{"no-sack", heldToKernel, "A middlebox that strips selective acknowledgements.", "LikeKernel"},
		{"slow-path", callbacks, "A measurement that forgets a part of the path.", "ClosedForm"},
		{"slow-path", intervals, "A measurement that forgets a part of the path.", "ClosedForm"},
		{"in-step", intervals, "Samples taken in step with what is sampled.", "ClosedForm"},
	}
}
