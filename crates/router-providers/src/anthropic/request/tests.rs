use router_core::{ChatRequestBuilder, ProviderErrorKind};

use super::*;

fn encoded(request: ChatRequestBuilder, model: &str, mode: Mode) -> Result<Value, ProviderError> {
    let body = encode(&Target::new(model), &request.build().unwrap(), mode, Envelope::Api)?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn body(request: ChatRequestBuilder) -> Value {
    encoded(request, "claude-sonnet-4-5", Mode::Whole).unwrap()
}

fn request() -> ChatRequestBuilder {
    ChatRequest::builder("alias")
}

fn asking() -> ChatRequestBuilder {
    request().user("hi")
}

fn refusal(request: ChatRequestBuilder) -> (ProviderErrorKind, String) {
    let error = encoded(request, "claude-sonnet-4-5", Mode::Whole).unwrap_err();
    (error.kind(), error.message().to_owned())
}

#[test]
fn a_small_request_is_small() {
    assert_eq!(
        encoded(asking(), "claude-x", Mode::Whole).unwrap(),
        json!({
            "model": "claude-x", "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        })
    );
    assert_eq!(encoded(asking(), "claude-x", Mode::Stream).unwrap()["stream"], true);
    let asks_for_stream = asking().set("stream", true).set("stream_options", json!({"include_usage": true}));
    assert!(body(asks_for_stream).get("stream").is_none());
}

#[test]
fn each_field_is_translated_dropped_or_passed_on() {
    let check = |field: &str, value: Value, expected: Value| {
        let body = body(asking().set(field, value.clone()));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&body[name], value, "{field}");
        }
        if !expected.as_object().unwrap().contains_key(field) {
            assert!(body.get(field).is_none(), "{field}: {value} {body}");
        }
    };
    check("max_tokens", json!(7), json!({"max_tokens": 7}));
    check("max_completion_tokens", json!(7), json!({"max_tokens": 7}));
    check("temperature", json!(0.5), json!({"temperature": 0.5}));
    check("temperature", json!(1.7), json!({"temperature": 1}));
    check("top_p", json!(0.5), json!({"top_p": 0.5}));
    check("top_k", json!(5), json!({"top_k": 5}));
    check("stop", json!("END"), json!({"stop_sequences": ["END"]}));
    check("stop", json!(["a", "\n", "b"]), json!({"stop_sequences": ["a", "b"]}));
    check("user", json!("u1"), json!({"metadata": {"user_id": "u1"}}));
    check("safety_identifier", json!("u1"), json!({"metadata": {"user_id": "u1"}}));
    check("metadata", json!({"user_id": "u2", "x": "y"}), json!({"metadata": {"user_id": "u2"}}));
    check("service_tier", json!("default"), json!({"service_tier": "standard_only"}));
    check(
        "thinking",
        json!({"type": "enabled", "budget_tokens": 2000}),
        json!({
            "thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 6096,
        }),
    );
    check("cache_control", json!({"type": "ephemeral"}), json!({"cache_control": {"type": "ephemeral"}}));
    check("brand_new", json!([1]), json!({"brand_new": [1]}));
    check("system", json!("native"), json!({"system": "native"}));
    for (neutral, value) in [
        ("n", json!(1)),
        ("presence_penalty", json!(0)),
        ("frequency_penalty", json!(0.0)),
        ("logprobs", json!(false)),
        ("top_logprobs", json!(0)),
        ("logit_bias", json!({})),
        ("modalities", json!(["text"])),
        ("response_format", json!({"type": "text"})),
        ("stop", json!([])),
        ("stop", json!(null)),
        ("n", json!(null)),
        ("audio", json!(null)),
        ("seed", json!(7)),
        ("store", json!(true)),
        ("metadata", json!({"team": "a"})),
        ("prompt_cache_key", json!("k")),
        ("verbosity", json!("low")),
        ("tools", json!([])),
        ("tool_choice", json!("auto")),
        ("parallel_tool_calls", json!(false)),
        ("reasoning_effort", json!("none")),
    ] {
        check(neutral, value, json!({}));
    }
}

#[test]
fn what_anthropic_cannot_do_is_refused_by_name() {
    let check = |field: &str, value: Value| {
        let (kind, message) = refusal(asking().set(field, value));
        assert_eq!(kind, ProviderErrorKind::Unsupported, "{message}");
        assert!(message.contains(field), "{message}");
    };
    check("n", json!(2));
    check("logprobs", json!(true));
    check("top_logprobs", json!(3));
    check("presence_penalty", json!(0.5));
    check("frequency_penalty", json!(-1));
    check("logit_bias", json!({"50256": -100}));
    check("audio", json!({"voice": "alloy"}));
    check("modalities", json!(["text", "audio"]));
    check("functions", json!([{"name": "f"}]));
    check("web_search_options", json!({}));
    check("response_format", json!({"type": "json_object"}));
    check("service_tier", json!("flex"));
    check("reasoning_effort", json!("enormous"));
    let native_and_ours = request().system("a").user("b").set("system", "c");
    assert_eq!(refusal(native_and_ours).0, ProviderErrorKind::Unsupported);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let check = |request: ChatRequestBuilder, expected: &str| {
        assert_eq!(refusal(request), (ProviderErrorKind::InvalidRequest, expected.to_owned()));
    };
    check(
        request().message(json!({"content": "x"})),
        "`messages[0]` is wrong: expected a message with a `role`",
    );
    check(request().message(json!({"role": "chef"})), "`messages[0].role` is wrong: \"chef\" is no role");
    check(
        asking().message(json!({"role": "user", "content": 7})),
        "`messages[1].content` is wrong: expected a string or a list of parts",
    );
    check(
        request().message(json!({"role": "user", "content": [{"type": "image_url"}]})),
        "`messages[0].content[0].image_url` is missing",
    );
    check(asking().set("stop", 7), "`stop` is wrong: expected a string or a list of strings");
    check(asking().set("tools", 7), "`tools` is wrong: expected a list");
    check(asking().set("tools", json!([{"type": "function"}])), "`tools[0].function` is missing");
    check(
        asking().set("response_format", json!({"type": "json_schema"})),
        "`response_format.json_schema.schema` is missing: expected an object",
    );
    check(asking().message(json!({"role": "tool", "content": "x"})), "`messages[1].tool_call_id` is missing");
}

#[test]
fn system_messages_become_the_system_in_order() {
    let body = body(request().system("one").user("hi").message(json!({"role": "developer", "content": [
        {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": " "},
    ]})));
    assert_eq!(
        body["system"],
        json!([
            {"type": "text", "text": "one"},
            {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}},
        ])
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_tool_loop_is_put_in_the_order_anthropic_demands() {
    let call = |id: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let body = body(
        request()
            .user("go")
            .message(json!({"role": "assistant", "content": null, "tool_calls": [
                call("call_1", json!("{\"b\": 1, \"a\": [2]}")), call("functions.f:0", json!("")), call("c", json!({"x": 1})),
            ]}))
            .user("by the way")
            .message(json!({"role": "tool", "tool_call_id": "call_1", "content": "one"}))
            .message(json!({"role": "tool", "tool_call_id": "functions.f:0", "content": ""}))
            .message(json!({"role": "tool", "tool_call_id": "c", "is_error": true, "cache_control": {"type": "ephemeral"},
                "content": [{"type": "text", "text": "three"}]}))
            .user("and?"),
    );
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns.len(), 3);
    let cleaned = turns[1]["content"][1]["id"].as_str().unwrap();
    assert!(cleaned.starts_with("functions_f_0_") && cleaned.len() < MAX_ID_IN_TEST, "{cleaned}");
    assert_eq!(
        turns[1]["content"],
        json!([
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"b": 1, "a": [2]}},
            {"type": "tool_use", "id": cleaned, "name": "f", "input": {}},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}},
        ])
    );
    assert_eq!(
        turns[2],
        json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "one"}]},
            {"type": "tool_result", "tool_use_id": cleaned},
            {"type": "tool_result", "tool_use_id": "c", "is_error": true, "cache_control": {"type": "ephemeral"},
                "content": [{"type": "text", "text": "three"}]},
            {"type": "text", "text": "by the way"},
            {"type": "text", "text": "and?"},
        ]})
    );
}

