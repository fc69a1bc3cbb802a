//! Money that may be spent within a time, after which it starts anew.

use std::time::Duration;

use crate::{Timestamp, Usd};

const DAY: u64 = 86_400_000;

/// Money that may be spent within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// How much.
    pub most: Usd,
    /// When it starts anew.
    pub period: BudgetPeriod,
}

/// The time after which a budget starts anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BudgetPeriod {
    /// It never does.
    Forever,
    /// After such a span; spans of whole days begin at midnight, of weeks on Monday.
    Every(Duration),
    /// On the first of each month.
    Month,
}

impl BudgetPeriod {
    /// Reads `day`, `month`, or a number and a unit: `30s`, `30m`, `12h`, `1d`, `7d`, `1mo`. As LiteLLM has it, `30d` is a month.
    pub fn parse(text: &str) -> Option<Self> {
        let spaced = text.trim();
        match spaced {
            "day" => return Some(Self::Every(Duration::from_millis(DAY))),
            "month" | "1mo" | "30d" => return Some(Self::Month),
            _ => {}
        }
        let digits = spaced.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = spaced.split_at_checked(digits)?;
        let number: u64 = number.parse().ok().filter(|number| (1..=100_000).contains(number))?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Self::Every(Duration::from_secs(number * seconds)))
    }

    /// Returns a number that is the same for all moments of a period, and its end.
    pub fn at(self, now: Timestamp) -> (u64, Option<Timestamp>) {
        let (number, span) = self.span(now);
        (number, span.map(|(_, end)| end))
    }

    /// Returns the same number, with the first moment of the period and the first after it.
    pub fn span(self, now: Timestamp) -> (u64, Option<(Timestamp, Timestamp)>) {
        let now = now.as_millis();
        let (number, start, end) = match self {
            Self::Forever => return (0, None),
            Self::Every(span) => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
                // The epoch was a Thursday: weeks are counted from the Monday before.
                let offset = if span.is_multiple_of(7 * DAY) { 3 * DAY } else { 0 };
                let number = (now + offset) / span;
                let start = (number * span).saturating_sub(offset);
                (number, start, (number + 1).saturating_mul(span) - offset)
            }
            Self::Month => {
                let (year, month) = year_and_month(now / DAY);
                let next = if month == 12 { first_day(year + 1, 1) } else { first_day(year, month + 1) };
                (year * 12 + month, first_day(year, month) * DAY, next * DAY)
            }
        };
        (number, Some((Timestamp::from_millis(start), Timestamp::from_millis(end))))
    }
}

/// The year and month (1 to 12) of a day since the epoch. Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), for days after 1970.
const fn year_and_month(day: u64) -> (u64, u64) {
    let z = day + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month)
}

/// The first day of a month, since the epoch: `days_from_civil` of the same source.
const fn first_day(year: u64, month: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30 20:00 UTC, a Monday.
    const NOW: Timestamp = Timestamp::from_millis(1_796_068_800_000);

    fn end(text: &str) -> u64 {
        let (_, end) = BudgetPeriod::parse(text).unwrap().at(NOW);
        end.unwrap().as_millis() / 1000
    }

    #[test]
    fn a_period_begins_where_the_one_before_ends() {
        for text in ["1h", "1d", "7d", "month"] {
            let period = BudgetPeriod::parse(text).unwrap();
            let (number, Some((start, end))) = period.span(NOW) else { panic!("{text} ends") };
            assert!(start <= NOW && NOW < end, "{text}");
            let before = Timestamp::from_millis(start.as_millis() - 1);
            assert_eq!(period.at(before), (number - 1, Some(start)), "{text}");
            assert_eq!(period.at(start).0, number, "{text}");
        }
    }

    #[test]
    fn periods_end_where_a_person_expects() {
        assert_eq!(end("1h"), 1_796_072_400, "21:00");
        assert_eq!(end("1d"), 1_796_083_200, "midnight");
        assert_eq!(end("day"), end("1d"));
        assert_eq!(end("7d"), 1_796_083_200 + 6 * 86_400, "Monday, 7 December");
        assert_eq!(end("month"), 1_796_083_200, "1 December");
        assert_eq!(end("30d"), end("1mo"));
    }

    #[test]
    fn every_month_for_a_century_begins_after_the_one_before() {
        let mut day = first_day(1970, 1);
        assert_eq!(day, 0);
        for month in 1..=1_200 {
            let (year, month) = (1970 + month / 12, month % 12 + 1);
            let next = first_day(year, month);
            assert!((28..=31).contains(&(next - day)), "{year}-{month}");
            assert_eq!(year_and_month(next), (year, month));
            assert_ne!(year_and_month(next - 1), (year, month));
            day = next;
        }
        assert_eq!(first_day(2024, 3) - first_day(2024, 2), 29);
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for wrong in ["", "d", "0d", "1y", "-1d", "1 d", "soon", "99999999999d"] {
            assert_eq!(BudgetPeriod::parse(wrong), None, "{wrong}");
        }
    }
}
