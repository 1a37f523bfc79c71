-- Set fields of records. ARGV: nonce, history, batch, when it began, 1 if done before; an item: id, token, the mark
-- heard or -, then for each field its name, its value as JSON, and 1 if that is what a record without the field has.
-- Gives: revision, nonce, and for each item 1 if the record is as asked now, else 0.

-- A record's field names in order, and their values as JSON.
local function fields_of(record)
  local names, values = {}, {}
  for line in string.gmatch(string.sub(record, 2, -2), '[^\n]+') do
    local name, value = string.match(line, '^"([^"]*)":(.-),?$')
    names[#names + 1], values[name] = name, value
  end
  return names, values
end

local function text_of(names, values)
  local out = {}
  for place, name in ipairs(names) do
    out[place] = '"' .. name .. '":' .. values[name]
  end
  return '{' .. table.concat(out, ',\n') .. '}'
end

local function differences(parts, values)
  local fields = {}
  for at = 4, #parts, 3 do
    local name, value, is_default = parts[at], parts[at + 1], parts[at + 2] == '1'
    if values[name] ~= value and (values[name] or not is_default) then
      fields[#fields + 1] = {name, value}
    end
  end
  return fields
end

local function change(id, record, parts)
  local names, values = fields_of(record)
  local fields = differences(parts, values)
  if #fields == 0 then
    return
  end
  local told = {}
  for _, field in ipairs(fields) do
    local name, value = field[1], field[2]
    told[#told + 1] = '"' .. name .. '":' .. value
    if name == 'status' then
      told[#told + 1] = '"old_status":' .. (values.status or '"active"')
    end
    if not values[name] then
      names[#names + 1] = name
    end
    values[name] = value
  end
  append('u', id, owner_of(record) .. ',\n"fields":{' .. table.concat(told, ',') .. '}}')
  if not values.revision then
    names[#names + 1] = 'revision'
  end
  values.revision = whole(revision)
  redis.call('HSET', RECORDS, id, text_of(names, values))
end

local results = {}
for item in items() do
  local parts = lines(item)
  local id, token, heard = parts[1], parts[2], parts[3]
  local record = redis.call('HGET', RECORDS, id)
  local allowed = record and begins(record, head_of(token)) and not beaten_since(heard, id, record)
  if allowed then
    change(id, record, parts)
  end
  results[#results + 1] = allowed and 1 or 0
end
trim()
save()
return {revision, nonce, table.concat(results)}
