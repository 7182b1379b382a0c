-- Begins each script: what stands in Redis of one namespace, under one hash tag.
--   header    a hash: format, counter, last (the last record), all, soft_all
--   hard      positions of slots, 8 bytes each, little-endian; soft likewise
--   patterns  a sorted set of live patterns by position, and '' at infinity, so that it is never empty
--   stream    the records of purges; an id is a position
local header, hard, soft, patterns, stream = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local format, slots, highest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- What somebody else has put in the place of one tells nothing of purges: it goes, as if it had been evicted.
local kinds = { 'hash', 'string', 'string', 'zset', 'stream' }
for at, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= kinds[at] and kind ~= 'none' then redis.call('DEL', key) end
end

-- Instances that read the table otherwise must not meet in it.
local theirs = redis.call('HGET', header, 'format')
if theirs and theirs ~= format then
  return redis.error_reply('PITCREWFORMAT the purges of this namespace are of format ' .. theirs .. ', not ' .. format)
end

-- Nor do numbers that are none, and a table of another length.
for _, number in ipairs(redis.call('HMGET', header, 'counter', 'last', 'all', 'soft_all')) do
  if number and not string.match(number, '^%d+$') then redis.call('DEL', header) end
end
for _, key in ipairs({ hard, soft }) do
  local length = redis.call('STRLEN', key)
  if length ~= 0 and length ~= slots * 8 then redis.call('DEL', key) end
end

local counter = tonumber(redis.call('HGET', header, 'counter') or '0')

-- Lua's numbers are doubles, exact to 2^53; microseconds reach that in the year 2255.
local function text(position)
  return string.format('%.0f', position)
end

-- Above every one that was given, also where Redis lost its last writes.
local function next_position()
  local time = redis.call('TIME')
  return math.max(math.max(counter, highest) + 1, time[1] * 1000000 + time[2])
end

-- Of a header that was evicted in part nothing can be trusted.
local function is_whole()
  return redis.call('EXISTS', header, hard, soft, patterns) == 4
end

-- Which purges there were is not known, so everything counts as purged.
local function create(position)
  redis.call('DEL', header, hard, soft, patterns, stream)
  redis.call('SETRANGE', hard, slots * 8 - 1, '\0')
  redis.call('SETRANGE', soft, slots * 8 - 1, '\0')
  redis.call('ZADD', patterns, 'inf', '')
  local at = text(position)
  redis.call('HSET', header, 'format', format, 'counter', at, 'last', at, 'all', at, 'soft_all', '0')
end
