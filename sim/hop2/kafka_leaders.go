package hop2

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaLife is a cluster from when its first broker comes until its last goes. It sees to it that partitions are
// led by who is to lead them: kfake draws lots, and does not know that a broker is away.
type kafkaLife struct {
	kfake    *kfake.Cluster
	brokers  []*kafkaBroker
	failover time.Duration

	stop    context.CancelFunc
	stopped chan struct{}
	wake    chan struct{} // has an element if a broker came or went since elect last looked

	mu    sync.Mutex
	gone  []time.Time // when each broker went; zero if it is there
	fresh []string    // topics that may have been created since pin last looked

	pinning sync.Mutex     // held while partitions are moved
	topics  []string       // in order of creation
	leads   map[string]int // the broker that each topic's partition was given to
	turn    int            // the broker that leads the first topic
}

func newKafkaLife(brokers int, failover time.Duration) *kafkaLife {
	l := &kafkaLife{
		failover: failover, stopped: make(chan struct{}), wake: make(chan struct{}, 1),
		gone: make([]time.Time, brokers), leads: map[string]int{},
	}
	for i := range l.gone {
		l.gone[i] = time.Now()
	}
	return l
}

// begin has partitions led by the right brokers from now on.
func (l *kafkaLife) begin(topics []string) {
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.topics = stop, topics
	if len(l.brokers) == 1 {
		close(l.stopped)
		return // it leads everything
	}
	l.kfake.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, t := range req.(*kmsg.CreateTopicsRequest).Topics {
			l.fresh = append(l.fresh, t.Topic)
		}
		return nil, nil, false
	})
	l.kfake.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		l.mu.Lock()
		fresh := len(l.fresh) > 0
		l.mu.Unlock()
		if fresh { // before anybody is told of the leaders that kfake drew
			l.pin()
		}
		return nil, nil, false
	})
	l.pin()
	go l.elect(ctx)
}

// close ends the cluster, and gives its topics.
func (l *kafkaLife) close() (topics []string) {
	l.stop()
	<-l.stopped
	l.kfake.Close()
	return l.topics
}

// change says that a broker went, or, at the zero time, that it came.
func (l *kafkaLife) change(broker int, gone time.Time) {
	l.mu.Lock()
	l.gone[broker] = gone
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// rotate has the next broker lead what each leads.
func (l *kafkaLife) rotate() {
	l.pinning.Lock()
	l.turn++
	l.pinning.Unlock()
	l.pin()
}

// elect gives partitions to other brokers when one comes, or has been away for too long, until ctx ends.
func (l *kafkaLife) elect(ctx context.Context) {
	defer close(l.stopped)
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		next := l.pin()
		var timer <-chan time.Time
		if !next.IsZero() {
			t.Reset(time.Until(next))
			timer = t.C
		}
		select {
		case <-l.wake:
		case <-timer:
		case <-ctx.Done():
			return
		}
	}
}

// pin gives every partition to the broker that is to lead it, and tells when that will change if nothing else
// does.
func (l *kafkaLife) pin() (next time.Time) {
	l.pinning.Lock()
	defer l.pinning.Unlock()
	now := time.Now()
	l.mu.Lock()
	fresh := l.fresh
	l.fresh = nil
	alive := make([]bool, len(l.gone))
	for i, at := range l.gone {
		until := at.Add(l.failover)
		alive[i] = at.IsZero() || now.Before(until)
		if !at.IsZero() && alive[i] && (next.IsZero() || until.Before(next)) {
			next = until
		}
	}
	l.mu.Unlock()
	for _, topic := range fresh {
		if !slices.Contains(l.topics, topic) && l.kfake.LeaderFor(topic, 0) >= 0 {
			l.topics = append(l.topics, topic)
		}
		delete(l.leads, topic) // it may have been deleted before
	}
	for i, topic := range l.topics {
		leader := kafkaLeader(i+l.turn, alive)
		if lead, known := l.leads[topic]; known && lead == leader {
			continue
		}
		if l.kfake.MoveTopicPartition(topic, 0, int32(leader)) == nil { // else it was deleted
			l.leads[topic] = leader
		}
	}
	return next
}

// kafkaLeader is the broker that leads the n-th topic: the brokers take turns, and one that is away is passed over.
func kafkaLeader(n int, alive []bool) int {
	for i := range alive {
		if at := (n + i) % len(alive); alive[at] {
			return at
		}
	}
	return n % len(alive)
}
