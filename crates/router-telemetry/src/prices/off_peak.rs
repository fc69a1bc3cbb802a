//! Other prices at other hours.

use router_core::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::Rate;
use super::rate_card::What;

/// Prices that hold at given hours of given days, in UTC.
#[derive(Debug, Clone)]
pub(super) struct OffPeak {
    windows: Vec<Window>,
    rates: Vec<(What, Rate)>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// Minutes of the day.
    from: u32,
    to: u32,
    /// A bit for each day of the week, Monday the first.
    days: u8,
}

#[derive(Deserialize)]
struct WireWindow {
    hours_utc: Hours,
    #[serde(default)]
    weekdays: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Hours {
    One(String),
    Many(Vec<String>),
}

impl OffPeak {
    /// Reads `off_peak_pricing`; `None` when its hours cannot be told.
    pub(super) fn parse(json: &str) -> serde_json::Result<Option<Self>> {
        let mut windows = Vec::new();
        let mut rates = Vec::new();
        let fields: Vec<(String, &RawValue)> = super::table::fields(json)?;
        for (name, value) in fields {
            if name == "windows" {
                let wire: Vec<WireWindow> = serde_json::from_str(value.get())?;
                for WireWindow { hours_utc, weekdays } in wire {
                    let days = match weekdays.as_slice() {
                        [] => 0x7f,
                        days => days.iter().fold(0, |all, day| {
                            all | 1_u8.checked_shl(u32::from(*day).wrapping_sub(1)).unwrap_or(0)
                        }),
                    };
                    let spans = match hours_utc {
                        Hours::One(span) => vec![span],
                        Hours::Many(spans) => spans,
                    };
                    for span in spans {
                        let Some((from, to)) = span.split_once('-') else { return Ok(None) };
                        let (Some(from), Some(to)) = (minutes(from), minutes(to)) else { return Ok(None) };
                        // Midnight as an end is that of the next day.
                        windows.push(Window { from, to: if to == 0 { 24 * 60 } else { to }, days });
                    }
                }
            } else if let (Some(what), Some(rate)) = (What::named(&name), Rate::parse(value.get())) {
                rates.push((what, rate));
            }
        }
        Ok((!windows.is_empty()).then_some(Self { windows, rates }))
    }

    /// Returns whether this is such an hour.
    pub(super) fn are_now(&self, at: Timestamp) -> bool {
        let minutes = at.as_millis() / 60_000;
        let minute = u32::try_from(minutes % (24 * 60)).unwrap_or_default();
        // The first day of the Unix epoch was a Thursday, the fourth of the week.
        let day = (minutes / (24 * 60) + 3) % 7;
        self.windows.iter().any(|window| {
            let is_day = window.days >> day & 1 == 1;
            let is_hour = if window.from <= window.to {
                (window.from..window.to).contains(&minute)
            } else {
                minute >= window.from || minute < window.to
            };
            is_day && is_hour
        })
    }

    pub(super) fn rate(&self, what: What) -> Option<Rate> {
        self.rates.iter().find(|(known, _)| *known == what).map(|(_, rate)| *rate)
    }
}

fn minutes(clock: &str) -> Option<u32> {
    let (hours, minutes) = clock.trim().split_once(':')?;
    let minutes = hours.parse::<u32>().ok()?.checked_mul(60)?.checked_add(minutes.parse().ok()?)?;
    (minutes <= 24 * 60).then_some(minutes)
}
