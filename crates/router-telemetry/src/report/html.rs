//! The report as one page: nothing is loaded from elsewhere, and it reads on a phone.

use std::fmt::Write;

use super::table::{dollars, saved};
use super::{PoolReport, Report};

const STYLE: &str = include_str!("report.css");

impl Report {
    /// Returns the report as an HTML page.
    pub fn html(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing to a String never fails.
        let _ = self.write_html(&mut page);
        page
    }

    fn write_html(&self, page: &mut String) -> std::fmt::Result {
        write!(
            page,
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
             <title>Routing report</title><style>{STYLE}</style><main><h1>Routing report</h1><p class=when>{} to {} (UTC)</p>",
            day(self.from_ms),
            day(self.to_ms)
        )?;
        page.push_str("<section class=tiles>");
        tile(page, "Requests", &self.calls.to_string(), "")?;
        let unknown = match self.unknown_costs {
            0 => String::new(),
            count => format!("and {count} attempts of unknown cost"),
        };
        tile(page, "Cost", &dollars(self.cost_pico_usd), &unknown)?;
        if let (Some(model), Some(baseline)) = (&self.baseline, self.baseline_pico_usd) {
            let share = saved(self.cost_pico_usd, baseline).unwrap_or_default();
            tile(
                page,
                "Saved",
                &format!("{share:.1} %"),
                &format!("against {} at {model}", dollars(baseline)),
            )?;
        }
        let accuracy = self
            .escalation_accuracy
            .map_or("not labelled".to_owned(), |share| format!("{:.0} %", share * 100.0));
        tile(page, "Escalated and hard", &accuracy, &format!("{} labelled", self.labelled))?;
        page.push_str("</section>");
        list(page, "What to do", self.advice.iter().map(String::as_str))?;
        bars(page, "Pool distribution", &self.pools, |pool| {
            (pool.share, format!("{:.1} % · {}", pool.share * 100.0, pool.calls))
        })?;
        bars(page, "Fallback rate", &self.pools, |pool| {
            let cause = pool.causes.first().map(|(cause, _)| format!(" · {cause}")).unwrap_or_default();
            (pool.fallback_rate, format!("{:.1} %{cause}", pool.fallback_rate * 100.0))
        })?;
        self.costs(page)?;
        self.latencies(page)?;
        let errors: Vec<String> =
            self.errors.iter().map(|(error, count)| format!("{count} × {error}")).collect();
        list(page, "Most frequent errors", errors.iter().map(String::as_str))?;
        page.push_str("</main></html>\n");
        Ok(())
    }

    /// What each pool costs, over what the baseline would.
    fn costs(&self, page: &mut String) -> std::fmt::Result {
        let most = self
            .pools
            .iter()
            .map(|pool| pool.cost_pico_usd.max(pool.baseline_pico_usd.unwrap_or(0)))
            .max()
            .unwrap_or(0)
            .max(1);
        page.push_str("<section><h2>Cost per pool</h2>");
        for pool in &self.pools {
            let name = escaped(&pool.pool);
            bar(page, &name, super::ratio(pool.cost_pico_usd, most), &dollars(pool.cost_pico_usd), "")?;
            if let (Some(model), Some(baseline)) = (&self.baseline, pool.baseline_pico_usd) {
                let label = format!("at {}", escaped(model));
                bar(page, &label, super::ratio(baseline, most), &dollars(baseline), "other")?;
            }
        }
        page.push_str("</section>");
        Ok(())
    }

    fn latencies(&self, page: &mut String) -> std::fmt::Result {
        page.push_str("<section><h2>Latency</h2><div class=wide><table><tr><th>pool<th>p50<th>p95<th>p99<th>TTFT p50<th>p95");
        for pool in &self.pools {
            let [p50, p95, p99] = pool.latency_ms;
            write!(page, "<tr><td>{}<td>{p50} ms<td>{p95} ms<td>{p99} ms", escaped(&pool.pool))?;
            match pool.first_token_ms {
                Some([p50, p95, _]) => write!(page, "<td>{p50} ms<td>{p95} ms")?,
                None => page.push_str("<td>–<td>–"),
            }
        }
        page.push_str("</table></div></section>");
        Ok(())
    }
}

fn tile(page: &mut String, name: &str, value: &str, note: &str) -> std::fmt::Result {
    write!(
        page,
        "<div class=tile><small>{name}</small><b>{}</b><small>{}</small></div>",
        escaped(value),
        escaped(note)
    )
}

fn list<'a>(page: &mut String, title: &str, lines: impl Iterator<Item = &'a str>) -> std::fmt::Result {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    write!(page, "<section><h2>{title}</h2><ul>")?;
    for line in lines {
        write!(page, "<li>{}", escaped(line))?;
    }
    page.push_str("</ul></section>");
    Ok(())
}

fn bars(
    page: &mut String,
    title: &str,
    pools: &[PoolReport],
    measure: impl Fn(&PoolReport) -> (f64, String),
) -> std::fmt::Result {
    write!(page, "<section><h2>{title}</h2>")?;
    for pool in pools {
        let (share, label) = measure(pool);
        bar(page, &escaped(&pool.pool), share, &escaped(&label), "")?;
    }
    page.push_str("</section>");
    Ok(())
}

fn bar(page: &mut String, name: &str, share: f64, label: &str, class: &str) -> std::fmt::Result {
    let width = (share * 100.0).clamp(0.0, 100.0);
    write!(
        page,
        "<div class='bar {class}'><span>{name}</span><i><u style='width:{width:.1}%'></u></i><em>{label}</em></div>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

/// A day and minute in UTC, by the civil calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn day(millis: u64) -> String {
    let minutes = millis / 60_000;
    let days = minutes / (24 * 60) + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}
