package hop2

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twohop/twohop/model"
)

// What a strategy's methods may answer, besides a context's error. They are wrapped.
var (
	// ErrClosed: the strategy or the subscription is closed.
	ErrClosed = errors.New("closed")
	// ErrUnavailable: the broker could not be reached, or did not answer, until the context ended. A
	// message that was being published may or may not be in the log; publishing it again is safe.
	ErrUnavailable = errors.New("broker unavailable")
	// ErrInvalid: the room or the message cannot be one ([model.CheckRoom], [model.CheckMessage]);
	// nothing was sent.
	ErrInvalid = errors.New("invalid")
)

// Strategy moves messages from where they are made to the endpoint servers. It is safe for
// concurrent use, and rides out a broker's restarts and lost connections by itself.
type Strategy interface {
	// Publish appends m (its Room, ID, Publisher and Body; Seq is not looked at) to its room's log
	// and gives its position. The same ID again appends nothing and gives the first position. It
	// tries until it knows, or until ctx ends.
	Publish(ctx context.Context, m model.Message) (model.Cursor, error)
	// Subscribe gives a room's log from a cursor: everything after it, in order, each once. The zero
	// cursor means the live end. It tries until it succeeds or ctx ends; the subscription outlives ctx.
	Subscribe(ctx context.Context, room string, from model.Cursor) (Subscription, error)
	// Close ends everything that the strategy started, its subscriptions included, and waits for it.
	// It is idempotent.
	Close() error
}

// Subscription is one reader of one room's log. One goroutine calls Next; Unsubscribe may be called
// from any.
type Subscription interface {
	// Start is what was agreed.
	Start() Start
	// Next blocks until there is a batch. A batch continues where the one before ended, or says that
	// it does not. It fails with ErrClosed, with the context's error, which loses nothing, or with an
	// error of the broker that trying again would not cure. An unreachable broker is no error: Next
	// goes on trying.
	Next(ctx context.Context) (Batch, error)
	// Unsubscribe frees everything and ends a blocked Next with ErrClosed. It is idempotent.
	Unsubscribe()
}

// Start is the position that a subscription starts from.
type Start struct {
	// Cursor is the agreed position: everything after it will be delivered. Its epoch is never empty.
	Cursor model.Cursor
	// Gap, unless empty, says why the cursor asked for could not be honoured. Then Cursor is the
	// position before the oldest message that the log still has, or, if the cursor was ahead of the
	// log, its end.
	Gap string
	// Anchor is the ID of the message at Cursor, or "" if it is not known. Whoever had another message there has
	// read another log: a broker that lost the end of a log without noticing fills its positions again.
	Anchor string
}

// Batch is what a subscription delivers: either messages or a gap.
type Batch struct {
	// Messages, at least one unless Gap is set, are in order of Seq without a hole. They may be shared
	// with other subscriptions: they are not to be changed.
	Messages []model.Message
	// Gap, unless nil, says that messages are out of reach.
	Gap *Gap
	// Cursor is the position after the batch.
	Cursor model.Cursor
}

// Gap is an announced hole: what lay after From, up to and including To, will not be delivered. If To is From, the
// log is another than the one that was read up to there: a broker lost some of that, and put other messages in
// its place, which will not be delivered.
type Gap struct {
	From, To model.Cursor
	// Anchor is the ID of the message at To, or "" if it is not known.
	Anchor string
	Why    string
}

// checkRoom is [model.CheckRoom] with an error that wraps ErrInvalid.
func checkRoom(room string) error {
	if err := model.CheckRoom(room); err != nil {
		return fmt.Errorf("%w %w", ErrInvalid, err)
	}
	return nil
}

// checkMessage is [model.CheckMessage] with an error that wraps ErrInvalid.
func checkMessage(m model.Message) error {
	if err := model.CheckMessage(m); err != nil {
		return fmt.Errorf("%w %w", ErrInvalid, err)
	}
	return nil
}

// Promises is what a strategy promises beyond what all do: order, each message once, and no gap that is
// not announced.
type Promises struct {
	// Resume: what was published while a reader was away is kept for it, up to [Config].History. A reader
	// that loses its connection, or comes back with its cursor, misses nothing.
	Resume bool
	// Durable: a broker that restarts with its store has the log and the IDs that it had. Without, its
	// restart begins a new epoch, or is a gap to whoever was not back before the next message.
	Durable bool
}

// strategies is the registry, in order of name.
var strategies = []struct {
	name     string
	promises Promises
	open     func(Config) (Strategy, error)
}{
	{"jetstream", Promises{Resume: true, Durable: true}, func(c Config) (Strategy, error) { return NewJetStream(c) }},
	{"kafka", Promises{Resume: true, Durable: true}, func(c Config) (Strategy, error) { return NewKafka(c) }},
	{"nats", Promises{}, func(c Config) (Strategy, error) { return NewNATS(c) }},
	{"pull", Promises{Resume: true, Durable: true}, func(c Config) (Strategy, error) { return NewPull(PullConfig{Config: c}) }},
	{"redis-pubsub", Promises{}, func(c Config) (Strategy, error) { return NewRedisPubSub(c) }},
	{"redis-streams", Promises{Resume: true, Durable: true}, func(c Config) (Strategy, error) { return NewRedisStreams(c) }},
}

// RingName is the name of [NewRing]'s strategy. [New] does not make it: it takes more than a Config.
const RingName = "ring"

// PromisesOf tells what the strategy of a name promises; nothing if there is none of that name. That of
// jetstream is of file storage: memory storage is not durable.
func PromisesOf(name string) Promises {
	if name == RingName {
		return Promises{Resume: true, Durable: true}
	}
	for _, s := range strategies {
		if s.name == name {
			return s.promises
		}
	}
	return Promises{}
}

// Names lists the strategies that [New] knows, sorted.
func Names() []string {
	names := make([]string, len(strategies))
	for i, s := range strategies {
		names[i] = s.name
	}
	return names
}

// New makes the strategy of a name. It does not wait for the broker. The error names the field that
// is wrong.
func New(name string, cfg Config) (Strategy, error) {
	for _, s := range strategies {
		if s.name == name {
			return s.open(cfg)
		}
	}
	return nil, fmt.Errorf("hop2: unknown strategy %.40q; known are %s", name, strings.Join(Names(), ", "))
}
