//! How much the gateway takes on.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn gateway(set: impl FnOnce(&mut Limits)) -> (MockServer, Gateway) {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let deployment = Deployment::new("fast", "gpt-4o").api_base(server.upstream("a").openai_base());
    let router = Router::builder().deployment(deployment).build().unwrap();
    let mut limits = Limits::default();
    set(&mut limits);
    (server, Gateway::of(App::with_limits(Serving::new(router), limits)).await)
}

async fn send(gateway: &Gateway, body: &Value) -> reqwest::Response {
    reqwest::Client::new()
        .post(gateway.url("/v1/chat/completions"))
        .body(body.to_string())
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once_and_a_place_is_free_when_a_stream_has_ended() {
    let (server, gateway) = gateway(|limits| limits.max_requests = 1).await;
    server.upstream("a").set(Behaviour::default().with_chunks(100).with_chunk_interval_ms(5));
    let mut first = send(&gateway, &streamed("fast")).await.bytes_stream();
    first.next().await.unwrap().unwrap();
    let refused = send(&gateway, &ask("fast")).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(
        reqwest::get(gateway.url("/v1/models")).await.unwrap().status(),
        200,
        "what costs nothing is answered"
    );
    while first.next().await.is_some() {}
    server.upstream("a").set(Behaviour::default());
    assert_eq!(send(&gateway, &ask("fast")).await.status(), 200);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let (_server, gateway) = gateway(|limits| limits.max_connections = 1).await;
    let client = reqwest::Client::new();
    assert_eq!(client.get(gateway.url("/health/liveness")).send().await.unwrap().status(), 200);
    let second = reqwest::Client::new().get(gateway.url("/health/liveness")).send().await.unwrap();
    assert_eq!(second.status(), 503);
    assert!(second.text().await.unwrap().contains("too_many_connections"));
    drop(client);
    let free = async {
        while reqwest::get(gateway.url("/health/liveness")).await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), free).await.expect("the place is free again");
}

#[tokio::test]
async fn a_head_and_a_body_that_do_not_arrive_end_within_their_time() {
    let (_server, gateway) = gateway(|limits| {
        limits.head_timeout = Duration::from_millis(100);
        limits.body_timeout = Duration::from_millis(100);
    })
    .await;
    let talk = async |say: &str| {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(say.as_bytes()).await.unwrap();
        let mut heard = String::new();
        let hearing = stream.read_to_string(&mut heard);
        tokio::time::timeout(Duration::from_secs(5), hearing).await.expect("it is closed").unwrap();
        heard
    };
    assert!(!talk("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n").await.contains("200"));
    let heard =
        talk("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\n\r\n{\"model\":").await;
    assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("body_too_slow"), "{heard}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (_server, gateway) = gateway(|limits| limits.max_head = 8 * 1024).await;
    let request =
        reqwest::Client::new().get(gateway.url("/health/liveness")).header("x-large", "x".repeat(20_000));
    assert_eq!(request.send().await.unwrap().status(), 431);
}

#[tokio::test]
async fn requests_that_outlast_the_drain_are_cut_off_and_the_gateway_is_unready_meanwhile() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("a").set(Behaviour::default().with_latency_ms(60_000));
    let deployment = Deployment::new("fast", "gpt-4o").api_base(server.upstream("a").openai_base());
    let app = App::new(Router::builder().deployment(deployment).build().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        Server::new(listener, app, Duration::from_millis(100)).serve(stopped).await.unwrap()
    });
    let asking = tokio::spawn(reqwest::Client::new().post(url).body(ask("fast").to_string()).send());
    while server.upstream("a").open() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(stop);
    assert!(!serving.await.unwrap(), "it did not drain in time");
    assert!(asking.await.unwrap().is_err());
}
