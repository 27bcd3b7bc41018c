package hop2

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaLane is what a strategy has to do with one broker: two goroutines, each of which waits for an answer before
// it asks for more. One makes calls, a room at a time; the other waits for news of all rooms that the broker
// leads. So a broker that does not answer holds up its own rooms only.
type kafkaLane struct {
	k      *Kafka
	leader int
	calls  *gather[*kafkaCall] // of rooms that are loaded
	news   chan struct{}       // has an element if there are rooms that listen does not know yet
}

// maxKafkaLanes is how many brokers there may be.
const maxKafkaLanes = 1000

// lane gives the lane to a broker, which begins with the first call of it.
func (k *Kafka) lane(leader int) (*kafkaLane, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lanes[leader]; l != nil {
		return l, nil
	}
	if len(k.lanes) == maxKafkaLanes {
		return nil, fmt.Errorf("%w: broker %d leads a partition; there are %d others already", errReply, leader, maxKafkaLanes)
	}
	l := &kafkaLane{k: k, leader: leader, calls: newGather(compareKafkaCalls), news: make(chan struct{}, 1)}
	k.lanes[leader] = l
	k.tasks.Go(l.serve)
	k.tasks.Go(l.listen)
	return l, nil
}

// laneOf gives the lane that a room is on; nil if the room is not loaded.
func (k *Kafka) laneOf(rm *kafkaRoom) *kafkaLane {
	rm.mu.Lock()
	loaded, leader := rm.loaded, rm.leader
	rm.mu.Unlock()
	if !loaded {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lanes[leader]
}

// put puts a call where it is made: on its room's lane or, if the room is not loaded, to the loader.
func (k *Kafka) put(c *kafkaCall) {
	if l := k.laneOf(k.room(c.room)); l != nil {
		l.calls.put(c)
		return
	}
	k.loader.calls.put(c)
}

func (l *kafkaLane) poke() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// byRoom splits calls, which are in canonical order, into those of each room.
func byRoom(calls []*kafkaCall) (rooms [][]*kafkaCall) {
	for len(calls) > 0 {
		n := 1
		for n < len(calls) && calls[n].room == calls[0].room {
			n++
		}
		rooms = append(rooms, calls[:n])
		calls = calls[n:]
	}
	return rooms
}

func answerAll(calls []*kafkaCall, err error) {
	for _, c := range calls {
		c.answer <- err
	}
}

// serve makes the calls of all goroutines until the strategy is closed.
func (l *kafkaLane) serve() {
	for {
		calls, err := l.calls.take(l.k.ctx)
		if err != nil {
			return
		}
		var failed error
		for _, of := range byRoom(calls) {
			rm := l.k.room(of[0].room)
			switch {
			case failed != nil: // a broker that cannot be reached is not asked again for every room
				rm.lose()
				answerAll(of, failed)
			case l.k.laneOf(rm) != l: // it was lost, or moved, meanwhile
				for _, c := range of {
					l.k.put(c)
				}
			default:
				err := l.attend(rm, of)
				if unreachable(err) {
					failed = err
				}
				answerAll(of, err)
			}
		}
	}
}

// attend makes the calls for one room.
func (l *kafkaLane) attend(rm *kafkaRoom, calls []*kafkaCall) error {
	var values [][]byte
	var appended []*kafkaCall
	upToDate := false
	rm.mu.Lock()
	for _, c := range calls {
		if c.message == nil {
			upToDate = true
			continue
		}
		if _, known := rm.log.ids[c.message.ID]; !known {
			e := rm.log.entry(*c.message)
			values, appended = append(values, e.encode()), append(appended, c)
		}
	}
	rm.mu.Unlock()
	err := l.k.append(l.k.work, rm, l.leader, values, appended)
	if err == nil && upToDate {
		err = l.catchUp(rm, calls)
	}
	if err != nil {
		l.k.failure(err)
		rm.lose() // who leads, and what is there, is looked up again
	}
	return err
}

// append appends values, and tells the calls their offsets. They go in batches that a broker takes.
func (k *Kafka) append(client *kgo.Client, rm *kafkaRoom, leader int, values [][]byte, calls []*kafkaCall) error {
	for len(values) > 0 {
		n, size := 0, 0
		for n < len(values) && (n == 0 || size+len(values[n]) <= kafkaBatch) {
			size += len(values[n])
			n++
		}
		resp, err := k.ask(k.ctx, client, leader, produceRequest(rm.topic, values[:n], k.cfg.Timeout))
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
func (l *kafkaLane) catchUp(rm *kafkaRoom, calls []*kafkaCall) error {
	resp, err := l.k.ask(l.k.ctx, l.k.work, l.leader, offsetRequest(rm.topic, offsetNext))
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

// listen waits for news of all rooms of the lane that are loaded, until the strategy is closed.
func (l *kafkaLane) listen() {
	k, failures := l.k, 0
	for k.ctx.Err() == nil {
		rooms := k.roomsOf(l.leader)
		if len(rooms) == 0 {
			select {
			case <-l.news:
				_ = k.pause(k.ctx, tailDelay) // it is the end
			case <-k.ctx.Done():
			}
			continue
		}
		err := l.poll(rooms)
		if err == nil {
			failures = 0
			continue
		}
		if k.ctx.Err() == nil {
			k.failure(err)
		}
		failures++
		several := len(k.tail.DiscoveredBrokers()) > 1
		for _, rm := range k.roomsOf(l.leader) {
			if several { // another may lead by now
				rm.lose()
			} else {
				rm.tear()
			}
		}
		_ = k.pause(k.ctx, k.cfg.backoff(failures)+tailDelay) // it is the end
	}
}

// tailDelay keeps listen from dialling at the instant at which serve does: of two dials of one host at one
// instant it is anybody's guess which is first.
const tailDelay = 20 * time.Microsecond

// poll makes one request for all of some rooms.
func (l *kafkaLane) poll(rooms []*kafkaRoom) error {
	k := l.k
	places := make([]place, len(rooms))
	byTopic := map[string]*kafkaRoom{}
	for i, rm := range rooms {
		rm.mu.Lock()
		places[i] = place{rm.topic, rm.log.next}
		if rm.torn && rm.log.prior != nil {
			places[i].offset--
		}
		rm.mu.Unlock()
		byTopic[rm.topic] = rm
	}
	resp, err := k.ask(k.ctx, k.tail, l.leader, fetchRequest(places, kafkaWait))
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
