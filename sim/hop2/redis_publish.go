package hop2

import (
	"fmt"
	"strconv"

	"github.com/twohop/twohop/model"
)

// luaPublish appends messages and announces them, but for those whose IDs are known. ARGV: epoch, entries to
// keep, 0 meaning that there is no log, IDs to keep, channel, then ID and record of each. It answers epoch, then
// the seq of each. Numbers are formatted by hand, since Lua's own way gives an exponent from 10^14 on.
const luaPublish = luaEpoch + `
local ids = {}
for i = 5, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
local known = redis.call('HMGET', KEYS[3], unpack(ids))
local seqs, fresh = {}, {}
for i, id in ipairs(ids) do
  if known[i] then
    seqs[id] = known[i]
  elseif not seqs[id] then
    seqs[id] = ''
    fresh[#fresh + 1] = i
  end
end
if #fresh > 0 then
  local seq = tonumber(life[2])
  local places, new = {}, {}
  for _, i in ipairs(fresh) do
    seq = seq + 1
    local place = string.format('%.0f', seq)
    if tonumber(ARGV[2]) > 0 then
      redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[2], place .. '-0', 'm', ARGV[4 + 2 * i])
    end
    seqs[ids[i]] = place
    new[#new + 1] = ids[i]
    places[#places + 1] = ids[i]
    places[#places + 1] = place
  end
  redis.call('HSET', KEYS[1], 'seq', places[#places], 'id', new[#new])
  redis.call('HSET', KEYS[3], unpack(places))
  local extra = redis.call('RPUSH', KEYS[4], unpack(new)) - tonumber(ARGV[3])
  while extra > 0 do
    local some = math.min(extra, 64)
    redis.call('HDEL', KEYS[3], unpack(redis.call('LRANGE', KEYS[4], 0, some - 1)))
    redis.call('LTRIM', KEYS[4], some, -1)
    extra = extra - some
  end
  for _, i in ipairs(fresh) do
    redis.call('PUBLISH', ARGV[4], epoch .. ':' .. seqs[ids[i]] .. ' ' .. ARGV[4 + 2 * i])
  end
end
local answer = {epoch}
for i, id in ipairs(ids) do answer[i + 1] = seqs[id] end
return answer
`

// publishCall appends a message to a room's log, unless its ID is there.
func (r *Redis) publishCall(room, id, record string) *call {
	keep := 0
	if r.streams {
		keep = r.cfg.History
	}
	c := r.newCall(room, publishScript, model.Bookmark{}, strconv.Itoa(keep), strconv.Itoa(r.cfg.Remember), r.channel(room))
	c.each = []string{id, record}
	return c
}

func decodePublished(fields []string) (model.Cursor, error) {
	if len(fields) != 2 {
		return model.Cursor{}, fmt.Errorf("%w: %d fields for a publish", errReply, len(fields))
	}
	at, err := model.ParseCursor(fields[0] + ":" + fields[1])
	if err != nil || at.Seq == 0 {
		return model.Cursor{}, fmt.Errorf("%w: position %.80q", errReply, fields)
	}
	return at, nil
}
