package hop2

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

// kafkaOnPipes is a cluster whose brokers listen on pipes.
type kafkaOnPipes struct {
	cluster *KafkaCluster
	addrs   []string
	pipes   map[string]*simtest.Pipes
	crash   map[int]func()
}

func newKafkaOnPipes(t *testing.T, dir string, brokers int) *kafkaOnPipes {
	k := &kafkaOnPipes{pipes: map[string]*simtest.Pipes{}, crash: map[int]func(){}}
	for i := range brokers {
		k.addrs = append(k.addrs, fmt.Sprintf("kafka-%d:9092", i))
	}
	var err error
	k.cluster, err = NewKafkaCluster(dir, k.addrs)
	require.NoError(t, err)
	for i := range brokers {
		k.start(t, i)
	}
	t.Cleanup(func() {
		for i := range brokers {
			k.stop(i)
		}
	})
	return k
}

func (k *kafkaOnPipes) start(t *testing.T, broker int) {
	l := simtest.Listen()
	pipesMu.Lock()
	k.pipes[k.addrs[broker]] = l
	pipesMu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.cluster.Serve(ctx, broker, l) }()
	k.crash[broker] = func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	}
	time.Sleep(time.Microsecond)
}

func (k *kafkaOnPipes) stop(broker int) {
	if crash := k.crash[broker]; crash != nil {
		delete(k.crash, broker)
		crash()
	}
}

func (k *kafkaOnPipes) open(t *testing.T, addr string) *Kafka {
	s, err := NewKafka(Config{Addr: addr, Dial: pipesTo(k.pipes)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// leaders counts the rooms that each broker leads, as a strategy has it.
func (k *Kafka) leaders() map[int]int {
	count := map[int]int{}
	for leader := range k.lanes {
		if n := len(k.roomsOf(leader)); n > 0 {
			count[leader] = n
		}
	}
	return count
}

// Goal: brokers share the rooms; whoever leads, nothing is lost, nothing comes twice, and an ID is known.
// Method: three brokers. One dies, and the others lead; it comes back, and leads again; partitions are moved by
// hand; all die but one; all die, and come back with their disk.
func TestKafkaCluster(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := newKafkaOnPipes(t, dir, 3)
		s, other := k.open(t, "kafka-0:9092"), k.open(t, "nowhere:1,kafka-1:9092,kafka-2:9092")
		const rooms = 6
		subs, at := make([]Subscription, rooms), make([]model.Cursor, rooms)
		name := func(i int) string { return fmt.Sprintf("r.%d", i) }
		for i := range rooms {
			subs[i] = subscribe(t, s, name(i), model.Cursor{})
			at[i] = subs[i].Start().Cursor
		}
		require.Equal(t, map[int]int{0: 2, 1: 2, 2: 2}, s.leaders())
		published := 0
		round := func(leaders map[int]int) {
			t.Helper()
			for i := range rooms {
				end := publish(t, other, name(i), published+1, published+3)
				require.Equal(t, model.Cursor{Epoch: at[i].Epoch, Seq: uint64(published + 3)}, end)
				seqs, gaps := collect(t, subs[i], at[i], end)
				require.Equal(t, simtest.UpTo(uint64(published+1), uint64(published+3)), seqs)
				require.Empty(t, gaps)
				require.Equal(t, end, publish(t, s, name(i), published+3, published+3), "IDs are remembered")
				at[i] = end
			}
			published += 3
			require.Equal(t, leaders, s.leaders())
			require.Equal(t, leaders, other.leaders())
		}
		round(map[int]int{0: 2, 1: 2, 2: 2})

		k.stop(0)
		began := time.Now()
		round(map[int]int{1: 4, 2: 2})
		require.GreaterOrEqual(t, time.Since(began), kafkaFailover, "nobody else led sooner")
		require.Less(t, time.Since(began), 5*time.Second)
		k.start(t, 0)
		time.Sleep(time.Second)
		round(map[int]int{0: 2, 1: 2, 2: 2})

		before := s.roomsOf(0)[0].name
		k.cluster.Rotate()
		time.Sleep(time.Second)
		round(map[int]int{0: 2, 1: 2, 2: 2})
		require.NotEqual(t, before, s.roomsOf(0)[0].name, "the partitions have not moved")

		k.stop(1)
		k.stop(2)
		round(map[int]int{0: 6})
		k.stop(0)
		k.start(t, 1)
		k.start(t, 2)
		k.start(t, 0)
		time.Sleep(5 * time.Second)
		round(map[int]int{0: 2, 1: 2, 2: 2})
	})
}

// Goal: a broker that does not answer holds up its own rooms only.
// Method: a broker dies without anybody taking over; the rooms of the other take no longer than before.
func TestKafkaLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKafkaOnPipes(t, "", 2)
		k.stop(0)
		k.stop(1)
		k.cluster.failover = time.Hour // of the next life
		k.start(t, 0)
		k.start(t, 1)
		s := k.open(t, "kafka-0:9092")
		for i := range 4 {
			publish(t, s, fmt.Sprintf("r.%d", i), 1, 1)
		}
		require.Equal(t, map[int]int{0: 2, 1: 2}, s.leaders())
		k.stop(1)
		lost := 0
		for i := range 4 {
			began := time.Now()
			_, err := s.Publish(within(t, 10*time.Second), note(fmt.Sprintf("r.%d", i), 2))
			if err != nil {
				require.ErrorIs(t, err, ErrUnavailable)
				lost++
				continue
			}
			require.Less(t, time.Since(began), time.Millisecond)
		}
		require.Equal(t, 2, lost)
	})
}

func TestKafkaClusterErrors(t *testing.T) {
	for want, addrs := range map[string][]string{
		"Kafka with 0 brokers; want 1 to 1000":                  nil,
		`advertises "kafka"; want host:port`:                    {"kafka"},
		`advertises ":9092"; want host:port`:                    {":9092"},
		`advertises "kafka:http"; want host:port`:               {"kafka:http"},
		`two brokers of Kafka advertise "kafka:1"; want an add`: {"kafka:1", "kafka:2", "kafka:1"},
	} {
		_, err := NewKafkaCluster("", addrs)
		require.ErrorContains(t, err, want)
	}
	c, err := NewKafkaCluster("", []string{"a:1", "b:2"})
	require.NoError(t, err)
	for _, broker := range []int{-1, 2} {
		err := c.Serve(t.Context(), broker, simtest.Listen())
		require.ErrorContains(t, err, fmt.Sprintf("broker %d of a Kafka with 2; they are numbered from 0", broker))
	}
	c.Rotate() // nothing is there to be moved
}
