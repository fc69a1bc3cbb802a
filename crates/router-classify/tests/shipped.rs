//! The shipped models are what their data makes them, and as good as the documentation says.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use router_classify::shipped::{Corpus, complexity_model, task_model};
use router_classify::{ComplexityModel, Query, TaskClassifier, TaskModel};

#[test]
fn training_again_on_the_shipped_data_gives_the_shipped_bytes() {
    let corpus = Corpus::shipped().unwrap();
    let again = task_model(&corpus).to_bytes();
    assert!(again == TaskModel::shipped().unwrap().to_bytes(), "run `cargo xtask train-classifier`");
    let again = complexity_model(&corpus).to_bytes();
    assert!(again == ComplexityModel::shipped().unwrap().to_bytes(), "run `cargo xtask train-classifier`");
}

fn label(text: &str) -> String {
    let classifier = TaskClassifier::builder().labels(["default"]).unwrap().build().unwrap();
    classifier.answer(&Query::new(text)).label.to_string()
}

#[test]
fn signals_in_another_sense_do_not_mislead() {
    let check = |text: &str, expected: &str| assert_eq!(label(text), expected, "{text}");
    check("Write a poem about recursion", "creative");
    check("How many people live in Paris?", "default");
    check("Summarise this story: the fox and the grapes", "default");
    check("Write a function that counts the words of a poem", "code");
    check("What is 15% of 80?", "math");
}

#[test]
fn foreign_queries_get_an_answer() {
    for (text, expected) in [
        ("Berechne die Fläche eines Kreises mit Radius 3 cm", "math"),
        ("¿Cómo ordeno una lista en Python?", "code"),
        ("Écris un poème sur la mer", "creative"),
        ("Qual é a capital do Brasil?", "default"),
        ("写一个关于龙的故事", "creative"),
        ("このコードのバグを直してください", "code"),
    ] {
        assert_eq!(label(text), expected, "{text}");
    }
}

#[test]
fn a_classifier_that_is_printed_shows_no_weights() {
    let rules = router_classify::keywords();
    let builder = TaskClassifier::builder().labels(["default"]).unwrap();
    let classifier = rules.into_iter().fold(builder, |builder, rule| builder.rule(rule)).build().unwrap();
    assert!(format!("{classifier:?}").len() < 3_000);
}
