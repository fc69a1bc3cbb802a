use router_mock::{Behaviour, Fault, MockServer};
use serde_json::{Value, json};

use crate::client::{Format, Reply, ask, request, send, start, try_ask};

async fn call(server: &MockServer, method: &str, path: &str, body: &str) -> Reply {
    send(request(method, &format!("{}/mock/upstreams{path}", server.base_url()), body.to_owned()))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_script_is_used_in_order_and_before_the_standing_behaviour() {
    let (_server, upstream) = start().await;
    upstream.set(Behaviour::answering("standing"));
    upstream.enqueue(Fault::status(500));
    upstream.enqueue(Behaviour::answering("scripted"));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let json = ask(&upstream, Format::OpenAi, json!({})).await.json();
        seen.push(json["choices"][0]["message"]["content"].clone());
    }
    assert_eq!(seen, [Value::Null, json!("scripted"), json!("standing"), json!("standing")]);
}

#[tokio::test]
async fn upstreams_do_not_share_anything() {
    let (server, primary) = start().await;
    let other = server.upstream("other");
    primary.set(Fault::status(503));
    assert_eq!(ask(&primary, Format::OpenAi, json!({})).await.status, 503);
    assert_eq!(ask(&other, Format::OpenAi, json!({})).await.status, 200);
    let body = r#"{"model":"m","messages":[{"role":"user","content":null}]}"#;
    for path in ["/v1/chat/completions", "/chat/completions"] {
        assert_eq!(
            send(request("POST", &format!("{}{path}", server.base_url()), body)).await.unwrap().status,
            200
        );
    }
    let calls = |name| server.upstream(name).calls();
    assert_eq!([calls("primary"), calls("other"), calls("default"), calls("v1")], [1, 1, 2, 0]);
}

#[tokio::test]
async fn behaviours_are_set_and_listed_over_http() {
    let (server, upstream) = start().await;
    let body =
        r#"{"answer": "set", "require_key": "sk-very-secret", "fault": {"kind": "hang"}, "fault_rate": 0}"#;
    let reply = call(&server, "PUT", "/primary", body).await;
    assert_eq!((reply.status, &reply.json()["behaviour"]["answer"]), (200, &json!("set")));
    let script = r#"[{"fault": {"kind": "status", "code": 500}}, {"answer": "b"}]"#;
    assert_eq!(call(&server, "POST", "/other/enqueue", script).await.json()["queued"], 2);
    assert_eq!(call(&server, "POST", "/other/enqueue", r#"{"answer": "c"}"#).await.json()["queued"], 3);
    assert_eq!(ask(&server.upstream("other"), Format::OpenAi, json!({})).await.status, 500);

    let list = call(&server, "GET", "", "").await;
    assert!(!list.text.contains("very-secret"));
    let upstreams = list.json()["upstreams"].take();
    assert_eq!(
        (&upstreams[0]["name"], &upstreams[0]["calls"], &upstreams[0]["queued"]),
        (&json!("other"), &json!(1), &json!(2))
    );
    assert_eq!(upstreams[1]["behaviour"]["fault"]["kind"], "hang");
    assert_eq!(upstream.behaviour().fault, Some(Fault::Hang));
}

#[tokio::test]
async fn a_wrong_behaviour_is_refused_with_its_field_and_place() {
    let (server, upstream) = start().await;
    let check = async |method, path, body: &str, parts: &[&str]| {
        let reply = call(&server, method, path, body).await;
        assert_eq!(reply.status, 400, "{body}");
        let json = reply.json();
        let message = json["error"]["message"].as_str().unwrap();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    check("PUT", "/primary", r#"{"latency_ms": "#, &["line 1 column 15"]).await;
    check("PUT", "/primary", r#"{"latency_ms": "slow"}"#, &["body.latency_ms", "expected u64"]).await;
    check("PUT", "/primary", r#"{"latency": 5}"#, &["unknown field `latency`", "latency_ms"]).await;
    check("PUT", "/primary", r#"{"fault_rate": 2}"#, &["body.fault_rate", "0 to 1"]).await;
    check("PUT", "/primary", r#"{"fault": {"kind": "explode"}}"#, &["body.fault", "`explode`", "`hang`"])
        .await;
    check("PUT", "/primary", r#"{"fault": {"kind": "cut", "after": 1}}"#, &["body.fault", "`after`"]).await;
    check("PUT", "/primary", r#"{"fault": {"kind": "hang", "ms": 1}}"#, &["body.fault", "`ms`"]).await;
    check("PUT", "/primary", "[]", &["body: expected a behaviour"]).await;
    check("POST", "/primary/enqueue", r#"[{}, {"answer": 1}]"#, &["[1].answer", "expected a string"]).await;
    assert_eq!((upstream.behaviour(), upstream.queued()), (Behaviour::default(), 0));
}

#[tokio::test]
async fn dropping_the_server_frees_the_port_and_drops_connections() {
    let (server, upstream) = start().await;
    upstream.set(Fault::Hang);
    let addr = server.addr();
    let hanging = tokio::spawn({
        let upstream = upstream.clone();
        async move { try_ask(&upstream, Format::OpenAi, json!({})).await }
    });
    crate::client::eventually(|| upstream.open() == 1).await;
    drop(server);
    assert!(hanging.await.unwrap().is_err());
    assert!(MockServer::start(addr).await.is_ok());
}