const MAX_ID_IN_TEST: usize = 64;

#[test]
fn calls_without_ids_find_their_results() {
    let call = json!({"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = body(
        asking()
            .message(json!({"role": "assistant", "tool_calls": [call, call]}))
            .message(json!({"role": "tool", "tool_call_id": "", "content": "1"}))
            .message(json!({"role": "tool", "content": "2"})),
    );
    let ids = |turn: usize, member: &str| -> Vec<Value> {
        body["messages"][turn]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block[member].clone())
            .collect()
    };
    assert_eq!(ids(1, "id"), ids(2, "tool_use_id"));
    assert_ne!(ids(1, "id")[0], ids(1, "id")[1]);
}

#[test]
fn arguments_that_are_no_object_are_for_another_provider() {
    for arguments in ["{\"a\": ", "[1]", "7"] {
        let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let (kind, message) = refusal(asking().message(json!({"role": "assistant", "tool_calls": [call]})));
        assert_eq!(kind, ProviderErrorKind::Unsupported);
        assert!(message.contains("messages[1].tool_calls[0].function.arguments"), "{message}");
    }
}

#[test]
fn reasoning_goes_back_first_and_only_when_signed() {
    let signed = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let redacted = json!({"type": "redacted_thinking", "data": "d"});
    let body = body(
        asking()
            .message(json!({
                "role": "assistant", "content": "ok", "reasoning_content": "hm",
                "thinking_blocks": [signed, {"type": "thinking", "thinking": "foreign"}, redacted],
            }))
            .user("more"),
    );
    assert_eq!(body["messages"][1]["content"], json!([signed, redacted, {"type": "text", "text": "ok"}]));
}

