-- What is new. ARGV: nonce, history, since, the nonce of the change since or -, mark or - for no beats, limit.
-- Gives: revision, nonce, 1 if the log can be resumed there, entries, mark, tick, beats, how many of these.
-- Entries and beats are one text each, which readers take apart faster than thousands of answers: an entry is its
-- revision, nonce, kind, id and payload, with a blank line between entries; a beat its number and then its name.

local since, known, limit = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6])

local function at(number)
  return redis.call('XRANGE', LOG, whole(number) .. '-0', whole(number) .. '-0')[1]
end

local function resumable()
  if since > revision then
    return false
  elseif since == revision and known ~= '-' then
    return known == nonce
  elseif since == revision then
    return true
  elseif known ~= '-' then
    local entry = at(since)
    return entry and entry[2][2] == known
  end
  return at(since + 1) and true
end

-- The clock is kept going while someone looks, but not by a write for each look. Where there is no memory or disk to
-- write to, reading still goes; on a server that has become a replica it doesn't.
if gained >= 250000 then
  local answer = redis.pcall('HSET', STATE, 'wall', whole(wall), 'tick', whole(tick))
  if type(answer) == 'table' and string.find(answer.err, 'READONLY', 1, true) then
    return redis.error_reply(answer.err)
  end
end

if not resumable() then
  return {revision, nonce, 0}
end
local entries = {}
if since < revision then
  for place, entry in ipairs(redis.call('XRANGE', LOG, whole(since + 1) .. '-0', '+', 'COUNT', limit)) do
    local fields = entry[2]
    entries[place] = table.concat({string.match(entry[1], '^%d+'), safe(fields[2], '\n'), safe(fields[4], '\n'),
      safe(fields[6], '\n'), safe(fields[8], '\n\n')}, '\n')
  end
end

-- The beats after a number, about as many as the limit says: those of one number belong together.
local function beats_after(number)
  local found = redis.call('ZRANGEBYSCORE', BEATS, '(' .. whole(number), '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  if #found < 2 * limit then
    return found, mark
  end
  local last = tonumber(found[#found])
  return redis.call('ZRANGEBYSCORE', BEATS, '(' .. whole(number), whole(last), 'WITHSCORES'), last
end

local beats, upto = {}, mark
if ARGV[5] ~= '-' then
  local from = tonumber(ARGV[5])
  -- a store that is behind its reader has lost beats that the reader has heard of: then all of them are news
  beats, upto = beats_after(from > mark and 0 or from)
end
local told = {}
for place = 1, #beats, 2 do
  told[#told + 1] = whole(tonumber(beats[place + 1])) .. safe(beats[place], '\n\n')
end
return {revision, nonce, 1, table.concat(entries, '\n\n'), whole(upto), whole(tick), table.concat(told, '\n\n'), #told}
