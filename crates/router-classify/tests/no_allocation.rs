//! Classifying allocates nothing: whoever classifies every request relies on it.

use router_classify::{Query, TaskClassifier};
use router_core::{ChatRequest, Classifier};

#[test]
fn a_short_query_a_long_one_and_a_request_are_classified_without_the_heap() {
    let classifier = TaskClassifier::builder().labels(["default"]).unwrap().build().unwrap();
    let long = "Explain this:\n\"code\"\t".repeat(5_000);
    let request = ChatRequest::user("auto", &long).unwrap();
    classifier.answer(&Query::new("warm up"));
    let counted = allocation_counter::measure(|| {
        assert!(classifier.answer(&Query::new("Write a haiku about rain, please")).confidence > 0.0);
        assert!(classifier.answer(&Query::new(&long)).confidence > 0.0);
        assert!(classifier.classify(&request).confidence > 0.0);
    });
    assert_eq!(counted.count_total, 0);
}
