-- Some records in registration order. ARGV: nonce, history, the place to go on after, limit.
-- Gives: revision, nonce, how many these are, their ids, their moments, and their records or ? (texts with a blank line
-- between).

local found = redis.call('ZRANGEBYSCORE', ORDER, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local ids, moments, records = {}, {}, {}
for place = 1, #found, 2 do
  ids[#ids + 1] = found[place]
  moments[#moments + 1] = whole(tonumber(found[place + 1]))
end
if #ids > 0 then
  records = redis.call('HMGET', RECORDS, unpack(ids))
  for place = 1, #ids do
    local record = records[place]
    records[place] = record and begins(record, '{') and safe(record, '\n\n') or '?'
    ids[place] = safe(ids[place], '\n')
  end
end
local blank = '\n\n'
return {revision, nonce, #ids, table.concat(ids, blank), table.concat(moments, blank), table.concat(records, blank)}
