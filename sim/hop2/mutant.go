package hop2

import (
	"context"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/twohop/twohop/model"
)

// Mutant is a deliberate bug of a strategy, which a property must catch. The zero value is none.
type Mutant string

// SequenceRace, of Redis's strategies, asks for a room's last number and then appends a message as the next, in
// two steps: two publishers that ask at the same time give two messages one number.
const SequenceRace Mutant = "sequence-race"

// OwnNumbers, of a relay, has it number messages itself, and not by what upstream says: one that comes back goes on
// from where its first reader says it was, with what is published from then on.
const OwnNumbers Mutant = "own-numbers"

// adopt is what OwnNumbers does with a room that opens.
func (rm *relayRoom) adopt(from model.Cursor) {
	if rm.relay.cfg.Mutant == OwnNumbers && !from.IsZero() {
		rm.epoch, rm.first, rm.last, rm.own = from.Epoch, from.Seq+1, from.Seq, true
	}
}

// renumber is what OwnNumbers does with messages, which come after a position of upstream's.
func (rm *relayRoom) renumber(msgs []model.Message) []model.Message {
	if !rm.own {
		return msgs
	}
	msgs = slices.Clone(msgs)
	next := rm.position().Seq + 1
	for i := range msgs {
		msgs[i].Seq = next + uint64(i)
	}
	return msgs
}

// luaPublishAs appends one message at a position that was chosen before. ARGV: epoch, entries to keep, 0 meaning
// that there is no log, channel, ID, record, position. It answers epoch, seq.
const luaPublishAs = luaEpoch + `
local known = redis.call('HGET', KEYS[3], ARGV[4])
if known then return {epoch, known} end
local seq = ARGV[6]
redis.call('HSET', KEYS[1], 'seq', seq, 'id', ARGV[4])
if tonumber(ARGV[2]) > 0 then
  redis.pcall('XADD', KEYS[2], 'MAXLEN', ARGV[2], seq .. '-0', 'm', ARGV[5])
end
redis.call('HSET', KEYS[3], ARGV[4], seq)
redis.call('PUBLISH', ARGV[3], epoch .. ':' .. seq .. ' ' .. ARGV[5])
return {epoch, seq}
`

var publishAsScript = redis.NewScript(luaPublishAs)

// scripts are those that the strategy uses.
func (r *Redis) scripts() []string {
	if r.cfg.Mutant == SequenceRace {
		return append(slices.Clip(scripts), luaPublishAs)
	}
	return scripts
}

// publishReply appends a message.
func (r *Redis) publishReply(ctx context.Context, m model.Message, record string) ([]string, error) {
	if r.cfg.Mutant != SequenceRace {
		return r.do(ctx, r.publishCall(m.Room, m.ID, record))
	}
	fields, err := r.do(ctx, r.countCall(m.Room, model.Bookmark{}))
	if err != nil {
		return nil, err
	}
	last, _, err := decodeCount(fields)
	if err != nil {
		return nil, err
	}
	keep := 0
	if r.streams {
		keep = r.cfg.History
	}
	return r.do(ctx, r.newCall(m.Room, publishAsScript, model.Bookmark{}, strconv.Itoa(keep), r.channel(m.Room), m.ID, record,
		strconv.FormatUint(last.Cursor.Seq+1, 10)))
}
