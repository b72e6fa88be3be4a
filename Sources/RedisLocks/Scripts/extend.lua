-- EXTEND: gives the names another ttl, if all of them are still ours.
--
-- KEYS  n names, n fencing counters
-- ARGV  1 owner, 2 ttl ms, 3 T, 4 counter expiry ms (> 0)
-- Reply {1 | 0, server us}
--
-- Why it is safe: a name that was lost is never taken again here. PEXPIRE comes first because Redis decides by the first
-- write whether a script may run on a server that is out of memory, and PEXPIRE may.
local n = #KEYS / 2
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
for i = 1, n do if redis.call('GET', KEYS[i]) ~= ARGV[1] then return {0, us} end end
local low = {}
for i = n + 1, 2 * n do low[i] = tonumber(redis.call('GET', KEYS[i]) or '0') < tonumber(ARGV[3]) end
for i = 1, n do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end   -- first write: allowed on a node that is out of memory
for i = n + 1, 2 * n do
  if low[i] then redis.call('SET', KEYS[i], ARGV[3], 'PX', ARGV[4]) else redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
return {1, us}
