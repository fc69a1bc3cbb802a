//! The report for a terminal.

use std::fmt::{self, Write};

use super::{PoolReport, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = dollars(self.cost_pico_usd);
        write!(f, "{} requests, {total}", self.calls)?;
        if let (Some(model), Some(baseline)) = (&self.baseline, self.baseline_pico_usd) {
            write!(f, "; all of it at {model}: {}", dollars(baseline))?;
            if let Some(saved) = saved(self.cost_pico_usd, baseline) {
                write!(f, ", so routing saves {saved:.1} %")?;
            }
        }
        writeln!(f, "\n")?;
        writeln!(
            f,
            "{:<16} {:>8} {:>7} {:>8} {:>9} {:>12} {:>12} {:>21} {:>17}",
            "pool",
            "calls",
            "share",
            "failed",
            "fallback",
            "cost",
            "baseline",
            "p50/p95/p99 ms",
            "TTFT p50/p95 ms"
        )?;
        self.pools.iter().try_for_each(|pool| row(f, pool))?;
        let causes: Vec<String> = self.pools.iter().filter_map(causes).collect();
        section(f, "Why pools fell back", &causes)?;
        let errors: Vec<String> =
            self.errors.iter().map(|(error, count)| format!("{count} × {error}")).collect();
        section(f, "Most frequent errors", &errors)?;
        section(f, "What to do", &self.advice)
    }
}

fn row(f: &mut fmt::Formatter<'_>, pool: &PoolReport) -> fmt::Result {
    let [p50, p95, p99] = pool.latency_ms;
    let first = pool.first_token_ms.map_or("-".to_owned(), |[p50, p95, _]| format!("{p50}/{p95}"));
    let baseline = pool.baseline_pico_usd.map_or("-".to_owned(), dollars);
    writeln!(
        f,
        "{:<16} {:>8} {:>6.1}% {:>8} {:>8.1}% {:>12} {baseline:>12} {:>21} {first:>17}",
        pool.pool,
        pool.calls,
        pool.share * 100.0,
        pool.failed,
        pool.fallback_rate * 100.0,
        dollars(pool.cost_pico_usd),
        format!("{p50}/{p95}/{p99}"),
    )
}

fn causes(pool: &PoolReport) -> Option<String> {
    let mut line = format!("{}: ", pool.pool);
    for (n, (cause, count)) in pool.causes.iter().enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        // Writing to a String never fails.
        let _ = write!(line, "{comma}{count} × {cause}");
    }
    (!pool.causes.is_empty()).then_some(line)
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}

/// Dollars as people write them: cents, and smaller amounts with the digits that matter.
pub(super) fn dollars(pico: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "an amount for people")]
    let dollars = pico as f64 / 1e12;
    match dollars {
        0.0 => "$0".to_owned(),
        0.01.. => format!("${dollars:.2}"),
        _ => format!("${dollars:.6}"),
    }
}

/// How much less than the baseline it is, in percent; negative when it is more.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(super) fn saved(cost: u64, baseline: u64) -> Option<f64> {
    (baseline > 0).then(|| (1.0 - cost as f64 / baseline as f64) * 100.0)
}
