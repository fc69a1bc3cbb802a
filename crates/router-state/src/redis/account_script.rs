//! The protocol of accounts on its way to Redis and back.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{RedisResult, Script};
use router_core::AccountId;

use crate::account::{Answer, Message, NEVER, Reply, SLOTS, Spans, Verdict};

static EXCHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("account.lua")));

/// How long an account with a budget that never starts anew is remembered after its last use, 400 days: longer than the longest
/// period that does.
const LONGEST_LIFE: u64 = 400 * 86_400_000;

/// The key of an account. Each has a hash tag of its own, so that a cluster spreads them.
pub(super) fn account_key(account: &AccountId) -> String {
    format!("llm-router:v1:{{{}}}", account.as_str())
}

/// Sends a message and returns the answer.
pub(super) async fn exchange(
    link: &mut (impl ConnectionLike + Send),
    account: &AccountId,
    message: &Message,
    spans: Spans,
    now: u64,
) -> RedisResult<Reply> {
    let key = account_key(account);
    let mut call = EXCHANGE.key(key);
    call.arg(message.worker).arg(message.number);
    call.arg(spans.slot).arg(spans.lease).arg(spans.memory).arg(life(message, spans, now));
    let limits = &message.limits;
    for limit in [limits.requests, limits.tokens, limits.budget.map(|budget| budget.most.as_pico())] {
        call.arg(limit.map_or_else(String::new, |limit| limit.to_string()));
    }
    call.arg(message.period.number).arg(message.period.start).arg(message.period.end);
    call.arg(message.floor).arg(message.spent).arg(message.held).arg(message.tokens);
    call.arg(message.returned.len());
    for returned in &message.returned {
        call.arg(returned.slot).arg(returned.requests).arg(returned.tokens);
    }
    for ask in &message.claims {
        call.arg(ask.tokens).arg(ask.cost);
    }
    let reply: Vec<String> = call.invoke_async(link).await?;
    read(&reply).ok_or_else(|| (redis::ErrorKind::UnexpectedReturnType, "the answer of an account").into())
}

/// The key outlives whatever of it can still matter.
fn life(message: &Message, spans: Spans, now: u64) -> u64 {
    let least = spans.memory.max((SLOTS + 2) * spans.slot);
    let period = match (message.limits.budget, message.period.end) {
        (None, _) => 0,
        (Some(_), NEVER) => LONGEST_LIFE,
        (Some(_), end) => end.saturating_sub(now).saturating_add(spans.lease),
    };
    least.max(period.min(LONGEST_LIFE))
}

fn read(reply: &[String]) -> Option<Reply> {
    let now = reply.first()?.parse().ok()?;
    let [_, slot, spent, verdicts] = reply else { return Some(Reply { now, answer: Answer::OtherPeriod }) };
    let verdicts = verdicts.split_whitespace().map(verdict).collect::<Option<_>>()?;
    Some(Reply {
        now,
        answer: Answer::Done { slot: slot.parse().ok()?, spent: spent.parse().ok()?, verdicts },
    })
}

fn verdict(text: &str) -> Option<Verdict> {
    let wait = || text.get(1..)?.parse().ok();
    match text.as_bytes().first()? {
        b'g' => Some(Verdict::Granted),
        b'b' => Some(Verdict::Budget),
        b'r' => wait().map(Verdict::Requests),
        b't' => wait().map(Verdict::Tokens),
        _ => None,
    }
}
