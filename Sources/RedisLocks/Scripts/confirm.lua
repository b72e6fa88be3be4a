-- CONFIRM: raises the counters to T where the owner still holds every name and nobody went past T.
--
-- KEYS  n names, n fencing counters
-- ARGV  1 owner, 2 T, 3 counter expiry ms (> 0)
-- Reply {1, T} the counters stand at exactly T; {0, ''} not ours any more; {-1, F} a counter is already at F > T
--
-- Why it is safe: both checks are needed. Without the owner check a late request confirms a lost lock; without the
-- order check a duplicated one confirms a stale token.
local n = #KEYS / 2
for i = 1, n do if redis.call('GET', KEYS[i]) ~= ARGV[1] then return {0, ''} end end
local top = 0
for i = n + 1, 2 * n do
  local value = tonumber(redis.call('GET', KEYS[i]) or '0')
  if value > top then top = value end
end
if top > tonumber(ARGV[2]) then return {-1, string.format('%.0f', top)} end
for i = n + 1, 2 * n do redis.call('SET', KEYS[i], ARGV[2], 'PX', ARGV[3]) end
return {1, ARGV[2]}
