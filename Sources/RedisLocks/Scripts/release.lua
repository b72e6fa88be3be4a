-- RELEASE: deletes the names that are ours.
--
-- KEYS  n names
-- ARGV  1 owner
-- Reply how many were deleted
--
-- Why it is safe: compare and delete in one script, so that a name that was lost and taken by someone else stays theirs.
local deleted = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then deleted = deleted + redis.call('DEL', KEYS[i]) end
end
return deleted
