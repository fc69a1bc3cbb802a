//! The smoke suite of `cargo xtask live`, against the simulated provider.

use std::sync::Arc;

use llm_router::Provider;
use router_mock::{Behaviour, Fault, MockServer};
use router_providers::{Endpoint, Providers};
use system_tests::{Outcome, smoke};

fn connect(model: &str, base: String) -> Arc<dyn Provider> {
    Providers::new().unwrap().connect(&Endpoint::new(model).with_api_base(base)).unwrap()
}

#[tokio::test]
async fn a_provider_that_answers_as_it_should_passes() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("live");
    upstream.set(Behaviour::answering(r#"{"capital":"Paris"}"#).with_tool_arguments(r#"{"city":"Paris"}"#));
    let openai = connect("openai/m", upstream.openai_base());
    for (chat, embedder) in
        [(&openai, Some(&openai)), (&connect("anthropic/m", upstream.anthropic_base()), None)]
    {
        let outcomes = smoke(chat, embedder).await;
        assert_eq!(outcomes.len(), 4 + usize::from(embedder.is_some()));
        for (check, outcome) in outcomes {
            assert!(matches!(outcome, Outcome::Passed(_)), "{check}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_named_with_its_error() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("live");
    upstream.set(Fault::status(401));
    let outcomes = smoke(&connect("openai/m", upstream.openai_base()), None).await;
    for (check, outcome) in outcomes {
        let Outcome::Failed(why) = outcome else { panic!("{check} passed") };
        assert!(why.contains("401"), "{check}: {why}");
    }
}
