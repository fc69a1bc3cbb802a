//! What Redis does for us in one step, and the keys it does it to.
//!
//! All keys carry one hash tag, so that a cluster keeps them on one node, and each script names its keys before it uses them.

use std::sync::LazyLock;

use redis::Script;

/// The cooldowns: a hash of deployment to `until|cause`, by the server's clock in milliseconds.
pub(super) const COOLING: &str = "llm-router:v1:{state}:cooling";

/// The channel on which cooldowns are told: `remaining|cause|deployment`.
pub(super) const CHANNEL: &str = "llm-router:v1:{state}:health";

/// The width of a slot of the shared minute, and how many make a minute: the same as in a router's own.
pub(super) const SLOT_MILLIS: u64 = 5_000;
pub(super) const SLOTS: u64 = 12;

/// Returns the key of a slot: a hash of deployment and measure to what all consumed.
pub(super) fn slot_key(slot: u64) -> String {
    format!("llm-router:v1:{{state}}:consumed:{slot}")
}

/// Remembers a cooldown, unless a longer one is known, and tells everybody.
/// KEYS: cooldowns. ARGV: deployment, remaining milliseconds, cause, channel.
pub(super) static COOL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ = now + tonumber(ARGV[2])
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and tonumber(string.match(known, '^%d+')) >= until_ then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', until_) .. '|' .. ARGV[3])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('PUBLISH', ARGV[4], ARGV[2] .. '|' .. ARGV[3] .. '|' .. ARGV[1])
return 1
",
    )
});

/// Returns what still cools, as deployment, remaining milliseconds, cause and so on, and forgets the rest.
/// KEYS: cooldowns.
pub(super) static STILL_COOLING: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local cooling = {}
for n = 1, #all, 2 do
  local until_, cause = string.match(all[n + 1], '^(%d+)|(.*)$')
  if until_ and tonumber(until_) > now then
    cooling[#cooling + 1] = all[n]
    cooling[#cooling + 1] = string.format('%.0f', tonumber(until_) - now)
    cooling[#cooling + 1] = cause
  else
    redis.call('HDEL', KEYS[1], all[n])
  end
end
return cooling
",
    )
});

/// Adds what was consumed to the present slot and returns that slot and the one before.
/// KEYS: the slots that may be present by our estimate, and before each the one before it. ARGV: the number of the first key's slot,
/// the slot's width and the keys' life in milliseconds; then deployment, requests and tokens, and so on.
/// Returns the server's time, and the two hashes; nothing but the time when the estimate was off.
pub(super) static CONSUME: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%.0f', now)
local present = math.floor(now / tonumber(ARGV[2])) - tonumber(ARGV[1]) + 1
if present < 2 or present > #KEYS then return { stamp } end
for n = 4, #ARGV, 3 do
  if ARGV[n + 1] ~= '0' then redis.call('HINCRBY', KEYS[present], ARGV[n] .. '|r', ARGV[n + 1]) end
  if ARGV[n + 2] ~= '0' then redis.call('HINCRBY', KEYS[present], ARGV[n] .. '|t', ARGV[n + 2]) end
end
if #ARGV > 3 then redis.call('PEXPIRE', KEYS[present], ARGV[3]) end
return { stamp, redis.call('HGETALL', KEYS[present]), redis.call('HGETALL', KEYS[present - 1]) }
",
    )
});
