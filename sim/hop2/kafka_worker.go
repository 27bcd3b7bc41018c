package hop2

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// serve makes the calls of all goroutines, a room at a time, until the strategy is closed. It is one
// goroutine, which waits for each answer before it asks for more.
func (k *Kafka) serve() {
	for {
		calls, err := k.calls.take(k.ctx)
		if err != nil {
			return
		}
		var failed error
		for len(calls) > 0 {
			n := 1
			for n < len(calls) && calls[n].room == calls[0].room {
				n++
			}
			err := failed // a broker that cannot be reached is not asked again for every room
			if err == nil {
				err = k.attend(k.room(calls[0].room), calls[:n])
			}
			if err != nil && !kafkaPermanent(err) {
				var answer *kerr.Error
				if !errors.As(err, &answer) {
					failed = err
				}
			}
			for _, c := range calls[:n] {
				c.answer <- err
			}
			calls = calls[n:]
		}
	}
}

// attend makes the calls for one room.
func (k *Kafka) attend(rm *kafkaRoom, calls []*kafkaCall) error {
	rm.mu.Lock()
	loaded := rm.loaded
	rm.mu.Unlock()
	if !loaded {
		if err := k.load(rm); err != nil {
			k.failure(err)
			return err
		}
	}
	var values [][]byte
	var appended []*kafkaCall
	upToDate := false
	rm.mu.Lock()
	for _, c := range calls {
		if c.message == nil {
			upToDate = upToDate || loaded // else it is
			continue
		}
		if _, known := rm.log.ids[c.message.ID]; !known {
			e := rm.log.entry(*c.message)
			values, appended = append(values, e.encode()), append(appended, c)
		}
	}
	leader := rm.leader
	rm.mu.Unlock()
	err := k.append(rm, leader, values, appended)
	if err == nil && upToDate {
		err = k.catchUp(rm, leader, calls)
	}
	if err != nil {
		k.failure(err)
		rm.lose() // who leads, and what is there, is looked up again
	}
	return err
}

// append appends values, and tells the calls their offsets. They go in batches that a broker takes.
func (k *Kafka) append(rm *kafkaRoom, leader int, values [][]byte, calls []*kafkaCall) error {
	for len(values) > 0 {
		n, size := 0, 0
		for n < len(values) && (n == 0 || size+len(values[n]) <= kafkaBatch) {
			size += len(values[n])
			n++
		}
		resp, err := k.ask(k.ctx, k.work, leader, produceRequest(rm.topic, values[:n], k.cfg.Timeout))
		if err != nil {
			return err
		}
		at, err := produced(resp)
		if err != nil {
			return err
		}
		for i, c := range calls[:n] {
			c.offset = at + int64(i) + 1
		}
		values, calls = values[n:], calls[n:]
	}
	return nil
}

// kafkaBatch bounds the values of one request in bytes, unless it is one value: brokers take 1 MiB by
// default.
const kafkaBatch = 900_000

// catchUp tells calls how far the log must be read to be up to date.
func (k *Kafka) catchUp(rm *kafkaRoom, leader int, calls []*kafkaCall) error {
	resp, err := k.ask(k.ctx, k.work, leader, offsetRequest(rm.topic, offsetNext))
	if err != nil {
		return err
	}
	end, err := listed(resp)
	for _, c := range calls {
		if c.message == nil {
			c.offset = end
		}
	}
	return err
}

// load reads what a room's partition has, creating it, and beginning the room's epoch, if need be.
func (k *Kafka) load(rm *kafkaRoom) error {
	leader, err := k.findLeader(rm.topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err = k.createTopic(rm.topic); err == nil {
			leader, err = k.findLeader(rm.topic)
		}
	}
	if err != nil {
		return err
	}
	resp, err := k.ask(k.ctx, k.work, leader, offsetRequest(rm.topic, offsetOldest))
	if err != nil {
		return err
	}
	oldest, err := listed(resp)
	if err != nil {
		return err
	}
	rm.mu.Lock()
	rm.leader = leader
	rm.log.restart(oldest)
	rm.mu.Unlock()
	for attempts := 0; ; attempts++ {
		if err := k.readToEnd(rm, leader); err != nil {
			return err
		}
		rm.mu.Lock()
		known, e := rm.log.known, kafkaEntry{Epoch: epochName(k.identity, rm.name), Horizon: rm.log.next}
		rm.loaded = known
		if known {
			rm.announce()
		}
		rm.mu.Unlock()
		if known {
			k.poke()
			return nil
		}
		if attempts == 3 {
			return fmt.Errorf("topic %s has no beginning that its readers agree on", rm.topic)
		}
		if err := k.append(rm, leader, [][]byte{e.encode()}, []*kafkaCall{{}}); err != nil {
			return err
		}
	}
}

