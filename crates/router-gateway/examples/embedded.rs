//! The gateway inside a program of one's own, over a simulated provider, until Ctrl-C.
//!
//! `cargo run -p router-gateway --example embedded`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use std::time::Duration;

use llm_router::{Deployment, Router};
use router_gateway::{App, Server};
use router_mock::MockServer;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = MockServer::start("127.0.0.1:0").await?;
    let base = mock.upstream("openai").openai_base();
    let router =
        Router::builder().deployment(Deployment::new("fast", "gpt-4o-mini").api_base(base)).build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/v1", listener.local_addr()?);
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Server::new(listener, App::new(router), Duration::from_secs(5)).serve(stop).await?;
    Ok(())
}
