//! The time after which a budget starts anew.

use std::time::Duration;

use llm_router::Timestamp;

const DAY: u64 = 86_400_000;

/// The time after which a budget starts anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub(crate) fn at(self, now: Timestamp) -> (u64, Option<Timestamp>) {
        let now = now.as_millis();
        match self {
            Self::Forever => (0, None),
            Self::Every(span) => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
                // The epoch was a Thursday: weeks are counted from the Monday before.
                let offset = if span.is_multiple_of(7 * DAY) { 3 * DAY } else { 0 };
                let number = (now + offset) / span;
                (number, Some(Timestamp::from_millis((number + 1).saturating_mul(span) - offset)))
            }
            Self::Month => {
                let (year, month) = year_and_month(now / DAY);
                let next = if month == 12 { first_day(year + 1, 1) } else { first_day(year, month + 1) };
                (year * 12 + month, Some(Timestamp::from_millis(next * DAY)))
            }
        }
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
