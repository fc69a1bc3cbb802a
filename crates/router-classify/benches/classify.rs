//! What classifying costs: short and long texts, whole requests, and reading the model.
//!
//! `cargo bench -p router-classify`

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use router_classify::{Query, TaskClassifier, TaskModel};
use router_core::{ChatRequest, Classifier};

/// 200 characters.
const SHORT: &str = "I have a list of orders with a date and an amount each. Could you write a Python function that groups \
them by month, sums up the amounts and returns the three months with the largest totals? Thank you";

fn classify(c: &mut Criterion) {
    let classifier = TaskClassifier::builder().labels(["default"]).unwrap().build().unwrap();
    assert_eq!(SHORT.len(), 200);
    let long: String = SHORT.chars().cycle().take(100_000).collect();
    let (short_request, long_request) =
        (ChatRequest::user("auto", SHORT).unwrap(), ChatRequest::user("auto", &long).unwrap());
    let mut group = c.benchmark_group("classify");
    group.bench_function("200 characters", |b| b.iter(|| classifier.answer(&Query::new(black_box(SHORT)))));
    group.bench_function("100 KB", |b| b.iter(|| classifier.answer(&Query::new(black_box(&long)))));
    group.bench_function("request of 200 characters", |b| {
        b.iter(|| classifier.classify(black_box(&short_request)));
    });
    group.bench_function("request of 100 KB", |b| b.iter(|| classifier.classify(black_box(&long_request))));
    let bytes = TaskModel::shipped().unwrap().to_bytes();
    group.bench_function("reading the model", |b| {
        b.iter(|| TaskModel::from_bytes(black_box(&bytes)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, classify);
criterion_main!(benches);
