-- What every script begins with: the keys of one partition, and its state.
--
--   state     hash: revision, nonce (of the last change), mark (the last beat's number), moment, wall and tick (below)
--   records   hash: agent id -> record, as JSON with one field to a line; token, runtime_id and agent_id come first;
--             born (the tick when it was registered) and revision are added here
--   order     sorted set of agent ids by the moment of their registration
--   log       stream: the changes, each under its revision; n is its nonce and moment, k its kind, i the agent's id
--   beats     sorted set of a<agent id>\n<runtime id> and r<runtime id> by the number of their last beat
--   runtimes  hash: runtime id -> how many agents it owns here
--
-- Ids are written as in JSON, without the quotes: any text is possible, and none has a newline.

local STATE, RECORDS, ORDER, LOG, BEATS, RUNTIMES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local NONCE = ARGV[1]

-- A script that fails half-way is not undone: someone else's keys must be noticed before anything is written.
for place, kind in ipairs({'hash', 'hash', 'zset', 'stream', 'zset', 'hash'}) do
  local found = redis.call('TYPE', KEYS[place]).ok
  if found ~= kind and found ~= 'none' then
    return redis.error_reply('FOREIGN ' .. KEYS[place] .. ' is a ' .. found .. ', expected a ' .. kind)
  end
end

local function whole(number)
  return string.format('%.0f', number)
end

local revision, nonce, mark, moment, wall, tick, gained
do
  local state = redis.call('HMGET', STATE, 'revision', 'nonce', 'mark', 'moment', 'wall', 'tick')
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  revision, nonce = tonumber(state[1] or 0), state[2] or ''
  mark, moment = tonumber(state[3] or 0), tonumber(state[4] or 0)
  -- The clock that ages are told by, in microseconds. It stands still while the server's clock goes back, and gains at
  -- most two seconds between two scripts: a clock that was set, or a server that was stopped, ages nobody.
  wall, tick = tonumber(state[5] or now), tonumber(state[6] or now)
  gained = math.min(math.max(now - wall, 0), 2000000)
  tick, wall = tick + gained, now
  if not state[1] then
    local last = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)[1]
    revision = last and tonumber(string.match(last[1], '^%d+')) or 0
  end
end

local function save()
  redis.call('HSET', STATE, 'revision', whole(revision), 'nonce', nonce, 'mark', whole(mark), 'moment', whole(moment),
    'wall', whole(wall), 'tick', whole(tick))
end

-- Moments order changes across partitions. They are microseconds of the server's wall clock, each later than the one
-- before. Where a batch is spread over several, the caller says when it began, and the item's number in the whole.
local began, numbers = string.match(ARGV[4] or '', '^(%d+)(.*)$')
if ARGV[5] == '1' then
  began = nil -- what is done anew is another change: it must not get the same nonce
end
local next_number = string.gmatch(numbers or '', '%d+')

local function next_item()
  local asked = began and tonumber(began) + 4 * tonumber(next_number()) or wall
  moment = math.max(moment + 1, math.min(asked, wall + 1000000))
end

local function append(kind, id, payload)
  revision, moment = revision + 1, moment + 1
  nonce = NONCE .. whole(moment)
  redis.call('XADD', LOG, whole(revision) .. '-0', 'n', nonce, 'k', kind, 'i', id, 'v', payload)
end

local function trim()
  redis.call('XTRIM', LOG, 'MAXLEN', '=', ARGV[2])
end

-- {"token":"...",\n : what a record of this registration begins with
local function head_of(token)
  return '{"token":' .. token .. ',\n'
end

local function begins(text, head)
  return string.sub(text, 1, #head) == head
end

local function runtime_of(record)
  return string.match(record, '^[^\n]*\n"runtime_id":"([^\n]*)"')
end

-- token and runtime, as an object still open
local function owner_of(record)
  return string.match(record, '^{"token":[^\n]*\n"runtime_id":"[^\n]*"') or '{"token":"","runtime_id":""'
end

local function beat_of(id, record)
  return 'a' .. id .. '\n' .. (runtime_of(record) or '')
end

local function count(runtime, by)
  if runtime and redis.call('HINCRBY', RUNTIMES, runtime, by) <= 0 then
    redis.call('HDEL', RUNTIMES, runtime)
    redis.call('ZREM', BEATS, 'r' .. runtime)
  end
end

local function remove(id, record, reason)
  append('d', id, owner_of(record) .. ',\n"reason":' .. reason .. '}') -- first, for only this can fail
  redis.call('HDEL', RECORDS, id)
  redis.call('ZREM', ORDER, id)
  redis.call('ZREM', BEATS, beat_of(id, record))
  count(runtime_of(record), -1)
end

-- Whether the agent or its runtime has beaten since the beat numbered *heard*; never, if that is not asked.
local function beaten_since(heard, id, record)
  if heard == '-' then
    return false
  end
  heard = tonumber(heard)
  local own = redis.call('ZSCORE', BEATS, beat_of(id, record))
  local shared = redis.call('ZSCORE', BEATS, 'r' .. (runtime_of(record) or ''))
  return tonumber(own or 0) > heard or tonumber(shared or 0) > heard
end

-- A text of which nobody knows who wrote it, for an answer whose parts are told apart by newlines.
local function safe(text, mark)
  return text and not string.find(text, mark, 1, true) and text or '?'
end

-- The lines of *item*: its parts, none of which is empty.
local function lines(item)
  local parts = {}
  for part in string.gmatch(item, '[^\n]+') do
    parts[#parts + 1] = part
  end
  return parts
end

-- The items of a batch, which blank lines part.
local function items()
  local batch, start = ARGV[3], 1
  return function()
    if not start then
      return nil
    end
    local from, stop = start, string.find(batch, '\n\n', start, true)
    start = stop and stop + 2
    next_item()
    return string.sub(batch, from, stop and stop - 1)
  end
end
