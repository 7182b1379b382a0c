-- Gives a purge its position, writes it into the slots that it names, and appends its record.
-- ARGV: instance, number, records kept, patterns kept, then the names: 'h' or 's', a slot, and for a pattern ':' and
-- the glob.
local instance, number, max_records, max_patterns = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])

-- Slots only rise.
local function raise(kind, slot, position)
  if slot == slots then
    local field = kind == 'h' and 'all' or 'soft_all'
    if position > tonumber(redis.call('HGET', header, field)) then
      redis.call('HSET', header, field, text(position))
    end
    return
  end
  local key = kind == 'h' and hard or soft
  if position > struct.unpack('<I8', redis.call('GETRANGE', key, slot * 8, slot * 8 + 7)) then
    redis.call('SETRANGE', key, slot * 8, struct.pack('<I8', position))
  end
end

local position = next_position()
if not is_whole() then create(position) end
local before = redis.call('HGET', header, 'last')
local record = { 'before', before, 'instance', instance, 'number', number }
for at = 8, #ARGV do
  local name = ARGV[at]
  local kind, slot, is_pattern = string.match(name, '^([hs])(%d+)(:?)')
  if is_pattern == ':' then
    redis.call('ZADD', patterns, text(position), name)
  else
    raise(kind, tonumber(slot), position)
  end
  record[#record + 1] = 'name'
  record[#record + 1] = name
end
while redis.call('ZCARD', patterns) > max_patterns + 1 do
  local oldest = redis.call('ZPOPMIN', patterns)
  local kind, region = string.match(oldest[1], '^([hs])(%d+):')
  raise(kind, tonumber(region), tonumber(oldest[2]))
end
redis.call('HSET', header, 'counter', text(position), 'last', text(position))
redis.call('XADD', stream, 'MAXLEN', '~', max_records, text(position) .. '-0', unpack(record))
return text(position)