// readToEnd reads a partition as far as it goes.
func (k *Kafka) readToEnd(rm *kafkaRoom, leader int) error {
	for {
		rm.mu.Lock()
		next := rm.log.next
		rm.mu.Unlock()
		places := []place{{rm.topic, next}}
		resp, err := k.ask(k.ctx, k.work, leader, fetchRequest(places, 0))
		if err != nil {
			return err
		}
		got, err := decodeFetch(resp, places)
		switch {
		case err != nil:
			return err
		case len(got) != 1:
			return fmt.Errorf("%w: nothing of topic %s", errReply, rm.topic)
		case got[0].err != nil:
			return got[0].err
		}
		rm.take(got[0])
		rm.mu.Lock()
		rm.log.foreign = false // it has been read from the beginning
		next = rm.log.next
		rm.mu.Unlock()
		if len(got[0].records) == 0 || next >= got[0].end {
			return nil
		}
	}
}

// findLeader asks who leads a topic's partition. Both clients do, to learn where the brokers are.
func (k *Kafka) findLeader(topic string) (int, error) {
	if _, err := k.leaderBy(k.tail, topic); err != nil {
		return 0, err
	}
	return k.leaderBy(k.work, topic)
}

func (k *Kafka) leaderBy(client *kgo.Client, topic string) (int, error) {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{t}
	resp, err := k.request(k.ctx, client, req)
	if err != nil {
		return 0, err
	}
	r, ok := resp.(*kmsg.MetadataResponse)
	if !ok || len(r.Topics) != 1 {
		return 0, fmt.Errorf("%w: %T to a question for topic %s", errReply, resp, topic)
	}
	if err := kerr.ErrorForCode(r.Topics[0].ErrorCode); err != nil {
		return 0, err
	}
	partitions := r.Topics[0].Partitions
	if len(partitions) != 1 {
		return 0, fmt.Errorf("%w: topic %s has %d partitions; want 1", errReply, topic, len(partitions))
	}
	return int(partitions[0].Leader), kerr.ErrorForCode(partitions[0].ErrorCode)
}

// createTopic creates a topic with one partition, unless somebody else did.
func (k *Kafka) createTopic(topic string) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, -1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = []kmsg.CreateTopicsRequestTopic{t}, int32(k.cfg.Timeout.Milliseconds())
	resp, err := k.request(k.ctx, k.work, req)
	if err != nil {
		return err
	}
	r, ok := resp.(*kmsg.CreateTopicsResponse)
	if !ok || len(r.Topics) != 1 {
		return fmt.Errorf("%w: %T to the creation of topic %s", errReply, resp, topic)
	}
	if err := kerr.ErrorForCode(r.Topics[0].ErrorCode); !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	return nil
}

func (k *Kafka) failure(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = err.Error()
}

func (k *Kafka) poke() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// listen waits for news of all rooms that are loaded, until the strategy is closed. It is one goroutine.
func (k *Kafka) listen() {
	failures := 0
	for k.ctx.Err() == nil {
		rooms := k.sorted()
		if len(rooms) == 0 {
			select {
			case <-k.news:
				k.pause(tailDelay)
			case <-k.ctx.Done():
			}
			continue
		}
		if err := k.poll(rooms); err == nil {
			failures = 0
			continue
		} else if k.ctx.Err() == nil {
			k.failure(err)
		}
		failures++
		k.pause(k.cfg.backoff(failures) + tailDelay)
	}
}

// tailDelay keeps the tail from dialling at the instant at which the worker does: of two dials of one host
// at one instant it is anybody's guess which is first.
const tailDelay = 20 * time.Microsecond

// pause waits, unless the strategy is closed.
func (k *Kafka) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.ctx.Done():
	}
}

// poll makes one request of each broker that leads some of the rooms, one after the other.
func (k *Kafka) poll(rooms []*kafkaRoom) error {
	leaders := map[*kafkaRoom]int{}
	for _, rm := range rooms {
		rm.mu.Lock()
		leaders[rm] = rm.leader
		rm.mu.Unlock()
	}
	slices.SortStableFunc(rooms, func(a, b *kafkaRoom) int { return cmp.Compare(leaders[a], leaders[b]) })
	brokers := 1
	for i := 1; i < len(rooms); i++ {
		if leaders[rooms[i]] != leaders[rooms[i-1]] {
			brokers++
		}
	}
	for len(rooms) > 0 {
		n := 1
		for n < len(rooms) && leaders[rooms[n]] == leaders[rooms[0]] {
			n++
		}
		if err := k.pollLeader(rooms[:n], leaders[rooms[0]], kafkaWait/time.Duration(brokers)); err != nil {
			return err
		}
		rooms = rooms[n:]
	}
	return nil
}

func (k *Kafka) pollLeader(rooms []*kafkaRoom, leader int, wait time.Duration) error {
	places := make([]place, len(rooms))
	byTopic := map[string]*kafkaRoom{}
	for i, rm := range rooms {
		rm.mu.Lock()
		places[i] = place{rm.topic, rm.log.next}
		rm.mu.Unlock()
		byTopic[rm.topic] = rm
	}
	resp, err := k.ask(k.ctx, k.tail, leader, fetchRequest(places, wait))
	if err != nil {
		return err
	}
	got, err := decodeFetch(resp, places)
	if err != nil {
		return err
	}
	for _, f := range got {
		rm := byTopic[f.topic]
		if f.err != nil { // the leader has changed, or the topic is gone
			k.failure(f.err)
			rm.lose()
			continue
		}
		rm.take(f)
	}
	return nil
}