#[test]
fn blank_text_is_left_out() {
    let body = body(
        request()
            .user("a")
            .assistant("")
            .message(json!({"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "b"}]}))
            .assistant("prefill \n"),
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "prefill"}]},
        ])
    );
}

#[test]
fn images_and_files_become_blocks_of_their_true_type() {
    let block = |part: Value| {
        let body = body(request().message(json!({"role": "user", "content": [part]})));
        body["messages"][0]["content"][0].clone()
    };
    let image = |url: &str| block(json!({"type": "image_url", "image_url": {"url": url, "detail": "low"}}));
    let base64 = |media_type: &str, data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}});
    assert_eq!(
        image("https://x/y.png"),
        json!({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}})
    );
    assert_eq!(image("data:image/png;base64,iVBORw0KGgoAAA"), base64("image/png", "iVBORw0KGgoAAA"));
    assert_eq!(image("DATA:Image/PNG;Charset=x;BASE64,AAAA"), base64("image/png", "AAAA"));
    assert_eq!(image("data:image/jpg;base64,AAAA"), base64("image/jpeg", "AAAA"));
    assert_eq!(
        image("data:image/png;base64,/9j/AAAA"),
        base64("image/jpeg", "/9j/AAAA"),
        "not what it is said to be"
    );
    assert_eq!(image("data:;base64,R0lGODAA"), base64("image/gif", "R0lGODAA"));

    let file = |file: Value| block(json!({"type": "file", "file": file}));
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"});
    assert_eq!(
        file(json!({"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"})),
        json!({"type": "document", "source": pdf, "title": "a.pdf"})
    );
    assert_eq!(file(json!({"file_data": "JVBERi0x"})), json!({"type": "document", "source": pdf}));
    let native =
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
    assert_eq!(block(native.clone()), native);

    let refused = |part: Value| refusal(request().message(json!({"role": "user", "content": [part]}))).0;
    use ProviderErrorKind::{InvalidRequest, Unsupported};
    assert_eq!(refused(json!({"type": "input_audio", "input_audio": {}})), Unsupported);
    assert_eq!(refused(json!({"type": "file", "file": {"file_id": "file-1"}})), Unsupported);
    assert_eq!(
        refused(json!({"type": "file", "file": {"file_data": "data:text/csv;base64,AAAA"}})),
        Unsupported
    );
    assert_eq!(refused(json!({"type": "image_url", "image_url": {"url": "gs://bucket/x"}})), Unsupported);
    assert_eq!(
        refused(json!({"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}})),
        InvalidRequest
    );
    assert_eq!(
        refused(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64"}})),
        InvalidRequest
    );
}

#[test]
fn tools_and_choices_are_translated() {
    let tool = json!({"type": "function", "function": {
        "name": "f", "description": "d", "strict": true,
        "parameters": {"type": "object", "properties": {"b": {}, "a": {}}},
    }, "cache_control": {"type": "ephemeral"}});
    let bare = json!({"type": "function", "function": {"name": "g"}});
    let untyped =
        json!({"type": "function", "function": {"name": "h", "parameters": {"properties": {"x": {}}}}});
    let native = json!({"type": "web_search_20250305", "name": "web_search"});
    let with = |choice: Value, parallel: Value| {
        body(
            asking()
                .set("tools", json!([tool, bare, untyped, native]))
                .set("tool_choice", choice)
                .set("parallel_tool_calls", parallel),
        )
    };
    let body = with(json!(null), json!(null));
    assert_eq!(
        body["tools"],
        json!([
            {"name": "f", "description": "d", "cache_control": {"type": "ephemeral"},
                "input_schema": {"type": "object", "properties": {"b": {}, "a": {}}}},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}},
            {"name": "h", "input_schema": {"type": "object", "properties": {"x": {}}}},
            native,
        ])
    );
    assert!(body.get("tool_choice").is_none());
    let check = |choice: Value, expected: Value| {
        assert_eq!(with(choice.clone(), json!(true))["tool_choice"], expected);
        let mut serial = expected;
        if serial["type"] != "none" {
            serial["disable_parallel_tool_use"] = json!(true);
        }
        assert_eq!(with(choice, json!(false))["tool_choice"], serial);
    };
    check(json!("auto"), json!({"type": "auto"}));
    check(json!("none"), json!({"type": "none"}));
    check(json!("required"), json!({"type": "any"}));
    check(json!({"type": "function", "function": {"name": "f"}}), json!({"type": "tool", "name": "f"}));
    check(json!({"type": "any"}), json!({"type": "any"}));
    assert_eq!(
        with(json!(null), json!(false))["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    let allowed = asking().set("tools", json!([bare])).set("tool_choice", json!({"type": "allowed_tools"}));
    assert_eq!(refusal(allowed).0, ProviderErrorKind::Unsupported);
}

#[test]
fn the_order_of_a_schema_is_kept() {
    let request = ChatRequest::from_json(
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":
        {"name":"f","parameters":{"type":"object","properties":{"zebra":{},"apple":{}}}}}]}"#,
    )
    .unwrap();
    let body = encode(&Target::new("claude"), &request, Mode::Whole, Envelope::Api).unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains(r#"{"zebra":{},"apple":{}}"#), "{text}");
}

#[test]
fn a_json_schema_becomes_the_output_format() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}});
    let body = body(asking().set("response_format", format).set("output_config", json!({"effort": "low"})));
    assert_eq!(
        body["output_config"],
        json!({"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}})
    );
}

#[test]
fn effort_becomes_thinking_where_nothing_speaks_against_it() {
    let thinking = |request: ChatRequestBuilder| {
        let body = body(request.set("reasoning_effort", "medium"));
        (body["thinking"].clone(), body["max_tokens"].clone())
    };
    let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    assert_eq!(thinking(asking()), (enabled(2048), json!(6144)));
    assert_eq!(thinking(asking().set("max_completion_tokens", 3000)), (enabled(1500), json!(3000)));
    assert_eq!(thinking(asking().max_tokens(100)), (json!(null), json!(100)));
    assert_eq!(
        thinking(asking().set("thinking", enabled(1025))).0,
        enabled(1025),
        "Anthropic's own words win"
    );
    assert_eq!(thinking(asking().assistant("prefill")).0, json!(null));
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_eq!(thinking(asking().set("tools", tools.clone())).0, enabled(2048));
    assert_eq!(thinking(asking().set("tools", tools).set("tool_choice", "required")).0, json!(null));
    let in_loop = |blocks: Value| {
        asking()
            .message(json!({"role": "assistant", "thinking_blocks": blocks,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}))
            .message(json!({"role": "tool", "tool_call_id": "a", "content": "x"}))
    };
    assert_eq!(thinking(in_loop(json!([]))).0, json!(null));
    assert_eq!(
        thinking(in_loop(json!([{"type": "thinking", "thinking": "t", "signature": "s"}]))).0,
        enabled(2048)
    );

    let sampled = asking().set("temperature", 0.2).set("top_k", 3).set("reasoning_effort", "low");
    let body = encoded(sampled, "claude-opus-4-6", Mode::Whole).unwrap();
    assert_eq!(body["thinking"], json!({"type": "adaptive"}));
    assert_eq!(body["output_config"], json!({"effort": "low"}));
    assert!(body.get("temperature").is_none() && body.get("top_k").is_none());
}
