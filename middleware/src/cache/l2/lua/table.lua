-- Cursor and table together; the counter is lifted to the caller's.
if not is_whole() then
  create(next_position())
elseif highest > counter then
  redis.call('HSET', header, 'counter', text(highest))
end
local numbers = redis.call('HMGET', header, 'counter', 'last', 'all', 'soft_all')
return {
  numbers[1], numbers[2], numbers[3], numbers[4],
  redis.call('GETRANGE', hard, 0, -1),
  redis.call('GETRANGE', soft, 0, -1),
  redis.call('ZRANGE', patterns, 0, -1, 'WITHSCORES'),
}
