//! A simulated provider that fails every second call, for ten minutes or until Ctrl-C.
//!
//! `cargo run -p router-mock --example rehearse`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use std::time::Duration;

use router_mock::{Behaviour, Fault, MockServer};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = MockServer::start("127.0.0.1:0").await?;
    let flaky = server.upstream("flaky");
    flaky.set(Behaviour::failing(Fault::status(503)).with_fault_rate(0.5).with_latency_ms(100));
    println!("api_base: {}", flaky.openai_base());
    println!("change it: curl -X PUT {}/mock/upstreams/flaky -d '{{}}'", server.base_url());
    tokio::time::sleep(Duration::from_secs(600)).await;
    Ok(())
}
