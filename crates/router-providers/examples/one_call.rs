//! Calls one provider without a router: a simulated one, or a real one when its key is in the environment.
//!
//! `cargo run -p router-providers --example one_call`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use router_core::ChatRequest;
use router_mock::MockServer;
use router_providers::{Endpoint, Providers};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start("127.0.0.1:0").await?;
    let endpoint = match std::env::var("ANTHROPIC_API_KEY") {
        Ok(key) => Endpoint::new("anthropic/claude-haiku-4-5").with_api_key(key),
        Err(_) => {
            let base = server.upstream("anthropic").anthropic_base();
            Endpoint::new("anthropic/claude-haiku-4-5").with_api_base(base)
        }
    };
    let provider = Providers::new()?.connect(&endpoint)?;
    let reply = provider.complete(&ChatRequest::user("any", "What is the capital of France?")?).await?;
    println!("{}", reply.text().unwrap_or_default());
    println!("{:?}", reply.usage);
    Ok(())
}
