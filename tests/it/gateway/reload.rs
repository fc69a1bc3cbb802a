//! Another configuration under live traffic.

use llm_router::ConfigFile;

use super::*;

fn serving(text: &str, previous: Option<&Serving>) -> Serving {
    let file = ConfigFile::parse(text, "config.yaml", &|_| None).unwrap();
    Serving::from_file(file, [], previous).unwrap()
}

fn config(entries: &[(&str, &str, String, &str)]) -> String {
    let entries = entries.iter().map(|(alias, id, base, key)| {
        format!(
            "  - model_name: {alias}\n    litellm_params: {{ model: gpt-4o, api_base: '{base}', api_key: {key} }}\n    \
             model_info: {{ id: {id} }}\n"
        )
    });
    format!("model_list:\n{}", entries.collect::<String>())
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
async fn requests_under_way_end_as_they_began_and_new_ones_go_by_the_new_file() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (old, new) = (server.upstream("old"), server.upstream("new"));
    old.set(Behaviour::default().with_chunks(40).with_chunk_interval_ms(5));
    let app = App::with_limits(
        serving(&config(&[("fast", "one", old.openai_base(), "k")]), None),
        Limits::default(),
    );
    let gateway = Gateway::of(app.clone()).await;
    let mut under_way = send(&gateway, &streamed("fast")).await.bytes_stream();
    under_way.next().await.unwrap().unwrap();

    app.replace(serving(&config(&[("other", "two", new.openai_base(), "k")]), Some(&app.serving())));
    assert_eq!(send(&gateway, &ask("fast")).await.status(), 404);
    assert_eq!(send(&gateway, &ask("other")).await.headers()["x-router-deployment"], "two");
    let mut last = Vec::new();
    while let Some(bytes) = under_way.next().await {
        last = bytes.unwrap().to_vec();
    }
    assert!(last.ends_with(b"data: [DONE]\n\n"));
    assert_eq!((old.calls(), new.calls()), (1, 1));
}

#[tokio::test]
async fn a_deployment_that_is_the_same_keeps_its_cooldown_and_one_with_another_key_begins_anew() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (a, b) = (server.upstream("a"), server.upstream("b"));
    a.set(Fault::status(401));
    b.set(Fault::status(401));
    let text = |key: &str| {
        config(&[("first", "one", a.openai_base(), "k"), ("second", "two", b.openai_base(), key)])
    };
    let app = App::with_limits(serving(&text("wrong"), None), Limits::default());
    let gateway = Gateway::of(app.clone()).await;
    for model in ["first", "second"] {
        assert_eq!(send(&gateway, &ask(model)).await.status(), 401);
    }
    a.set(Behaviour::default());
    b.set(Behaviour::default());
    app.replace(serving(&text("right"), Some(&app.serving())));
    assert_eq!(send(&gateway, &ask("first")).await.status(), 503, "it is still cooling");
    assert_eq!(send(&gateway, &ask("second")).await.status(), 200, "the key was the problem");
}
