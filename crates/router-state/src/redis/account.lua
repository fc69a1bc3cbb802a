-- One exchange between a worker and an account: the same as `Account::exchange` in account/server.rs, which a test holds it against.
-- KEYS: the account, a hash. Its fields: `r:<slot>` and `t:<slot>` are requests and tokens, `p` and `s` the budget period and what was
-- spent in it, `w:<worker>` what is remembered of a worker: number, held, heard, slot, verdicts.
-- ARGV: worker, number, slot width, lease, memory, life of the key; rpm, tpm and budget, empty for none; number, start and end of the
-- period; floor, spent, held, tokens; how many returns, each a slot, requests and tokens; then claims, each tokens and cost.
-- Returns the server's time; and unless it is another period: the slot, what all spent, and the verdicts.
local SLOTS = 12
local key = KEYS[1]
local worker, number = ARGV[1], tonumber(ARGV[2])
local width, lease, memory = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local rpm, tpm, budget = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%.0f', now)
if now < tonumber(ARGV[11]) or now >= tonumber(ARGV[12]) then return { stamp } end
local present = math.floor(now / width)

local all = redis.call('HGETALL', key)
local requests, tokens, old = {}, {}, {}
local period, spent, held_by_others, before = nil, '0', 0, nil
for n = 1, #all, 2 do
  local field, value = all[n], all[n + 1]
  local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
  if field == 'p' then
    period = value
  elseif field == 's' then
    spent = value
  elseif kind == 'w:' then
    local known, held, heard, slot, verdicts = string.match(value, '^(%d+) (%d+) (%d+) (%d+) ?(.*)$')
    if name == worker then
      if number <= tonumber(known) then before = { slot, verdicts } end
    elseif tonumber(heard) + memory <= now then
      old[#old + 1] = field
    elseif tonumber(heard) + lease > now then
      held_by_others = held_by_others + tonumber(held)
    end
  elseif tonumber(name) + SLOTS < present then
    old[#old + 1] = field
  elseif kind == 'r:' then
    requests[tonumber(name)] = tonumber(value)
  else
    tokens[tonumber(name)] = tonumber(value)
  end
end
-- It arrived before; what was answered then stands.
if before then return { stamp, before[1], spent, before[2] } end
if #old > 0 then redis.call('HDEL', key, unpack(old)) end

if period ~= ARGV[10] then
  spent = '0'
  redis.call('HSET', key, 'p', ARGV[10], 's', spent)
end
if tonumber(spent) < tonumber(ARGV[13]) then
  spent = ARGV[13]
  redis.call('HSET', key, 's', spent)
end
if ARGV[14] ~= '0' then
  redis.call('HINCRBY', key, 's', ARGV[14])
  spent = redis.call('HGET', key, 's')
end

local changed = {}
local function whole(amount) return string.format('%.0f', amount) end
local function add(of, kind, slot, amount)
  of[slot] = math.max((of[slot] or 0) + amount, 0)
  changed[kind .. whole(slot)] = whole(of[slot])
end
local at = 18
for _ = 1, tonumber(ARGV[17]) do
  local slot = tonumber(ARGV[at])
  if requests[slot] then add(requests, 'r:', slot, -tonumber(ARGV[at + 1])) end
  if tokens[slot] then add(tokens, 't:', slot, -tonumber(ARGV[at + 2])) end
  at = at + 3
end
if ARGV[16] ~= '0' then add(tokens, 't:', present, tonumber(ARGV[16])) end

local function sum(of)
  local total = 0
  for _, amount in pairs(of) do total = total + amount end
  return total
end
-- How long it takes until slots with so much have passed.
local function wait(of, excess)
  local freed = 0
  for slot = present - SLOTS, present do
    freed = freed + (of[slot] or 0)
    if freed >= excess then return whole((slot + SLOTS + 1) * width - now) end
  end
  return whole((SLOTS + 1) * width)
end
local held = tonumber(ARGV[15])
local used_requests, used_tokens = sum(requests), sum(tokens)
local verdicts = {}
while at < #ARGV do
  local wanted, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local committed = tonumber(spent) + held_by_others + held
  local fitting = tpm and math.min(math.max(wanted, 1), math.max(tpm, 1))
  local verdict = 'g'
  if budget and (committed >= budget or committed + cost > budget) then
    verdict = 'b'
  elseif rpm and used_requests >= rpm then
    verdict = 'r' .. wait(requests, used_requests + 1 - rpm)
  elseif tpm and used_tokens + fitting > tpm then
    verdict = 't' .. wait(tokens, used_tokens + fitting - tpm)
  else
    add(requests, 'r:', present, 1)
    add(tokens, 't:', present, wanted)
    used_requests, used_tokens, held = used_requests + 1, used_tokens + wanted, held + cost
  end
  verdicts[#verdicts + 1] = verdict
  at = at + 2
end
local said = table.concat(verdicts, ' ')
changed['w:' .. worker] = ARGV[2] .. ' ' .. whole(held) .. ' ' .. stamp .. ' ' .. whole(present) .. ' ' .. said
local write = {}
for field, value in pairs(changed) do
  write[#write + 1] = field
  write[#write + 1] = value
end
redis.call('HSET', key, unpack(write))
redis.call('PEXPIRE', key, ARGV[6])
return { stamp, whole(present), spent, said }
