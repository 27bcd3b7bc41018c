package hop2

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/twohop/twohop/model"
)

// A room's keys in Redis, in the order in which the scripts take them. All have the room as their
// hash tag, so that a cluster keeps them together.
//
//	ns:{room}:life   hash: epoch, and seq and id of the newest message
//	ns:{room}:log    stream: entry seq-0 has the message's record in field m
//	ns:{room}:ids    hash: message ID → seq
//	ns:{room}:order  list: the IDs, oldest first
//
// Without a log there is no ns:{room}:log. The channel of live messages has the name ns:{room}:live. Its
// payload is "epoch:seq record" or, for an announced count, "epoch:seq".
func (r *Redis) keys(room string) []string {
	return []string{
		r.cfg.Namespace + ":{" + room + "}:life", r.cfg.Namespace + ":{" + room + "}:log",
		r.cfg.Namespace + ":{" + room + "}:ids", r.cfg.Namespace + ":{" + room + "}:order",
	}
}

func (r *Redis) channel(room string) string { return r.cfg.Namespace + ":{" + room + "}:live" }

func (r *Redis) roomOf(channel string) string {
	room := strings.TrimPrefix(channel, r.cfg.Namespace+":{")
	return strings.TrimSuffix(room, "}:live")
}

// luaEpoch begins the room's epoch if it has none. What is left of a log whose epoch is gone (its key
// was evicted, say) belongs to no epoch. ARGV[1] is the new epoch's name. anchor gives the ID of the message at a
// position, the last one known: ” if it is not kept.
const luaEpoch = `
local life = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'id')
local epoch = life[1]
if not epoch then
  epoch = ARGV[1]
  life = {epoch, '0', ''}
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', '0', 'id', '')
end
local last = tonumber(life[2])
local function anchor(at)
  if at == last then return life[3] or '' end
  if at < 1 or at > last then return '' end
  return redis.call('LINDEX', KEYS[4], string.format('%.0f', at - last - 1)) or ''
end
`

// luaRead gives a page of the log. ARGV: epoch, epoch of the position asked for, the seq after it, how
// many entries at most (0 for none). It answers epoch, seq of the newest, the ID of the message where a reader at
// that position goes on, entry ID of the oldest (” if there is none), then entry ID and record of each.
const luaRead = luaEpoch + `
local page = {epoch, life[2], '', ''}
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local before = last
if oldest[1] then
  page[4] = oldest[1][1]
  before = tonumber(string.match(page[4], '^%d+')) - 1
end
if tonumber(ARGV[4]) == 0 then
  page[3] = anchor(last)
elseif ARGV[2] == epoch then
  page[3] = anchor(math.max(before, math.min(last, (tonumber(ARGV[3]) or math.huge) - 1)))
else
  page[3] = anchor(before)
end
if tonumber(ARGV[4]) > 0 then
  local start = '-'
  if ARGV[2] == epoch then start = ARGV[3] .. '-0' end
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', ARGV[4])) do
    page[#page + 1] = entry[1]
    page[#page + 1] = entry[2][2]
  end
end
return page
`

// luaCount has the count announced. ARGV: epoch, channel, the position that is asked from. It answers epoch, seq, the
// ID of the message there, and that of the one at the position.
const luaCount = luaEpoch + `
redis.call('PUBLISH', ARGV[2], epoch .. ':' .. life[2])
local at = ''
if ARGV[3] == epoch then at = anchor(tonumber(ARGV[4]) or 0) end
return {epoch, life[2], anchor(last), at}
`

var (
	scripts       = []string{luaPublish, luaRead, luaCount}
	publishScript = redis.NewScript(luaPublish)
	readScript    = redis.NewScript(luaRead)
	countScript   = redis.NewScript(luaCount)
)

// pageSize is how many messages one read of a log gives at most.
const pageSize = 128

// countCall has a room's count announced, unless it is what is assumed, by somebody who is there.
func (r *Redis) countCall(room string, assumed model.Bookmark) *call {
	at := assumed.Cursor
	return r.newCall(room, countScript, assumed, r.channel(room), at.Epoch, strconv.FormatUint(at.Seq, 10))
}

// readCall reads what comes after a position; after the zero cursor there is nothing. If the log ends where it is
// assumed to, the answer is no page but that end.
func (r *Redis) readCall(room string, from model.Cursor, assumed model.Bookmark) *call {
	count := pageSize
	if from.IsZero() {
		count = 0
	}
	next := from.Seq
	if next < math.MaxUint64 {
		next++
	}
	return r.newCall(room, readScript, assumed, from.Epoch, strconv.FormatUint(next, 10), strconv.Itoa(count))
}

