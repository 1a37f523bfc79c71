-- Enter records. ARGV: nonce, history, batch, when it began, 1 if done before; an item: the lines of the record, after
-- the token that it replaces and the reason for that, if it may replace one.
-- Gives: revision, nonce, for each item 1 if its record is in now, else 0, and the records that hold these ids.

local results, holders = {}, {}
local entered, order, owned = {}, {}, {}

local function enter(id, record)
  local body = string.sub(record, 1, -2) .. ',\n"born":' .. whole(tick)
  append('r', id, body .. '}')
  entered[#entered + 1] = id
  entered[#entered + 1] = body .. ',\n"revision":' .. whole(revision) .. '}'
  order[#order + 1] = whole(moment)
  order[#order + 1] = id
  local runtime = runtime_of(record)
  owned[runtime] = (owned[runtime] or 0) + 1
end

-- What is entered is written together, which is quicker. An id that comes twice in a batch needs it before.
local function write()
  if #entered > 0 then
    redis.call('HSET', RECORDS, unpack(entered))
    redis.call('ZADD', ORDER, unpack(order))
    for runtime, agents in pairs(owned) do
      redis.call('HINCRBY', RUNTIMES, runtime, agents)
    end
    entered, order, owned = {}, {}, {}
  end
end

local seen = {}
for item in items() do
  local replaces, reason, record = string.match(item, '^("[^\n]*)\n([^\n]*)\n(.*)$')
  record = record or item
  local head, id = string.match(record, '^([^\n]*\n)[^\n]*\n"agent_id":"([^\n]*)",\n')
  if seen[id] then
    write()
  end
  seen[id] = true
  local held = redis.call('HGET', RECORDS, id)
  local result = '1'
  if not held then
    enter(id, record)
  elseif replaces and begins(held, head_of(replaces)) and not begins(held, head) then
    remove(id, held, reason)
    enter(id, record)
  elseif not begins(held, head) then
    holders[#holders + 1] = held
    result = '0'
  end
  results[#results + 1] = result
end
write()
trim()
save()
return {revision, nonce, table.concat(results), holders}
