package hop2

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaLoader finds out who leads rooms' partitions, and reads what these have. It is one goroutine, with
// connections of its own, which waits for each answer before it asks for more.
type kafkaLoader struct {
	k      *Kafka
	client *kgo.Client
	calls  *gather[*kafkaCall] // of rooms that are not loaded
}

// serve loads the rooms of calls, and hands these on, until the strategy is closed.
func (l *kafkaLoader) serve() {
	for {
		calls, err := l.calls.take(l.k.ctx)
		if err != nil {
			return
		}
		var lost error // why nobody knows who leads what
		failed := map[int]error{}
		for _, of := range byRoom(calls) {
			rm := l.k.room(of[0].room)
			if lane := l.k.laneOf(rm); lane != nil { // it was loaded meanwhile
				for _, c := range of {
					lane.calls.put(c)
				}
				continue
			}
			err, leader := lost, 0
			if err == nil {
				if leader, err = l.leader(rm.topic); unreachable(err) {
					lost = err // who cannot be reached is not asked again for every room
				}
			}
			var lane *kafkaLane
			if err == nil {
				lane, err = l.k.lane(leader)
			}
			if err == nil {
				err = failed[leader]
			}
			if err == nil {
				if err = l.load(rm, leader); unreachable(err) {
					failed[leader] = err
				}
			}
			if err != nil {
				l.k.failure(err)
				answerAll(of, err)
				continue
			}
			lane.poke()
			for _, c := range of {
				if c.message == nil {
					c.answer <- nil // it is up to date
				} else {
					lane.calls.put(c)
				}
			}
		}
	}
}

// unreachable tells whether an error is no broker's answer.
func unreachable(err error) bool {
	var answer *kerr.Error
	return err != nil && !kafkaPermanent(err) && !errors.As(err, &answer)
}

// leader finds out who leads a room's partition, which it creates if need be.
func (l *kafkaLoader) leader(topic string) (int, error) {
	leader, err := l.lookUp(topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err = l.create(topic); err == nil {
			leader, err = l.lookUp(topic)
		}
	}
	return leader, err
}

// load reads what a room's partition has, beginning the room's epoch if need be.
func (l *kafkaLoader) load(rm *kafkaRoom, leader int) error {
	k := l.k
	resp, err := k.ask(k.ctx, l.client, leader, offsetRequest(rm.topic, offsetOldest))
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
		if err := l.readToEnd(rm, leader); err != nil {
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
			return nil
		}
		if attempts == 3 {
			return fmt.Errorf("topic %s has no beginning that its readers agree on", rm.topic)
		}
		if err := k.append(l.client, rm, leader, [][]byte{e.encode()}, []*kafkaCall{{}}); err != nil {
			return err
		}
	}
}

// readToEnd reads a partition as far as it goes.
func (l *kafkaLoader) readToEnd(rm *kafkaRoom, leader int) error {
	for {
		rm.mu.Lock()
		next := rm.log.next
		rm.mu.Unlock()
		places := []place{{rm.topic, next}}
		resp, err := l.k.ask(l.k.ctx, l.client, leader, fetchRequest(places, 0))
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

// lookUp asks who leads a topic's partition.
func (l *kafkaLoader) lookUp(topic string) (int, error) {
	resp, err := l.k.request(l.k.ctx, l.client, leaderRequest(topic))
	if err != nil {
		return 0, err
	}
	return decodeLeader(resp, topic)
}

// create creates a topic with one partition, unless somebody else did.
func (l *kafkaLoader) create(topic string) error {
	resp, err := l.k.request(l.k.ctx, l.client, createRequest(topic, l.k.cfg.Timeout))
	if err != nil {
		return err
	}
	return decodeCreated(resp, topic)
}
