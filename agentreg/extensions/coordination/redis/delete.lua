-- Remove records. ARGV: nonce, history, batch, when it began, 1 if this may have been done before under this nonce;
-- an item: id, token, the mark heard or -, reason.
-- Gives: revision, nonce, and for each item 1 if it was removed, else 0.

-- The ids that this very call has removed already, when its first answer was lost.
local before = {}
if ARGV[5] == '1' then
  for _, entry in ipairs(redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 10000)) do
    local fields = entry[2]
    if begins(fields[2], NONCE) and fields[4] == 'd' then
      before[fields[6]] = true
    end
  end
end

local results = {}
for item in items() do
  local parts = lines(item)
  local id, token, heard, reason = parts[1], parts[2], parts[3], parts[4]
  local record = redis.call('HGET', RECORDS, id)
  local removed = before[id]
  if record and begins(record, head_of(token)) and not beaten_since(heard, id, record) then
    remove(id, record, reason)
    removed = true
  end
  results[#results + 1] = removed and 1 or 0
end
trim()
save()
return {revision, nonce, table.concat(results)}
