-- Note beats. ARGV: nonce, history, batch; an item: a runtime id, or an agent's id and token.
-- Gives: revision, nonce, for each item 1 if there is such an agent, else 0; for a runtime always 1.

mark = math.max(tick, mark + 1)
local number = whole(mark)
local results = {}
for item in items() do
  local id, token = string.match(item, '^([^\n]+)\n(.+)$')
  local there = true
  if not id then
    if redis.call('HEXISTS', RUNTIMES, item) == 1 then
      redis.call('ZADD', BEATS, number, 'r' .. item)
    end
  else
    local record = redis.call('HGET', RECORDS, id)
    there = record and begins(record, head_of(token))
    if there then
      redis.call('ZADD', BEATS, number, beat_of(id, record))
    end
  end
  results[#results + 1] = there and 1 or 0
end
save()
return {revision, nonce, table.concat(results)}
