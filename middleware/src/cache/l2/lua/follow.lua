-- The last record's name, and the records from an id on. ARGV: the id, and how many at most.
if not is_whole() then return { false, {} } end
return {
  redis.call('HGET', header, 'last'),
  redis.call('XRANGE', stream, ARGV[4], '+', 'COUNT', ARGV[5]),
}
