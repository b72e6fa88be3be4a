-- ACQUIRE: takes every name at once, or none, and answers the top of a new block of fencing tokens.
--
-- KEYS  n names, n fencing counters, the boot record
-- ARGV  1 owner, 2 ttl ms, 3 granularity us (> 0), 4 block, 5 counter expiry ms (> 0),
--       6 guard ms (0 = off: the boot record is neither read nor written), 7 run_id of this server process,
--       8 durable (0 or 1: the server writes with appendfsync always)
-- Reply {status, T, ms, server us}; T is a decimal string, '' where there is none.
--        1 granted: T is the top of the new block
--        2 already ours in full (a retry of a request whose reply was lost)
--        0 held by others: ms is the longest known wait, -1 when it is unknown (a key without expiry)
--       -1 the node is quarantined for ms
--
-- Why it is safe: Redis runs a script alone. The counters are written before the names, so that a script cut short can
-- only burn tokens. Counters never fall: a new top is greater than every counter of the set and, by the anchor, than
-- anything this node granted before it forgot them. string.format prints them: '..' would keep 14 digits.
local n = (#KEYS - 1) / 2
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local ms = math.floor(us / 1000)

-- Restart guard: a node that is new, emptied, or whose clock fell behind `since` does not vote for `guard` ms.
local guard = tonumber(ARGV[6])
if guard > 0 then
  local boot = redis.call('HMGET', KEYS[2 * n + 1], 'rid', 'since')
  local since = tonumber(boot[2] or '')
  if not since or ms < since or (boot[1] ~= ARGV[7] and ARGV[8] ~= '1') then
    since = ms
    redis.call('HSET', KEYS[2 * n + 1], 'rid', ARGV[7], 'since', string.format('%.0f', since))
  end                                                        -- a durable server's record survives, whatever process it names
  if ms - since < guard then return {-1, '', guard - (ms - since), us} end
end

local mine, free, wait = 0, 0, 0
for i = 1, n do
  local holder = redis.call('GET', KEYS[i])                  -- reading registers the name for client tracking
  if holder == ARGV[1] then mine = mine + 1
  elseif not holder then free = free + 1
  else
    local left = redis.call('PTTL', KEYS[i])
    if left < 0 then wait = -1 elseif wait >= 0 and left > wait then wait = left end
  end
end
if mine + free < n then return {0, '', wait, us} end

local top, counters = 0, 0
for i = n + 1, 2 * n do
  local text = redis.call('GET', KEYS[i])
  if text then
    if not string.match(text, '^%d+$') then return redis.error_reply('CORRUPT fencing counter') end
    counters = counters + 1
    local value = tonumber(text)
    if value > top then top = value end
  end
end

local status = 2
if mine < n or counters < n then                             -- anything missing: a fresh grant, never a repeated one
  status = 1
  local anchor = us - us % tonumber(ARGV[3])
  if anchor > top then top = anchor end
  top = top + tonumber(ARGV[4])
  if top >= 9007199254740991 then return redis.error_reply('EXHAUSTED fencing counter') end
end
local text = string.format('%.0f', top)
for i = n + 1, 2 * n do redis.call('SET', KEYS[i], text, 'PX', ARGV[5]) end   -- counters first: a partial effect is safe
for i = 1, n do redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2]) end
return {status, text, tonumber(ARGV[2]), us}