// record is what a broker keeps of a message.
type record struct {
	ID        string `json:"id"`
	Publisher string `json:"publisher,omitempty"`
	Body      []byte `json:"body,omitempty"`
}

func encodeRecord(m model.Message) string {
	b, err := json.Marshal(record{ID: m.ID, Publisher: m.Publisher, Body: m.Body})
	if err != nil {
		panic(fmt.Sprintf("hop2: a record of strings and bytes does not marshal: %v", err))
	}
	return string(b)
}

func decodeRecord(room string, seq uint64, text string) (model.Message, error) {
	var rec record
	if err := json.Unmarshal([]byte(text), &rec); err != nil {
		return model.Message{}, fmt.Errorf("record %d: %w", seq, err)
	}
	if seq == 0 || rec.ID == "" {
		return model.Message{}, fmt.Errorf("record %d has the id %q", seq, rec.ID)
	}
	return model.Message{Room: room, Seq: seq, ID: rec.ID, Publisher: rec.Publisher, Body: rec.Body}, nil
}

// liveItem is what comes live: a message, or the position of the log's end.
type liveItem struct {
	at      model.Cursor
	message *model.Message // nil for the log's end
}

// decodeLive reads the payload of a live message or of an announced count.
func decodeLive(room, payload string) (liveItem, error) {
	position, text, isMessage := strings.Cut(payload, " ")
	at, err := model.ParseCursor(position)
	if err != nil {
		return liveItem{}, err
	}
	if at.IsZero() {
		return liveItem{}, fmt.Errorf("live message %.80q: it has no position", payload)
	}
	if !isMessage {
		return liveItem{at: at}, nil
	}
	m, err := decodeRecord(room, at.Seq, text)
	return liveItem{at, &m}, err
}

// encodeLive writes a payload for decodeLive.
func encodeLive(at model.Cursor, record string) string { return at.String() + " " + record }

var errReply = errors.New("unexpected reply of the broker")

// decodeCount reads the answer to a count: a room's end, and the ID of the message where the asker is, "" if it is
// not known. An asker who is at the end is told no more than that.
func decodeCount(fields []string) (end model.Bookmark, anchor string, err error) {
	if len(fields) != 3 && len(fields) != 4 {
		return end, "", fmt.Errorf("%w: %d fields for a count", errReply, len(fields))
	}
	end.Cursor, err = model.ParseCursor(fields[0] + ":" + fields[1])
	if err != nil || end.Cursor.Seq == math.MaxUint64 {
		return end, "", fmt.Errorf("%w: position %.80q", errReply, fields)
	}
	end.Anchor = fields[2]
	return end, fields[len(fields)-1], nil
}

// decodePage reads the answer to a read. An entry that is no message (another program wrote it) is left
// out, and so becomes an announced gap.
func decodePage(room string, fields []string) (page, error) {
	if len(fields) == 3 {
		end, anchor, err := decodeCount(fields) // nothing is new since the caller's position
		return page{epoch: end.Cursor.Epoch, first: end.Cursor.Seq + 1, last: end.Cursor.Seq, anchor: anchor}, err
	}
	if len(fields) < 4 || len(fields)%2 == 1 {
		return page{}, fmt.Errorf("%w: %d fields for a page", errReply, len(fields))
	}
	newest, err := model.ParseCursor(fields[0] + ":" + fields[1])
	if err != nil || newest.IsZero() || newest.Seq == math.MaxUint64 {
		return page{}, fmt.Errorf("%w: position %.80q", errReply, fields[:2])
	}
	p := page{epoch: newest.Epoch, first: newest.Seq + 1, last: newest.Seq, anchor: fields[2]}
	if fields[3] != "" {
		if p.first, err = decodeEntryID(fields[3]); err != nil || p.first == 0 || p.first > p.last+1 {
			return page{}, fmt.Errorf("%w: oldest entry %.40q of a log that ends at %d", errReply, fields[3], p.last)
		}
	}
	for i := 4; i < len(fields); i += 2 {
		seq, err := decodeEntryID(fields[i])
		if err != nil {
			return page{}, err
		}
		if m, err := decodeRecord(room, seq, fields[i+1]); err == nil && seq <= p.last {
			p.messages = append(p.messages, m)
		}
	}
	return p, nil
}

// decodeAnswer gives the page that a read came to.
func decodeAnswer(room string, a answer) (page, error) {
	if a.err != nil {
		return page{}, a.err
	}
	return decodePage(room, a.fields)
}

// decodeEntryID reads a stream's entry ID, of the form seq-0.
func decodeEntryID(id string) (uint64, error) {
	digits, _ := strings.CutSuffix(id, "-0")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: entry ID %.40q", errReply, id)
	}
	return seq, nil
}
