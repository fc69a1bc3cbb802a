use super::*;
use crate::prices::Prices;
use crate::telemetry::tests::tell;
use crate::{Telemetry, Which};
use router_core::ProviderErrorKind;

/// Records as a sink gets them, of so many requests, each fifth of which failed.
fn records(count: u64) -> Vec<CallRecord> {
    let path = std::env::temp_dir().join(format!("router-report-{}-{count}.jsonl", std::process::id()));
    let telemetry = Telemetry::new().sink(crate::JsonLines::create(&path).unwrap(), Which::All);
    (0..count)
        .for_each(|seed| tell(&telemetry, seed, (seed % 5 == 0).then_some(ProviderErrorKind::RateLimited)));
    telemetry.shutdown(std::time::Duration::from_secs(30));
    let mut all = Vec::new();
    RecordSource::JsonLines(path.clone()).read(0, |record| all.push(record)).unwrap();
    std::fs::remove_file(path).unwrap();
    all
}

fn report(settings: ReportSettings, labels: Labels) -> Report {
    let mut tally = Tally::new(settings, labels);
    for (n, mut record) in records(100).into_iter().enumerate() {
        if n % 4 == 0 {
            record.pool = "capable".into();
            record.cost_pico_usd *= 100;
        }
        if n % 10 == 0 {
            record.fallback = true;
            record.fallback_cause = Some("rate limited".into());
        }
        tally.add(&record);
    }
    tally.finish()
}

#[test]
fn the_numbers_add_up() {
    let baseline = Prices::built_in().card("openai", "gpt-4o").unwrap();
    let settings = ReportSettings { baseline: Some(("gpt-4o".to_owned(), baseline)), escalated: None };
    let labels = Labels(
        [("0000000000000000".to_owned(), Verdict::Hard), ("0000000000000004".to_owned(), Verdict::Wrong)]
            .into(),
    );
    let report = report(settings, labels);
    let [fast, capable] = report.pools.as_slice() else { panic!("{report:?}") };
    assert_eq!((&*fast.pool, fast.calls, &*capable.pool, capable.calls), ("fast", 75, "capable", 25));
    assert_eq!((fast.answered + capable.answered, fast.failed + capable.failed), (80, 20));
    assert_eq!((fast.fallbacks, capable.fallbacks), (5, 5));
    assert_eq!((fast.cost_pico_usd, capable.cost_pico_usd), (75 * 7, 25 * 700));
    // Ten tokens of prompt at 2.50 $ and twenty of answer at 10 $ a million.
    assert_eq!(fast.baseline_pico_usd, Some(75 * (10 * 2_500_000 + 20 * 10_000_000)));
    assert_eq!((fast.latency_ms, report.escalated.as_deref()), ([500, 500, 500], Some("capable")));
    assert_eq!((report.escalation_accuracy, report.labelled), (Some(0.5), 2));
    assert_eq!(report.errors, [("fast:gpt-4o-mini: rate limited".to_owned(), 20)]);
    let advice = report.advice.join("\n");
    assert!(advice.contains("`capable` falls back in 20.0 %"), "{advice}");
    assert!(advice.contains("Only 50.0 % of the labelled"), "{advice}");
}

#[test]
fn it_reads_as_a_table_as_json_and_as_a_page() {
    let report = report(ReportSettings::default(), Labels::default());
    let table = report.to_string();
    assert!(
        table.contains("100 requests") && table.contains("fast") && table.contains("What to do"),
        "{table}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["pools"][0]["calls"], 75);
    let page = report.html();
    assert!(page.starts_with("<!doctype html>") && page.contains("Pool distribution"));
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("<script"),
        "self-contained"
    );
}

#[test]
fn names_are_text_on_the_page_whatever_they_hold() {
    let mut tally = Tally::new(ReportSettings::default(), Labels::default());
    let mut record = records(1).remove(0);
    record.pool = "<script>alert('x')</script>".into();
    tally.add(&record);
    let page = tally.finish().html();
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
}

#[test]
fn nothing_to_report_says_so() {
    let report = Tally::new(ReportSettings::default(), Labels::default()).finish();
    assert_eq!(report.calls, 0);
    assert!(report.advice[0].contains("no requests"));
}

#[test]
fn percentiles_are_those_of_the_nearest_rank() {
    assert_eq!(percentiles(&mut (1..=100).rev().collect::<Vec<u32>>()), Some([50, 95, 99]));
    assert_eq!(percentiles(&mut [7]), Some([7, 7, 7]));
    assert_eq!(percentiles(&mut []), None);
}
