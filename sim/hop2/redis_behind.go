package hop2

import (
	"fmt"
	"strconv"
	"strings"
)

// FallBehind takes the last messages of every log out of the store, with all that was kept of them, so that it is
// what a copy is that lags by so many when it takes over: Redis replicates asynchronously, and a failover loses what
// the copy does not have (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/). The epoch is
// the same. It reports whether there were any. No broker serves the store meanwhile.
func (s *RedisStore) FallBehind(messages int) (lost bool) {
	m := s.redis
	for _, life := range m.Keys() { // sorted
		base, isLife := strings.CutSuffix(life, ":life")
		seq, err := strconv.ParseUint(m.HGet(life, "seq"), 10, 64)
		if !isLife || err != nil || seq == 0 {
			continue
		}
		keep := seq - min(seq, uint64(messages))
		m.HSet(life, "seq", strconv.FormatUint(keep, 10))
		for range seq - keep {
			id, err := m.RPop(base + ":order")
			if err != nil {
				break // it kept no more of them
			}
			m.HDel(base+":ids", id)
		}
		s.trimEnd(base+":log", keep)
		lost = true
	}
	return lost
}

// trimEnd takes what comes after a number out of a stream.
func (s *RedisStore) trimEnd(log string, keep uint64) {
	entries, err := s.redis.Stream(log)
	if err != nil || len(entries) == 0 {
		return // there is no log
	}
	s.redis.Del(log)
	for _, e := range entries {
		seq, err := decodeEntryID(e.ID)
		if err == nil && seq <= keep {
			_, err = s.redis.XAdd(log, e.ID, e.Values)
		}
		if err != nil {
			panic(fmt.Sprintf("hop2: entry %s of %s, which has been there, cannot be put back: %v", e.ID, log, err))
		}
	}
}
