-- The first contact. ARGV: nonce, history, how many partitions the caller has.
-- Gives: revision, nonce, how many this directory has, the server's wall clock.

redis.call('HSETNX', STATE, 'partitions', ARGV[3])
return {revision, nonce, redis.call('HGET', STATE, 'partitions'), whole(wall)}
