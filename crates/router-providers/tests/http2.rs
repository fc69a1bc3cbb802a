//! HTTP/2: spoken where a server offers it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy knows test functions, but not what helps them"
)]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use base64::Engine;
use router_core::ChatRequest;
use router_providers::{Endpoint, Providers};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Answers over TLS, with HTTP/2 where the client takes it; returns its address and how many connections and calls it had.
async fn two(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (String, Arc<[AtomicUsize; 2]>) {
    let key = PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}/v1", listener.local_addr().unwrap().port());
    let seen: Arc<[AtomicUsize; 2]> = Arc::default();
    let counts = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            counts[0].fetch_add(1, AcqRel);
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let counts = counts.clone();
            tokio::spawn(async move {
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    counts[1].fetch_add(1, AcqRel);
                    let body = r#"{"choices":[{"message":{"content":"Over two."}}]}"#;
                    let head = http::Response::builder().header("content-type", "application/json");
                    let mut send = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    send.send_data(body.into(), true).unwrap();
                }
            });
        }
    });
    (base, seen)
}

/// Whom a process trusts it learns when it makes its client, so this test, too, runs itself a second time in another.
#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_calls_share_a_connection() {
    const NAME: &str = "http_2_is_spoken_where_it_is_offered_and_calls_share_a_connection";
    if let Ok(base) = std::env::var("SERVER_WITH_TWO") {
        let endpoint = Endpoint::new("openai/gpt-4o").with_api_base(base).with_api_key("sk-test-key");
        let provider = Providers::new().unwrap().connect(&endpoint).unwrap();
        for _ in 0..2 {
            let request = ChatRequest::user("alias", "hi").unwrap();
            let calls = (0..4).map(|_| provider.complete(&request));
            for reply in futures_util::future::join_all(calls).await {
                assert_eq!(reply.unwrap().text().as_deref(), Some("Over two."));
            }
        }
        return;
    }
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (base, seen) = two(&certificate).await;
    let file = std::env::temp_dir().join(format!("llm-router-http2-{}.pem", std::process::id()));
    std::fs::write(&file, pem(certificate.cert.der())).unwrap();
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact"])
        .env("SERVER_WITH_TWO", base)
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .envs(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, "")))
        .output()
        .await
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // The first four may have begun before it was known that one connection is enough.
    let [connections, calls] = [0, 1].map(|at: usize| seen[at].load(Acquire));
    assert_eq!(calls, 8);
    assert!((1..=4).contains(&connections), "{connections}");
}

fn pem(certificate: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}
