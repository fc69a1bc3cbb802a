//! A router over two simulated providers, one of which fails.
//!
//! `cargo run -p llm-router --example simulated`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use futures_util::StreamExt;
use llm_router::{ChatRequest, Deployment, Router};
use router_mock::{Fault, MockServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start("127.0.0.1:0").await?;
    let (openai, anthropic) = (server.upstream("openai"), server.upstream("anthropic"));
    openai.set(Fault::status(503));

    let router = Router::builder()
        .deployment(Deployment::new("fast", "openai/gpt-4o-mini").api_base(openai.openai_base()))
        .deployment(
            Deployment::new("capable", "anthropic/claude-sonnet-4-6").api_base(anthropic.anthropic_base()),
        )
        .fallbacks("fast", ["capable"])
        .build()?;

    let request = ChatRequest::user("fast", "What is the capital of France?")?;
    let answer = router.completion(&request).await?;
    println!("{}", answer.reply.text().unwrap_or_default());
    for attempt in &answer.report.attempts {
        let outcome = attempt.error.as_ref().map_or("answered".to_owned(), |error| error.kind.to_string());
        println!("  {}: {outcome}", attempt.deployment);
    }

    let mut stream = router.stream(&request).await?;
    while let Some(chunk) = stream.next().await {
        print!("{}", chunk?.text().unwrap_or_default());
    }
    println!();
    Ok(())
}
