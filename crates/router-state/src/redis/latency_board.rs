//! A board in Redis on which each process writes how fast deployments are for it, for those who come later.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{RedisResult, Script};
use router_core::{DeploymentId, LatencySketch, RequestKind};

use super::link::Link;
use crate::latencies::Latencies;

/// A hash of `worker|kind|deployment` to `stamp bucket:count bucket:count ...`.
pub(super) const BOARD: &str = "llm-router:v1:{state}:latency";

/// What is older says nothing about now: as long as a router's own samples.
const LIFE_MILLIS: u64 = 600_000;

/// Writes the fields given. KEYS: the board. ARGV: life, then field and value, and so on; the server puts its time before each value.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local stamp = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for n = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], stamp .. ' ' .. ARGV[n + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
",
    )
});

/// Returns what is not too old, as field and value and so on, and forgets the rest. KEYS: the board. ARGV: life.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local all, found = redis.call('HGETALL', KEYS[1]), {}
for n = 1, #all, 2 do
  local stamp, sketch = string.match(all[n + 1], '^(%d+) (.*)$')
  if stamp and tonumber(stamp) > oldest then
    found[#found + 1] = all[n]
    found[#found + 1] = sketch
  else
    redis.call('HDEL', KEYS[1], all[n])
  end
end
return found
",
    )
});

/// Writes what one process knows. Nothing is sent when it knows nothing.
pub(super) async fn write(link: &mut Link, worker: u64, known: &Latencies) -> RedisResult<bool> {
    let mut call = WRITE.key(BOARD);
    call.arg(LIFE_MILLIS);
    let mut is_empty = true;
    for (deployment, kind, sketch) in known.all() {
        let kind = match kind {
            RequestKind::Whole => "w",
            RequestKind::Stream => "s",
        };
        let buckets: Vec<String> =
            sketch.buckets().map(|(bucket, count)| format!("{bucket}:{count}")).collect();
        call.arg(format!("{worker:x}|{kind}|{deployment}")).arg(buckets.join(" "));
        is_empty = false;
    }
    if !is_empty {
        call.invoke_async::<()>(link).await?;
    }
    Ok(!is_empty)
}

/// Reads what all others know. What cannot be read was written by something else, and is passed over.
pub(super) async fn read(link: &mut Link, worker: u64) -> RedisResult<Latencies> {
    let fields: HashMap<String, String> = READ.key(BOARD).arg(LIFE_MILLIS).invoke_async(link).await?;
    let own = format!("{worker:x}");
    let mut known = Latencies::default();
    for (field, sketch) in &fields {
        let mut parts = field.splitn(3, '|');
        let (Some(writer), Some(kind), Some(deployment)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let kind = match kind {
            "w" => RequestKind::Whole,
            "s" => RequestKind::Stream,
            _ => continue,
        };
        let buckets = sketch.split_whitespace().filter_map(|pair| {
            let (bucket, count) = pair.split_once(':')?;
            Some((bucket.parse().ok()?, count.parse().ok()?))
        });
        if let Ok(deployment) = DeploymentId::try_from(deployment)
            && writer != own
        {
            known.add(deployment, kind, &buckets.collect::<LatencySketch>());
        }
    }
    Ok(known)
}
